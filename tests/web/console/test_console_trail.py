"""The page of the audit trail, and the last events on a task's page."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from taskservice.domain.trail import ACTIONS, Change, Event
from taskservice.storage import events
from tests.web.bodies import hourly
from tests.web.conftest import Client
from tests.web.console.test_console_workers import get, navigation

ADDRESS = "/audit/trail"
HOSTILE = "<b>&'\"</b>"


def event(**fields: Any) -> Event:
    given: dict[str, Any] = {"action": "changed", "task_id": "t", "by": "ann", "via": "api"}
    return Event(**{**given, **fields})


async def record(client: Client, *several: Event) -> None:
    now = datetime.now(UTC)
    await client.service.database.write(
        lambda connection: connection.run_sync(events.record, several, now)
    )


async def rows(client: Client, query: str = "", **headers: str) -> list[str]:
    page = await get(client, f"{ADDRESS}{query}", **headers)
    return [row.text for body in page.all("tbody") for row in body.all("tr")]


async def test_the_page_says_who_did_what_and_why(client: Client) -> None:
    page = await get(client, ADDRESS)
    assert ADDRESS in [link.attributes["href"] for link in next(page.all("nav")).all("a")]
    assert "Audit trail" in navigation(page)
    assert "No events" in page.text
    by_file = event(by="file", via="file", path="a.yaml", line=3, revision="0" * 40, author="Bob")
    changes = tuple(Change(f"f{n}", None, n) for n in range(12))
    await record(
        client, event(action="expired", by="service", via="service"), by_file,
        event(reason="INC-42", via="console", changes=changes),
        event(task_id=None, action="signed_in", by=HOSTILE, reason=HOSTILE),
    )  # fmt: skip
    signed_in, by_hand, filed, expired = await rows(client)
    assert f"signed in – {HOSTILE} API {HOSTILE}" in signed_in
    assert "changed t ann console INC-42 f0 0 f1 1" in by_hand
    assert by_hand.endswith("and 2 more")
    assert "changed t file a.yaml:3 Bob 00000000" in filed
    assert "expired t the service" in expired
    [*_, last] = await rows(client, **{"Accept-Language": "zh"})
    assert "已到期 t 服务自身" in last


async def test_the_address_filters(client: Client) -> None:
    await record(client, event(), event(by="bob"), event(task_id="u", action="paused"))
    assert len(await rows(client, "?by=bob")) == 1
    assert len(await rows(client, "?task_id=u&action=paused")) == 1
    assert len(await rows(client, "?since=2020-01-01T00:00&until=2030-01-01T00:00")) == 3
    assert len(await rows(client, "?action=nonsense&page=x&before=")) == 3
    assert await rows(client, "?by=nobody") == []
    page = await get(client, f"{ADDRESS}?since=yesterday")
    assert "must be a time of ISO 8601" in page.one("p", role="alert").text


async def test_a_long_trail_has_pages(client: Client) -> None:
    await record(client, *(event(by=f"n{number}") for number in range(60)))
    page = await get(client, ADDRESS)
    assert "60 events" in page.text
    [following] = [link for link in page.all("a") if link.attributes.get("rel") == "next"]
    assert len(await rows(client, following.attributes["href"])) == 10
    async with client.service.database.read() as connection:
        found = await events.page(connection, limit=60)
    assert len(await rows(client, f"?before={found.items[4].id}")) == 50
    last = await get(client, f"{ADDRESS}?before={found.items[4].id}")
    [older] = [link for link in last.all("a") if link.attributes.get("rel") == "next"]
    assert len(await rows(client, older.attributes["href"])) == 5


async def test_a_task_s_page_has_its_last_events(client: Client, tasks_dir: Path) -> None:
    await client.post("/task-manage/", json=hourly(id="t"))
    for number in range(6):
        await client.put("/task-manage/t", json={"description": f"x{number}"})
    page = await get(client, "/tasks/t")
    card = page.one("section", aria_labelledby="trail-title")
    told = [row.text for row in card.one("tbody").all("tr")]
    assert len(told) == 5
    assert "changed anonymous API – description x4 → x5" in told[0]
    assert card.one("a").attributes["href"] == f"{ADDRESS}?task_id=t"


async def test_each_action_has_a_name(client: Client) -> None:
    await record(client, *(event(action=action) for action in ACTIONS))
    told = await rows(client)
    assert len({row.split(" ago ")[-1] for row in told}) == len(ACTIONS)
