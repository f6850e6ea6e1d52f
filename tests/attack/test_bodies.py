"""Any JSON in any place of a body: taken or refused, and never a mistake of the service."""

import json
import os
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from litestar import Litestar
from litestar.routes import HTTPRoute

from taskservice.domain.task import FIELDS
from taskservice.service import Service
from taskservice.settings import Settings
from taskservice.web.app import create_app

SOUND: dict[str, Any] = {
    "name": "n", "task_type": "t", "trigger_type": "interval", "trigger_args": {"hours": 1},
    "func_path": "taskservice.examples.simple_task", "func_args": {"message": "m"},
}  # fmt: skip

VALUES: tuple[Any, ...] = (
    None, True, 0, -1, 2**70, 1.5, "", "x", "cron", "\x00", "\ud800", [], [None], [True, {}], {},
    {"a": {"b": []}}, {"max": {}}, {"hours": []}, {"crontab": {}}, {"timezone": 5},
)  # fmt: skip

BODIES: tuple[Any, ...] = (
    None, True, 1, "x", [None], {}, {"files": {"a.yaml": 1}}, {"func_args": [1]},
)  # fmt: skip

FILE = "\n".join(f"{name}: {json.dumps(value)}" for name, value in SOUND.items())


@asynccontextmanager
async def app_of(tmp_path: Path) -> AsyncIterator[Litestar]:
    """The app with a task of a file, `filed`."""
    folder = tmp_path / "tasks.d"
    folder.mkdir()
    file = folder / "filed.yaml"
    file.write_text(FILE)
    # It has rested, so that the start takes it.
    os.utime(file, (1_000_000_000, 1_000_000_000))
    url = f"sqlite+aiosqlite:///{tmp_path}/taskservice.db"
    settings = Settings(database_url=url, tasks_dir=folder)
    service = Service(settings)
    await service.start()
    try:
        yield create_app(settings, service)
    finally:
        await service.stop()


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[Litestar]:
    async with app_of(tmp_path) as made:
        yield made


def bodies() -> Iterator[dict[str, Any]]:
    """A value in each field, and in both halves of a trigger."""
    for value in VALUES:
        for name in FIELDS:
            yield {name: value}
        yield {"trigger_type": value, "trigger_args": value}
        yield {"id": value}


async def test_any_json_in_any_field_is_taken_or_refused(app: Litestar) -> None:
    asgi: Any = app
    transport = httpx.ASGITransport(asgi)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:

        async def send(method: str, path: str, body: object) -> httpx.Response:
            answer = await client.request(method, path, content=json.dumps(body))
            assert answer.status_code < 500, (method, path, str(body)[:200], answer.text)
            if answer.status_code >= 400:
                assert answer.headers["content-type"] == "application/problem+json"
            return answer

        assert (await send("POST", "/task-manage", {**SOUND, "id": "made"})).status_code == 201
        for body in bodies():
            made = await send("POST", "/task-manage", {**SOUND, **body})
            if made.status_code == 201:
                await send("DELETE", f"/task-manage/{made.json()['id']}", None)
            for task_id in ("made", "filed"):
                await send("PUT", f"/task-manage/{task_id}", body)
        for body in ({**SOUND, "id": "made"}, SOUND):
            assert (await send("PUT", "/task-manage/filed", SOUND)).status_code == 200, body


async def test_any_json_as_any_body_is_taken_or_refused(app: Litestar) -> None:
    asgi: Any = app
    transport = httpx.ASGITransport(asgi)
    # The routes are those of the app: a new one is asked too.
    routes = {
        (str(method), route.path_format)
        for route in app.routes
        if isinstance(route, HTTPRoute)
        for method in route.methods
    }
    assert ("PUT", "/task-manage/{task_id}") in routes
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        for method, template in sorted(routes):
            if method == "GET" or template == "/events":
                continue
            path = re.sub(r"\{task_id.*?\}", "filed", template)
            path = re.sub(r"\{.*?\}", "none", path)
            contents = (*map(json.dumps, BODIES), "[" * 5_000, "id=1&reason=x")
            for content in (*(one.encode() for one in contents), b"\xff"):
                answer = await client.request(method, path, content=content)
                assert answer.status_code < 500, (method, path, content[:80], answer.text)


async def test_a_reason_is_short_in_forms_too(app: Litestar) -> None:
    asgi: Any = app
    transport = httpx.ASGITransport(asgi)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        for way in ("pause", "resume", "delete", "edit"):
            form = {"reason": "r" * 200_000, "description": "x", "id": "filed"}
            answer = await client.post(f"/tasks/filed/{way}", data=form)
            assert answer.status_code in (303, 422)
        await client.post("/bulk/pause", data={"id": "filed", "reason": "r" * 200_000})
        url = "/task-manage/filed/pause"
        assert (await client.post(url, params={"reason": "r" * 1001})).status_code == 422
        task = (await client.get("/task-manage/filed")).json()
        assert (task["paused"], task["overridden"]) == (False, [])
