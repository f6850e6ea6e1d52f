"""The three bodies of the first design, posted as they stand, and as files."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.acceptance.process import ServiceProcess, wait_for

BODIES = [
    json.loads(text)
    for text in (
        '{"name": "定时通知任务", "task_type": "notification", "trigger_type": "cron", "trigger_args": {"hour": "9", "minute": "0"}, "func_path": "knowledge_api.framework.task_manage.example_tasks.notification_task", "func_args": {"user_id": "user123", "message": "This is a scheduled notification", "channel": "email"}, "max_instances": 1, "description": "每天早上9点发送通知"}',  # noqa: E501
        '{"name": "一次性任务", "task_type": "simple", "trigger_type": "date", "trigger_args": {"run_date": "2023-12-31T23:59:59"}, "func_path": "knowledge_api.framework.task_manage.example_tasks.simple_task", "func_args": {"message": "Happy New Year!"}, "description": "新年倒计时任务"}',  # noqa: E501
        '{"name": "周期性任务", "task_type": "processing", "trigger_type": "interval", "trigger_args": {"hours": 1}, "func_path": "knowledge_api.framework.task_manage.example_tasks.data_processing_task", "func_args": {"data_id": "data123", "process_type": "hourly_update"}, "description": "每小时处理一次数据"}',  # noqa: E501
    )
]

MODULE = """\
def notification_task(user_id, message, channel):
    return "sent"

def simple_task(message):
    return message

async def data_processing_task(data_id, process_type):
    return data_id
"""


@pytest.fixture
def service(database_url: str, tmp_path: Path) -> Iterator[ServiceProcess]:
    package = tmp_path / "modules"
    for part in ("knowledge_api", "framework", "task_manage"):
        package /= part
        package.mkdir(parents=True)
        (package / "__init__.py").touch()
    (package / "example_tasks.py").write_text(MODULE)
    folder = tmp_path / "tasks.d"
    folder.mkdir()
    environ = {
        "TASKSERVICE_FUNCTIONS": "knowledge_api.*",
        "TASKSERVICE_IMPORT_PATH": str(tmp_path / "modules"),
    }
    with ServiceProcess(database_url, folder, environ) as running:
        yield running


def test_bodies_are_taken_and_files_give_the_same(service: ServiceProcess) -> None:
    for number, body in enumerate(BODIES):
        service.write(f"file-{number}.yaml", yaml.safe_dump(body, allow_unicode=True))
    posted = [service.send("POST", "/task-manage/", 201, json=body) for body in BODIES]
    wait_for("the files are live", lambda: service.get("/task-manage/")["total"] == 6)
    filed = [service.get(f"/task-manage/file-{number}") for number in range(3)]

    for tasks in (posted, filed):
        cron, date, interval = tasks
        now = datetime.now(UTC)
        due = datetime.fromisoformat(cron["next_run_time"])
        assert (due.hour, due.minute, due.second, due.microsecond) == (9, 0, 0, 0)
        assert now < due <= now + timedelta(days=1)
        begun = datetime.fromisoformat(interval["create_time"])
        assert datetime.fromisoformat(interval["next_run_time"]) == begun + timedelta(hours=1)
        assert (date["status"], date["next_run_time"]) == ("completed", None)
        log = service.get(f"/task-manage/{date['id']}/logs")
        assert log["total"] == 1
        assert log["items"][0]["status"] == "missed"
        assert log["items"][0]["error"].startswith("missed:")
        assert log["items"][0]["scheduled_time"] == "2023-12-31T23:59:59Z"

    for body, one, other in zip(BODIES, posted, filed, strict=True):
        assert defined(one) == defined(other)
        assert body.items() <= one.items()


def defined(task: dict[str, Any]) -> dict[str, Any]:
    """What a task is, beside its id, its times and where it comes from."""
    own = ("id", "next_run_time", "create_time", "update_time", "source", "declared_in")
    return {name: value for name, value in task.items() if name not in own}
