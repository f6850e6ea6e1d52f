"""Every field of a task with every hostile value, by API and in files: each is taken or told."""

import json
import os
from collections.abc import Iterator
from datetime import UTC
from typing import Any

import pytest

from taskservice.domain.errors import Invalid
from taskservice.domain.task import FIELDS, parse_task
from tests.acceptance.warm import WarmService
from tests.attack import values
from tests.attack.surface import trigger_keys
from tests.databases import MariaDB
from tests.web.bodies import hourly

OTHERS = "others"

PLACES = [
    *((field,) for field in FIELDS),
    *(("trigger_args", kind, key) for kind, keys in trigger_keys().items() for key in keys),
    ("func_args", "data_id"),
    ("retries", "max"),
    ("retries", "delay"),
    ("tags", "0"),
]
"""Where a value can stand in a task: its fields, and what is in those that hold more."""


@pytest.fixture(scope="module", params=["sqlite", "mariadb"])
def service(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[WarmService]:
    """A service on SQLite and on MariaDB, with one task that no request and no file is about."""
    folder = tmp_path_factory.mktemp("fields")
    tasks = folder / "tasks.d"
    tasks.mkdir()
    file = tasks / f"{OTHERS}.yaml"
    file.write_text(json.dumps(hourly()))
    # It has rested, so that the start takes it.
    os.utime(file, (1_000_000_000, 1_000_000_000))
    server: MariaDB | None = None
    if request.param == "sqlite":
        url = f"sqlite+aiosqlite:///{folder / 'taskservice.db'}"
    else:
        server = request.getfixturevalue("mariadb_server")
        assert server is not None
        url = server.create_database()
    with WarmService(url, tasks) as running:
        yield running
    if server:
        server.drop_database(url)


def with_value(place: tuple[str, ...], value: Any) -> dict[str, Any]:
    """The hourly task with a value in that place."""
    match place:
        case ("trigger_args", kind, key):
            return hourly(trigger_type=kind, trigger_args={key: value})
        case ("tags", _):
            return hourly(tags=[value])
        case (field, key):
            return hourly(**{field: {**hourly().get(field, {}), key: value}})
        case (field,):
            return hourly(**{field: value})
    raise AssertionError(place)


def reaches_the_database(fields: dict[str, Any]) -> bool:
    """Whether a task is none that is refused before any database is asked."""
    try:
        parse_task(fields, zone=UTC)
    except Invalid:
        return False
    return True


@pytest.mark.parametrize("place", PLACES, ids=".".join)
def test_a_body_is_taken_or_told(
    service: WarmService, place: tuple[str, ...], request: pytest.FixtureRequest
) -> None:
    before = service.get(f"/task-manage/{OTHERS}")
    made = service.http.post("/task-manage/", json=hourly(id="mine"))
    assert made.status_code in (201, 409), made.text
    # A third of them stands in each place, another third in the next one. What is refused before
    # is asked once, on SQLite.
    some = values.VALUES[PLACES.index(place) % 3 :: 3]
    asked = [with_value(place, value) for value in some]
    if request.node.callspec.params["service"] == "mariadb":
        asked = list(filter(reaches_the_database, asked))
    for fields in asked:
        body = json.dumps(fields).encode("utf-8", "surrogatepass")
        for answer in (
            service.http.post("/task-manage/", content=body),
            service.http.put("/task-manage/mine", content=body),
        ):
            assert answer.status_code in (200, 201, 400, 422), f"{body[:200]!r}: {answer.text}"
            if answer.status_code < 300:
                shown = answer.json()
                assert service.get(f"/task-manage/{shown['id']}")[place[0]] == shown[place[0]]
            else:
                assert answer.json()["detail"]
            if answer.status_code == 201:
                service.send("DELETE", f"/task-manage/{answer.json()['id']}", 204)
    assert service.get(f"/task-manage/{OTHERS}") == before


@pytest.mark.parametrize("place", PLACES, ids=".".join)
def test_a_file_is_taken_or_told(service: WarmService, place: tuple[str, ...]) -> None:
    before = service.get(f"/task-manage/{OTHERS}")
    stem = "-".join(place).replace("_", "-")
    declared = {
        f"{stem}-{number}": with_value(place, value) for number, value in enumerate(values.VALUES)
    }
    # JSON is YAML; what its escapes stand for has the meaning that it has there.
    service.write(f"{stem}.yaml", json.dumps({"tasks": declared}))
    service.send("POST", "/sync")
    report = service.get("/sync")
    told = {one["task_id"] for one in report["errors"] if one["path"] == f"{stem}.yaml"}
    live = {task_id for task_id in declared if service.task(task_id)}
    assert live | told >= declared.keys() or None in told, declared.keys() - live - told
    assert not live & told
    assert service.get(f"/task-manage/{OTHERS}") == before
    assert service.http.get("/health/ready").status_code == 200
