"""A token that is narrowed to tags: what it sees, changes, and can't do."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.web.bodies import hourly
from tests.web.conftest import BASE, Client, Serve
from tests.web.streams import Stream, listening
from tests.web.test_web_auth import TOKENS, bearer
from tests.web.test_web_tokens import tokens_of, with_token

ADMIN = bearer("admin")
SECRET = "planted-word"
FORM = {"Origin": BASE}


class Team:
    """A client with a token of its team's tag, beside an admin's."""

    def __init__(self, client: Client, token: str) -> None:
        self.client = client
        self.headers = with_token(token)

    async def __call__(self, method: str, path: str, status: int = 200, **more: Any) -> Any:
        """What the team is answered with, which is of this status."""
        answer = await self.client.request(method, path, headers=self.headers, **more)
        assert answer.status_code == status, (method, path, answer.text)
        is_json = "json" in answer.headers.get("content-type", "")
        return answer.json() if is_json else answer.text

    async def admin(self, method: str, path: str, **more: Any) -> Any:
        """What an admin is answered with."""
        answer = await self.client.request(method, path, headers=ADMIN, **more)
        assert answer.status_code < 300, answer.text
        return answer.json() if answer.content else None


@pytest.fixture
async def team(serve: Serve, tasks_dir: Path) -> AsyncIterator[Team]:
    """An admin's token for the tag `ours`, two tasks that bear it, and two that don't."""
    for name, tags in (("declared", ["ours", "x"]), ("their-declared", ["theirs"])):
        text = json.dumps({**hourly(), "name": name, "tags": tags})
        (tasks_dir / f"{name}.yaml").write_text(text)
    async with serve(api_tokens=TOKENS) as client:
        _, token = await tokens_of(client).create("bob", "admin", tags=["ours"], by="ann")
        made = Team(client, token)
        await made.admin("POST", "/sync")
        for task_id, tags in (("mine", ["ours"]), ("theirs", ["theirs"])):
            body = hourly(id=task_id, tags=tags, description=f"{SECRET} of {task_id}")
            await made.admin("POST", "/task-manage", json=body)
            await made.admin("POST", f"/task-manage/{task_id}/trigger")
        yield made


async def test_lists_are_of_its_tasks(team: Team) -> None:
    page = await team("GET", "/task-manage?size=1")
    assert (page["total"], page["pages"]) == (2, 2)
    ids = [task["id"] for task in (await team("GET", "/task-manage"))["items"]]
    assert ids == ["declared", "mine"]
    for filters in ("tag=theirs", "task_ids=theirs", "q=theirs"):
        assert (await team("GET", f"/task-manage?{filters}"))["total"] == 0
    await team.admin("PUT", "/task-manage/declared", json={"description": "x"})
    await team.admin("PUT", "/task-manage/their-declared", json={"description": "x"})
    overrides = await team("GET", "/overrides")
    assert [one["task_id"] for one in overrides] == ["declared"]
    report = await team("GET", "/sync")
    assert (report["declared"], report["drift"]["overridden"]) == (1, 1)


async def test_another_task_is_none(team: Team) -> None:
    there = await team("GET", "/task-manage/theirs", 404)
    assert there["detail"] == "no task 'theirs'"
    nowhere = await team("GET", "/task-manage/nowhere", 404)
    assert nowhere["detail"] == "no task 'nowhere'"
    log = await team.admin("GET", "/task-manage/theirs/logs")
    for method, path in (
        ("GET", "/logs"), ("GET", f"/logs/{log['items'][0]['id']}"), ("GET", "/fires"),
        ("GET", "/yaml"), ("GET", "/overrides"), ("GET", "/promotion"), ("PUT", ""),
        ("DELETE", ""), ("POST", "/pause"), ("POST", "/resume"), ("POST", "/trigger"),
        ("DELETE", "/overrides"), ("POST", "/restore"),
    ):  # fmt: skip
        await team(method, f"/task-manage/theirs{path}", 404)
    assert (await team.admin("GET", "/task-manage/theirs"))["paused"] is False


async def test_its_own_tasks_are_changed_and_run(team: Team) -> None:
    assert (await team("POST", "/task-manage/mine/pause"))["paused"]
    ran = await team("POST", "/task-manage/mine/trigger", 202)
    assert ran["triggered_by"] == "bob"
    changed = await team("PUT", "/task-manage/mine", json={"tags": ["theirs", "ours"]})
    assert changed["tags"] == ["theirs", "ours"]
    assert (await team("POST", "/task-manage", 201, json=hourly(id="t", tags=["ours"])))["id"]
    await team("DELETE", "/task-manage/t", 204)
    await team("DELETE", "/task-manage/declared", 204)
    await team("GET", "/task-manage/declared", 404)
    assert (await team("POST", "/task-manage/declared/restore"))["tags"] == ["ours", "x"]


async def test_it_can_not_take_its_tag_away(team: Team) -> None:
    said = "the task must bear one of the tags of this token: ours"
    for tags in ([], ["theirs"], ["Ours"]):
        refused = await team("PUT", "/task-manage/mine", 403, json={"tags": tags})
        assert refused["detail"] == said
        refused = await team("PUT", "/task-manage/declared", 403, json={"tags": tags})
        assert refused["detail"] == said
        refused = await team("POST", "/task-manage", 403, json=hourly(tags=tags))
        assert refused["detail"] == said
    # Nor by a revert, where it is an override that made the task its own.
    await team.admin("PUT", "/task-manage/their-declared", json={"tags": ["ours"]})
    assert (await team("GET", "/task-manage/their-declared"))["tags"] == ["ours"]
    for query in ("", "?field=tags"):
        await team("DELETE", f"/task-manage/their-declared/overrides{query}", 403)
    await team.admin("DELETE", "/task-manage/their-declared/overrides")
    await team("GET", "/task-manage/their-declared", 404)


async def test_what_concerns_all_is_refused(team: Team) -> None:
    for method, path in (
        ("GET", "/metrics"), ("POST", "/sync?prune=true"), ("POST", "/plan"),
        ("POST", "/folder/confirm"),
    ):  # fmt: skip
        refused = await team(method, path, 403)
        assert refused["detail"].startswith("bob is for tasks with certain tags; ")
    assert (await team("POST", "/sync"))["declared"] == 1
    for path in ("/functions", "/schema"):
        await team("GET", path)


async def test_faults_are_told_of_its_tasks(team: Team, tasks_dir: Path) -> None:
    several = {
        name: {**hourly(), "tags": [tag], "timeout": SECRET}
        for name, tag in (("declared", "ours"), ("their-declared", "theirs"))
    }
    for name in several:
        (tasks_dir / f"{name}.yaml").unlink()
    (tasks_dir / "both.yaml").write_text(json.dumps({"tasks": several}, indent=1))
    (tasks_dir / "broken.yaml").write_text(f"name: [{SECRET}")
    await team.admin("POST", "/sync")
    told = (await team("GET", "/sync"))["errors"]
    assert {error["task_id"] for error in told} == {"declared"}
    page = await team("GET", "/folder")
    assert "both.yaml" in page and "broken.yaml" not in page
    assert "their-declared" not in page


async def test_pages_are_of_its_tasks(team: Team) -> None:
    for path in ("/", "/list", "/timeline", "/timeline/chart", "/folder", "/workers/overview"):
        page = await team("GET", path)
        assert "theirs" not in page and "their-declared" not in page, path
    assert "mine" in await team("GET", "/list")
    assert "mine" in await team("GET", "/timeline")
    states = await team("GET", "/list/states")
    whole = (await team.client.get("/list/states", headers=ADMIN)).text
    assert states != whole
    for path in ("/tasks/theirs", "/tasks/theirs/row", "/tasks/theirs/edit"):
        await team("GET", path, 404)


async def test_a_file_of_its_own_is_promoted_and_one_that_is_shared_is_not(
    team: Team, tasks_dir: Path
) -> None:
    names = {"shared": "ours", "their-shared": "theirs"}
    several = {name: {**hourly(), "tags": [tag]} for name, tag in names.items()}
    (tasks_dir / "both.yaml").write_text(json.dumps({"tasks": several}, indent=1))
    await team.admin("POST", "/sync")
    for name in ("declared", "their-declared", "shared", "their-shared"):
        await team.admin("PUT", f"/task-manage/{name}", json={"description": f"new {name}"})
    diff = await team("GET", "/task-manage/declared/promotion")
    assert "new declared" in diff
    refused = await team("GET", "/task-manage/shared/promotion", 409)
    assert refused["detail"].startswith("both.yaml declares tasks of others too, or has faults: ")
    page = await team("GET", "/tasks/shared/promotion")
    assert "both.yaml declares tasks of others too" in page and "their-shared" not in page
    asked = {"task_ids": ["theirs", "shared", "mine"], "sources": ["file"]}
    found = await team("POST", "/promotion", json=asked)
    assert {one["path"] for one in found["files"]} == {"declared.yaml", "mine.yaml"}
    assert {one["task_id"] for one in found["refused"]} == {"theirs", "shared"}
    assert "their-" not in json.dumps(found)
    # A file that is at fault may hold what nobody knows of.
    (tasks_dir / "declared.yaml").write_text(json.dumps({**hourly(), "tags": ["ours"], "x": 1}))
    await team("GET", "/task-manage/declared/promotion", 409)


async def test_a_form_of_several_does_its_own(team: Team) -> None:
    for action in ("pause", "resume", "trigger"):
        form = {"id": ["mine", "theirs"], "back": "/"}
        await team("POST", f"/bulk/{action}", 303, data=form)
        paused = [
            (await team.admin("GET", f"/task-manage/{one}"))["paused"] for one in ("mine", "theirs")
        ]
        assert paused == [action == "pause", False]
    logs = await team.admin("GET", "/task-manage/theirs/logs")
    assert {row["triggered_by"] for row in logs["items"]} == {"ann"}


async def told(stream: Stream) -> tuple[str, str]:
    """The next event of a task, and which task it is about."""
    while (event := await stream.next()) and event.event == "sync":
        pass
    assert event is not None
    return event.event, event.data.get("task_id") or event.data.get("id") or ""


async def test_a_stream_is_of_its_tasks(team: Team) -> None:
    async with listening(team.client, "/events", team.headers) as stream:
        await team.admin("PUT", "/task-manage/theirs", json={"description": SECRET})
        await team.admin("PUT", "/task-manage/mine", json={"description": "x"})
        assert await told(stream) == ("task", "mine")
        # One that gets out of its sight is gone to it, and one that comes is there.
        await team.admin("PUT", "/task-manage/mine", json={"tags": ["theirs"]})
        assert await told(stream) == ("task-gone", "mine")
        await team.admin("PUT", "/task-manage/theirs", json={"tags": ["ours"]})
        assert await told(stream) == ("task", "theirs")
        await team.admin("DELETE", "/task-manage/mine")
        await team.admin("DELETE", "/task-manage/theirs")
        assert await told(stream) == ("task-gone", "theirs")


async def test_a_stream_tells_syncs_of_its_tasks(team: Team, tasks_dir: Path) -> None:
    async with listening(team.client, "/events", team.headers) as stream:
        (tasks_dir / "broken.yaml").write_text(f"name: [{SECRET}")
        await team.admin("POST", "/sync")
        while (event := await stream.next()) and event.event != "sync":
            pass
        assert event is not None
        assert event.data == {**await team("GET", "/sync"), "synced_at": event.data["synced_at"]}
        assert event.data["errors"] == []


async def test_a_session_is_as_narrow_as_its_token(team: Team) -> None:
    token = team.headers["Authorization"].removeprefix("Bearer ")
    await team.client.post("/sign-in", data={"token": token}, headers=FORM)
    page = (await team.client.get("/list")).text
    assert "mine" in page and "theirs" not in page
    assert (await team.client.get("/tasks/theirs")).status_code == 404
    assert (await team.client.get("/metrics")).status_code == 403
