"""The commands that change tasks: pause, resume, revert, restore, delete."""

import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import rich_click as click

from taskservice.cli.arguments import override_options, reason_option, task_argument, tasks_argument
from taskservice.cli.client import Client, ClientError, speaks_to_server, task_path
from taskservice.cli.describe import task_line
from taskservice.cli.exit_status import FAULT
from taskservice.cli.output import local_time, output_option, print_json, say, say_lines

_OF_ONE_TASK = (404, 409)
"""Refusals that concern one task, while the next may be taken."""


@click.command()
@tasks_argument
@override_options
@output_option
@speaks_to_server
def pause(client: Client, task_ids: Sequence[str], output: str, **why: str | None) -> int:
    """Let tasks fire no more, until resumed or a given time.

    The pause of a task that a file declares is an override: no commit ends it.

    \b
    Examples:
      taskservice pause daily-report --reason INC-42 --until 2h
      taskservice pause daily-report weekly-report
    """
    return _each(client, task_ids, output, lambda path: client.post(f"{path}/pause", **why))


@click.command()
@tasks_argument
@override_options
@output_option
@speaks_to_server
def resume(client: Client, task_ids: Sequence[str], output: str, **why: str | None) -> int:
    """Let paused tasks fire again.

    \b
    Example:
      taskservice resume daily-report
    """
    return _each(client, task_ids, output, lambda path: client.post(f"{path}/resume", **why))


def _each(
    client: Client, task_ids: Sequence[str], output: str, change: Callable[[str], Any]
) -> int:
    """Change task after task, and tell of each; the exit status."""
    changed, status = [], 0
    for task_id in task_ids:
        try:
            changed.append(change(task_path(task_id)))
        except ClientError as error:
            if error.status not in _OF_ONE_TASK or len(task_ids) == 1:
                raise
            say_lines(f"taskservice: {task_id}: {error}", err=True)
            status = FAULT
        else:
            if output == "table":
                say(task_line(changed[-1]))
    if output == "json":
        print_json(changed[0] if len(task_ids) == 1 else changed)
    return status


@click.command()
@task_argument
@click.option("--field", metavar="NAME", help="Only this one, as `overrides` names it.")
@reason_option
@output_option
@speaks_to_server
def revert(
    client: Client, task_id: str, field: str | None, reason: str | None, output: str
) -> None:
    """End a task's overrides: its fields follow the file again.

    \b
    Examples:
      taskservice revert daily-report
      taskservice revert daily-report --field func_args.message
    """
    _print_task(client.delete(task_path(task_id, "overrides"), field=field, reason=reason), output)


@click.command()
@task_argument
@output_option
@speaks_to_server
def restore(client: Client, task_id: str, output: str) -> None:
    """Take back the deletion of a task that a file declares.

    \b
    Example:
      taskservice restore daily-report
    """
    _print_task(client.post(task_path(task_id, "restore")), output)


@click.command()
@task_argument
@click.option("-y", "--yes", is_flag=True, help="Don't ask; nobody is asked without a terminal.")
@override_options
@output_option
@speaks_to_server
def delete(client: Client, task_id: str, yes: bool, output: str, **why: str | None) -> int:
    """Delete a task with its log.

    A task that a file declares stays deleted, whatever is committed, until `restore`, or
    until its file is gone; its log is kept for a while. On a terminal it asks first.

    \b
    Example:
      taskservice delete daily-report --reason "replaced by weekly-report"
    """
    if not yes and sys.stdin.isatty():
        say(_what_goes(client, task_id), err=True)
        if not click.confirm("Delete it?", err=True):
            say("not deleted", err=True)
            return FAULT
    client.delete(task_path(task_id), **why)
    if output == "table":
        say(f"{task_id}: deleted")
    return 0


def _what_goes(client: Client, task_id: str) -> str:
    """What a deletion takes away, and what of it can be taken back."""
    task = client.get(task_path(task_id))
    log = client.get(task_path(task_id, "logs"), size=1)
    count = f"more than {log['total']:,}" if log["more"] else f"{log['total']:,}"
    its_log = f"its log, {count} execution{'' if log['total'] == 1 else 's'}"
    if task["source"] != "file" or task["retired_at"]:
        return f"{task_id} goes with {its_log}, and can't be restored."
    grace = timedelta(seconds=client.get("/sync")["prune_grace"])
    until = local_time((datetime.now(UTC) + grace).isoformat())
    return (
        f"{task_id} goes, though {task['declared_in']['path']} declares it. "
        f"`taskservice restore` brings it back: until {until} with {its_log}, later without."
    )


def _print_task(task: dict[str, Any], output: str) -> None:
    if output == "json":
        print_json(task)
    else:
        say(task_line(task))
