"""Rows that somebody, or something, spoiled behind the service: each harms its own task alone."""

import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import JSON, Boolean, Column, Integer, Table, text
from sqlalchemy.types import Double, String, TypeDecorator

from taskservice.service import Service
from taskservice.settings import Settings
from taskservice.storage.database import Connection, Database
from taskservice.storage.tables import (
    service_state,
    task_declaration,
    task_execution_log,
    task_manage,
    task_override,
    task_owner,
    task_retry,
)
from taskservice.web.app import create_app
from tests.service.conftest import until
from tests.web.conftest import Client

HOURLY = {
    "name": "n", "task_type": "t", "trigger_type": "interval", "trigger_args": {"hours": 1},
    "func_path": "taskservice.examples.simple_task", "func_args": {"message": "m"},
}  # fmt: skip
SOUND = {**HOURLY, "id": "sound", "trigger_args": {"seconds": 1}}

WORDS = {"status", "trigger_type", "executor", "source", "drift", "last_outcome"}
"""Columns that hold one of a few words."""


def spoilt(column: Column[Any], sqlite: bool) -> Iterator[tuple[object, bool]]:
    """Values that a column should not have, and whether such a task can't be read.

    MariaDB refuses most of what SQLite takes.
    """
    if isinstance(column.type, JSON):
        yield "5", True
        yield '"text"', column.name != "notify"  # it may be a channel
        if sqlite:
            yield "{damaged", True
            yield "[" * 5000, True
    elif isinstance(column.type, Boolean):
        yield 7, False
    elif isinstance(column.type, Integer | Double):
        yield -(10**6), True
        if sqlite:
            yield "many", True
            yield b"\xff\x00", True
    elif isinstance(column.type, TypeDecorator):
        if sqlite:
            yield "yesterday", True
            yield 17, True
            yield b"\xff\x00", True
    else:
        assert isinstance(column.type, String)
        if column.name in WORDS:
            yield "nonsense", True
        if sqlite:
            yield b"\xff\x00", True


def unnoticed(column: Column[Any]) -> bool:
    """Columns that say nothing of what the task is; or, unreadable, that it is as usual."""
    return column.name in ("changed_at", "deleted_at", "purge_before", "line")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The tasks folder."""
    made = tmp_path / "tasks.d"
    made.mkdir()
    return made


@pytest.fixture
def serve(empty_url: str, folder: Path) -> Callable[[], Any]:
    """What runs the app over the database, for as long as the context lasts."""

    @asynccontextmanager
    async def run() -> AsyncIterator[httpx.AsyncClient]:
        settings = Settings(database_url=empty_url, tasks_dir=folder)
        service = Service(settings)
        await service.start()
        try:
            async with Client(create_app(settings, service)) as http:
                yield http
        finally:
            await service.stop()

    return run


async def spoil(url: str, table: Table, row: str, column: str, value: object) -> None:
    """Write a value into a row, by whatever it is found, past all that the service checks."""
    database = Database(url)
    key = {"service_state": "name", "task_retry": "execution_id"}.get(table.name, "id")
    if table.name in ("task_declaration", "task_override"):
        key = "task_id"
    statement = text(f"UPDATE {table.name} SET `{column}` = :value WHERE {key} = :row")

    async def work(connection: Connection) -> None:
        await connection.execute(statement, {"value": value, "row": row})

    await database.write(work)
    await database.close()


async def get(http: httpx.AsyncClient, path: str) -> Any:
    answer = await http.get(path)
    assert answer.status_code == 200, (path, answer.text)
    return answer.json() if "json" in answer.headers["content-type"] else answer.text


async def listed(http: httpx.AsyncClient) -> dict[str, Any]:
    """All tasks, by every way that there is to list them."""
    found: dict[str, Any] = {}
    for query in ("", "&retired=true", "&sort=-name"):
        page = await get(http, f"/task-manage/?size=1000{query}")
        found |= {task["id"]: task for task in page["items"]}
    return found


async def pages(http: httpx.AsyncClient) -> None:
    """Each page that tells of all tasks answers."""
    for path in (
        "/", "/?retired=true", "/timeline", "/sync", "/overrides", "/metrics", "/health/ready",
        "/workers", "/workers/overview",
    ):  # fmt: skip
        answer = await http.get(path, headers={"Accept": "text/html"})
        assert answer.status_code == 200, (path, answer.text)


async def fires(http: httpx.AsyncClient) -> Callable[[], Any]:
    """A condition: the sound task has run since."""
    before = (await get(http, "/task-manage/sound/logs"))["total"]

    async def ran() -> bool:
        page = await get(http, "/task-manage/sound/logs?status=completed")
        return bool(page["total"] > before + 1)

    return ran


async def faulty(http: httpx.AsyncClient) -> set[str]:
    """The tasks that `GET /sync` tells of."""
    errors = (await get(http, "/sync"))["errors"]
    assert all(error["path"] is None and error["reason"] and error["since"] for error in errors)
    return {error["task_id"] for error in errors}


async def test_a_spoilt_column_harms_its_task_alone(
    serve: Callable[[], Any], empty_url: str
) -> None:
    sqlite = empty_url.startswith("sqlite")
    cases = [
        (f"{column.name}.{number}".replace("_", "-"), column, value, unreadable)
        for column in task_manage.c
        if column.name != "id"
        for number, (value, unreadable) in enumerate(spoilt(column, sqlite))
    ]
    assert len(cases) > 10
    async with serve() as http:
        for task_id, *_ in cases:
            answer = await http.post("/task-manage/", json={**HOURLY, "id": task_id})
            assert answer.status_code == 201, answer.text
        await http.post("/task-manage/", json=SOUND)
    for task_id, column, value, _ in cases:
        await spoil(empty_url, task_manage, task_id, column.name, value)

    wrong = {case[0] for case in cases if case[3] and not unnoticed(case[1])}
    async with serve() as http:
        await until(await fires(http))

        async def told() -> bool:
            return wrong <= await faulty(http)

        await until(told)
        assert await faulty(http) == wrong
        found = await listed(http)
        assert found.keys() == {"sound", *(case[0] for case in cases)}
        await pages(http)
        for task_id in wrong:
            task = await get(http, f"/task-manage/{task_id}")
            assert task.keys() == found["sound"].keys()
            for way in ("fires", "logs", "overrides?fields=all", "yaml"):
                await get(http, f"/task-manage/{task_id}/{way}")
            page = await get(http, f"/tasks/{task_id}")
            assert "This task is at fault" in page
            answer = await http.post(f"/task-manage/{task_id}/trigger")
            assert answer.status_code == 409, (task_id, answer.text)
        # Each can be mended, or deleted.
        for number, (task_id, *_) in enumerate(cases):
            if number % 2:
                body = {"description": "mended", "paused": False}
                answer = await http.put(f"/task-manage/{task_id}", json=body)
                assert answer.status_code == 200, (task_id, answer.text)
                assert answer.json()["next_run_time"], task_id
            else:
                answer = await http.delete(f"/task-manage/{task_id}")
                assert answer.status_code == 204, (task_id, answer.text)
        assert await faulty(http) == set()
        await until(await fires(http))


async def test_a_trigger_that_parses_no_more_harms_its_task_alone(
    serve: Callable[[], Any], empty_url: str, folder: Path
) -> None:
    declared = """\
name: n
task_type: t
trigger_type: cron
trigger_args: {crontab: "0 7 * * *", timezone: Europe/Berlin}
func_path: taskservice.examples.simple_task
func_args: {message: m}
"""
    (folder / "file.yaml").write_text(declared)
    gone = {"crontab": "0 7 * * *", "timezone": "Europe/Atlantis"}
    async with serve() as http:
        await http.post("/sync")
        await http.post("/task-manage/", json=SOUND)
        await http.post("/task-manage/", json={**HOURLY, "id": "api"})
    for task_id in ("file", "api"):
        await spoil(empty_url, task_manage, task_id, "trigger_type", "cron")
        await spoil(empty_url, task_manage, task_id, "trigger_args", json.dumps(gone))
        await spoil(empty_url, task_manage, task_id, "next_run_time", "2020-01-01 00:00:00")
    async with serve() as http:
        await until(await fires(http))
        errors = (await get(http, "/sync"))["errors"]
        assert {(one["task_id"], one["path"], one["field"]) for one in errors} == {
            (task_id, None, "trigger_args.timezone") for task_id in ("file", "api")
        }
        assert "Europe/Atlantis" in errors[0]["reason"]
        for task_id in ("file", "api"):
            assert await get(http, f"/task-manage/{task_id}/fires") == []
            assert "Europe/Atlantis" in await get(http, f"/tasks/{task_id}")
        await pages(http)
        answer = await http.put("/task-manage/api", json={"trigger_args": {"minutes": 5}})
        assert answer.status_code == 200, answer.text
        (folder / "file.yaml").write_text(declared.replace("0 7", "0 8"))
        await http.post("/sync")
        assert await faulty(http) == set()
        for task_id in ("file", "api"):
            assert await get(http, f"/task-manage/{task_id}/fires")


async def test_spoilt_declarations_and_overrides_harm_their_tasks_alone(
    serve: Callable[[], Any], empty_url: str, folder: Path
) -> None:
    sqlite = empty_url.startswith("sqlite")
    cases = [
        (f"{table.name[5:6]}.{column.name}.{number}".replace("_", "-"), table, column, value)
        for table in (task_declaration, task_override)
        for column in table.c
        if column.name not in ("task_id", "field", "digest", "seal")
        for number, (value, _) in enumerate(spoilt(column, sqlite))
    ]
    declared = {**HOURLY, "trigger_args": {"hours": 2}}
    for task_id, *_ in cases:
        (folder / f"{task_id}.yaml").write_text(json.dumps(declared))
    async with serve() as http:
        await http.post("/sync")
        await http.post("/task-manage/", json=SOUND)
        for task_id, *_ in cases:
            answer = await http.put(
                f"/task-manage/{task_id}?until=3d&reason=r", json={"description": "by hand"}
            )
            assert answer.status_code == 200, answer.text
    for task_id, table, column, value in cases:
        await spoil(empty_url, table, task_id, column.name, value)
    # By these a sync, or the end of overrides, sees that something is to be written anew.
    mended = {"d.source", "d.path", "o.until-time"}
    wrong = {
        task_id
        for task_id, _, column, _ in cases
        if not unnoticed(column) and task_id.rpartition(".")[0] not in mended
    }
    async with serve() as http:
        await until(await fires(http))

        async def told() -> bool:
            return wrong <= await faulty(http)

        await until(told)
        await pages(http)
        for task_id in wrong:
            task = await get(http, f"/task-manage/{task_id}")
            # What was overridden stays so.
            assert task["description"] == "by hand"
            await get(http, f"/tasks/{task_id}")
            await get(http, f"/task-manage/{task_id}/overrides")
        # A file that changes, and what is set anew or reverted, are what can be read again.
        for task_id, *_ in cases:
            (folder / f"{task_id}.yaml").write_text(json.dumps({**declared, "name": "new"}))
        await http.post("/sync")
        for number, (task_id, table, *_) in enumerate(cases):
            if table is task_override and number % 2:
                answer = await http.delete(f"/task-manage/{task_id}/overrides")
            else:
                body = {"description": f"again {number}"}
                answer = await http.put(f"/task-manage/{task_id}", json=body)
            assert answer.status_code == 200, (task_id, answer.text)
            assert answer.json()["name"] == "new", task_id
        assert await faulty(http) == set()


async def test_a_sync_of_the_saved_file_mends_overrides(
    serve: Callable[[], Any], empty_url: str, folder: Path
) -> None:
    columns = ("value", "declared_when_set")
    for column in columns:
        (folder / f"{column}.yaml").write_text(json.dumps(HOURLY))
    async with serve() as http:
        await http.post("/sync")
        for column in columns:
            answer = await http.put(f"/task-manage/{column}", json={"description": "by hand"})
            assert answer.status_code == 200, answer.text
    for column in columns:
        await spoil(empty_url, task_override, column, column, "5")
    async with serve() as http:

        async def told() -> bool:
            return await faulty(http) == set(columns)

        await until(told)
        for column in columns:
            (folder / f"{column}.yaml").write_text(json.dumps({**HOURLY, "name": "new"}))
        await http.post("/sync")
        assert await faulty(http) == set()
        for column in columns:
            task = await get(http, f"/task-manage/{column}")
            assert (task["name"], task["description"]) == ("new", "by hand")


async def test_spoilt_executions_and_what_the_service_remembers_harm_nothing(
    serve: Callable[[], Any], empty_url: str
) -> None:
    sqlite = empty_url.startswith("sqlite")
    async with serve() as http:
        await http.post("/task-manage/", json=SOUND)
        columns = [
            (column, value)
            for column in task_execution_log.c
            if column.name not in ("id", "task_id")
            for value, _ in spoilt(column, sqlite)
        ]
        await http.post("/task-manage/", json={**HOURLY, "id": "log"})
        ids = []
        for _ in columns:
            answer = await http.post("/task-manage/log/trigger")
            assert answer.status_code == 202, answer.text
            ids.append(answer.json()["id"])

            async def idle() -> bool:
                return bool((await get(http, "/task-manage/log"))["status"] != "running")

            await until(idle)
        await http.post("/sync")
    for log_id, (column, value) in zip(ids, columns, strict=True):
        if column.name == "status" or value != "nonsense":
            await spoil(empty_url, task_execution_log, log_id, column.name, value)
    await spoil(empty_url, service_state, "sync report", "value", '{"errors": 5}')
    database = Database(empty_url)

    async def work(connection: Connection) -> None:
        if sqlite:
            retry = {"execution_id": ids[0], "due": "yesterday"}
            values = "(:execution_id, :due)"
            await connection.execute(
                text(f"INSERT INTO {task_retry.name} (execution_id, due) VALUES {values}"), retry
            )
        owner = {"lease": "never" if sqlite else "1000-01-01"}
        await connection.execute(
            text(
                f"INSERT INTO {task_owner.name} (id, name, lease_until) "
                "VALUES ('x', 'elsewhere:1:2', :lease)"
            ),
            owner,
        )

    await database.write(work)
    await database.close()
    async with serve() as http:
        await until(await fires(http))
        await pages(http)
        page = await get(http, "/task-manage/log/logs?size=1000")
        assert page["total"] == len(ids)
        for execution in page["items"]:
            await get(http, f"/task-manage/log/logs/{execution['id']}")
            await get(http, f"/tasks/log/executions/{execution['id']}")
        await get(http, "/tasks/log")
