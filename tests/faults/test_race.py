"""Three processes claim the same fires at the same moments: none runs twice."""

import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

import pymysql

from tests.acceptance.process import wait_for
from tests.faults.evidence import read_runs
from tests.faults.lab import JOBS, Lab
from tests.faults.log import query
from tests.faults.service import ROOT, Server

RACERS, TASKS = 3, 20


def race_round(lab: Lab, prepare: Callable[[], object] = lambda: None) -> None:
    """Let the service make the tables and tasks, then engines race for what comes due."""
    for number in range(TASKS):
        lab.declare(f"task-{number}", every=0.2, max_instances=99, phase=0)
    service = lab.service()
    lab.start(service)
    lab.stop_all()
    prepare()
    fires = lab.length(500, 10_000)
    with ExitStack() as stack:
        racers = [stack.enter_context(_Racer(lab.url)) for _ in range(RACERS)]
        for racer in racers:
            racer.wait_until_ready()
        wait_for(
            f"{fires} fires", lambda: len(read_runs(lab.evidence)) >= fires, seconds=fires / 10
        )
        until = lab.settle()
    won = {run.pid for run in read_runs(lab.evidence)} - {service.pid}
    lab.faults[f"fires claimed by {RACERS} processes at once"] += fires
    lab.seen.append(f"{len(won)} processes won some")
    lab.judge(until)
    _second_row_is_refused(lab)
    lab.verdict()


def test_race(server: Server, make_lab: Callable[[str], Lab]) -> None:
    race_round(make_lab(server.create_database()))


def _second_row_is_refused(lab: Lab) -> None:
    """The database itself must refuse another row of a fire, whoever asks and however fast."""
    try:
        query(
            lab.url,
            "INSERT INTO task_execution_log (id, task_id, scheduled_time, attempt, status)"
            " SELECT 'second', task_id, scheduled_time, attempt, 'running'"
            " FROM task_execution_log WHERE scheduled_time IS NOT NULL LIMIT 1",
        )
    except pymysql.IntegrityError:
        return
    lab.violations.append("twice: the database takes a second row of a fire")


@dataclass
class _Racer:
    """An engine in a process of its own, ended with SIGTERM."""

    url: str

    def __enter__(self) -> "_Racer":
        command = [sys.executable, "-m", "tests.faults.racer", self.url, str(JOBS)]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        status = self.process.wait(60)
        if self.process.stdout:
            self.process.stdout.close()
        assert status == 0, f"a racer ended with status {status}"

    def wait_until_ready(self) -> None:
        """Wait for its word."""
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"
