"""Several services on one MariaDB: one schedules, all serve, another takes over."""

from collections.abc import Iterator
from datetime import datetime
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.process import ServiceProcess, wait_for
from tests.databases import MariaDB

MODULE = """\
import os, time
def pid(): return os.getpid()
async def wait():
    import asyncio
    print("waiting", flush=True)
    await asyncio.sleep(60)
"""

EVERY_SECOND = {
    "name": "t", "task_type": "t", "trigger_type": "interval", "trigger_args": {"seconds": 1},
    "func_path": "replica_work.pid",
}  # fmt: skip
BY_HAND = {**EVERY_SECOND, "trigger_args": {"hours": 1}}


@pytest.fixture
def replicas(mariadb_server: MariaDB, tmp_path: Path) -> Iterator[list[ServiceProcess]]:
    """Two services on one database and one folder; the first one schedules."""
    url = mariadb_server.create_database()
    folder = tmp_path / "tasks.d"
    folder.mkdir()
    (tmp_path / "replica_work.py").write_text(MODULE)
    environ = {"TASKSERVICE_FUNCTIONS": "replica_work.*", "TASKSERVICE_IMPORT_PATH": str(tmp_path)}
    with ServiceProcess(url, folder, environ) as first, ServiceProcess(url, folder, environ) as two:
        yield [first, two]
    mariadb_server.drop_database(url)


def scheduler(service: ServiceProcess) -> str:
    return str(service.get("/sync")["scheduler"])


def pid_in(scheduler: str) -> int:
    return int(scheduler.rpartition(":")[2])


def completed(service: ServiceProcess, task_id: str) -> list[dict[str, Any]]:
    items = service.get(f"/task-manage/{task_id}/logs", status="completed", size=1000)["items"]
    return list(reversed(items))


def test_one_schedules_and_all_serve(replicas: list[ServiceProcess]) -> None:
    first, second = replicas
    assert pid_in(scheduler(first)) == pid_in(scheduler(second)) == first.process.pid

    # A change through the other one is scheduled, where the lock is.
    second.send("POST", "/task-manage/", 201, json={**EVERY_SECOND, "id": "ticking"})
    ran = wait_for("it fires", lambda: completed(second, "ticking"), seconds=5)
    assert ran[0]["result"] == str(first.process.pid)

    # What is asked for by hand runs where it was asked.
    second.send("POST", "/task-manage/", 201, json={**BY_HAND, "id": "by-hand"})
    for service in replicas:
        asked = service.send("POST", "/task-manage/by-hand/trigger", 202)
        path = f"/task-manage/by-hand/logs/{asked['id']}"
        wait_for("it ran", partial(has_status, first, path, "completed"))
        assert first.get(path)["result"] == str(service.process.pid)

    # A file is read by the one that schedules, when the other one is told to sync.
    first.write("broken.yaml", "name: [\n")
    report = second.send("POST", "/sync")
    assert [error["path"] for error in report["errors"]] == ["broken.yaml"]
    assert report["errors"] == first.get("/sync")["errors"]

    # A cancel reaches the process that runs it.
    waiting = {**BY_HAND, "id": "waiting", "func_path": "replica_work.wait"}
    first.send("POST", "/task-manage/", 201, json=waiting)
    asked = second.send("POST", "/task-manage/waiting/trigger", 202)
    cancelled = first.send("POST", f"/task-manage/waiting/logs/{asked['id']}/cancel")
    assert (cancelled["status"], cancelled["error"]) == ("cancelled", "cancelled: by anonymous")


def test_another_takes_over(replicas: list[ServiceProcess]) -> None:
    first, second = replicas
    waiting = {**EVERY_SECOND, "id": "waiting", "func_path": "replica_work.wait"}
    for task in ({**EVERY_SECOND, "id": "ticking"}, waiting):
        first.send("POST", "/task-manage/", 201, json=task)
    wait_for("it fires", lambda: completed(second, "ticking"))
    open_row = wait_for("it runs", lambda: running(second, "waiting"))

    first.kill()
    # What it had begun is closed, and fires go on without a gap.
    path = f"/task-manage/waiting/logs/{open_row['id']}"
    wait_for("it is closed", partial(has_status, second, path, "failed"), seconds=10)
    assert second.get(path)["error"].startswith("interrupted: its process ")
    assert pid_in(scheduler(second)) == second.process.pid
    here = str(second.process.pid)
    wait_for("it fires here", lambda: completed(second, "ticking")[-1]["result"] == here)

    # One that starts again follows, and leads when the other one ends in order.
    first.start()
    assert pid_in(scheduler(first)) == second.process.pid
    assert second.terminate() == 0
    here = str(first.process.pid)
    wait_for("it fires there", lambda: completed(first, "ticking")[-1]["result"] == here)
    without_gaps(first)


def has_status(service: ServiceProcess, path: str, status: str) -> bool:
    return bool(service.get(path)["status"] == status)


def running(service: ServiceProcess, task_id: str) -> dict[str, Any] | None:
    items: list[dict[str, Any]] = service.get(f"/task-manage/{task_id}/logs", status="running")[
        "items"
    ]
    return items[0] if items else None


def without_gaps(service: ServiceProcess) -> None:
    """Every fire of the ticking task has its row, or is counted in one."""
    rows = service.get("/task-manage/ticking/logs", size=1000)["items"]
    times = sorted((datetime.fromisoformat(row["scheduled_time"]), row["folded"]) for row in rows)
    for (before, _), (after, folded) in pairwise(times):
        assert (after - before).total_seconds() == 1 + folded
