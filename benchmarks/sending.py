"""Runs that send to workers, each process its own: the service's, and Celery's beat and workers."""

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from benchmarks import record, tasks, window
from benchmarks.bench import Bench
from benchmarks.brokers import BROKERS, Broker
from benchmarks.errors import Failed
from benchmarks.firing import ALONE
from benchmarks.peers import BROKER_VARIABLE, CELERY_ENTRIES_VARIABLE
from benchmarks.processes import Process, python
from benchmarks.record import SHARED_VARIABLE, VARIABLE, Fire
from benchmarks.service import Service
from benchmarks.stats import percentile
from benchmarks.tasks import Task, Trigger

PLACES = 16
"""How many executions a worker runs at a time."""

KEPT_UP = 0.5
"""The lateness, in seconds, that 99 of 100 executions of a rate that is kept up with stay under."""

SENT = 0.95
"""The share of what is due that is executed then: beat counts its second from the last sending."""

SETTLE = 1.0
START_SECONDS = 120.0
DRAIN_SECONDS = 1200.0
AHEAD = timedelta(seconds=8)
"""How long before they are due the tasks are written that are due at one instant."""

APP = "benchmarks.peers.beat_app"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What a window saw: of `due` fires `done` were executed, and have their rows if there are any.

    Latenesses are in seconds; `costs` is the processor time an execution by who used it.
    """

    due: int
    done: int
    p50: float
    p99: float
    costs: Mapping[str, float]

    @property
    def kept(self) -> bool:
        """Whether the rate was kept up with."""
        return self.done >= SENT * self.due and self.p99 < KEPT_UP


def ours(bench: Bench, broker: str, rate: int, *, workers: int = 1) -> Sent:
    """The service and its workers, with so many tasks that fire each second."""
    with _ours(bench, broker, workers) as deployed:
        tasks.write_many(deployed.folder, _tasks(tasks.spread(rate)))
        deployed.wait_for_first()
        watched, used = window.watch_each(deployed.times(), bench.seconds, settle=SETTLE)
        recorded = window.completed(deployed.service.database, watched, ALONE)
        return _judge(watched, used, deployed.record, rate * watched.seconds, recorded)


def beat(bench: Bench, broker: str, rate: int, *, workers: int = 1) -> Sent:
    """Celery's beat with so many entries of one second, and Celery's workers."""
    with _celery(bench, broker, workers, entries=rate) as (place, processes, environ, times):
        arguments = [
            *(*python("celery", "--app", APP), "beat", "--loglevel", "ERROR", "--pidfile", ""),
            *("--scheduler", f"{APP}:Told", "--schedule", str(place / "schedule")),
        ]
        noted = place / "record"
        with Process(arguments, place / "beat.log", environ) as scheduler:
            _wait_for_first(scheduler, noted, processes)
            watched, used = window.watch_each(
                {"scheduler": scheduler.whole_time, **times}, bench.seconds, settle=SETTLE
            )
        return _judge(watched, used, noted, rate * watched.seconds, None)


def ours_at_once(bench: Bench, broker: str, count: int, *, workers: int) -> float:
    """Executions a second of the service's workers, with so many queued at one instant."""
    with _ours(bench, broker, workers) as deployed:
        due = datetime.now(UTC) + AHEAD + timedelta(seconds=count / 1000)
        args = {"days": 1, "start_date": due.isoformat()}
        tasks.write_many(deployed.folder, _tasks([Trigger(type="interval", args=args)] * count))
        return _drained(deployed.service, deployed.record, count)


def celery_at_once(bench: Bench, broker: str, count: int, *, workers: int) -> float:
    """Executions a second of Celery's workers, with as many messages sent by a loop."""
    with _celery(bench, broker, workers, entries=0) as (place, _, environ, _):
        send = ["-c", f"from {APP} import sent\nfor _ in range({count}): {_SEND}"]
        arguments = [python()[0], *send]
        with Process(arguments, place / "send.log", environ) as sender:
            sender.wait(DRAIN_SECONDS)
            return _drained(sender, place / "record", count)


_SEND = "sent.apply_async(headers={'due': 1.0})"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Deployed:
    """The service with its workers."""

    bench: Bench
    service: Service
    workers: Sequence[Process]
    broker: Broker
    folder: Path
    record: Path

    def times(self) -> Mapping[str, window.SoFar]:
        return {
            "scheduler": self.service.whole_time,
            "workers": lambda: math.fsum(one.whole_time() for one in self.workers),
            "database": self.bench.databases.processor_time,
            "broker": self.broker.processor_time,
        }

    def wait_for_first(self) -> None:
        _wait_for_first(self.service, self.record, self.workers)


@contextmanager
def _ours(bench: Bench, broker: str, workers: int) -> Iterator[_Deployed]:
    with (
        bench.place("mariadb") as (database, folder, scratch),
        BROKERS[broker](scratch) as found,
        ExitStack() as stack,
    ):
        noted = scratch / "record"
        environ = {
            "TASKSERVICE_CELERY_BROKER": found.url,
            "TASKSERVICE_START_TIMEOUT": str(DRAIN_SECONDS),
            SHARED_VARIABLE: str(noted),
            VARIABLE: "",  # it is for one process to write
        }
        service = stack.enter_context(Service(database, folder, scratch, environ))
        begun = [
            stack.enter_context(
                Process(
                    python("taskservice", "worker", "--concurrency", str(PLACES)),
                    scratch / f"worker-{number}.log",
                    service.environ,
                )
            )
            for number in range(workers)
        ]
        for one in begun:
            one.wait_until(partial(_serves, one), seconds=START_SECONDS)
        yield _Deployed(
            bench=bench, service=service, workers=begun, broker=found, folder=folder, record=noted
        )


@contextmanager
def _celery(
    bench: Bench, broker: str, workers: int, *, entries: int
) -> Iterator[tuple[Path, Sequence[Process], dict[str, str], dict[str, window.SoFar]]]:
    with bench.scratch() as scratch, BROKERS[broker](scratch) as found, ExitStack() as stack:
        environ = {
            BROKER_VARIABLE: found.url,
            CELERY_ENTRIES_VARIABLE: str(entries),
            SHARED_VARIABLE: str(scratch / "record"),
        }
        begun = [
            stack.enter_context(
                Process(
                    [
                        *(*python("celery", "--app", APP), "worker", "--concurrency", str(PLACES)),
                        *("--hostname", f"worker-{number}@%h", "--loglevel", "WARNING"),
                    ],
                    scratch / f"worker-{number}.log",
                    environ,
                )
            )
            for number in range(workers)
        ]
        times: dict[str, window.SoFar] = {
            "workers": lambda: math.fsum(one.whole_time() for one in begun),
            "broker": found.processor_time,
        }
        yield scratch, begun, environ, times


def _tasks(triggers: Sequence[Trigger]) -> list[Task]:
    more = {"executor": "celery"}
    return [
        Task(id=tasks.task_id(index), trigger=one, func_path="benchmarks.work.sent", more=more)
        for index, one in enumerate(triggers)
    ]


def _serves(worker: Process) -> bool:
    return " serves " in worker.tail()


def _wait_for_first(process: Process, noted: Path, workers: Sequence[Process]) -> None:
    try:
        process.wait_until(lambda: bool(record.read(noted)), seconds=START_SECONDS)
    except Failed as failed:
        raise Failed(f"{failed}\n{workers[0].tail()}") from None


def _judge(
    watched: window.Window, used: Mapping[str, float], noted: Path, due: int, recorded: int | None
) -> Sent:
    fires = record.read(noted)
    seen = [one for one in fires if watched.start <= one.scheduled < watched.end]
    ran = sum(watched.start <= one.called < watched.end for one in fires)
    late = [one.lateness for one in seen]
    return Sent(
        due=due,
        done=len(seen) if recorded is None else min(len(seen), recorded),
        p50=percentile(late, 0.5),
        p99=percentile(late, 0.99),
        costs={name: seconds / max(ran, 1) for name, seconds in used.items()},
    )


def _drained(process: Process, noted: Path, count: int) -> float:
    """Wait until so many have been executed; how many a second it were."""
    fires: list[Fire] = []
    end = time.monotonic() + DRAIN_SECONDS
    while len(fires := record.read(noted)) < count:
        if time.monotonic() > end:
            raise Failed(f"{len(fires)} of {count} were executed:\n{process.tail()}")
        time.sleep(0.5)
    called = [one.called for one in fires]
    return (count - 1) / (max(called) - min(called))
