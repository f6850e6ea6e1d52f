"""A round with workers: services and workers around a broker, and what was done to them."""

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from tests.acceptance.process import wait_for
from tests.brokers import Broker
from tests.faults import log
from tests.faults.checker import Report
from tests.faults.evidence import SECOND, Run, read_runs
from tests.faults.lab import JOBS, SETTLE_SECONDS, Lab, moment, write_file
from tests.faults.queue_rules import Queues, check_queues
from tests.faults.service import COMMAND, Service
from tests.faults.worker import WORKER, Worker

CONCURRENCY = 4
ON_AGAIN = 60.0
"""Within this time of a broker's return all goes on by itself."""

DYING = ("dying",)
SLOW = JOBS.with_name("slow_jobs") / "slow_fault_jobs.py"
JOBS_OF_SERVICES = JOBS.with_name("jobs_of_services")
PATTERNS = "fault_jobs.*,slow_fault_jobs.*,service_fault_jobs.*"


class Site:
    """A lab whose tasks run on workers of a queue of its own.

    `start_timeout` are the seconds that an execution may wait, `grace` those that it gets at a
    stop. `broker_url` is how services and workers reach the broker, where nobody says otherwise.
    """

    def __init__(
        self,
        lab: Lab,
        broker: Broker,
        *,
        start_timeout: int = 15,
        grace: int = 4,
        command: Sequence[str] = COMMAND,
        worker_command: Sequence[str] = WORKER,
    ) -> None:
        self.lab = lab
        self.broker = broker
        self.start_timeout = start_timeout
        self.queue = f"faults-{os.getpid()}-{lab.random.randrange(10**9)}"
        self.nobodys_queue = f"{self.queue}-nobody"
        self.names: dict[str, int] = {}
        self.workers: list[Worker] = []
        self._started = self._changes = 0
        self._slow = lab.folder / "slow_jobs" / SLOW.name
        self._slow.parent.mkdir()
        shutil.copy(SLOW, self._slow)
        self._command, self._worker_command = command, worker_command
        self.environ = {
            "TASKSERVICE_FUNCTIONS": PATTERNS,
            "TASKSERVICE_CELERY_BROKER": broker.url,
            "TASKSERVICE_CELERY_QUEUE": self.queue,
            "TASKSERVICE_START_TIMEOUT": str(start_timeout),
            "TASKSERVICE_SHUTDOWN_GRACE": str(grace),
        }

    def begin(self, workers: int) -> Service:
        """Start a service and so many workers, and declare what runs by hand; the service."""
        self.declare_by_hand()
        service = self.service()
        for _ in range(workers):
            self.worker()
        self.lab.start(service)
        self.ready()
        return service

    def service(self, *, broker_url: str | None = None, **more: Any) -> Service:
        """A service, which has not been started."""
        environ = {
            **self.environ,
            "TASKSERVICE_CELERY_BROKER": broker_url or self.broker.url,
            "TASKSERVICE_IMPORT_PATH": f"{JOBS}:{self._slow.parent}:{JOBS_OF_SERVICES}",
        }
        return self.lab.service(environ, command=self._command, **more)

    def worker(
        self,
        *,
        queues: str | None = None,
        concurrency: int = CONCURRENCY,
        broker_url: str | None = None,
        url: str | None = None,
        environ: Mapping[str, str] | None = None,
        **more: Any,
    ) -> Worker:
        """A worker that was begun and may not serve yet; it ends with the round."""
        found = Worker(
            ["--concurrency", str(concurrency), "--queues", queues or self.queue],
            {
                **{key: value for key, value in os.environ.items() if "TASKSERVICE" not in key},
                **self.environ,
                "TASKSERVICE_DATABASE_URL": url or self.lab.url,
                "TASKSERVICE_CELERY_BROKER": broker_url or self.broker.url,
                "TASKSERVICE_IMPORT_PATH": f"{JOBS}:{self._slow.parent}",
                **(environ or {}),
            },
            log=self.lab.folder / f"worker-{self._started}.log",
            command=self._worker_command,
            **more,
        )
        self._started += 1
        self.lab.stack.callback(_end, found)
        found.launch()
        self.workers.append(found)
        return found

    def ready(self, *workers: Worker) -> None:
        """Wait until workers serve (all that live, where none is named); their names are noted."""
        for worker in workers or [one for one in self.workers if one.alive]:
            worker.wait_until_ready()
            self.names[worker.name] = worker.pid

    def kill(self, worker: Worker, fault: str = "kill -9 of a worker") -> None:
        """`kill -9`, noted."""
        self.lab.deaths[worker.pid] = moment()
        worker.kill()
        self.lab.faults[fault] += 1
        self.workers.remove(worker)

    def terminate(self, worker: Worker) -> None:
        """SIGTERM, which it must follow with status 0; what it has to cut short dies with it."""
        self.lab.deaths[worker.pid] = moment()
        status = worker.terminate()
        assert status == 0, f"SIGTERM ended a worker with status {status}"
        self.workers.remove(worker)

    def declare(self, task_id: str, **fields: Any) -> None:
        """Write the file of a task that runs on workers."""
        self.lab.declare(task_id, executor="celery", **fields)

    def declare_many(self) -> None:
        """Write tasks of many kinds that fire every second or few, on workers."""
        self.declare("often", every=1, max_instances=8)
        self.declare("short", every=1, seconds=0.2, max_instances=4, function="work_later")
        self.declare("lone", every=1, seconds=0.7)
        self.declare("again", every=2, seconds=0.5, recover=True)
        retries = {"max": 1, "delay": 0.5}
        self.declare("failing", every=3, function="fail", seconds=0.1, retries=retries)
        self.declare("longer", every=4, seconds=5, max_instances=2)
        self.declare("timed", every=4, seconds=60, timeout=1.5, max_instances=2)
        self.declare("dying", every=5, function="die", seconds=0.2)
        self.declare("hungry", every=5, function="hunger", seconds=0.2)
        self.declare_by_hand()

    def declare_by_hand(self) -> None:
        """Write the tasks that run when a scenario wants it."""
        self.declare("by-hand", seconds=1, max_instances=99)
        self.declare("by-hand-short", seconds=3, max_instances=99)
        self.declare("by-hand-8", seconds=8, max_instances=99)
        self.declare("by-hand-15", seconds=15, max_instances=99)
        self.declare("by-hand-long", seconds=25, max_instances=99)
        self.declare("by-hand-slow", function="slow_fault_jobs.work", seconds=5, max_instances=99)
        self.declare("by-hand-nobody", queue=self.nobodys_queue, max_instances=99)
        missing = "service_fault_jobs.work"
        self.declare("by-hand-missing", function=missing, max_instances=99)
        expected = self.lab.expected
        expected["by-hand-missing"] = replace(expected["by-hand-missing"], begins=False)

    def trigger(self, service: Service, task_id: str) -> str:
        """Have a task run now; its execution's id."""
        found: str = service.send("POST", f"/task-manage/{task_id}/trigger", 202)["id"]
        return found

    def taken(self, service: Service) -> tuple[str, Worker]:
        """An execution that a worker has taken and not begun: it imports its function first.

        What a process has imported before is imported anew, for it has changed.
        """
        self._changes += 1
        write_file(self._slow, f"{SLOW.read_text()}\nCHANGES = {self._changes}\n")
        execution = self.trigger(service, "by-hand-slow")
        name = wait_for("it is taken", lambda: self.row(execution).worker, seconds=30)
        return execution, next(one for one in self.workers if self.names[name] == one.pid)

    def row(self, execution: str) -> log.Row:
        """The row of an execution."""
        return next(row for row in log.read_log(self.lab.url) if row.id == execution)

    def begun(self, execution: str, seconds: float = 30.0) -> Run:
        """Wait until an execution's function has begun, by its own word."""
        return wait_for(
            "it has begun",
            lambda: next((r for r in self.runs() if r.execution == execution), None),
            seconds=seconds,
        )

    def ended(self, execution: str, seconds: float = 60.0) -> log.Row:
        """Wait until the row of an execution says how it ended."""

        def row() -> log.Row | None:
            found = self.row(execution)
            return found if found.end is not None else None

        return wait_for("its row is closed", row, seconds=seconds, every=0.1)

    def runs(self) -> list[Run]:
        """What the functions have written down."""
        return read_runs(self.lab.evidence)

    def worker_of(self, run: Run) -> Worker:
        """The worker that a run is on."""
        return next(one for one in self.workers if one.pid == run.pid)

    def consumes(self, worker: Worker, since: int) -> None:
        """Wait until a worker has begun something that came due after a moment."""
        wait_for(
            f"{worker.log.stem} takes executions again",
            lambda: any(
                run.pid == worker.pid and run.fire and run.fire > since for run in self.runs()
            ),
            seconds=ON_AGAIN,
        )

    @contextmanager
    def trouble(self) -> Iterator[None]:
        """While the block lasts nobody is blamed for being late."""
        began = moment()
        try:
            yield
        finally:
            self.lab.troubles.append((began, moment()))

    def finish(self, service: Service, **facts: Any) -> Report:
        """Let all that is due run, stop everything in good order, and judge the round."""
        lab = self.lab
        until = lab.settle()
        for task_id in lab.expected:
            service.send("POST", f"/task-manage/{task_id}/pause", 200)
        wait_for(
            "what was sent has ended",
            lambda: not self.open(),
            seconds=SETTLE_SECONDS + self.start_timeout,
            every=0.2,
        )
        for worker in list(self.workers):
            self.terminate(worker)
        lab.stop_all()
        patience = (self.start_timeout + 10) * SECOND
        report = lab.judge(until, **{"patience": patience, **facts})
        self.judge(**facts)
        lab.verdict()
        return report

    def judge(self, **facts: Any) -> None:
        """Compare with what is promised of queues; what is found is kept for the verdict."""
        runs, rows = self.lab.read()
        known = self.lab.known(moment())
        queues = Queues(start_timeout=self.start_timeout * SECOND, workers=self.names, dying=DYING)
        self.lab.violations += check_queues(rows, runs, replace(known, **facts), queues)

    def open(self) -> list[tuple[Any, ...]]:
        """The executions that have not ended."""
        return log.query(
            self.lab.url,
            "SELECT task_id, id, status, worker FROM task_execution_log"
            " WHERE status IN ('queued', 'running')",
        )


def _end(worker: Worker) -> None:
    """It is gone, and its log is told."""
    worker.end()
    if worker.log.exists():
        lines = worker.log.read_text(errors="replace").splitlines()
        print(f"--- {worker.log.name}", *[line[:300] for line in lines[-15:]], sep="\n")
