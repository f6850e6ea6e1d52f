"""Declared tasks over HTTP: overrides, reverts, deletion and restoring, syncs."""

from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.web.conftest import Serve

REPORT = """\
name: Daily report
task_type: report
trigger_type: cron
trigger_args: {crontab: "0 7 * * *"}
func_path: taskservice.examples.data_processing_task
func_args: {data_id: d, process_type: daily}
"""


@pytest.fixture
async def declared(client: httpx.AsyncClient, tasks_dir: Path) -> httpx.AsyncClient:
    """A client of a service in whose folder a file declares the task `report`."""
    (tasks_dir / "report.yaml").write_text(REPORT)
    assert (await client.post("/sync")).status_code == 200
    return client


async def get(client: httpx.AsyncClient, path: str) -> Any:
    """The JSON at a path."""
    answer = await client.get(path)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_declared_task_says_where(declared: httpx.AsyncClient) -> None:
    task = await get(declared, "/task-manage/report")
    assert task["source"] == "file"
    assert task["declared_in"]["path"] == "report.yaml"
    assert task["declared_in"].keys() == {"path", "line", "revision"}


async def test_an_override_is_set_shown_and_reverted(declared: httpx.AsyncClient) -> None:
    body = {"func_args": {"data_id": "x", "process_type": "daily"}, "description": "by hand"}
    answer = await declared.put("/task-manage/report?reason=trial&until=3d", json=body)
    task = answer.json()
    assert task["drift"] == "overridden"
    assert task["overridden"] == ["description", "func_args.data_id"]
    _, override = await get(declared, "/task-manage/report/overrides")
    assert override.pop("set_at") < override.pop("until")
    where = {name: override.pop(name) for name in ("path", "line", "revision", "author", "date")}
    assert where == {
        "path": "report.yaml", "line": 6, "revision": None, "author": None, "date": None
    }  # fmt: skip
    assert override == {
        "field": "func_args.data_id", "declared": "d", "value": "x", "declared_when_set": "d",
        "set_by": "anonymous", "reason": "trial", "absent": False, "origin": "api",
        "uncommitted": False,
    }  # fmt: skip
    answer = await declared.delete("/task-manage/report/overrides?field=description")
    assert answer.json()["overridden"] == ["func_args.data_id"]
    missing = await declared.delete("/task-manage/report/overrides?field=description")
    assert missing.status_code == 404
    answer = await declared.delete("/task-manage/report/overrides/")
    assert answer.json()["overridden"] == []
    assert answer.headers["etag"]
    assert await get(declared, "/task-manage/report/overrides") == []


async def test_a_deleted_task_stays_away_until_it_is_restored(
    declared: httpx.AsyncClient,
) -> None:
    assert (await declared.delete("/task-manage/report")).status_code == 204
    await declared.post("/sync")
    assert (await declared.get("/task-manage/report")).status_code == 404
    restored = await declared.post("/task-manage/report/restore")
    assert (restored.status_code, restored.json()["id"]) == (200, "report")
    again = await declared.post("/task-manage/report/restore")
    assert again.status_code == 409


async def test_the_report_of_a_sync(declared: httpx.AsyncClient, tasks_dir: Path) -> None:
    (tasks_dir / "broken.yaml").write_text(REPORT.replace("trigger_type", "nam: x\ntrigger_type"))
    report = (await declared.post("/sync?prune=false")).json()
    later = await get(declared, "/sync")
    assert datetime.fromisoformat(later["synced_at"]) >= datetime.fromisoformat(report["synced_at"])
    assert {**later, "synced_at": report["synced_at"]} == report
    assert report["declared"] == 1
    assert report["drift"] == {"in_sync": 1, "overridden": 0, "conflict": 0}
    assert (report["retired"], report["held"]) == ([], None)
    (error,) = report["errors"]
    assert error.keys() == {"path", "line", "column", "task_id", "field", "reason", "since"}
    assert (error["path"], error["line"], error["field"]) == ("broken.yaml", 3, "nam")


async def test_a_held_sync_goes_on_when_told(serve: Serve, tasks_dir: Path) -> None:
    for number in range(5):
        (tasks_dir / f"report-{number}.yaml").write_text(REPORT)
    async with serve() as client:
        assert (await client.post("/sync")).json()["declared"] == 5
        for number in range(5):
            (tasks_dir / f"report-{number}.yaml").unlink()
        answer = await client.post("/sync?prune=true")
        assert answer.status_code == 200
        assert answer.json()["held"] is None
