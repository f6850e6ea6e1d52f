"""The page of the timeline: what is drawn of tasks, and what is told in words."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from taskservice.service.timeline import SLOT, SLOTS, Lane, Slot, Timeline
from taskservice.storage.history import Past
from taskservice.web.console.language import LANGUAGES
from taskservice.web.console.timeline import LANES
from taskservice.web.console.timeline_chart import HEIGHT, THINNEST, Chart, Drawing
from tests.web.bodies import hourly
from tests.web.conftest import Serve
from tests.web.console.pages import BROWSER, Element, is_strict, parse
from tests.web.test_web_auth import TOKENS
from tests.web.test_web_executions import ended

CHINESE = {**BROWSER, "Accept-Language": "zh-CN"}
NOW = datetime(2026, 11, 24, 12, 6, tzinfo=UTC)
BEGIN = NOW - timedelta(hours=24, minutes=6)


async def page(client: httpx.AsyncClient, path: str = "/timeline", **headers: str) -> Element:
    """The page, or its fragment."""
    answer = await client.get(path, headers={**BROWSER, **headers})
    assert answer.status_code == 200, answer.text
    root = parse(answer.text)
    is_strict(root)
    return root


async def test_no_tasks_are_told_in_both_languages(client: httpx.AsyncClient) -> None:
    root = await page(client)
    assert root.one("a", aria_current="page").text == "Timeline"
    assert "Nothing has run" in root.text
    assert list(root.all("ol", class_="lanes")) == []
    assert (await page(client, **CHINESE)).one("h1").text == "时间线"


async def test_a_task_has_its_lane_and_its_words(client: httpx.AsyncClient) -> None:
    await client.post("/task-manage/", json=hourly(id="t", name="<b>夜</b>"))
    execution = (await client.post("/task-manage/t/trigger")).json()
    await ended(client, execution)
    root = await page(client)
    lane = root.one("ol", class_="lanes").one("li")
    assert lane.one("div", class_="task").text == "<b>夜</b> 1 ran · 24 to come"
    assert lane.one("div", class_="task").one("a").attributes["href"] == "/tasks/t"
    mark = next(one for one in lane.one("svg").all("a"))
    assert mark.attributes["href"] == f"/tasks/t/executions/{execution['id']}"
    assert mark.attributes["tabindex"] == "-1"
    assert len(list(lane.all("line", class_="fire"))) == 24
    assert len(list(lane.all("line", class_="now"))) == 1
    rows = [row.text for row in root.one("table", class_="busiest").one("tbody").all("tr")]
    assert any("1 completed <b>夜</b>" in row for row in rows)
    assert any("1 to come <b>夜</b>" in row for row in rows)
    assert "已运行 1 次" in (await page(client, **CHINESE)).one("ol", class_="lanes").text


async def test_tasks_are_searched_and_come_by_pages(
    client: httpx.AsyncClient, tasks_dir: Path
) -> None:
    tasks = {f"t{n:02}": hourly(name=f"Task {n:02}") for n in range(LANES + 1)}
    (tasks_dir / "tasks.yaml").write_text(json.dumps({"tasks": tasks}))
    await client.post("/sync")
    names = [one["name"] for one in tasks.values()]
    root = await page(client, "/timeline?q=task")
    assert [one.text for one in root.one("ol", class_="lanes").all("a")] == names[:LANES]
    following = root.one("a", rel="next").attributes["href"]
    assert following == "?q=task&page=2"
    last = await page(client, f"/timeline{following}")
    assert [one.text for one in last.one("ol", class_="lanes").all("a")] == names[LANES:]
    fragment = await page(client, last.one("div", id="timeline").attributes["data-fragment"])
    assert [one.text for one in fragment.one("ol", class_="lanes").all("a")] == names[LANES:]
    assert "No task passes" in (await page(client, "/timeline?q=<i>")).text
    for wrong in ("0", "x", "²", "9" * 9, "-1"):
        root = await page(client, f"/timeline?page={wrong}")
        assert list(root.one("ol", class_="lanes").all("li"))


async def test_who_is_nobody_is_led_to_the_sign_in(serve: Serve) -> None:
    async with serve(api_tokens=TOKENS) as client:
        answer = await client.get("/timeline", headers=BROWSER)
        assert answer.headers["location"] == "/sign-in?next=/timeline"


def lane(**given: object) -> Lane:
    """A lane of an idle task."""
    values: dict[str, object] = {
        "task_id": "t", "name": "T", "ran": 0, "fires": 0, "executions": (), "past": {},
        "moments": (), "coming": (),
    }  # fmt: skip
    return Lane(**{**values, **given})  # type: ignore[arg-type]


def drawn(*lanes: Lane, slots: dict[int, Slot] | None = None, zone: object = UTC) -> Chart:
    """The chart of these lanes; slots that are not given are empty."""
    every = [
        (slots or {}).get(place, Slot(begin=BEGIN + place * SLOT, past={}, fires=0))
        for place in range(2 * SLOTS + 1)
    ]
    made = Timeline(
        now=NOW, begin=BEGIN, end=BEGIN + (2 * SLOTS + 1) * SLOT, since=None, slots=every,
        lanes=lanes, total=len(lanes), busiest=(),
    )  # fmt: skip
    return Drawing(made, LANGUAGES["en"], zone).chart()  # type: ignore[arg-type]


def past(minutes: float, seconds: float | None, status: str = "completed") -> Past:
    """An execution that began so many minutes before now."""
    start = NOW - timedelta(minutes=minutes)
    end = None if seconds is None else start + timedelta(seconds=seconds)
    return Past("id", "t", status, start, end)


def test_executions_are_as_long_as_they_took() -> None:
    executions = (past(600, 3600), past(30, None, "running"), past(20, 0, "missed"))
    [view] = drawn(lane(executions=executions, ran=3)).lanes
    hour = 100 / (2 * SLOTS + 1) * 4
    ran, running, missed = view.marks
    assert ran.width == pytest.approx(hour, abs=0.01)
    assert ran.title == "completed · 11-24 02:06 · 1 h"
    assert running.width == pytest.approx(hour / 2, abs=0.01)
    assert running.title.endswith("30 min")
    assert (missed.width, missed.title) == (THINNEST, "missed · 11-24 11:46")


def test_what_took_no_time_is_drawn_too() -> None:
    [view] = drawn(lane(executions=(past(60, 0.001), past(50, 0)), ran=2)).lanes
    assert [mark.width for mark in view.marks] == [THINNEST, THINNEST]


def test_what_began_long_ago_begins_at_the_edge() -> None:
    [view] = drawn(lane(executions=(past(3000, None, "running"),))).lanes
    assert view.marks[0].x == 0
    assert view.marks[0].width == pytest.approx(drawn().now, abs=0.001)


def test_many_executions_are_bands_with_their_numbers() -> None:
    counts: dict[int, dict[str, int]] = {place: {"completed": 90} for place in range(40)}
    counts[20] = {"completed": 80, "failed": 10}
    counts[96] = {"completed": 7}
    coming = [30, *[90] * 50, *[0] * 46]
    [view] = drawn(lane(executions=None, past=counts, moments=None, coming=coming)).lanes
    long, present, failed, future = view.bands
    assert (long.kind, long.label) == ("past", "3,600 ×")
    assert long.title == "3,590 completed, 10 failed"
    assert (failed.kind, failed.label, failed.title) == ("failed", "", "10 failed")
    assert present.label == ""
    assert present.x + present.width == pytest.approx(future.x, abs=0.01)
    assert (future.kind, future.label, future.title) == ("future", "4,530 ×", "4,530 to come")
    assert view.failed == 10


def test_columns_stack_what_came_of_executions() -> None:
    slots = {
        3: Slot(begin=BEGIN + 3 * SLOT, past={"completed": 1000, "failed": 1}, fires=0),
        96: Slot(begin=BEGIN + 96 * SLOT, past={"running": 1}, fires=500),
    }
    chart = drawn(slots=slots)
    first, second = chart.columns
    assert chart.most == 1001
    assert [part.kind for part in first.parts] == ["completed", "failed"]
    assert first.parts[1].height >= 2
    assert first.parts[1].y + first.parts[1].height == first.parts[0].y
    assert first.parts[0].y + first.parts[0].height == pytest.approx(HEIGHT)
    assert first.parts[1].y >= 0
    assert [part.kind for part in second.parts] == ["fire", "running"]
    assert second.title == "11-24 12:00 · 1 running, 500 to come"


def test_the_axis_names_days_at_midnight() -> None:
    ticks = drawn().ticks
    assert [tick.label for tick in ticks[:5]] == ["12:00", "15:00", "18:00", "21:00", "11-24"]
    assert [tick.minor for tick in ticks[:5]] == [False, True, True, True, False]
    assert [tick.midnight for tick in ticks[:5]] == [False] * 4 + [True]
