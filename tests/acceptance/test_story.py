"""The life of a task, told through HTTP and the folder alone, on both databases."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.process import ServiceProcess, wait_for

GRACE_SECONDS = 60

FILE = """\
name: Morning
task_type: notification
trigger_type: interval
trigger_args: {{seconds: {seconds}}}
func_path: taskservice.examples.notification_task
func_args: {{user_id: {user}, message: {message}, channel: email}}
description: as declared
"""


def declare(seconds: int = 3600, user: str = "u1", message: str = "hello") -> str:
    return FILE.format(seconds=seconds, user=user, message=message)


@pytest.fixture
def service(database_url: str, tmp_path: Path) -> Iterator[ServiceProcess]:
    folder = tmp_path / "tasks.d"
    folder.mkdir()
    environ = {"TASKSERVICE_PRUNE_GRACE": str(GRACE_SECONDS)}
    with ServiceProcess(database_url, folder, environ) as running:
        yield running


def morning(service: ServiceProcess) -> dict[str, Any]:
    """The task as it stands."""
    task = service.task("morning")
    assert task is not None
    return task


def fields(service: ServiceProcess) -> dict[str, dict[str, Any]]:
    return {one["field"]: one for one in service.get("/task-manage/morning/overrides")}


def ran_with(service: ServiceProcess) -> str:
    """The result of a run by hand."""
    execution = service.send("POST", "/task-manage/morning/trigger", 202)
    path = f"/task-manage/morning/logs/{execution['id']}"
    ended = wait_for(
        "the run has ended",
        lambda: one if (one := service.get(path))["status"] != "running" else None,
    )
    assert ended["status"] == "completed", ended
    assert ended["scheduled_time"] is None
    return str(ended["result"]) + str(ended["output"])


def drift(service: ServiceProcess) -> str:
    return str(morning(service)["drift"])


def test_a_task_lives_through_edits_kills_and_faults(service: ServiceProcess) -> None:
    # A file declares a task.
    service.write("morning.yaml", declare())
    task = wait_for("the file is live", lambda: service.task("morning"), seconds=3)
    assert (task["source"], task["drift"], task["overridden"]) == ("file", "in_sync", [])
    assert task["declared_in"] == {"path": "morning.yaml", "line": 1, "revision": None}

    # The API overrides one argument and the description.
    changed = service.send(
        "PUT",
        "/task-manage/morning",
        json={
            "func_args": {"user_id": "u1", "message": "by hand", "channel": "email"},
            "description": "by hand",
        },
        params={"reason": "INC-42"},
    )
    assert changed["overridden"] == ["description", "func_args.message"]
    assert changed["drift"] == "overridden"

    # The file changes another argument and the trigger: both hold.
    service.write("morning.yaml", declare(seconds=7200, user="u2"))
    wait_for("the new trigger", lambda: _trigger(service) == {"seconds": 7200})
    task = morning(service)
    assert task["func_args"] == {"user_id": "u2", "message": "by hand", "channel": "email"}
    assert (task["description"], task["drift"]) == ("by hand", "overridden")

    # The file changes the overridden argument: a conflict, and the override still runs.
    service.write("morning.yaml", declare(seconds=7200, user="u2", message="from git"))
    wait_for("the conflict", lambda: drift(service) == "conflict")
    override = fields(service)["func_args.message"]
    assert override["declared"] == "from git"
    assert override["value"] == "by hand"
    assert override["declared_when_set"] == "hello"
    assert override["reason"] == "INC-42"
    assert "by hand" in ran_with(service)

    # kill -9 and a new start: the same.
    before = morning(service)
    service.kill()
    service.start()
    assert morning(service) == before
    assert fields(service)["func_args.message"] == override
    assert "by hand" in ran_with(service)

    # The override is reverted: the file's value runs.
    service.send("DELETE", "/task-manage/morning/overrides?field=func_args.message")
    assert drift(service) == "overridden"
    assert "from git" in ran_with(service)
    assert service.send("DELETE", "/task-manage/morning/overrides")["description"] == "as declared"

    # A pause with an end ends by itself.
    paused = service.send("POST", "/task-manage/morning/pause?until=2s&reason=quiet")
    assert (paused["status"], paused["next_run_time"]) == ("paused", None)
    wait_for("the pause is over", lambda: drift(service) == "in_sync")
    task = morning(service)
    assert not task["paused"]
    assert task["next_run_time"] is not None

    # The file breaks: the task goes on, and /sync says where and why, after a restart too.
    service.write("morning.yaml", declare().replace("task_type: notification", "task_typo: x"))
    wait_for("the errors", lambda: _errors(service))
    error = _typo(service)
    assert (error["path"], error["line"], error["column"]) == ("morning.yaml", 2, 1)
    assert (error["task_id"], error["field"]) == ("morning", "task_typo")
    assert "task_type" in error["reason"]
    assert morning(service) == task
    assert service.terminate() == 0
    service.start()
    assert _typo(service) == error
    assert _trigger(service) == {"seconds": 7200}
    service.write("morning.yaml", declare(seconds=7200, user="u2", message="from git"))
    wait_for("the error is gone", lambda: not _errors(service))

    # The file goes, and comes back within the grace: log and overrides are there.
    service.send("PUT", "/task-manage/morning", json={"description": "kept"})
    logged = service.get("/task-manage/morning/logs")["total"]
    assert logged == 3
    (service.folder / "morning.yaml").unlink()
    wait_for("the task is retired", lambda: (service.task("morning") or {}).get("retired_at"))
    assert service.get("/task-manage/")["total"] == 0
    assert service.get("/task-manage/", retired="true")["total"] == 1
    assert service.get("/sync")["retired"][0]["task_id"] == "morning"
    service.send("POST", "/task-manage/morning/trigger", 409)
    service.write("morning.yaml", declare(seconds=7200, user="u2", message="from git"))
    wait_for("it is back", lambda: not (service.task("morning") or {"retired_at": 1})["retired_at"])
    task = morning(service)
    assert task["description"] == "kept"
    assert task["next_run_time"] is not None
    assert service.get("/task-manage/morning/logs")["total"] == logged

    # The API deletes it: a sync doesn't bring it back; restore does.
    service.send("DELETE", "/task-manage/morning", 204)
    assert service.task("morning") is None
    service.write("morning.yaml", declare(seconds=7200, user="u3", message="from git"))
    service.send("POST", "/sync")
    assert service.task("morning") is None
    restored = service.send("POST", "/task-manage/morning/restore")
    assert restored["func_args"]["user_id"] == "u3"
    assert service.task("morning") is not None


def _trigger(service: ServiceProcess) -> Any:
    return morning(service)["trigger_args"]


def _typo(service: ServiceProcess) -> dict[str, Any]:
    """What is said of the misspelt key; that the right one lacks is another error."""
    return next(error for error in _errors(service) if error["field"] == "task_typo")


def _errors(service: ServiceProcess) -> list[dict[str, Any]]:
    errors: list[dict[str, Any]] = service.get("/sync")["errors"]
    return errors
