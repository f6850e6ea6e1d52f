"""SIGTERM soon after the disk was full: what had ended meanwhile must be recorded as it was."""

import resource
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.acceptance.process import wait_for
from tests.faults.evidence import read_runs
from tests.faults.lab import Lab, moment
from tests.faults.test_disk import ROOM, limit, refuses


def test_stop_after_the_disk_was_full(tmp_path: Path, make_lab: Callable[[str], Lab]) -> None:
    path = tmp_path / "taskservice.db"
    lab = make_lab(f"sqlite+aiosqlite:///{path}")
    lab.declare("by-hand", seconds=1.5, max_instances=9)
    lab.declare("task-0", every=1)
    service = lab.service()
    for _ in range(lab.length(1, 10)):
        began = moment()
        lab.start(service)
        # Its end must find the disk full: the log of SQLite must be beyond the room by then.
        while path.with_name(f"{path.name}-wal").stat().st_size < 2 * ROOM:
            service.send("PUT", "/task-manage/task-0", 200, json={"description": str(moment())})
        execution = service.send("POST", "/task-manage/by-hand/trigger", 202)["id"]
        limit(service, ROOM)
        lab.faults["the disk full"] += 1
        wait_for("writing is refused", lambda: refuses(service))
        wait_for("it comes to its end", partial(_ended, lab, execution))
        lab.pause(1.5, 3)
        limit(service, resource.RLIM_INFINITY)
        lab.faults["SIGTERM"] += 1
        assert service.terminate() == 0
        (row,) = [row for row in lab.read()[1] if row.id == execution]
        if row.status != "completed":
            lab.violations.append(f"stuck: {execution} is {row.status} after it ended")
        lab.troubles.append((began, moment()))
        lab.verdict()
    lab.start(service)
    lab.grows()
    lab.finish()


def _ended(lab: Lab, execution: str) -> bool:
    return any(run.execution == execution and run.end for run in read_runs(lab.evidence))
