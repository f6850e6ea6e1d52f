"""The commands that show one task: show, overrides, fires."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import rich_click as click

from taskservice.cli.arguments import task_argument
from taskservice.cli.client import Client, ClientError, speaks_to_server, task_path
from taskservice.cli.describe import (
    EXECUTION_HEADINGS,
    execution_row,
    state,
    trigger,
    value,
    when,
)
from taskservice.cli.output import (
    cell,
    console,
    local_time,
    output_option,
    print_json,
    print_table,
    relative_time,
)

FIRES = 5
EXECUTIONS = 5
NOT_FOUND = 404
DELETED = "deleted"

_FIELDS = (
    "name", "task_type", "trigger", "func_path", "func_args", "max_instances", "description",
    "tags", "paused", "misfire_grace_time", "coalesce", "timeout", "retries", "recover",
    "executor",
)  # fmt: skip
"""The fields of a task as overrides name them, in the order of a task file."""


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
    origins = _provenance(client, task)
    fires = client.get(task_path(task_id, "fires"), count=FIRES)
    log = client.get(task_path(task_id, "logs"), size=EXECUTIONS)
    _print_head(task)
    click.echo()
    print_table(("FIELD", "VALUE", "FROM"), map(_field_row, origins))
    click.echo()
    if fires:
        print_table(("NEXT FIRES", ""), _fire_rows(fires))
    else:
        click.echo("It will not fire.")
    click.echo()
    if log["items"]:
        print_table(EXECUTION_HEADINGS, map(execution_row, log["items"]))
        if log["total"] > EXECUTIONS:
            click.echo(f"and {log['total'] - EXECUTIONS} more: taskservice logs {task_id}")
    else:
        click.echo("It has not run yet.")


def _task(client: Client, task_id: str) -> dict[str, Any]:
    """The task; raises ClientError, which tells of a deletion that can be taken back."""
    try:
        found: dict[str, Any] = client.get(task_path(task_id))
        return found
    except ClientError as error:
        if error.status != NOT_FOUND:
            raise
        missing = error
    # Where there is no such task at all, this says so again.
    for each in client.get(task_path(task_id, "overrides")):
        if each["field"] == DELETED:
            why = f" because {cell(each['reason'])}" if each["reason"] else ""
            raise ClientError(
                f"task {task_id!r} was deleted by {each['set_by']}, {when(each['set_at'])}{why}: "
                f"`taskservice restore {task_id}` takes that back",
                status=NOT_FOUND,
            )
    raise missing


def _print_head(task: Mapping[str, Any]) -> None:
    place = task["declared_in"]
    declared = "by API" if place is None else _place(place)
    lines = [
        (task["id"], cell(task["name"])),
        ("status", state(task["status"])),
        ("declared", declared),
        ("drift", state(task["drift"])),
        ("created", when(task["create_time"])),
        ("changed", when(task["update_time"])),
    ]
    if task["retired_at"]:
        lines.append(("retired", when(task["retired_at"])))
    shown = console()
    width = max(len(name) for name, _ in lines) + 2
    for name, told in lines:
        shown.print(name.ljust(width), told, sep="")


def _place(place: Mapping[str, Any]) -> str:
    """A place in a file: `reports.yaml:9 (1a2b3c4d)`."""
    line = f"{place['path']}:{place['line']}" if place["line"] else str(place["path"])
    return f"{line} ({place['revision'][:8]})" if place["revision"] else line


def _provenance(client: Client, task: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """Of each effective field, where it comes from.

    A service that has no provenance to tell has overrides; then `file` and `default` are one.
    """
    try:
        found: list[dict[str, Any]] = client.get(task_path(task["id"], "provenance"))
        return found
    except ClientError as error:
        if error.status != NOT_FOUND:
            raise
    overrides = {each["field"]: each for each in client.get(task_path(task["id"], "overrides"))}
    origins = []
    for field, given in _fields(task):
        origin = {"field": field, "value": given, "origin": task["source"]}
        if override := overrides.pop(field, None):
            origin |= override | {"origin": "api"}
        origins.append(origin)
    # What is left takes keys of func_args away.
    return [*origins, *(override | {"origin": "api"} for override in overrides.values())]


def _fields(task: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    for name in _FIELDS:
        if name == "trigger":
            yield name, {key: task[key] for key in ("trigger_type", "trigger_args")}
        elif name == "func_args":
            yield from ((f"func_args.{key}", given) for key, given in task[name].items())
        else:
            yield name, task[name]


def _field_row(origin: Mapping[str, Any]) -> Sequence[object]:
    given = "(absent)" if origin.get("absent") else _value(origin["field"], origin["value"])
    return origin["field"], given, _origin(origin)


def _value(field: str, given: Any) -> str:
    return trigger(given) if field == "trigger" and given else value(given)


def _origin(origin: Mapping[str, Any]) -> Any:
    """Where a field comes from, in words: an override with all that is known of it."""
    from rich.text import Text

    if origin["origin"] != "api":
        told = [origin["origin"]]
        if origin.get("path"):
            told = [_place(origin)]
        if origin.get("author"):
            told.append(f"by {origin['author']}, {local_time(origin['date'])}")
        return " ".join(told)
    if not origin.get("set_by"):
        return "API"
    told = [
        f"API: by {origin['set_by']}, {when(origin['set_at'])}",
        f"until {when(origin['until'])}" if origin["until"] else "",
        f"because {cell(origin['reason'])}" if origin["reason"] else "",
        f"the file says {_value(origin['field'], origin['declared'])}",
    ]
    return Text("; ".join(filter(None, told)), style="yellow")


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
        click.echo("no override", err=True)
        return
    print_table(
        ("FIELD", "VALUE", "THE FILE SAYS", "SET BY", "SET", "UNTIL", "REASON"),
        (
            (
                each["field"],
                "(absent)" if each["absent"] else _value(each["field"], each["value"]),
                _declared(each),
                each["set_by"],
                when(each["set_at"]),
                when(each["until"]),
                each["reason"],
            )
            for each in found
        ),
    )


def _declared(override: Mapping[str, Any]) -> str:
    """What the file says, and said when the override was set if that is something else."""
    now, then = override["declared"], override["declared_when_set"]
    told = _value(override["field"], now)
    return told if now == then else f"{told} (it said {_value(override['field'], then)} then)"


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
        click.echo("no fire", err=True)


def _fire_rows(times: Sequence[str]) -> Iterator[Sequence[str]]:
    return ((local_time(time), relative_time(time)) for time in times)
