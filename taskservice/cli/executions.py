"""The commands about executions: logs, trigger, cancel."""

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

import rich_click as click

from taskservice.cli.arguments import (
    EXECUTION_STATUSES,
    OPEN_STATUSES,
    ago,
    execution_argument,
    reason_option,
    task_argument,
)
from taskservice.cli.client import Client, speaks_to_server, task_path
from taskservice.cli.completion import complete_executions
from taskservice.cli.describe import began, execution_table, state, took, when
from taskservice.cli.exit_status import FAULT, INTERRUPTED
from taskservice.cli.following import (
    POLL_SECONDS,
    ExecutionPrinter,
    Following,
    follow_aloud,
    follow_one,
)
from taskservice.cli.output import cell, output_option, print_json, say, say_fact, say_lines
from taskservice.cli.paging import all_pages
from taskservice.sync.text.scalars import resolve_plain

LIMIT = 20
FOLLOWED = 10


@click.command()
@task_argument
@click.argument("log_id", metavar="[LOG_ID]", required=False, shell_complete=complete_executions)
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes, until Ctrl-C.")
@click.option("--status", type=click.Choice(EXECUTION_STATUSES), help="Only those.")
@click.option(
    "--since",
    metavar="TIME",
    callback=ago,
    help="Begun then or later: 2026-01-31T08:00:00+01:00, or a span like 30m, 2h, 3d ago.",
)
@click.option("--until", metavar="TIME", callback=ago, help="Begun before.")
@click.option(
    "--limit",
    metavar="N",
    type=click.IntRange(min=1),
    help=f"How many at most, the newest.  [{LIMIT}, with --follow {FOLLOWED}]",
)
@output_option
@speaks_to_server
def logs(
    client: Client,
    task_id: str,
    log_id: str | None,
    follow: bool,
    limit: int | None,
    output: str,
    **filters: str | None,
) -> int:
    """List a task's executions, or show one with its output.

    The newest come first. With --follow, executions are told when they begin and when they
    end, with what they print between; of one LOG_ID, what it prints until it ends.

    \b
    Examples:
      taskservice logs daily-report --status failed --since 3d
      taskservice logs daily-report 01a2b3c4-…
      taskservice logs daily-report --follow
    """
    if follow and output == "json":
        raise click.UsageError("--follow is for people: it has no --output json")
    if follow and filters["until"]:
        raise click.UsageError("--follow has no end: leave --until out")
    if log_id is not None and (limit or any(filters.values())):
        raise click.UsageError("one execution is neither filtered nor limited: leave LOG_ID out")
    try:
        if log_id is not None:
            _one(client, task_id, log_id, follow=follow, output=output)
        elif follow:
            _follow(client, task_id, limit or FOLLOWED, filters)
        else:
            _list(client, task_id, limit or LIMIT, output, filters)
    except KeyboardInterrupt:
        if not follow:
            raise
    return 0


def _list(
    client: Client, task_id: str, limit: int, output: str, filters: Mapping[str, str | None]
) -> None:
    page = all_pages(client, task_path(task_id, "logs"), "Executions", limit=limit, **filters)
    if output == "json":
        print_json(page)
    elif page["items"]:
        execution_table(page["items"])
    else:
        say("no execution", err=True)


def _follow(client: Client, task_id: str, latest: int, filters: Mapping[str, str | None]) -> None:
    following = Following(client, task_id, filters)
    try:
        following.begin(latest)
        while True:
            time.sleep(POLL_SECONDS)
            following.look()
    finally:
        following.close()


def _one(client: Client, task_id: str, log_id: str, *, follow: bool, output: str) -> None:
    execution = client.get(task_path(task_id, "logs", log_id))
    if output == "json":
        print_json(execution)
        return
    if follow and execution["status"] in OPEN_STATUSES:
        follow_aloud(client, task_id, execution)
        return
    for name, told in (
        ("execution", execution["id"]),
        ("task", execution["task_id"]),
        ("status", state(execution["status"])),
        ("scheduled", when(execution["scheduled_time"])),
        *_on_a_worker(execution),
        ("started", when(execution["start_time"] if began(execution) else None)),
        ("ended", f"{when(execution['end_time'])}, took {took(execution)}"),
        ("by", cell(execution["triggered_by"])),
        ("attempt", str(execution["attempt"])),
        ("folded", str(execution["folded"])),
        ("result", cell(execution["result"])),
        ("error", cell(execution["error"])),
    ):
        say_fact(name.ljust(11), told)
    if execution["output"]:
        say()
        say_lines(execution["output"], nl=not execution["output"].endswith("\n"))


def _on_a_worker(execution: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Where an execution was sent, if it was, and who took it."""
    if execution.get("queue") is None:
        return []
    return [
        ("queued", f"{when(execution['queued_at'])} in {cell(execution['queue'])}"),
        ("worker", cell(execution.get("worker"))),
    ]


def _arguments(
    _: click.Context, __: click.Parameter, given: Sequence[str]
) -> dict[str, object] | None:
    """A click callback: `KEY=VALUE` by key, values as a task file has them."""
    values: dict[str, object] = {}
    for text in given:
        key, equals, written = text.partition("=")
        if not key or not equals:
            raise click.BadParameter(f"{text!r} must be KEY=VALUE")
        if key in values:
            raise click.BadParameter(f"{key} is given twice")
        try:
            values[key] = _value(written.strip())
        except ValueError as error:
            raise click.BadParameter(f"{key}: {error}") from None
    return values or None


def _value(text: str) -> object:
    if text[:1] not in ("'", '"', "[", "{"):
        return resolve_plain(text)
    if len(text) > 1 and text[0] == text[-1] == "'":
        return text[1:-1].replace("''", "'")
    try:
        return json.loads(text)
    except ValueError:
        raise ValueError(f"{text!r} is not JSON; text goes in quotes: '\"[draft]\"'") from None


@click.command()
@task_argument
@click.option(
    "--arg",
    "func_args",
    metavar="KEY=VALUE",
    multiple=True,
    callback=_arguments,
    help="An argument of the function for this run, as a task file has it: n=3 is a number, "
    "s='\"3\"' is text, x='[1, 2]' a list. May be given several times.",
)
@reason_option
@click.option("--wait", is_flag=True, help="Wait for its end, and show what it prints.")
@output_option
@speaks_to_server
def trigger(
    client: Client,
    task_id: str,
    func_args: dict[str, object] | None,
    reason: str | None,
    wait: bool,
    output: str,
) -> int:
    """Run a task now, paused or not, and print the execution's id.

    With --wait the exit status is 1 unless the execution completed.

    \b
    Examples:
      taskservice trigger daily-report
      taskservice trigger daily-report --arg data_id=sales --arg limit=100 --wait
    """
    body = func_args and {"func_args": func_args}
    execution = client.post(task_path(task_id, "trigger"), body, reason=reason)
    if not wait:
        if output == "json":
            print_json(execution)
        else:
            say(execution["id"])
        return 0
    try:
        ended = _wait(client, task_id, execution["id"], output)
    except KeyboardInterrupt:
        told = f"it goes on; to stop it: taskservice cancel {task_id} {execution['id']}"
        say(told, err=True)
        return INTERRUPTED
    return 0 if ended["status"] == "completed" else FAULT


def _wait(client: Client, task_id: str, log_id: str, output: str) -> Mapping[str, Any]:
    if output == "json":
        ended = follow_one(client, task_id, log_id, lambda execution: None)
        print_json(ended)
        return ended
    say(log_id)
    printer = ExecutionPrinter(log_id)
    try:
        ended = follow_one(client, task_id, log_id, printer.print_output)
        printer.print_end(ended)
    finally:
        printer.close()
    return ended


@click.command()
@task_argument
@execution_argument
@reason_option
@output_option
@speaks_to_server
def cancel(client: Client, task_id: str, log_id: str, reason: str | None, output: str) -> None:
    """Stop a running or queued execution.

    \b
    Example:
      taskservice cancel daily-report 01a2b3c4-…
    """
    execution = client.post(task_path(task_id, "logs", log_id, "cancel"), reason=reason)
    if output == "json":
        print_json(execution)
    else:
        say(f"{log_id}: {execution['status']}")
