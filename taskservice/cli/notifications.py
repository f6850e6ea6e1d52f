"""The commands about who is told of what: silence, unsilence, channels."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import rich_click as click

from taskservice.cli.arguments import override_options, task_argument
from taskservice.cli.client import Client, speaks_to_server, task_path
from taskservice.cli.describe import state, when, when_in_table
from taskservice.cli.exit_status import FAULT
from taskservice.cli.output import NONE, output_option, print_json, print_table, say


@click.command()
@task_argument
@override_options
@output_option
@speaks_to_server
def silence(client: Client, task_id: str, output: str, **why: str | None) -> None:
    """Tell nobody of a task, until a given time or until it recovers.

    A reason must be given. What happens meanwhile is counted: a failure that goes on after the
    end of the silence is told then.

    \b
    Example:
      taskservice silence daily-report --reason "INC-42, being looked at" --until 2h
    """
    task = client.post(task_path(task_id, "silence"), **why)
    if output == "json":
        print_json(task)
        return
    found = client.get(task_path(task_id, "silence"))
    say(f"{task_id}: silenced {silence_line(found)}")


@click.command()
@task_argument
@output_option
@speaks_to_server
def unsilence(client: Client, task_id: str, output: str) -> None:
    """Let people be told of a task again.

    \b
    Example:
      taskservice unsilence daily-report
    """
    task = client.delete(task_path(task_id, "silence"))
    if output == "json":
        print_json(task)
    else:
        say(f"{task_id}: not silenced")


def silence_line(found: Mapping[str, Any]) -> str:
    """Until when and why a task is silenced, and by whom."""
    until = f"until {when(found['until'])}" if found["until"] else "until it recovers"
    return f"{until}, by {found['set_by']}: {found['reason']}"


@click.command()
@click.argument("action", metavar="[test]", required=False, type=click.Choice(["test"]))
@click.argument("name", metavar="[NAME]", required=False)
@output_option
@speaks_to_server
def channels(client: Client, action: str | None, name: str | None, output: str) -> int:
    """List the channels by which people are told, or send a test to one.

    Of a channel its name alone is known, what waits for it, and what came of the last message. A
    test is sent at once; the exit status is 1 where it was not taken.

    \b
    Examples:
      taskservice channels
      taskservice channels test ops
    """
    if (action is None) != (name is None):
        raise click.UsageError("a test needs the name of a channel: taskservice channels test NAME")
    if name is not None:
        answer = client.post(f"/channels/{quote(name, safe='')}/test")
        if output == "json":
            print_json(answer)
        else:
            word = "taken" if answer["taken"] else "not taken"
            say(f"{name}: {word}: {answer['answer']}")
        return 0 if answer["taken"] else FAULT
    found = client.get("/channels")
    if output == "json":
        print_json(found)
        return 0
    print_table(
        ("CHANNEL", "KIND", "WAITING", "UNDELIVERABLE", "LAST", "ANSWER"),
        map(_row, found),
        whole=("CHANNEL", "KIND", "WAITING"),
    )
    return 0


def _row(one: Mapping[str, Any]) -> tuple[object, ...]:
    last = when_in_table(one["last_tried_at"]) if one["last_tried_at"] else NONE
    kind = f"{one['kind']}, system" if one["system"] else one["kind"]
    answer = one["last_answer"] or NONE
    return (
        one["name"], kind, one["waiting"], one["undeliverable"], last,
        state(answer) if one["last_state"] == "sent" else answer,
    )  # fmt: skip
