"""What stands in a column and can't be read: somebody, or something, wrote it behind the service.

A value that can't be read makes no query fail: it comes as `Damaged`, and whoever makes something
of the row says what becomes of that.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")

UNKNOWN_SINCE = datetime(1970, 1, 1, tzinfo=UTC)
"""When something was done of which nobody knows when."""

SHOWN = 40
"""Characters of a damaged value that a reason quotes."""


@dataclass(frozen=True, slots=True)
class Damaged:
    """A value that is not of its column's kind."""

    text: str


def read_json(text: Any) -> Any:
    """A JSON value from a column, or `Damaged`."""
    if isinstance(text, int | float):
        return text  # SQLite keeps a number as one
    try:
        return msgspec.json.decode(text)
    except (msgspec.MsgspecError, RecursionError, TypeError, ValueError):
        return Damaged(_start(text))


def damaged(value: object) -> Damaged:
    """A value that could not be read as a time."""
    return Damaged(_start(value))


def readable(value: T | Damaged) -> T | None:
    """The value, or None where it can't be read."""
    return None if isinstance(value, Damaged) else value


def _start(value: object) -> str:
    return (value if isinstance(value, str) else repr(value))[:SHOWN]
