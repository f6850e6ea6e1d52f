"""The audit trail by the API: of a task, of all, filtered and page by page."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from taskservice.domain.trail import Cause, Event
from taskservice.service.trail import MOST_REFUSALS
from taskservice.storage import events
from taskservice.storage.paging import COUNTED
from tests.web.bodies import hourly
from tests.web.conftest import Client, Serve
from tests.web.console.test_console_session import ORIGIN, sign_in
from tests.web.test_web_auth import TOKENS, bearer


async def read(client: Client, path: str, **query: Any) -> dict[str, Any]:
    answer = await client.get(path, params=query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def actions(page: dict[str, Any]) -> list[str]:
    return [one["action"] for one in page["items"]]


async def test_what_was_done_to_a_task(client: Client) -> None:
    await client.post("/task-manage/", json=hourly(id="t"))
    reason = {"reason": "INC-42", "until": "2h"}
    assert (await client.post("/task-manage/t/pause", params=reason)).status_code == 200
    await client.put("/task-manage/t", json={"description": "x"})
    await client.post("/task-manage/other/pause")
    page = await read(client, "/task-manage/t/events")
    assert actions(page) == ["changed", "paused", "created"]
    rest = {name: value for name, value in page.items() if name != "items"}
    assert rest == {"total": 3, "more": False, "page": 1, "size": 50, "pages": 1}
    changed, paused, created = page["items"]
    assert paused.keys() == {
        "id", "at", "task_id", "action", "by", "via", "reason", "changes", "path", "line",
        "revision", "author",
    }  # fmt: skip
    assert (paused["by"], paused["via"], paused["reason"]) == ("anonymous", "api", "INC-42")
    assert {"field": "paused", "old": False, "new": True} in paused["changes"]
    before = hourly()["description"]
    assert changed["changes"] == [{"field": "description", "old": before, "new": "x"}]
    assert {"field": "name", "old": None, "new": created["changes"][0]["new"]} in created["changes"]
    # The trail outlives its task.
    await client.delete("/task-manage/t")
    assert actions(await read(client, "/task-manage/t/events"))[0] == "deleted"
    assert (await client.get("/task-manage/none/events")).status_code == 404


async def test_of_all_with_filters(client: Client) -> None:
    for task_id in ("a", "b"):
        await client.post("/task-manage/", json=hourly(id=task_id))
        await client.post(f"/task-manage/{task_id}/pause")
    await client.post("/task-manage/a/trigger")
    assert len(actions(await read(client, "/audit"))) == 5
    assert actions(await read(client, "/audit", task_id="a", action="paused")) == ["paused"]
    assert actions(await read(client, "/audit", by="nobody")) == []
    begun = (await read(client, "/audit"))["items"][0]["at"]
    assert actions(await read(client, "/audit", since=begun)) == ["triggered"]
    assert "triggered" in actions(await read(client, "/audit", until=begun))
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    assert actions(await read(client, "/audit", since=later)) == []


async def test_pages(client: Client) -> None:
    await client.post("/task-manage/", json=hourly(id="t"))
    for _ in range(2):
        await client.post("/task-manage/t/pause")
        await client.post("/task-manage/t/resume")
    for path in ("/audit", "/task-manage/t/events"):
        first = await read(client, path, size=2)
        second = await read(client, path, size=2, page=2)
        last = await read(client, path, size=2, page=3)
        told = [one["id"] for page in (first, second, last) for one in page["items"]]
        assert told == sorted(told, reverse=True)
        assert (len(told), first["total"], first["pages"]) == (5, 5, 3)
        after = await read(client, path, size=2, before=first["items"][-1]["id"])
        assert (after["items"], after["page"], after["more"]) == (second["items"], None, True)


async def record(client: Client, several: Sequence[Event]) -> None:
    now = datetime.now(UTC)
    await client.service.database.write(
        lambda connection: connection.run_sync(events.record, several, now)
    )


async def test_a_long_trail_has_pages_so_far(client: Client) -> None:
    event = Event(action="signed_in", by="ann", via="console")
    await record(client, [event] * COUNTED)
    end = await read(client, "/audit", page=COUNTED + 1, size=1)
    assert (end["items"], end["total"], end["more"]) == ([], COUNTED, False)
    await record(client, [event])
    assert (await read(client, "/audit", size=1))["more"] is True
    refused = await client.get("/audit", params={"page": COUNTED + 1, "size": 1})
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["field"] == "page"


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"action": "done"}, "action"),
        ({"since": "yesterday"}, "since"),
        ({"until": "x" * 200}, "until"),
        ({"before": "x" * 40}, "before"),
        ({"page": 0}, "page"),
        ({"task": "t"}, "task"),
        ({"by": "x" * 201}, "by"),
    ],
)
async def test_what_is_wrong_is_named(client: Client, query: dict[str, Any], field: str) -> None:
    answer = await client.get("/audit", params=query)
    assert answer.status_code == 422
    assert [one["field"] for one in answer.json()["errors"]] == [field]


async def test_who_was_not_allowed_to_is_told_once_a_request(serve: Serve) -> None:
    async with serve(api_tokens=TOKENS) as client:
        made = await client.post("/task-manage/", json=hourly(id="t"), headers=bearer("admin"))
        assert made.status_code == 201
        refused = await client.post("/task-manage/t/pause", headers=bearer("viewer"))
        assert refused.status_code == 403
        # Who is not known, and what is let in, is no such thing.
        assert (await client.post("/task-manage/t/pause")).status_code == 401
        assert (await client.post("/task-manage/t/pause", headers=bearer("no"))).status_code == 401
        assert (await client.get("/task-manage/t", headers=bearer("viewer"))).status_code == 200
        page = await client.get("/audit", params={"action": "refused"}, headers=bearer("viewer"))
        [event] = page.json()["items"]
        assert (event["by"], event["via"], event["task_id"]) == ("vic", "api", "t")
        assert event["reason"] == "POST /task-manage/t/pause: vic is viewer; this needs operator"


async def test_who_does_not_give_up_is_told_of_so_often(client: Client) -> None:
    trail = client.service.trail
    cause = Cause(by="vic", via="api", reason="x" * 2000)
    for _ in range(2):  # a minute may end meanwhile
        several = (trail.note_refusal(cause, task_id=None) for _ in range(MOST_REFUSALS + 5))
        await asyncio.gather(*several)
        page = await read(client, "/audit", action="refused", size=1000)
        told = [one["reason"] for one in page["items"]]
        if len(told) == MOST_REFUSALS:
            break
    assert MOST_REFUSALS <= len(told) <= 2 * MOST_REFUSALS
    assert any(one.endswith("(no more is told of this minute)") for one in told)


async def test_a_sign_in_is_told_and_a_refusal_in_the_console(serve: Serve) -> None:
    async with serve(api_tokens=TOKENS) as client:
        csrf = await sign_in(client, "viewer")
        wrong = await client.post("/sign-in", data={"token": "no"}, headers=ORIGIN)
        assert wrong.status_code == 401
        answer = await client.post("/bulk/pause", data={"csrf": csrf}, headers=ORIGIN)
        assert answer.status_code == 403
        refused, signed_in = (await client.get("/audit", headers=bearer("admin"))).json()["items"]
        assert (signed_in["action"], signed_in["by"], signed_in["via"]) == (
            "signed_in", "vic", "console",
        )  # fmt: skip
        assert (refused["action"], refused["by"], refused["via"]) == ("refused", "vic", "console")
