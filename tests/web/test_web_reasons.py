"""Where the settings say so, an action without a reason is refused, by API and console."""

from pathlib import Path
from typing import Any

import pytest

from taskservice.service import TrailFilter
from taskservice.settings.values import REASONED
from tests.web.bodies import hourly
from tests.web.conftest import Client, Serve
from tests.web.console.pages import parse

FILE = """\
name: declared
task_type: t
trigger_type: interval
trigger_args: {hours: 1}
func_path: taskservice.examples.simple_task
func_args: {message: m}
"""
LOG = "/task-manage/t/logs/none"
ASKED = {
    "pause": ("POST", "/task-manage/t/pause", None),
    "resume": ("POST", "/task-manage/t/resume", None),
    "change": ("PUT", "/task-manage/t", {"description": "x"}),
    "delete": ("DELETE", "/task-manage/t", None),
    "revert": ("DELETE", "/task-manage/t/overrides", None),
    "trigger": ("POST", "/task-manage/t/trigger", None),
    "cancel": ("POST", f"{LOG}/cancel", None),
}


async def last(client: Client) -> tuple[str, str | None]:
    """What was done last, and why."""
    [found] = (await client.service.trail.page(TrailFilter(), size=1)).items
    return found.event.action, found.event.reason


@pytest.mark.parametrize("action", REASONED)
async def test_an_action_that_needs_a_reason(serve: Serve, action: str) -> None:
    method, path, body = ASKED[action]
    async with serve(require_reason=(action,)) as client:
        await client.post("/task-manage/", json=hourly(id="t"))
        for reason in (None, " "):
            given = {} if reason is None else {"reason": reason}
            refused = await client.request(method, path, json=body, params=given)
            assert refused.status_code == 422, refused.text
            assert refused.json()["errors"] == [
                {"field": "reason", "reason": f"is needed here to {action}: say why"}
            ]
        assert await last(client) == ("created", None)
        done = await client.request(method, path, json=body, params={"reason": " INC-42 "})
        # There is no such execution to be cancelled.
        assert done.status_code in (200, 202, 204) or (action, done.status_code) == ("cancel", 404)
        if action not in ("cancel", "revert", "resume"):
            assert (await last(client))[1] == "INC-42"
        for other, (method, path, body) in ASKED.items():
            if other not in (action, "delete"):
                answer = await client.request(method, path, json=body)
                assert answer.status_code != 422


async def test_a_pause_is_one_by_whatever_way(serve: Serve) -> None:
    async with serve(require_reason=("pause",)) as client:
        await client.post("/task-manage/", json=hourly(id="t"))
        assert (await client.put("/task-manage/t", json={"paused": True})).status_code == 422
        assert (await client.put("/task-manage/t", json={"paused": False})).status_code == 200
        answer = await client.put("/task-manage/t", json={"paused": True}, params={"reason": "x"})
        assert answer.status_code == 200
        assert await last(client) == ("paused", "x")


async def test_reasons_of_what_is_run_reverted_and_cancelled_are_kept(
    serve: Serve, tasks_dir: Path
) -> None:
    (tasks_dir / "d.yaml").write_text(FILE)
    async with serve() as client:
        why: dict[str, Any] = {"params": {"reason": "INC-42"}}
        await client.put("/task-manage/d", json={"description": "x"})
        await client.delete("/task-manage/d/overrides", **why)
        assert await last(client) == ("reverted", "INC-42")
        await client.post("/task-manage/d/trigger", **why)
        assert await last(client) == ("triggered", "INC-42")
        long = await client.post("/task-manage/d/trigger", params={"reason": "x" * 1001})
        assert long.status_code == 422


async def test_files_and_the_service_need_none(serve: Serve, tasks_dir: Path) -> None:
    (tasks_dir / "d.yaml").write_text(FILE)
    async with serve(require_reason=REASONED) as client:
        assert await last(client) == ("created", None)
        (tasks_dir / "d.yaml").write_text(FILE.replace("declared", "changed"))
        await client.post("/sync")
        assert await last(client) == ("changed", None)


async def test_the_pages_ask_for_it(serve: Serve, tasks_dir: Path) -> None:
    (tasks_dir / "d.yaml").write_text(FILE)
    asked = {}
    for needed in ((), REASONED):
        async with serve(require_reason=needed) as client:
            override = {"params": {"reason": "x"}}
            await client.put("/task-manage/d", json={"description": "x"}, **override)  # type: ignore[arg-type]
            page = parse((await client.get("/tasks/d", headers={"Accept": "text/html"})).text)
            asked[bool(needed)] = {
                (form.attributes["action"] or "").rsplit("/", 1)[-1]
                for form in page.all("form")
                for field in form.all("input")
                if field.attributes.get("name") == "reason" and "required" in field.attributes
            }
            if needed:
                answer = await client.post("/tasks/d/trigger", data={}, follow_redirects=True)
                assert "is needed here to trigger: say why" in answer.text
                await client.post("/tasks/d/trigger", data={"reason": "by hand"})
                assert await last(client) == ("triggered", "by hand")
                await client.post("/tasks/d/revert", data={"reason": "back"})
                assert await last(client) == ("reverted", "back")
    assert asked[True] - asked[False] == {"pause", "delete", "trigger", "revert"}
