"""The disk is full: SQLite can't make its files larger, until there is room again."""

import resource
import sqlite3
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

from tests.acceptance.process import wait_for
from tests.faults.lab import Lab, moment
from tests.faults.load import Load
from tests.faults.log import read_log
from tests.faults.service import Service

ROOM = 256 * 1024
"""Bytes that a file may have while the disk is full: more than the evidence ever needs."""


def test_disk_full(tmp_path: Path, make_lab: Callable[[str], Lab]) -> None:
    path = tmp_path / "taskservice.db"
    lab = make_lab(f"sqlite+aiosqlite:///{path}")
    for number in range(10):
        lab.declare(f"task-{number}", every=1)
    service = lab.service()
    with Load(lab, service) as load:
        lab.start(service)
        for _ in range(lab.length(2, 20)):
            load.go_on()
            lab.grows()
            began = moment()
            limit(service, ROOM)
            lab.faults["the disk full"] += 1
            wait_for("writing is refused", lambda: refuses(service), seconds=60)
            assert service.http.get("/health/live").status_code == 200
            assert service.http.get("/task-manage/task-1").status_code == 200
            lab.pause(1, lab.length(2, 10))
            assert refuses(service)
            runs, rows = lab.read()
            recorded = {row.id for row in rows}
            unrecorded = [run for run in runs if run.execution not in recorded]
            assert not unrecorded, f"FAULTS_SEED={lab.seed}: ran unrecorded: {unrecorded[:3]}"
            limit(service, resource.RLIM_INFINITY)
            lab.grows(by=10)
            load.go_on()
            lab.troubles.append((began, moment()))
            wait_for("what ended is recorded", partial(_recorded, lab, moment()), seconds=30)
    lab.finish()
    load.check()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def _recorded(lab: Lab, before: int) -> bool:
    """Whether nothing still runs, by the log, that began before a moment."""
    return all(row.status != "running" or row.start > before for row in read_log(lab.url))


def limit(service: Service, size: int) -> None:
    """Let no file of the service grow beyond this size; the hard limit stays as it is."""
    _, hard = resource.prlimit(service.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(service.pid, resource.RLIMIT_FSIZE, (size, hard))


def refuses(service: Service) -> bool:
    """Whether a change is refused with 503, as it must be where it can't be saved."""
    answer = service.http.put("/task-manage/task-0", json={"description": str(moment())})
    assert answer.status_code in (200, 503), answer.text
    return answer.status_code == 503
