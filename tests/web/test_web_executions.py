"""Executions over HTTP: trigger, log, cancel."""

import asyncio
from typing import Any

import httpx
import pytest

from tests.web.bodies import fields_at_fault, hourly

SHOWN = {
    "id", "task_id", "scheduled_time", "start_time", "end_time", "status", "attempt",
    "triggered_by", "folded", "result", "error", "queue", "queued_at", "worker",
}  # fmt: skip


async def ended(client: httpx.AsyncClient, execution: dict[str, Any]) -> dict[str, Any]:
    """The execution, once it has come to its end."""
    path = f"/task-manage/{execution['task_id']}/logs/{execution['id']}"
    async with asyncio.timeout(10):
        while True:
            found: dict[str, Any] = (await client.get(path)).json()
            if found["status"] != "running":
                return found
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("body", [None, {}, {"func_args": None}, {"func_args": {}}])
async def test_a_trigger_runs_the_task_even_when_paused(
    client: httpx.AsyncClient, body: dict[str, Any] | None
) -> None:
    await client.post("/task-manage/", json=hourly(id="t", paused=True))
    answer = await client.post("/task-manage/t/trigger", json=body)
    assert answer.status_code == 202
    execution = answer.json()
    assert set(execution) == SHOWN
    assert execution["task_id"] == "t"
    assert execution["scheduled_time"] is None
    assert execution["triggered_by"] == "anonymous"
    assert (execution["attempt"], execution["folded"]) == (1, 0)
    finished = await ended(client, execution)
    assert set(finished) == {*SHOWN, "output"}
    assert finished["status"] == "completed"
    assert isinstance(finished["result"], str)
    page = (await client.get("/task-manage/t/logs")).json()
    finished.pop("output")
    paging = {"total": 1, "more": False, "page": 1, "size": 50, "pages": 1}
    assert page == {"items": [finished], **paging}


async def test_a_trigger_takes_arguments_for_this_once(client: httpx.AsyncClient) -> None:
    await client.post("/task-manage/", json=hourly(id="t"))
    body = {"func_args": {"data_id": "special"}}
    answer = await client.post("/task-manage/t/trigger", json=body)
    finished = await ended(client, answer.json())
    assert "special" in finished["result"]
    task = (await client.get("/task-manage/t")).json()
    assert task["func_args"]["data_id"] == "data123"


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({"fun_args": {}}, ["fun_args"]),
        ({"func_args": []}, ["func_args"]),
        ({"func_args": "x", "more": 1}, ["more", "func_args"]),
        ({"func_args": {"nope": 1}}, ["func_args.nope"]),
    ],
)
async def test_wrong_arguments_are_refused(
    client: httpx.AsyncClient, body: dict[str, Any], fields: list[str]
) -> None:
    await client.post("/task-manage/", json=hourly(id="t"))
    answer = await client.post("/task-manage/t/trigger", json=body)
    assert answer.status_code == 422
    assert fields_at_fault(answer) == fields
    assert (await client.get("/task-manage/t/logs")).json()["total"] == 0


async def test_what_has_ended_cannot_be_cancelled(client: httpx.AsyncClient) -> None:
    await client.post("/task-manage/", json=hourly(id="t"))
    finished = await ended(client, (await client.post("/task-manage/t/trigger")).json())
    answer = await client.post(f"/task-manage/t/logs/{finished['id']}/cancel")
    assert answer.status_code == 409
    assert "completed" in answer.json()["detail"]


async def test_an_execution_of_another_task_is_not_found(client: httpx.AsyncClient) -> None:
    for task_id in ("t", "u"):
        await client.post("/task-manage/", json=hourly(id=task_id))
    execution = (await client.post("/task-manage/t/trigger")).json()
    answer = await client.get(f"/task-manage/u/logs/{execution['id']}")
    assert answer.status_code == 404
    await ended(client, execution)


async def test_the_log_is_filtered_and_paged(client: httpx.AsyncClient) -> None:
    await client.post("/task-manage/", json=hourly(id="t"))
    runs = [
        await ended(client, (await client.post("/task-manage/t/trigger")).json()) for _ in range(3)
    ]
    newest_first = [run["id"] for run in reversed(runs)]

    async def ids(query: str) -> list[str]:
        page = (await client.get(f"/task-manage/t/logs?{query}")).json()
        return [item["id"] for item in page["items"]]

    assert await ids("") == newest_first
    assert await ids("size=2&page=2") == newest_first[2:]
    assert await ids("status=completed") == newest_first
    assert await ids("status=failed") == []
    middle = runs[1]["start_time"]
    assert await ids(f"since={middle}") == newest_first[:2]
    assert await ids(f"until={middle}") == newest_first[1:]
