"""One round of faults: a database, services on it, tasks that leave evidence, and the verdict."""

import json
import random
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.acceptance.process import wait_for
from tests.faults import log
from tests.faults.checker import Expected, Facts, Report, check
from tests.faults.evidence import SECOND, Run, read_runs
from tests.faults.oracle import Cron, Interval, Oracle, to_moment
from tests.faults.service import COMMAND, Service

JOBS = Path(__file__).parent / "jobs"
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
SETTLE_SECONDS = 60.0
"""How long the service may take, at the end of a round, for what came due until then."""


class Lab:
    """What a scenario works with; close it, or use the fixture.

    `faults` counts what was done, `seen` is what was measured: both end in the table of a long
    round. `ahead` are the microseconds by which the service's clock is ahead of ours. `is_long`
    tells which round this is; everything left to chance comes from `random`.
    """

    def __init__(self, url: str, folder: Path, *, seed: int, is_long: bool) -> None:
        self.url = url
        self.folder = folder
        self.seed = seed
        self.is_long = is_long
        self.random = random.Random(seed)
        self.tasks_dir = folder / "tasks.d"
        self.tasks_dir.mkdir()
        self.expected: dict[str, Expected] = {}
        self.faults: Counter[str] = Counter()
        self.seen: list[str] = []
        self.violations: list[str] = []
        self.fires = self.rows = self.runs = 0
        self.deaths: dict[int, int] = {}
        self.excused: set[int] = set()
        self.ahead = 0
        self.troubles: list[tuple[int, int]] = []
        self.since: int | None = None
        self.services: list[Service] = []
        self.stack = ExitStack()

    @property
    def evidence(self) -> Path:
        """The file that the functions write to."""
        return self.folder / "evidence"

    def length(self, short: int, long: int) -> int:
        """The one of the two that goes with this round."""
        return long if self.is_long else short

    def declare(
        self,
        task_id: str,
        *,
        every: float | None = None,
        cron: str | None = None,
        function: str = "work",
        seconds: float = 0.0,
        phase: int | None = None,
        **fields: Any,
    ) -> None:
        """Write a task's file, and note what is promised of it.

        `every` are the seconds of an interval, whose phase is given or left to chance; `cron` are
        the fields from second to hour of a cron; with neither it fires by hand only. `fields` are
        other fields of the file.
        """
        oracle: Oracle | None = None
        trigger: tuple[str, dict[str, object]]
        if cron is not None:
            oracle = Cron(f"{cron} * * *")
            named = zip(("second", "minute", "hour"), cron.split(), strict=True)
            trigger = ("cron", dict(named))
        elif every is not None:
            if phase is None:
                phase = self.random.randrange(round(every * SECOND))
            start = to_moment(EPOCH) + phase
            oracle = Interval(start, round(every * SECOND))
            trigger = ("interval", {"seconds": every, "start_date": _text(start)})
        else:
            trigger = ("date", {"run_date": "2999-01-01T00:00:00Z"})
        content = {
            "name": task_id,
            "task_type": "fault",
            "trigger_type": trigger[0],
            "trigger_args": trigger[1],
            "func_path": function if "." in function else f"fault_jobs.{function}",
            "func_args": {"path": str(self.evidence), "seconds": seconds},
            **fields,
        }
        grace = fields.get("misfire_grace_time", 3600)
        self.expected[task_id] = Expected(
            oracle=oracle,
            max_instances=fields.get("max_instances", 1),
            grace=None if grace is None else round(grace * SECOND),
            recover=fields.get("recover", False),
            retries=(fields.get("retries") or {}).get("max", 0),
        )
        write_file(self.tasks_dir / f"{task_id}.yaml", json.dumps(content) + "\n")

    def declare_many(self, count: int = 20, **fields: Any) -> None:
        """Write tasks of every kind that fire once or twice a second or so."""
        for number in range(count):
            task_id = f"task-{number}"
            match number % 10:
                case 0:
                    self.declare(task_id, cron="* * *", **fields)
                case 1:
                    self.declare(task_id, every=0.5, coalesce=False, max_instances=20, **fields)
                case 2:
                    self.declare(task_id, every=1, seconds=0.4, recover=True, **fields)
                case 3:
                    self.declare(task_id, every=1, seconds=1.5, **fields)
                case 4:
                    self.declare(task_id, every=1, seconds=1.5, max_instances=3, **fields)
                case 5:
                    self.declare(task_id, every=1, function="work_later", seconds=0.3, **fields)
                case 6:
                    retries = {"max": 1, "delay": 0.5}
                    self.declare(task_id, every=2, function="fail", retries=retries, **fields)
                case _:
                    self.declare(task_id, every=1, seconds=self.random.random() / 5, **fields)

    def service(
        self,
        environ: Mapping[str, str] | None = None,
        *,
        url: str | None = None,
        command: Sequence[str] = COMMAND,
        **more: Any,
    ) -> Service:
        """A service on this database, which has not been started; it ends with the round."""
        name = f"service-{len(self.services)}"
        found = Service(
            url or self.url,
            self.tasks_dir,
            {
                "TASKSERVICE_FUNCTIONS": "fault_jobs.*,taskservice.examples.*",
                "TASKSERVICE_IMPORT_PATH": str(JOBS),
                **(environ or {}),
            },
            log=self.folder / f"{name}.log",
            command=command,
            **more,
        )
        self.services.append(self.stack.enter_context(_Ended(found)))
        return found

    def start(self, service: Service) -> None:
        """Start a service; fires are due from when the first one knows its tasks.

        It may be ready before: it waits for the import of their functions for two seconds only.
        """
        service.start()
        if self.since is None:
            wait_for("its tasks are live", lambda: self._live() >= len(self.expected))
            self.since = self.now()

    def kill(self, service: Service, fault: str = "kill -9 of the service") -> None:
        """`kill -9`, noted."""
        service.kill()
        self.deaths[service.pid] = self.now()
        self.faults[fault] += 1

    def now(self) -> int:
        """The moment by the service's clock."""
        return moment() + self.ahead

    def pause(self, least: float, most: float) -> None:
        """Let the service work for a random time: that is how long a fault takes to come."""
        time.sleep(self.random.uniform(least, most))

    def read(self) -> tuple[list[Run], list[log.Row]]:
        """The evidence and the log, the evidence first: what it has, the log must have."""
        runs = read_runs(self.evidence)
        return runs, log.read_log(self.url)

    def grows(self, by: int = 1, seconds: float = 30.0) -> float:
        """Wait until so many more fires have begun to run; how long that took."""
        began, before = time.monotonic(), self._ran()
        wait_for(f"{by} more fires", lambda: self._ran() >= before + by, seconds=seconds)
        return time.monotonic() - began

    def _live(self) -> int:
        [[count]] = log.query(self.url, "SELECT COUNT(*) FROM task_manage")
        return int(count)

    def _ran(self) -> int:
        return sum(1 for run in read_runs(self.evidence) if run.fire)

    def settle(self) -> int:
        """Wait until all that is due by now has been claimed; the moment up to which."""
        until = self.now()

        def claimed() -> bool:
            earliest = log.next_fire(self.url)
            return earliest is None or earliest > until

        wait_for("what is due is claimed", claimed, seconds=SETTLE_SECONDS, every=0.2)
        return until

    def finish(self, **facts: Any) -> Report:
        """Let what is due be claimed, stop every service in good order, and judge the round."""
        until = self.settle()
        self.stop_all()
        report = self.judge(until, **facts)
        self.verdict()
        return report

    def stop_all(self) -> None:
        """SIGTERM, and exit status 0."""
        for service in self.services:
            if service.alive:
                status = service.terminate()
                assert status == 0, f"SIGTERM ended it with status {status}"

    def known(self, until: int) -> Facts:
        """What was done up to a moment, for the checker."""
        assert self.since is not None
        return Facts(
            since=self.since,
            until=until,
            deaths=self.deaths,
            excused=frozenset(self.excused),
            troubles=self.troubles,
        )

    def judge(self, until: int, **facts: Any) -> Report:
        """Compare; what is found is kept for `verdict`."""
        runs, rows = self.read()
        report = check(self.expected, runs, rows, replace(self.known(until), **facts))
        self.fires += report.fires
        self.runs += report.runs
        self.rows += sum(report.rows.values())
        self.violations += report.violations
        return report

    def verdict(self) -> None:
        """Fail if anything was found."""
        listed = "\n".join(self.violations[:25])
        assert not self.violations, (
            f"{listed}\nFAULTS_SEED={self.seed}: {len(self.violations)} violations in "
            f"{self.fires} fires; {dict(self.faults)}"
        )


class _Ended:
    """A `with` block at whose end the service is gone, and its log is told."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def __enter__(self) -> Service:
        return self._service

    def __exit__(self, *_: object) -> None:
        if self._service.alive:
            self._service.kill()
        self._service.http.close()
        if self._service.log.exists():
            lines = self._service.log.read_text(errors="replace").splitlines()
            shown = [line if len(line) < 310 else f"{line[:150]} … {line[-150:]}" for line in lines]
            print(f"--- {self._service.log.name}", *shown[-20:], sep="\n")


def write_file(path: Path, text: str) -> None:
    """Write a file as an editor does: whole, by renaming."""
    draft = path.with_name(f".{path.name}.draft")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)


def moment() -> int:
    """Now, in microseconds since 1970."""
    return time.time_ns() // 1000


def _text(when: int) -> str:
    seconds, micros = divmod(when, SECOND)
    whole = datetime.fromtimestamp(seconds, UTC).replace(microsecond=micros)
    return whole.isoformat()
