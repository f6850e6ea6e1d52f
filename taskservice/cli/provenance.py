"""Where the fields of an effective task come from: a default, a file, or somebody by API."""

from collections.abc import Mapping, Sequence
from typing import Any

from taskservice.cli.describe import trigger, value, when
from taskservice.cli.output import cell, local_time, styled


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
    if origin["origin"] != "api":
        told = [origin["origin"]]
        if origin.get("path"):
            told = [place_in_file(origin)]
        if origin.get("author"):
            told.append(f"by {origin['author']}, {local_time(origin['date'])}")
        return " ".join(told)
    if not origin.get("absent") and origin["declared"] == origin["value"]:
        return f"API: by {origin['set_by']}, {when(origin['set_at'])}"
    told = [
        f"API: by {origin['set_by']}, {when(origin['set_at'])}",
        f"until {when(origin['until'])}" if origin["until"] else "",
        f"reason: {cell(origin['reason'])}" if origin["reason"] else "",
        f"the file says {declared_value(origin['field'], origin['declared'])}",
    ]
    return styled("; ".join(filter(None, told)), "yellow")


def place_in_file(place: Mapping[str, Any]) -> str:
    """A place in a file: `reports.yaml:9 (1a2b3c4d)`, or `(uncommitted)`."""
    line = f"{place['path']}:{place['line']}" if place["line"] else str(place["path"])
    if place.get("uncommitted"):
        return f"{line} (uncommitted)"
    return f"{line} ({place['revision'][:8]})" if place["revision"] else line
