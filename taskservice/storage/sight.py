"""Which tasks somebody sees, as conditions of queries.

A task's tags stand in its column as a list in JSON. All databases have `instr`, which minds the
case: what it looks for begins where a word of the list does, for a quote within one is escaped.
"""

from collections.abc import Iterable
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, String, func, literal, or_, select

from taskservice.domain.sight import Sight
from taskservice.storage.tables import task_execution_log, task_manage

_T, _L = task_manage.c, task_execution_log.c


def bears(tags: Iterable[str]) -> ColumnElement[bool]:
    """Whether a row of `task_manage` bears one of these tags."""
    found = []
    for tag in tags:
        for text, is_first in _beginnings(tag):
            place = func.instr(_T.tags, literal(text, String()))
            found.append(place == 1 if is_first else place > 0)
    return or_(*found)


def tasks_seen(sight: Sight) -> list[Any]:
    """What is true of the rows of `task_manage` that are seen: conditions for `where`."""
    return [] if sight.tags is None else [bears(sight.tags)]


def executions_seen(sight: Sight) -> list[Any]:
    """What is true of the executions of tasks that are seen: conditions for `where`."""
    return [_L.task_id.in_(select(_T.id).where(*tasks_seen(sight)))] if sight.is_narrowed else []


def executions_seen_text(sight: Sight) -> tuple[str, dict[str, str]]:
    """The same for a query that is a text, to stand behind another condition; its parameters."""
    if sight.tags is None:
        return "", {}
    values: dict[str, str] = {}
    found = []
    for tag in sight.tags:
        for text, is_first in _beginnings(tag):
            name = f"seen{len(values)}"
            values[name] = text
            found.append(f"instr(task_manage.tags, :{name}) {'= 1' if is_first else '> 0'}")
    return f" AND task_id IN (SELECT id FROM task_manage WHERE {' OR '.join(found)})", values


def _beginnings(tag: str) -> tuple[tuple[str, bool], ...]:
    """What a list of tags holds with this one in it: at its beginning, or after another."""
    quoted = msgspec.json.encode(tag).decode()
    return (f"[{quoted}", True), (f",{quoted}", False), (f", {quoted}", False)
