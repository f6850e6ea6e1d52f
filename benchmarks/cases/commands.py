"""The commands of a reviewer on a large folder: `validate`, and `plan` of a first sync."""

import time
from pathlib import Path

import yaml

from benchmarks import tasks
from benchmarks.bench import Bench, Part, Samples
from benchmarks.processes import ROOT, Process, python
from benchmarks.service import Service

LIMIT = 120.0
_CHANGES = 2


def _timed(arguments: list[str], scratch: Path, status: int, server: str = "") -> float:
    """The seconds that a command takes, which must end with this exit status."""
    variables = {
        "TASKSERVICE_SERVER": server,
        "TASKSERVICE_IMPORT_PATH": str(ROOT),
        "TASKSERVICE_FUNCTIONS": "benchmarks.work.*",
    }
    started = time.perf_counter()
    with Process(python("taskservice", *arguments), scratch / "log", variables) as process:
        process.wait(LIMIT, status=status)
        return time.perf_counter() - started


def _ours(bench: Bench) -> Samples:
    with bench.place("mariadb") as (database, folder, scratch):
        empty = scratch / "empty"
        empty.mkdir()
        tasks.write_each(folder, tasks.mixed(bench.tasks))
        with Service(database, empty, scratch) as service:
            server = f"http://127.0.0.1:{service.port}"
            return {
                "ours.validate": _timed(["validate", str(folder)], scratch, 0),
                "ours.plan": _timed(["plan", str(folder)], scratch, _CHANGES, server),
                "ours.plan.against": _timed(
                    ["plan", str(folder), "--against", str(empty)], scratch, _CHANGES
                ),
            }


def _parsing(bench: Bench) -> Samples:
    with bench.scratch() as scratch:
        tasks.write_each(scratch, tasks.mixed(bench.tasks))
        started = time.perf_counter()
        for path in scratch.rglob("*.yaml"):
            yaml.safe_load(path.read_text())
        return {"safe_load.parse": time.perf_counter() - started}


PARTS = (
    Part(name="ours.commands", gives=("ours.*",), measure=_ours),
    Part(name="safe_load.parse", gives=("safe_load.*",), measure=_parsing),
)
