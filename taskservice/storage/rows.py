"""Small things that all queries share: ids, JSON, chunks, a search."""

import os
import time
from collections.abc import Iterator, Sequence
from typing import TypeVar

import msgspec
from sqlalchemy import ColumnElement, LargeBinary, String, cast, func, literal

CHUNK = 1000

T = TypeVar("T")


def new_id(nanoseconds: int | None = None) -> str:
    """A new id, ordered by time so that it lands at the end of an index (RFC 9562, UUIDv7).

    The time is now, if none is given, as nanoseconds since 1970. The twelve bits after the version
    are of the millisecond: rows that one transaction adds, and that so have the same times, stand
    in the order in which they were made.
    """
    milliseconds, rest = divmod(nanoseconds or time.time_ns(), 1_000_000)
    moment, fraction = f"{milliseconds:012x}", f"{rest * 4096 // 1_000_000:03x}"
    chance = os.urandom(8).hex()
    variant = "89ab"[int(chance[0], 16) & 3]
    return f"{moment[:8]}-{moment[8:]}-7{fraction}-{variant}{chance[1:4]}-{chance[4:]}"


def to_json(value: object) -> str:
    """A JSON value as it stands in a column."""
    return msgspec.json.encode(value).decode()


def chunks(items: Sequence[T], size: int = CHUNK) -> Iterator[Sequence[T]]:
    """The items in pieces that fit one statement."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def holds(column: ColumnElement[str], part: str) -> ColumnElement[bool]:
    """Whether a text stands in a column, the case of its letters apart.

    Compared as bytes: a collation would take some letters for others.
    """
    found = [cast(func.lower(text), LargeBinary) for text in (column, literal(part, String()))]
    return func.instr(*found) > 0
