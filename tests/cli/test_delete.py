"""`taskservice delete`: what it asks first, and of whom."""

import pytest

from tests.acceptance.process import ServiceProcess
from tests.cli.conftest import NOTICE, Cli

OWN = {
    "id": "own", "name": "own", "task_type": "t", "trigger_type": "interval",
    "trigger_args": {"hours": 1}, "func_path": "taskservice.examples.simple_task",
    "func_args": {"message": "m"},
}  # fmt: skip


@pytest.fixture
def own(service: ServiceProcess, cli: Cli) -> None:
    """A task of the API's that ran once."""
    service.http.post("/task-manage/", json=OWN).raise_for_status()
    cli.ok("trigger", "own", "--wait")


def test_on_a_terminal_it_asks_and_says_what_goes(cli: Cli, own: None) -> None:
    status, shown = cli.on_terminal("delete", "own", typed="n\n")
    assert status == 1
    assert "own goes with its log, 1 execution, and can't be restored." in shown
    assert "Delete it? [y/N]" in shown
    assert "not deleted" in shown
    assert "own" in cli.ok("list")
    status, shown = cli.on_terminal("delete", "own", typed="y\n")
    assert (status, "own: deleted" in shown) == (0, True)
    assert cli.run("show", "own").status == 1


def test_it_does_not_ask_who_says_yes(cli: Cli, own: None) -> None:
    status, shown = cli.on_terminal("delete", "own", "--yes")
    assert (status, shown.strip()) == (0, "own: deleted")


def test_of_a_declared_task_it_says_how_it_comes_back(cli: Cli, service: ServiceProcess) -> None:
    (service.folder / "notice.yaml").write_text(NOTICE)
    cli.ok("sync")
    status, shown = cli.on_terminal("delete", "notice", typed="y\n")
    assert status == 0
    assert "notice goes, though notice.yaml declares it. `taskservice restore` brings" in shown
    assert "with its log, 0 executions, later without." in shown
    assert cli.ok("restore", "notice").startswith("notice: ")
