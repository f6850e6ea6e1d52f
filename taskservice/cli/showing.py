"""The commands that show one task: show, overrides, fires."""

from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import rich_click as click

from taskservice.cli.arguments import task_argument
from taskservice.cli.client import Client, ClientError, speaks_to_server, task_path
from taskservice.cli.describe import (
    execution_table,
    state,
    when,
    when_in_table,
)
from taskservice.cli.notifications import silence_line
from taskservice.cli.output import (
    cell,
    local_time,
    output_option,
    print_json,
    print_table,
    relative_time,
    say,
    say_fact,
)
from taskservice.cli.provenance import (
    declared_value,
    field_row,
    field_value,
    place_in_file,
)

if TYPE_CHECKING:
    from rich.text import Text

FIRES = 5
EXECUTIONS = 5
DELETED = "deleted"


@click.command()
@task_argument
@output_option
@speaks_to_server
def show(client: Client, task_id: str, output: str) -> None:
    """Show a task: its fields and their origin, fires, executions.

    It is the task as it runs. Of an overridden field it tells what the file says, and by
    whom, when, why and until when the override was set.

    \b
    Examples:
      taskservice show daily-report
      taskservice show daily-report --output json
    """
    task = _task(client, task_id)
    if output == "json":
        print_json(task)
        return
    origins = client.get(task_path(task_id, "overrides"), fields="all")
    fires = client.get(task_path(task_id, "fires"), count=FIRES)
    log = client.get(task_path(task_id, "logs"), size=EXECUTIONS)
    _print_head(task)
    say()
    print_table(("FIELD", "VALUE", "FROM"), map(field_row, origins), whole=("FIELD",))
    say()
    if fires:
        print_table(("NEXT FIRES", ""), _fire_rows(fires))
    else:
        say(_why_no_fire(task_id, origins))
    say()
    if found := _silence(client, task_id):
        say(f"It is silenced {silence_line(found)}")
        say()
    if log["items"]:
        execution_table(log["items"])
        if log["total"] > EXECUTIONS:
            say(f"and {log['total'] - EXECUTIONS} more: taskservice logs {task_id}")
    else:
        say("It has not run yet.")


def _silence(client: Client, task_id: str) -> dict[str, Any] | None:
    """Why nobody is told of a task; None where it is not silenced."""
    try:
        found: dict[str, Any] = client.get(task_path(task_id, "silence"))
        return found
    except ClientError as error:
        if error.status != HTTPStatus.NOT_FOUND:
            raise
        return None


def _why_no_fire(task_id: str, origins: Sequence[Mapping[str, Any]]) -> str:
    paused = next((one for one in origins if one["field"] == "paused"), None)
    if paused is None or paused["value"] is not True:
        return "It will not fire."
    if paused.get("until"):
        return f"It is paused until {when(paused['until'])}, and fires again then."
    return f"It is paused: taskservice resume {task_id} lets it fire."


def _task(client: Client, task_id: str) -> dict[str, Any]:
    """The task; raises ClientError, which tells of a deletion that can be taken back."""
    try:
        found: dict[str, Any] = client.get(task_path(task_id))
        return found
    except ClientError as error:
        if error.status != HTTPStatus.NOT_FOUND:
            raise
        missing = error
    # Where there is no such task at all, this says so again.
    for each in client.get(task_path(task_id, "overrides")):
        if each["field"] == DELETED:
            why = f" because {cell(each['reason'])}" if each["reason"] else ""
            raise ClientError(
                f"task {task_id!r} was deleted by {each['set_by']}, {when(each['set_at'])}{why}: "
                f"`taskservice restore {task_id}` takes that back",
                status=HTTPStatus.NOT_FOUND,
            )
    raise missing


def _print_head(task: Mapping[str, Any]) -> None:
    place = task["declared_in"]
    declared = "by API" if place is None else place_in_file(place)
    lines: list[tuple[str, str | Text]] = [
        (task["id"], cell(task["name"])),
        ("status", state(task["status"])),
        ("declared", declared),
        ("drift", state(task["drift"])),
        ("created", when(task["create_time"])),
        ("changed", when(task["update_time"])),
    ]
    if task["retired_at"]:
        lines.append(("retired", when(task["retired_at"])))
    if number := task.get("unreturned"):
        lines.append(("unreturned", f"{number}: cancelled or timed out, and still going on"))
    width = max(len(name) for name, _ in lines) + 2
    for name, told in lines:
        say_fact(name.ljust(width), told)


@click.command()
@task_argument
@output_option
@speaks_to_server
def overrides(client: Client, task_id: str, output: str) -> None:
    """List what the API changed of a task, with what its file says.

    A deletion through the API is an override too: it is called `deleted`.

    \b
    Example:
      taskservice overrides daily-report
    """
    found = client.get(task_path(task_id, "overrides"))
    if output == "json":
        print_json(found)
        return
    if not found:
        say("no override", err=True)
        return
    print_table(
        ("FIELD", "VALUE", "THE FILE SAYS", "SET BY", "SET", "UNTIL", "REASON"),
        (
            (
                each["field"],
                "(absent)" if each["absent"] else field_value(each["field"], each["value"]),
                _declared(each),
                each["set_by"],
                when_in_table(each["set_at"]),
                when_in_table(each["until"]),
                each["reason"],
            )
            for each in found
        ),
        whole=("SET", "UNTIL"),
    )


def _declared(override: Mapping[str, Any]) -> str:
    """What the file says, and said when the override was set if that is something else."""
    now, then = override["declared"], override["declared_when_set"]
    told = declared_value(override["field"], now)
    if now == then:
        return told
    return f"{told} (it said {declared_value(override['field'], then)} then)"


@click.command()
@task_argument
@click.option("--count", type=click.IntRange(1, 1000), default=10, help="How many.  [10]")
@output_option
@speaks_to_server
def fires(client: Client, task_id: str, count: int, output: str) -> None:
    """List the next times at which a task will fire.

    A task that is paused has none.

    \b
    Example:
      taskservice fires daily-report --count 30
    """
    found = client.get(task_path(task_id, "fires"), count=count)
    if output == "json":
        print_json(found)
    elif found:
        print_table(("FIRE", ""), _fire_rows(found))
    else:
        say("no fire", err=True)


def _fire_rows(times: Sequence[str]) -> Iterator[Sequence[str]]:
    return ((local_time(time), relative_time(time)) for time in times)
