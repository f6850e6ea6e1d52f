"""Server-sent events of two services on one MariaDB: each tells what the other one does."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.acceptance.process import ServiceProcess
from tests.databases import MariaDB

HOURLY = {
    "id": "hourly", "name": "t", "task_type": "t", "trigger_type": "interval",
    "trigger_args": {"hours": 1}, "func_path": "taskservice.examples.simple_task",
    "func_args": {"message": "m"},
}  # fmt: skip


@pytest.fixture
def replicas(mariadb_server: MariaDB, tmp_path: Path) -> Iterator[list[ServiceProcess]]:
    """Two services on one database and one folder; the first one schedules."""
    url = mariadb_server.create_database()
    folder = tmp_path / "tasks.d"
    folder.mkdir()
    with ServiceProcess(url, folder) as first, ServiceProcess(url, folder) as second:
        yield [first, second]
    mariadb_server.drop_database(url)


def events(answer: httpx.Response) -> Iterator[tuple[str, Any]]:
    """Name and data of each event, as they come."""
    name = ""
    for line in answer.iter_lines():
        field, _, value = line.partition(": ")
        if field == "event":
            name = value
        elif field == "data":
            yield name, json.loads(value)


def first_that(
    told: Iterator[tuple[str, Any]], name: str, is_so: Callable[[Any], bool] = lambda _: True
) -> Any:
    """The data of the first event with this name of which that is so."""
    return next(data for found, data in told if found == name and is_so(data))


def test_what_one_does_the_other_one_tells(replicas: list[ServiceProcess]) -> None:
    first, second = replicas
    with second.http.stream("GET", "/events") as answer:
        told = events(answer)
        made = first.send("POST", "/task-manage/", 201, json=HOURLY)
        assert first_that(told, "task") == made

        waited = []
        for _ in range(5):
            begin = time.monotonic()
            run = first.send("POST", "/task-manage/hourly/trigger", 202)
            path = f"/task-manage/hourly/logs/{run['id']}"

            def is_end(row: Any, wanted: str = run["id"]) -> bool:
                return bool(row["id"] == wanted and row["end_time"])

            end = first_that(told, "execution", is_end)
            waited.append(time.monotonic() - begin)
            row = first.get(path)
            del row["output"]
            assert end == row
        # Each was told within the client's patience; a busy machine may hold up some of them.
        assert min(waited) < 1

        first.write("broken.yaml", "name: [\n")
        report = first_that(told, "sync", lambda data: bool(data["errors"]))
        assert [error["path"] for error in report["errors"]] == ["broken.yaml"]

        second.send("POST", "/task-manage/hourly/pause")
        assert first_that(told, "task", lambda task: task["paused"])["status"] == "paused"
        first.send("DELETE", "/task-manage/hourly", 204)
        assert first_that(told, "task-gone") == {"id": "hourly"}


def test_another_that_takes_over_is_told(replicas: list[ServiceProcess]) -> None:
    first, second = replicas
    with second.http.stream("GET", "/events", timeout=60) as answer:
        told = events(answer)
        assert first.terminate() == 0
        here = f":{second.process.pid}"
        assert first_that(told, "sync", lambda data: (data["scheduler"] or "").endswith(here))
