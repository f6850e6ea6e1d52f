"""Completion, as the shells ask for it."""

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.acceptance.process import ServiceProcess
from tests.cli.conftest import Cli
from tests.web.bodies import hourly

TOKEN = "a-very-secret-token"


@pytest.fixture(scope="module")
def environ() -> Mapping[str, str]:
    return {"TASKSERVICE_API_TOKENS": f"ann:admin:{TOKEN}"}


@pytest.fixture(scope="module", autouse=True)
def tasks(service: ServiceProcess) -> None:
    service.http.headers["Authorization"] = f"Bearer {TOKEN}"
    for task_id in ("daily", "dawn", "other"):
        body = hourly(id=task_id, name="Some day")
        service.send("POST", "/task-manage/", 201, json=body)


def completed(cli: Cli, *words: str, **variables: str) -> list[str]:
    """What is offered for the last of the words."""
    found = cli.process(
        _TASKSERVICE_COMPLETE="bash_complete",
        COMP_WORDS=" ".join(["taskservice", *words]),
        COMP_CWORD=str(len(words)),
        **{"TASKSERVICE_TOKEN": TOKEN, **variables},
    )
    assert (found.status, found.err) == (0, "")
    return [line.partition(",")[2] for line in found.out.split()]


def test_commands_and_options(cli: Cli) -> None:
    assert completed(cli, "re") == ["restore", "resume", "revert"]
    assert completed(cli, "list", "--ta") == ["--task-type", "--tag"]
    assert completed(cli, "list", "--drift", "c") == ["conflict"]


@pytest.mark.parametrize("command", ["show", "pause", "export", "trigger"])
def test_ids_of_tasks(cli: Cli, command: str) -> None:
    assert completed(cli, command, "da") == ["daily", "dawn"]


def test_several_ids_and_all_of_them(cli: Cli) -> None:
    assert completed(cli, "pause", "daily", "o") == ["other"]
    assert completed(cli, "show", "") == ["daily", "dawn", "other"]


def test_ids_of_executions(cli: Cli, service: ServiceProcess) -> None:
    row = service.send("POST", "/task-manage/daily/trigger", 202)
    assert completed(cli, "logs", "daily", row["id"][:4]) == [row["id"]]
    assert completed(cli, "cancel", "nobody", "0") == []


def test_where_nobody_answers_nothing_is_offered_and_nothing_said(cli: Cli) -> None:
    assert completed(cli, "show", "da", TASKSERVICE_SERVER="http://127.0.0.1:1") == []
    assert completed(cli, "show", "--server", "http://127.0.0.1:1", "da") == []
    assert completed(cli, "show", "da", TASKSERVICE_SERVER="http://[::1") == []
    assert completed(cli, "show", "da", TASKSERVICE_TOKEN="wrong") == []
    assert completed(cli, "show", "da", TASKSERVICE_TOKEN="no token") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_one_that_the_shell_can_read(cli: Cli, shell: str, tmp_path: Path) -> None:
    script = cli.ok("completion", shell)
    assert f"_TASKSERVICE_COMPLETE={shell}_complete" in script
    if shutil.which(shell):
        path = tmp_path / "script"
        path.write_text(script)
        subprocess.run([shell, "-n", str(path)], check=True)


def test_another_shell_is_wrong_usage(cli: Cli) -> None:
    assert cli.run("completion", "cmd").status == 64
