"""What every command has: help with an example, and the same words for the same things."""

import inspect
import socket

import pytest
import rich_click as click

from taskservice.cli import PANELS, commands
from tests.cli.conftest import Cli

NO_SERVER = {"run", "worker", "token", "validate", "schema", "import-crontab", "completion"}
"""The commands of the contract that speak to no service, and `completion`."""

TEXT_ONLY = {"export", "promote"}
"""What these print is text for files: there is no table of it."""

EVERY = sorted(commands.commands)


@pytest.fixture
def nowhere() -> Cli:
    """The command, where no service answers."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return Cli(f"http://127.0.0.1:{free.getsockname()[1]}")


def options(name: str) -> set[str]:
    return {text for option in commands.commands[name].params for text in option.opts}


def test_help_groups_the_commands(nowhere: Cli) -> None:
    told = nowhere.process("--help")
    assert told == nowhere.run("--help")
    assert (told.status, told.err) == (0, "")
    panels = [line.split()[1] for line in told.out.splitlines() if line.startswith("╭─")]
    assert panels == [*PANELS, "Options"] == ["Serve", "Tasks", "GitOps", "Other", "Options"]
    for name in EVERY:
        assert f"│ {name} " in told.out


@pytest.mark.parametrize("name", EVERY)
def test_every_command_has_help_with_an_example(name: str) -> None:
    text = inspect.cleandoc(commands.commands[name].help or "")
    assert text.partition("\n")[0].endswith(".")
    if name != "run":
        examples = text.partition("\n\b\nExample")[2]
        assert f"taskservice {name}" in examples


@pytest.mark.parametrize("name", sorted(set(EVERY) - NO_SERVER))
def test_every_client_command_takes_a_server(name: str, nowhere: Cli) -> None:
    assert "--server" in options(name)
    assert name in TEXT_ONLY or {"-o", "--output"} <= options(name)
    needed = [
        "x"
        for parameter in commands.commands[name].params
        if isinstance(parameter, click.Argument) and parameter.required
    ]
    if name == "promote":
        needed = ["x"]  # or --all
    status, out, err = nowhere.run(name, *needed)
    assert (status, out) == (1, "")
    assert err.startswith(f"taskservice: no service answers at {nowhere.server}: start it with")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["show"],
        ["show", "a", "b"],
        ["pause"],
        ["list", "--frob"],
        ["list", "--status", "frob"],
        ["list", "--server", "localhost:8000"],
        ["list", "--output", "yaml"],
        ["fires", "a", "--count", "0"],
        ["frob"],
    ],
)
def test_wrong_usage_is_64(nowhere: Cli, arguments: list[str]) -> None:
    told = nowhere.process(*arguments)
    assert told == nowhere.run(*arguments)
    assert (told.status, told.out) == (64, "")
    assert "Error: " in told.err
