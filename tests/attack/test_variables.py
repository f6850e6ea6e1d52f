"""What a task can get at of the service's environment, and what an operator can make of it."""

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.process import ServiceProcess, wait_for
from tests.acceptance.warm import WarmService

ADMIN = {"Authorization": "Bearer admin-token-of-the-tests"}
OPERATOR = {"Authorization": "Bearer operator-token-of-the-tests"}
TOKENS = "ann:admin:admin-token-of-the-tests,bob:operator:operator-token-of-the-tests"

JOBS = """
import os, posix, subprocess
from pathlib import Path

def say(text, more=None):
    return text[:1000]

def look(service):
    env = subprocess.run(["env"], capture_output=True, text=True).stdout
    seen = [repr(dict(os.environ)), repr(posix.environ), env]
    for pid in {os.getpid(), service, *([] if os.getpid() == service else [os.getppid()])}:
        seen.append(Path(f"/proc/{pid}/environ").read_text(errors="replace"))
    return {"own": [one for one in seen if "TASKSERVICE_" in one],
            "others": sum("SEEN_BY_ALL" in one for one in seen), "looked": len(seen)}
"""

FILES = """
defaults:
  task_type: attack
  trigger_type: cron
  trigger_args: {crontab: "0 0 1 1 *"}
tasks:
  say: {name: Say, func_path: attack_jobs.say, func_args: {text: "${MAIL}"}}
  plain: {name: Plain, func_path: attack_jobs.say, func_args: {text: hello}}
  local: {name: Look, func_path: attack_jobs.look, func_args: {service: 0}, executor: local}
  process: {name: Look, func_path: attack_jobs.look, func_args: {service: 0}, executor: process}
"""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    place = tmp_path_factory.mktemp("variables")
    folder, modules = place / "tasks.d", place / "jobs"
    folder.mkdir()
    modules.mkdir()
    (modules / "attack_jobs.py").write_text(JOBS)
    (folder / "tasks.yaml").write_text(FILES)
    environ = {
        "TASKSERVICE_API_TOKENS": TOKENS,
        "TASKSERVICE_IMPORT_PATH": str(modules),
        "TASKSERVICE_FUNCTIONS": "attack_jobs.*",
        "TASKSERVICE_ENV_ALLOW": "MAIL,BIG,TASKSERVICE_*",
        "SEEN_BY_ALL": "yes",
        "MAIL": "ops@example.org",
        "BIG": "x" * 100_000,
        "OTHER": "not for tasks",
    }
    with ServiceProcess(f"sqlite+aiosqlite:///{place}/test.db", folder, environ) as process:
        process.http.headers.update(ADMIN)
        wait_for("the tasks are there", lambda: process.task("process"))
        yield process


def run(service: ServiceProcess, task_id: str, func_args: dict[str, Any] | None = None) -> Any:
    """An operator's run of a task, once it has ended."""
    body = {} if func_args is None else {"func_args": func_args}
    path = f"/task-manage/{task_id}"
    begun = service.send("POST", f"{path}/trigger", 202, headers=OPERATOR, json=body)

    def ended() -> Any:
        found = service.get(f"{path}/logs/{begun['id']}")
        return found if found["status"] != "running" else None

    return wait_for("the execution ends", ended)


@pytest.mark.parametrize(("task_id", "places"), [("local", 4), ("process", 6)])
def test_the_services_variables_are_not_in_what_runs(
    service: ServiceProcess, task_id: str, places: int
) -> None:
    seen = json.loads(run(service, task_id, {"service": service.process.pid})["result"])
    assert seen == {"own": [], "others": places, "looked": places}


def test_the_services_variables_are_filled_in_nowhere(service: ServiceProcess) -> None:
    args = {"text": ["${TASKSERVICE_API_TOKENS:-x}"]}
    reason = "the variable TASKSERVICE_API_TOKENS is the service's own, and never filled in"
    for method, path, fields in (
        ("POST", "/task-manage/", {"id": "new", **FIELDS}),
        ("PUT", "/task-manage/say", {}),
        ("POST", "/task-manage/say/trigger", {}),
    ):
        told = service.send(method, path, 422, json={**fields, "func_args": args})
        assert {"field": "func_args.text", "reason": reason} in told["errors"]

    service.write("own.yaml", FILE.replace("ARGS", '{text: "a ${TASKSERVICE_DATABASE_URL}"}'))
    [fault] = wait_for(
        "the file is at fault",
        lambda: [one for one in service.get("/sync")["errors"] if one["path"] == "own.yaml"],
    )
    assert (fault["line"], fault["field"]) == (6, "func_args.text")
    assert "TASKSERVICE_DATABASE_URL is the service's own" in fault["reason"]
    assert service.task("own") is None
    (service.folder / "own.yaml").unlink()


FIELDS = {
    "name": "N",
    "task_type": "t",
    "func_path": "attack_jobs.say",
    "trigger_type": "cron",
    "trigger_args": {"crontab": "0 0 1 1 *"},
}
FILE = """name: Own
task_type: attack
trigger_type: cron
trigger_args: {crontab: "0 0 1 1 *"}
func_path: attack_jobs.say
func_args: ARGS
"""


def test_what_is_not_allowed_is_a_fault(service: ServiceProcess) -> None:
    told = service.send("PUT", "/task-manage/say", 422, json={"func_args": {"text": "${OTHER}"}})
    assert told["errors"] == [
        {
            "field": "func_args.text",
            "reason": "the variable OTHER may not be filled in; TASKSERVICE_ENV_ALLOW allows "
            "MAIL, BIG, TASKSERVICE_*",
        }
    ]


def test_an_operator_reads_no_more_than_the_task_does(service: ServiceProcess) -> None:
    told = service.send(
        "POST", "/task-manage/plain/trigger", 422, headers=OPERATOR,
        json={"func_args": {"more": {"deep": ["${MAIL:-${BIG}}"]}}},
    )  # fmt: skip
    assert told["errors"] == [
        {
            "field": "func_args.more",
            "reason": "a run by hand may use only the variables that the task's own arguments "
            "have: none, not MAIL",
        }
    ]
    said = run(service, "say", {"text": "to ${MAIL}", "more": "${MAIL:-none}"})
    assert (said["status"], said["result"]) == ("completed", '"to ***"')


def test_a_run_again_reads_no_more_than_the_task_does_by_now(service: ServiceProcess) -> None:
    service.send("PUT", "/task-manage/plain", json={"func_args": {"text": "${MAIL}"}})
    before = run(service, "plain", {"text": "again ${MAIL}"})
    assert before["status"] == "completed"
    service.send("DELETE", "/task-manage/plain/overrides")
    answer = service.http.post(
        f"/tasks/plain/executions/{before['id']}/again",
        headers={**OPERATOR, "Origin": str(service.http.base_url)},
    )
    assert answer.status_code in (302, 303), answer.text
    assert answer.headers["Location"].endswith(f"/executions/{before['id']}")
    assert service.get("/task-manage/plain/logs")["total"] == 1


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("${A:-" * 160_000, "completed"),
        ("${A" * 250_000 + "}", None),
        ("${" * 400_000 + "}", "completed"),
        ("${MAIL" * 130_000, "completed"),
        ("${BIG}" * 30_000, None),
        ("${MAIL}" * 100_000, "completed"),
    ],
    ids=["defaults", "names", "begins", "no ends", "big", "many"],
)
def test_long_arguments_hold_nobody_up(
    service: ServiceProcess, text: str, status: str | None
) -> None:
    slowest = 0.0
    done = threading.Event()

    def watch() -> None:
        nonlocal slowest
        while not done.is_set():
            began = time.monotonic()
            service.http.get("/health/live")
            slowest = max(slowest, time.monotonic() - began)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        if status is None:
            body = {"func_args": {"text": text}}
            service.send("POST", "/task-manage/say/trigger", 422, headers=OPERATOR, json=body)
        else:
            assert run(service, "say", {"text": text})["status"] == status
    finally:
        done.set()
        watcher.join()
    assert slowest < 5


def test_filled_arguments_have_an_end(service: ServiceProcess) -> None:
    service.write("big.yaml", FILE.replace("ARGS", '{text: "' + "${BIG}" * 30_000 + '"}'))
    wait_for("the task is there", lambda: service.task("big"))
    ended = run(service, "big")
    assert (ended["status"], ended["error"]) == (
        "failed",
        "raised: func_args.text: the arguments are too long with their placeholders filled in",
    )
    assert Path(service.folder, "big.yaml").exists()


def test_what_is_not_allowed_any_more_is_not_filled_in_and_can_be_paused(tmp_path: Path) -> None:
    (tmp_path / "attack_jobs.py").write_text(JOBS)
    (tmp_path / "tasks.d").mkdir()
    environ = {
        "TASKSERVICE_IMPORT_PATH": str(tmp_path),
        "TASKSERVICE_FUNCTIONS": "attack_jobs.*",
        "OTHER": "not for tasks",
    }
    place = f"sqlite+aiosqlite:///{tmp_path}/test.db", tmp_path / "tasks.d"
    with WarmService(*place, environ) as service:
        args = {"func_args": {"text": "${OTHER}"}}
        service.send("POST", "/task-manage/", 201, json={**FIELDS, "id": "api", **args})
        service.write("file.yaml", FILE.replace("ARGS", '{text: "${OTHER}"}'))
        wait_for("the task is there", lambda: service.task("file"))
        assert run(service, "file")["status"] == "completed"
        service.terminate()
    with WarmService(*place, {**environ, "TASKSERVICE_ENV_ALLOW": ""}) as service:
        for task_id in ("api", "file"):
            ended = run(service, task_id)
            assert ended["error"].startswith(
                "raised: func_args.text: the variable OTHER may not be filled in"
            )
            assert service.send("POST", f"/task-manage/{task_id}/pause")["status"] == "paused"
            service.send("PUT", f"/task-manage/{task_id}", json={"description": "later"})
        told = service.send("PUT", "/task-manage/api", 422, json={"func_args": {"text": "${X}"}})
        assert told["errors"][0]["field"] == "func_args.text"
