"""The memory that a scheduled task takes."""

import time
from collections.abc import Sequence
from functools import partial

from benchmarks import tasks
from benchmarks.bench import Bench, Part, Samples
from benchmarks.processes import Process, python
from benchmarks.service import Service
from benchmarks.tasks import Task

SETTLE = 2.0  # seconds after the start in which memory that was in use for a moment is given back


def held(bench: Bench, many: Sequence[Task]) -> tuple[int, int]:
    """Bytes that the service holds with these tasks: soon after a first start, and a later one."""
    sizes = []
    with bench.place("mariadb") as (database, folder, scratch):
        tasks.write_each(folder, many)
        for _ in range(2):
            with Service(database, folder, scratch) as service:
                time.sleep(SETTLE)
                sizes.append(service.resident())
                service.terminate()
    return sizes[0], sizes[1]


def _ours(bench: Bench, kind: str) -> Samples:
    many = held(bench, tasks.tasks(tasks.seldom(kind, bench.tasks)))
    none = held(bench, [])
    return {
        f"ours.memory.{kind}": (many[0] - none[0]) / bench.tasks,
        f"ours.memory.{kind}.restart": (many[1] - none[1]) / bench.tasks,
    }


def _jobs(bench: Bench, kind: str) -> Samples:
    with bench.scratch() as scratch:
        arguments = python("benchmarks.peers.jobs", kind, str(bench.tasks))
        with Process(arguments, scratch / "log") as process:
            process.wait(120)
            size = int(process.tail())
    return {f"jobs.memory.{kind}": size / bench.tasks}


def parts(kind: str) -> tuple[Part, Part]:
    """The parts for one kind of trigger, `interval` or `cron`."""
    return (
        Part(name=f"ours.memory.{kind}", gives=("ours.*",), measure=partial(_ours, kind=kind)),
        Part(name=f"jobs.memory.{kind}", gives=("jobs.*",), measure=partial(_jobs, kind=kind)),
    )
