"""Where the fields of an effective task come from: a default, a file, or somebody by API."""

from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from taskservice.cli.client import Client, ClientError, task_path
from taskservice.cli.describe import trigger, value, when
from taskservice.cli.output import cell, local_time

_FIELDS = (
    "name", "task_type", "trigger", "func_path", "func_args", "max_instances", "description",
    "tags", "paused", "misfire_grace_time", "coalesce", "timeout", "retries", "recover",
    "executor",
)  # fmt: skip
"""The fields of a task as overrides name them, in the order of a task file."""


def provenance(client: Client, task: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """Of each effective field, where it comes from.

    A service that has no provenance to tell has overrides; then `file` and `default` are one.
    """
    try:
        found: list[dict[str, Any]] = client.get(task_path(task["id"], "provenance"))
        return found
    except ClientError as error:
        if error.status != HTTPStatus.NOT_FOUND:
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


def field_row(origin: Mapping[str, Any]) -> Sequence[object]:
    """Field, value and origin, as a row of a table."""
    given = "(absent)" if origin.get("absent") else field_value(origin["field"], origin["value"])
    return origin["field"], given, _origin(origin)


def field_value(field: str, given: Any) -> str:
    """A field's value on one line; a trigger is told as such."""
    return trigger(given) if field == "trigger" and given else value(given)


def declared_value(field: str, declared: Any) -> str:
    """What a file says of a field, on one line."""
    return "nothing" if declared is None else field_value(field, declared)


def _origin(origin: Mapping[str, Any]) -> Any:
    """Where a field comes from, in words: an override with all that is known of it."""
    from rich.text import Text

    if origin["origin"] != "api":
        told = [origin["origin"]]
        if origin.get("path"):
            told = [place_in_file(origin)]
        if origin.get("author"):
            told.append(f"by {origin['author']}, {local_time(origin['date'])}")
        return " ".join(told)
    if not origin.get("set_by"):
        return "API"
    told = [
        f"API: by {origin['set_by']}, {when(origin['set_at'])}",
        f"until {when(origin['until'])}" if origin["until"] else "",
        f"reason: {cell(origin['reason'])}" if origin["reason"] else "",
        f"the file says {declared_value(origin['field'], origin['declared'])}",
    ]
    return Text("; ".join(filter(None, told)), style="yellow")


def place_in_file(place: Mapping[str, Any]) -> str:
    """A place in a file: `reports.yaml:9 (1a2b3c4d)`."""
    line = f"{place['path']}:{place['line']}" if place["line"] else str(place["path"])
    return f"{line} ({place['revision'][:8]})" if place["revision"] else line
