"""Start with many task files and an empty database, and again with nothing changed."""

import time

from benchmarks import tasks
from benchmarks.bench import Bench, Part, Samples
from benchmarks.processes import Process, python
from benchmarks.service import Service

LIMIT = 1_200.0
"""Seconds that the loader written by hand may take."""


def _ours(bench: Bench) -> Samples:
    with bench.place("mariadb") as (database, folder, scratch):
        tasks.write_each(folder, tasks.mixed(bench.tasks))
        seconds = []
        for _ in range(2):
            with Service(database, folder, scratch) as service:
                seconds.append(service.start_seconds)
                service.terminate()
    return {"ours.start": seconds[0], "ours.restart": seconds[1]}


def _loader(bench: Bench) -> Samples:
    with bench.place("mariadb") as (database, folder, scratch):
        tasks.write_each(folder, tasks.mixed(bench.tasks))
        seconds = []
        for _ in range(2):
            started = time.perf_counter()
            arguments = python("benchmarks.peers.loader", database.url, str(folder))
            with Process(arguments, scratch / "log") as process:
                process.wait(LIMIT)
            seconds.append(time.perf_counter() - started)
    return {"loader.start": seconds[0], "loader.restart": seconds[1]}


PARTS = (
    Part(name="ours.start", gives=("ours.*",), measure=_ours),
    Part(name="loader.start", gives=("loader.*",), measure=_loader),
)
