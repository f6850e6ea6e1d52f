"""Requests that ask for much: they delay neither a save nor what others ask."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.acceptance.process import ServiceProcess, wait_for
from tests.acceptance.warm import WarmService

SLOW = 1.0
"""Seconds within which others are answered, on a machine that has other work as well."""

MODULE = "def takes_all(**given):\n    return len(given)\n"

TASK = """\
name: {name}
task_type: t
trigger_type: interval
trigger_args: {{hours: 1}}
func_path: hungry.takes_all
func_args: {{a: 1}}
"""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    folder: Path = tmp_path_factory.mktemp("tasks")
    (folder / "hungry.yaml").write_text(TASK.format(name="as declared"))
    code: Path = tmp_path_factory.mktemp("code")
    (code / "hungry.py").write_text(MODULE)
    database: Path = tmp_path_factory.mktemp("database") / "taskservice.db"
    environ = {
        "TASKSERVICE_IMPORT_PATH": str(code),
        "TASKSERVICE_FUNCTIONS": "hungry.*,taskservice.examples.*",
    }
    with WarmService(f"sqlite+aiosqlite:///{database}", folder, environ) as running:
        wait_for("the task is there", lambda: running.task("hungry"))
        yield running


@contextmanager
def others_are_answered(service: ServiceProcess) -> Iterator[None]:
    """Asks all the while whether the service lives, and is never let wait."""
    delays: list[float] = []
    over = threading.Event()

    def ask() -> None:
        with httpx.Client(base_url=service.http.base_url, timeout=60) as client:
            while not over.wait(0.02):
                began = time.monotonic()
                client.get("/health/live").raise_for_status()
                delays.append(time.monotonic() - began)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        wait_for("the first answer has come", lambda: delays)
        yield
    finally:
        over.set()
        asking.join()
    assert max(delays) < SLOW


def large_folder(size: int) -> dict[str, Any]:
    """The body of a plan of about so many bytes."""
    text = TASK.format(name="new") + "".join(f"# line {n}\n" for n in range(50))
    return {"files": {f"t{number}.yaml": text for number in range(size // (len(text) + 80))}}


def test_plans_delay_nobody(service: ServiceProcess) -> None:
    body = large_folder(2_000_000)
    statuses: list[httpx.Response] = []

    def plan() -> None:
        with httpx.Client(base_url=service.http.base_url, timeout=120) as client:
            statuses.append(client.post("/plan", json=body))

    plans = [threading.Thread(target=plan) for _ in range(8)]
    with others_are_answered(service):
        for thread in plans:
            thread.start()
        wait_for("one is refused", lambda: any(one.status_code == 429 for one in statuses))
        service.write("hungry.yaml", TASK.format(name="saved meanwhile"))
        saved = time.monotonic()
        wait_for(
            "the save is live",
            lambda: service.get("/task-manage/hungry")["name"] == "saved meanwhile",
        )
        assert time.monotonic() - saved < 5
        for thread in plans:
            thread.join()
    refused = [one for one in statuses if one.status_code == 429]
    made = [one for one in statuses if one.status_code == 200]
    assert made and len(made) + len(refused) == 8
    assert len(made[0].json()["create"]) == len(body["files"])
    for one in refused:
        assert one.json()["title"] == "Too Many Requests"
        assert int(one.headers["retry-after"]) > 0


def test_a_plan_has_an_end(service: ServiceProcess) -> None:
    assert service.http.post("/plan", json=large_folder(4_300_000)).status_code == 413
    many = {f"{number}.yaml": "" for number in range(50_001)}
    answer = service.http.post("/plan", json={"files": many})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["reason"] == "has 50001 files; at most 50000 are allowed"


LARGE: dict[str, dict[str, Any]] = {
    "many": {f"argument-{number:05}": number for number in range(4_999)},
    "long": {"a": list(range(120_000))},
    "texts": {"a": ["x"] * 200_000},
    "deep": {"a": [{"b": [{"c": [{}] * 100}] * 10}] * 50},
    "dollars": {"a": "${" * 400_000},
}


@pytest.mark.parametrize("kind", LARGE)
def test_large_arguments_hold_nobody_up(service: ServiceProcess, kind: str) -> None:
    arguments = LARGE[kind]
    task = service.get("/task-manage/hungry")
    fields = ("name", "task_type", "trigger_type", "trigger_args", "func_path")
    own = {name: task[name] for name in fields}
    with others_are_answered(service):
        service.send("POST", "/task-manage", 201, json={**own, "id": kind, "func_args": arguments})
        changed = service.send(
            "PUT", "/task-manage/hungry", json={"func_args": {**arguments, "z": 1}}
        )
        # What is small itself may be asked of what is large.
        service.send("PUT", "/task-manage/hungry", json={"description": "small"})
        service.send("POST", "/task-manage/hungry/pause")
        service.get("/task-manage/hungry/overrides", fields="all")
        begun = service.send(
            "POST", f"/task-manage/{kind}/trigger", 202, json={"func_args": arguments}
        )
        path = f"/task-manage/{kind}/logs/{begun['id']}"
        ended = wait_for(
            "the run has ended",
            lambda: one if (one := service.get(path))["status"] != "running" else None,
        )
        service.send("DELETE", "/task-manage/hungry/overrides")
    assert len(changed["func_args"]) == len(arguments) + 1
    assert (ended["status"], ended["result"]) == ("completed", str(len(arguments))), ended["error"]


def test_arguments_and_tags_are_counted(service: ServiceProcess) -> None:
    more = {f"argument-{number}": 1 for number in range(5_001)}
    change = {"func_args": more, "tags": ["t"] * 1001}
    answer = service.http.put("/task-manage/hungry", json=change)
    assert answer.status_code == 422
    assert {one["field"]: one["reason"] for one in answer.json()["errors"]} == {
        "func_args": "has 5001 keys; at most 5000 are allowed",
        "tags": "has 1001 words; at most 1000 are allowed",
    }


SELDOM = {"month": "2", "day": "29", "day_of_week": "mon", "second": "59"}


def test_far_fires_hold_nobody_up(service: ServiceProcess) -> None:
    task = service.get("/task-manage/hungry")
    own = {name: task[name] for name in ("name", "task_type", "func_path", "func_args")}
    cron = {**own, "id": "seldom", "trigger_type": "cron", "trigger_args": SELDOM}
    with others_are_answered(service):
        service.send("POST", "/task-manage", 201, json=cron)
        assert service.get("/task-manage/seldom/fires", count=1000)
