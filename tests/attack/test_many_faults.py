"""Files and requests of which everything is wrong: told in part, counted, and in nobody's way."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.process import wait_for
from tests.acceptance.warm import WarmService
from tests.databases import MariaDB

HEAD = (
    "name: x\ntask_type: x\ntrigger_type: interval\ntrigger_args: {hours: 1}\n"
    "func_path: taskservice.examples.notification_task\n"
)
SOUND = "func_args: {user_id: u, message: m, channel: c}\n"
UNKNOWN = 70_000
ARGUMENTS = 4_900  # a task may have 5,000
ARGS = {"user_id": "u", "message": "m", "channel": "c"}
PACKET_BYTES = 1024 * 1024
ANSWER_SECONDS = 5.0
"""It was 8; a busy machine is given its time."""


def unknown_arguments(number: int) -> dict[str, int]:
    return {f"a{n}": 1 for n in range(number)}


def told(report: Mapping[str, Any]) -> int:
    return len(report["errors"])


def test_files_with_unknown_arguments_without_end_stop_no_sync(
    mariadb_server: MariaDB, tmp_path: Path
) -> None:
    folder = tmp_path / "tasks.d"
    folder.mkdir()
    many = "".join(f", a{n}: 1" for n in range(UNKNOWN))
    arguments = "".join(f", a{n}: 1" for n in range(ARGUMENTS))
    texts = {
        "one": HEAD + SOUND.replace("}", arguments + "}"),
        "two": HEAD.replace("hours: 1}", f"hours: 1{many}}}") + SOUND,
        "three": HEAD + SOUND + "".join(f"a{n}: 1\n" for n in range(UNKNOWN)),
    }
    for name, text in texts.items():
        (folder / f"{name}.yaml").write_text(text)
    url = mariadb_server.create_database()
    with mariadb_server.packets_up_to(PACKET_BYTES), WarmService(url, folder) as service:
        slowest = 0.0

        def sound_is_live() -> bool:
            nonlocal slowest
            before = time.monotonic()
            assert service.http.get("/health/live").status_code == 200
            slowest = max(slowest, time.monotonic() - before)
            return service.task("sound") is not None

        service.write("sound.yaml", HEAD + SOUND)
        wait_for("a sound file is live", sound_is_live, seconds=30)
        assert slowest < ANSWER_SECONDS
        # The whole of it, by content.
        report = service.send("POST", "/sync")
        for name, number in (("one", ARGUMENTS), ("two", UNKNOWN), ("three", UNKNOWN)):
            own = [error for error in report["errors"] if error["task_id"] == name]
            assert len(own) == 21
            assert own[-1]["reason"] == f"and {number - 20:,} more faults of this task"
        assert told(report) == 63
        assert told(service.get("/sync")) == 63
    mariadb_server.drop_database(url)


def test_files_at_fault_without_end_are_counted(tmp_path: Path) -> None:
    folder = tmp_path / "tasks.d"
    folder.mkdir()
    for number in range(3000):
        (folder / f"t{number}.yaml").write_text(f"name: {'x' * 300}\nnmae: {number}\n")
    with WarmService(f"sqlite+aiosqlite:///{tmp_path / 'x.db'}", folder) as service:
        service.write("sound.yaml", HEAD + SOUND)
        report = service.send("POST", "/sync")
        assert 100 < told(report) <= 1001
        last = next(error for error in report["errors"] if error["path"] is None)
        assert last["reason"].endswith("more faults in all files together")
        assert service.task("sound")
        metrics = service.http.get("/metrics").text
        assert "\ntaskservice_sync_errors 3000" in metrics
        plan = service.send(
            "POST",
            "/plan",
            json={"files": {f"t{number}.yaml": "nmae: 1\n" for number in range(3000)}},
        )
        assert len(plan["refuse"]) == 1001


@pytest.mark.parametrize(
    ("wrong", "number"),
    [
        ({"func_args": {**ARGS, **unknown_arguments(ARGUMENTS)}}, ARGUMENTS),
        ({"trigger_args": {"hours": 1, **unknown_arguments(UNKNOWN)}}, UNKNOWN),
        ({"retries": {"max": 1, **unknown_arguments(UNKNOWN)}}, UNKNOWN),
        ({"tags": [1] * 900}, 900),
        (unknown_arguments(UNKNOWN), UNKNOWN),
    ],
    ids=["func_args", "trigger_args", "retries", "tags", "fields"],
)
def test_a_request_of_which_everything_is_wrong_is_told_in_part(
    wrong: dict[str, Any], number: int, service: WarmService
) -> None:
    task = {
        "name": "x", "task_type": "x", "trigger_type": "interval", "trigger_args": {"hours": 1},
        "func_path": "taskservice.examples.notification_task", "func_args": ARGS,
    }  # fmt: skip
    answer = service.send("POST", "/task-manage/", 422, json=task | wrong)
    assert len(answer["errors"]) == 21
    assert answer["errors"][-1]["reason"] == f"and {number - 20:,} more faults of this task"
    assert f"(and {number - 1:,} more)" in answer["detail"]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("service")
    (folder / "tasks.d").mkdir()
    database = f"sqlite+aiosqlite:///{folder / 'x.db'}"
    with WarmService(database, folder / "tasks.d") as running:
        yield running
