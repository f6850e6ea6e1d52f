"""Modules of users that hang or exit when they are imported, and a service that goes on."""

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.process import ServiceProcess, wait_for
from tests.acceptance.warm import WarmService
from tests.test_cli import result as command

MODULES = {
    "hanging": "import time\ntime.sleep(600)\ndef run(): ...\n",
    "exiting": "import os\nos._exit(3)\ndef run(): ...\n",
    "crashing": "import ctypes\nctypes.string_at(0)\ndef run(): ...\n",
    "quitting": "import sys\nsys.exit(4)\ndef run(): ...\n",
    "broken": "x = 1\ndef run() ...\n",
    "sound": "def run(): ...\ndef other(a): ...\n",
}

ENDED = {
    "exiting": "importing module 'exiting' ended the process with exit status 3",
    "crashing": "importing module 'crashing' ended the process by signal 11 (SIGSEGV)",
    "quitting": "module 'quitting' can't be imported: quitting.py:2: SystemExit: 4",
    "broken": "module 'broken' can't be imported: broken.py:2: SyntaxError: expected ':'",
}


def task_text(module: str, **more: str) -> str:
    fields = {"name": module, "task_type": "t", "trigger_type": "interval",
              "trigger_args": "{hours: 1}", "func_path": f"{module}.run", **more}  # fmt: skip
    return "".join(f"{name}: {value}\n" for name, value in fields.items())


def task_json(task_id: str, module: str, **more: Any) -> dict[str, Any]:
    return {"id": task_id, "name": task_id, "task_type": "t", "trigger_type": "interval",
            "trigger_args": {"hours": 1}, "func_path": f"{module}.run", **more}  # fmt: skip


@pytest.fixture(scope="module")
def environ(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("modules")
    for name, text in MODULES.items():
        (folder / f"{name}.py").write_text(text)
    return {
        "TASKSERVICE_IMPORT_PATH": str(folder),
        "TASKSERVICE_FUNCTIONS": ",".join(f"{name}.*" for name in MODULES),
    }


@pytest.fixture(scope="module")
def service(
    tmp_path_factory: pytest.TempPathFactory, environ: dict[str, str]
) -> Iterator[ServiceProcess]:
    """A service that starts with a task of each module."""
    place = tmp_path_factory.mktemp("service")
    folder = place / "tasks.d"
    folder.mkdir()
    for name in MODULES:
        (folder / f"{name}.yaml").write_text(task_text(name))
    with WarmService(f"sqlite+aiosqlite:///{place / 'taskservice.db'}", folder, environ) as running:
        yield running


def reasons(service: ServiceProcess) -> dict[str, str]:
    """Why tasks are refused, by id."""
    return {error["task_id"]: error["reason"] for error in service.get("/sync")["errors"]}


def test_each_harms_its_own_task_alone(service: ServiceProcess) -> None:
    wait_for("the sound task is live", lambda: service.task("sound"))
    wait_for("the others are told", lambda: ENDED.items() <= reasons(service).items())
    # It hangs for some time yet: meanwhile all goes on.
    assert "is still being imported" in reasons(service)["hanging"]
    slowest = 0.0
    for number in range(5):
        began = time.monotonic()
        service.write(f"saved-{number}.yaml", task_text("sound"))
        wait_for("the save is live", partial(service.task, f"saved-{number}"))
        service.send("POST", "/task-manage/", 201, json=task_json(f"made-{number}", "sound"))
        answer = service.http.put(f"/task-manage/saved-{number}", json={"func_path": "sound.other"})
        assert answer.status_code == 422 and "func_args.a" in answer.text
        slowest = max(slowest, time.monotonic() - began)
    assert slowest < 10
    for name in ENDED:
        answer = service.http.post("/task-manage/", json=task_json("refused", name))
        assert answer.status_code == 422
        assert answer.json()["errors"] == [{"field": "func_path", "reason": ENDED[name]}]
    assert "is still being imported" in reasons(service)["hanging"]


def test_what_asks_for_all_modules_does_not_wait_for_one(service: ServiceProcess) -> None:
    listed = [one["func_path"] for one in service.get("/functions")]
    assert listed == ["sound.other", "sound.run"]
    began = time.monotonic()
    plan = service.send("POST", "/plan", json={"files": {"hanging.yaml": task_text("hanging")}})
    assert [one["task_id"] for one in plan["refuse"]] == ["hanging"]
    assert service.send("POST", "/sync")["errors"]
    assert time.monotonic() - began < 25


def test_one_that_hangs_is_given_up(service: ServiceProcess) -> None:
    told = "importing module 'hanging' took longer than 30 s"
    wait_for("it is told", lambda: reasons(service)["hanging"] == told, seconds=60)
    answer = service.http.post("/task-manage/", json=task_json("refused", "hanging"))
    assert answer.status_code == 422 and told in answer.text


def test_the_command_says_why(tmp_path: Path, environ: dict[str, str]) -> None:
    folder = tmp_path / "tasks.d"
    folder.mkdir()
    for name in (*ENDED, "sound"):
        (folder / f"{name}.yaml").write_text(task_text(name))
    status, output, errors = command(tmp_path, "validate", **environ)
    assert (status, errors) == (1, "5 tasks in 5 files: 4 faults\n")
    assert sorted(output.splitlines()) == sorted(
        f"tasks.d/{name}.yaml:5:1: func_path: {told}" for name, told in ENDED.items()
    )
    (tmp_path / "before").mkdir()
    status, output, errors = command(tmp_path, "plan", "--against", "before", **environ)
    assert status == 1 and all(told.split(": ")[-1] in output for told in ENDED.values())
