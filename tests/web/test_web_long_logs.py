"""Logs that are longer than they are counted, page by page, by API and command."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from taskservice.storage import executions as log
from taskservice.storage.database import Database
from taskservice.storage.executions import ExecutionRow
from taskservice.storage.paging import COUNTED

TASK = {
    "id": "t", "name": "t", "task_type": "t", "trigger_type": "interval",
    "trigger_args": {"hours": 1}, "func_path": "taskservice.examples.simple_task",
    "func_args": {"message": "m"},
}  # fmt: skip


async def fill(tmp_path: Path, count: int) -> None:
    """Have the task's log say that it ran so often."""
    database = Database(f"sqlite+aiosqlite:///{tmp_path / 'taskservice.db'}")
    begin = datetime.now(UTC) - timedelta(days=1)
    rows = [
        ExecutionRow(
            id=f"e{number:06}", task_id="t", start_time=begin + timedelta(seconds=number),
            end_time=begin + timedelta(seconds=number), status="completed",
        )
        for number in range(count)
    ]  # fmt: skip
    await database.write(lambda connection: connection.run_sync(log.add, rows))
    await database.close()


async def test_a_short_log_says_so(client: httpx.AsyncClient, tmp_path: Path) -> None:
    await client.post("/task-manage/", json=TASK)
    await fill(tmp_path, 3)
    page = (await client.get("/task-manage/t/logs?size=2")).json()
    assert {name: page[name] for name in page if name != "items"} == {
        "total": 3, "more": False, "page": 1, "size": 2, "pages": 2,
    }  # fmt: skip
    last = page["items"][-1]["id"]
    page = (await client.get(f"/task-manage/t/logs?size=2&before={last}")).json()
    assert [one["id"] for one in page["items"]] == ["e000000"]
    assert (page["page"], page["total"], page["more"]) == (None, 3, False)
    page = (await client.get("/task-manage/t/logs?page=1000000")).json()
    assert (page["items"], page["total"], page["more"]) == ([], 3, False)


@pytest.mark.parametrize("before", ["nope", "", "e" * 36])
async def test_it_goes_on_after_its_own_executions_only(
    client: httpx.AsyncClient, before: str
) -> None:
    await client.post("/task-manage/", json=TASK)
    answer = await client.get(f"/task-manage/t/logs?before={before}")
    assert answer.status_code == 422
    [error] = answer.json()["errors"]
    assert error["field"] == "before"


async def test_a_long_log_is_gone_through_however_long_it_is(
    client: httpx.AsyncClient, tmp_path: Path
) -> None:
    await client.post("/task-manage/", json=TASK)
    count = COUNTED + 1500
    await fill(tmp_path, count)
    page = (await client.get("/task-manage/t/logs?size=1000")).json()
    assert (page["total"], page["more"], page["pages"]) == (COUNTED, True, COUNTED // 1000)
    found = [one["id"] for one in page["items"]]
    while page["more"]:
        path = f"/task-manage/t/logs?size=1000&before={found[-1]}"
        page = (await client.get(path)).json()
        found += [one["id"] for one in page["items"]]
    assert found == [f"e{number:06}" for number in reversed(range(count))]

    last = (await client.get(f"/task-manage/t/logs?size=1000&page={COUNTED // 1000}")).json()
    assert last["items"][-1]["id"] == f"e{count - COUNTED:06}"
    beyond = await client.get(f"/task-manage/t/logs?size=1000&page={COUNTED // 1000 + 1}")
    assert beyond.status_code == 422
    assert "before=ID" in beyond.text

    # The console leads on from its last numbered page.
    shown = (await client.get(f"/tasks/t?page={COUNTED // 20}")).text
    assert f"before=e{count - COUNTED:06}" in shown
    assert "more than 10,000 executions" in shown
    shown = (await client.get(f"/tasks/t?before=e{count - COUNTED:06}")).text
    assert f"executions/e{count - COUNTED - 1:06}" in shown
    shown = (await client.get("/tasks/t?before=gone")).text
    assert f"executions/e{count - 1:06}" in shown
