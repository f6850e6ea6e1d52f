"""From the save of a task file to its task being stored and scheduled as it says.

That is taken from outside, by the first fire at the new times: a fire's row is committed before
it, and it needs the task stored and rescheduled. The file that is saved declares ten tasks which
go from 'seldom' to every 0.1 s, spread over it, so that some fire is due every 0.01 s: what is
measured is too long by the rest of that, and by the claim.
"""

import random
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks import record, tasks
from benchmarks.bench import Bench, Part, Samples
from benchmarks.errors import Failed
from benchmarks.processes import Process, python
from benchmarks.record import VARIABLE
from benchmarks.service import Service
from benchmarks.stats import percentile
from benchmarks.tasks import Task, Trigger

PHASES = 10
EVERY = 0.1
PAUSE = 0.4
LIMIT = 10.0
SAVES_A_SECOND = 5
_START = datetime(2024, 1, 1, tzinfo=UTC)


def _file(*, fast: bool) -> list[Task]:
    """The tasks of the file that is saved."""
    found = []
    for phase in range(PHASES):
        start = _START + timedelta(seconds=phase * EVERY / PHASES)
        args = {"seconds": EVERY if fast else 86_400, "start_date": start.isoformat()}
        found.append(Task(id=f"saved-{phase}", trigger=Trigger(type="interval", args=args)))
    return found


def first_after(path: Path, moment: float) -> float:
    """When the first fire after a moment was noted, waited for; raises `Failed`."""
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        called = [fire.called for fire in record.read(path) if fire.called > moment]
        if called:
            return called[0]
        time.sleep(0.02)
    raise Failed(f"a save was not noticed within {LIMIT} s")


def delays(folder: Path, noted: Path, count: int, calm: Callable[[], None]) -> list[float]:
    """The seconds from each of `count` saves to what is noted first after it.

    `calm` is called after each, and returns when nothing more is noted.
    """
    path = folder / "saved.yaml"
    found = []
    for _ in range(count):
        # At any moment of whatever rhythm the watching has.
        time.sleep(PAUSE + random.random() / 10)
        saved = tasks.save(path, _file(fast=True))
        found.append(first_after(noted, saved) - saved)
        tasks.save(path, _file(fast=False))
        calm()
    return found


def calm_fires(noted: Path) -> Callable[[], None]:
    """Waits until no fire was noted for a few intervals."""

    def calm() -> None:
        count = -1
        while count != (count := len(record.read(noted))):
            time.sleep(5 * EVERY)

    return calm


def prepare(folder: Path, count: int) -> None:
    """Write `count` files, one of them that which is saved."""
    tasks.write_each(folder, tasks.mixed(count - 1))
    tasks.save(folder / "saved.yaml", _file(fast=False))


def _ours(bench: Bench) -> Samples:
    with bench.place("mariadb") as (database, folder, scratch):
        prepare(folder, bench.tasks)
        with Service(database, folder, scratch) as service:
            count = SAVES_A_SECOND * bench.seconds
            found = delays(folder, service.record, count, calm_fires(service.record))
    bench.say(f"  ours: p50 {percentile(found, 0.5) * 1e3:.0f} ms, most {max(found) * 1e3:.0f} ms")
    return {"ours.save.p50": percentile(found, 0.5), "ours.save.p99": percentile(found, 0.99)}


def _watching(bench: Bench) -> Samples:
    with bench.scratch() as scratch:
        folder, noted = scratch / "tasks.d", scratch / "events"
        folder.mkdir()
        prepare(folder, bench.tasks)
        arguments = python("benchmarks.peers.watching", str(folder))
        with Process(arguments, scratch / "log", {VARIABLE: str(noted)}) as process:
            process.wait_until(lambda: bool(record.read(noted)))
            count = SAVES_A_SECOND * bench.seconds
            found = delays(folder, noted, count, lambda: time.sleep(PAUSE))
    return {
        "watching.save.p50": percentile(found, 0.5),
        "watching.save.p99": percentile(found, 0.99),
    }


PARTS = (
    Part(name="ours.save", gives=("ours.*",), measure=_ours),
    Part(name="watching.save", gives=("watching.*",), measure=_watching),
)
