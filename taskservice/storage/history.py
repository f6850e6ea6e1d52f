"""What came of tasks, for pages that show many of them."""

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import Connection, func, select, text

from taskservice.domain.run import EXECUTION_STATUSES
from taskservice.domain.sight import ALL, Sight
from taskservice.storage.deletion import log_begins
from taskservice.storage.rows import chunks
from taskservice.storage.sight import tasks_seen
from taskservice.storage.tables import task_execution_log, task_manage, task_override

_L, _T, _O = task_execution_log.c, task_manage.c, task_override.c

TOGETHER = 100
"""Tasks that one statement asks about: SQLite takes no more than 500 parts."""


class Past(NamedTuple):
    """An execution as little as it takes to draw it."""

    id: str
    task_id: str
    status: str
    start_time: datetime
    end_time: datetime | None


def is_told(row: Any) -> bool:
    """Whether an execution can be read, so that it can be drawn."""
    ended = row.end_time is None or isinstance(row.end_time, datetime)
    return ended and isinstance(row.start_time, datetime) and row.status in EXECUTION_STATUSES


def latest(connection: Connection, ids: Sequence[str], each: int) -> dict[str, list[Past]]:
    """The last executions of tasks, at most `each` of a task, oldest first.

    However long a task's log is, only these rows are read, by the index of task and time.
    """
    found: dict[str, list[Past]] = {task_id: [] for task_id in ids}
    for piece in chunks(ids, TOGETHER):
        values = {f"id{number}": task_id for number, task_id in enumerate(piece)}
        begins = log_begins(connection, piece)
        for row in connection.execute(latest_of(len(piece)), {**values, "each": each}):
            if is_told(row) and row.start_time >= begins.get(row.task_id, row.start_time):
                found[row.task_id].append(Past._make(row))
    for executions in found.values():
        executions.sort(key=lambda one: (one.start_time, one.id))
    return found


@lru_cache(maxsize=TOGETHER)
def latest_of(tasks: int) -> Any:
    """The query for the newest executions of so many tasks."""
    # Not a window function, which would go through the whole log of each task.
    part = (
        "SELECT * FROM (SELECT id, task_id, status, start_time, end_time FROM task_execution_log "
        "WHERE task_id = :id{0} ORDER BY start_time DESC, id DESC LIMIT :each) AS part{0}"
    )
    query = " UNION ALL ".join(part.format(number) for number in range(tasks))
    return text(query).columns(_L.id, _L.task_id, _L.status, _L.start_time, _L.end_time)


def states(connection: Connection, sight: Sight = ALL) -> dict[str, int]:
    """How many tasks in sight there are in each status, without the retired ones."""
    where = _T.retired_at.is_(None), *tasks_seen(sight)
    query = select(_T.status, func.count()).where(*where).group_by(_T.status)
    return {status: count for status, count in connection.execute(query)}


def ends(connection: Connection, ids: Sequence[str], field: str) -> dict[str, datetime]:
    """By task, when the override of a field ends by itself, of those that do."""
    found: dict[str, datetime] = {}
    for piece in chunks(ids):
        query = select(_O.task_id, _O.until_time).where(
            _O.task_id.in_(piece), _O.field == field, _O.until_time.is_not(None)
        )
        found.update({task_id: end for task_id, end in connection.execute(query)})
    return found
