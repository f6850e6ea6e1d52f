"""Each command that speaks to a service, as a user runs it: in a process of its own."""

import pytest

from tests.acceptance.process import ServiceProcess, wait_for
from tests.cli.conftest import NOTICE, Cli
from tests.web.bodies import hourly


@pytest.fixture(scope="module", autouse=True)
def tasks(service: ServiceProcess) -> None:
    """A declared task with an override, and one of the API's own."""
    service.write("notice.yaml", NOTICE)
    service.send("POST", "/sync")
    service.send("PUT", "/task-manage/notice", json={"timeout": 5})
    service.send("POST", "/task-manage/", 201, json=hourly(id="own"))


@pytest.mark.parametrize(
    "arguments",
    [
        ["list", "--output", "json"],
        ["show", "notice", "--output", "json"],
        ["logs", "own"],
        ["fires", "own", "--output", "json"],
        ["functions"],
        ["overrides", "notice", "--output", "json"],
        ["promote", "notice"],
        ["export", "notice", "own"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_what_shows_something(cli: Cli, arguments: list[str]) -> None:
    told = cli.process(*arguments)
    assert told == cli.run(*arguments)
    assert told.status == 0
    assert told.out or told.err == "no execution\n"


def test_what_changes_something(cli: Cli, service: ServiceProcess) -> None:
    status, out, err = cli.process("sync")
    assert (status, err, "\nerrors:    0\n" in out) == (0, "", True)
    status, out, err = cli.process("status")
    assert (status, err, "\nerrors:    0\n" in out) == (0, "", True)
    assert cli.process("pause", "own") == (0, "own: paused\n", "")
    status, out, err = cli.process("resume", "own")
    assert (status, out.partition(" fires next")[0], err) == (0, "own: pending;", "")
    assert cli.process("delete", "notice") == (0, "notice: deleted\n", "")
    status, out, err = cli.process("restore", "notice")
    assert (status, out.endswith("; overridden: timeout\n"), err) == (0, True, "")
    status, out, err = cli.process("revert", "notice")
    assert (status, "overridden" in out, err) == (0, False, "")
    status, out, err = cli.process("trigger", "own")
    assert (status, err) == (0, "")
    path = f"/task-manage/own/logs/{out.strip()}"
    wait_for("the execution ends", lambda: service.get(path)["status"] == "completed")
    assert cli.process("cancel", "own", out.strip()) == (
        *(1, "", "taskservice: the execution has ended: it is completed\n"),
    )


def test_a_plan(cli: Cli, service: ServiceProcess) -> None:
    service.write("new.yaml", NOTICE)
    service.send("POST", "/sync")
    told = cli.process("plan", str(service.folder))
    assert told == cli.run("plan", str(service.folder))
    assert (told.status, told.out.splitlines()[-1]) == (0, "Plan: no changes.")
