"""Runs of the service and of APScheduler that fire, each in a process of its own."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from benchmarks import tasks, window
from benchmarks.bench import Bench
from benchmarks.processes import Process, python
from benchmarks.record import VARIABLE, read
from benchmarks.service import Service
from benchmarks.tasks import Trigger
from benchmarks.window import Fires

# What the service left behind has another status, or is counted in the row of another fire.
ALONE = "folded = 0"


def ours(bench: Bench, kind: str, triggers: Sequence[Trigger], *, every: int = 1) -> Fires:
    """The service on a fresh database of a kind, with a task for each trigger."""
    with bench.place(kind) as (database, folder, scratch):
        tasks.write_many(folder, tasks.tasks(triggers))
        with Service(database, folder, scratch) as service:
            watched = window.watch(service, bench.seconds)
        return window.judge(
            watched,
            service.record,
            due=window.due_in(watched.seconds, triggers, every),
            recorded=window.completed(database, watched, ALONE),
        )


def by_hand(bench: Bench, kind: str, triggers: Sequence[Trigger], *, every: int = 1) -> Fires:
    """The scheduler written by hand with an ORM session for each execution."""
    with bench.place(kind) as (database, _, scratch):
        noted = _write(scratch, triggers)
        arguments = python("benchmarks.peers.by_hand", database.url, str(noted))
        with _peer(arguments, scratch) as (process, record):
            watched = window.watch(process, bench.seconds)
        return window.judge(
            watched,
            record,
            due=window.due_in(watched.seconds, triggers, every),
            recorded=window.completed(database, watched),
        )


def timer(bench: Bench, triggers: Sequence[Trigger], *, every: int = 1) -> Fires:
    """APScheduler with its memory store and no rows."""
    with bench.scratch() as scratch:
        noted = _write(scratch, triggers)
        with _peer(python("benchmarks.peers.timer", str(noted)), scratch) as (process, record):
            watched = window.watch(process, bench.seconds)
        due = window.due_in(watched.seconds, triggers, every)
        return window.judge(watched, record, due=due)


@contextmanager
def _peer(arguments: list[str], scratch: Path) -> Iterator[tuple[Process, Path]]:
    """A process that fires, once its first fire was noted, and where it notes them."""
    record = scratch / "fires"
    with Process(arguments, scratch / "log", {VARIABLE: str(record)}) as process:
        process.wait_until(lambda: bool(read(record)), seconds=120)
        yield process, record


def _write(scratch: Path, triggers: Sequence[Trigger]) -> Path:
    path = scratch / "triggers.json"
    path.write_bytes(msgspec.json.encode(triggers))
    return path
