"""What ran in a span of time, counted by the database: the log of a day may have millions of rows.

Every query looks at the newest `MOST` executions at most, by the index of their start.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, func, or_, select, text, union_all

from taskservice.domain.run import EXECUTION_STATUSES, OPEN
from taskservice.domain.sight import ALL, Sight
from taskservice.storage.dialects import dialect_of
from taskservice.storage.history import Past, is_told
from taskservice.storage.rows import holds
from taskservice.storage.sight import executions_seen, executions_seen_text, tasks_seen
from taskservice.storage.tables import VISIBLE, task_execution_log, task_manage

_L, _T = task_execution_log.c, task_manage.c

MOST = 300_000
"""Executions that are looked at, the newest ones."""

NAMES = 5
"""Tasks that are named of a slot."""

_PAST = (_L.id, _L.task_id, _L.status, _L.start_time, _L.end_time)


class Count(NamedTuple):
    """How many executions began in a slot and came to a status."""

    slot: int
    status: str
    number: int


class TaskCount(NamedTuple):
    """The same of one task."""

    task_id: str
    slot: int
    status: str
    number: int


def first_of_newest(connection: Connection, since: datetime, most: int = MOST) -> datetime | None:
    """The start of the oldest execution that is looked at, where there are more since a moment."""
    query = (
        select(_L.start_time)
        .where(_L.start_time >= since)
        .order_by(_L.start_time.desc())
        .offset(most)
        .limit(1)
    )
    found: datetime | None = connection.execute(query).scalar()
    return found


def by_slot(
    connection: Connection,
    since: datetime,
    origin: datetime,
    seconds: int,
    *,
    sight: Sight = ALL,
) -> list[Count]:
    """The executions in sight since a moment, counted by slots that are counted from `origin`."""
    slot = dialect_of(connection).slot("start_time")
    seen, parameters = executions_seen_text(sight)
    query = text(
        f"SELECT {slot} AS slot, status, count(*) AS count FROM task_execution_log "
        f"WHERE start_time >= :since AND {VISIBLE}{seen} GROUP BY 1, 2"
    ).bindparams(_SINCE)
    values = {
        "since": since,
        "origin": int(origin.timestamp()),
        "seconds": seconds,
        **parameters,
    }
    # What can't be read is in no slot.
    return [
        Count(int(row[0]), row[1], row[2])
        for row in connection.execute(query, values)
        if row[0] is not None and row[1] in EXECUTION_STATUSES
    ]


def by_task(connection: Connection, since: datetime, sight: Sight = ALL) -> dict[str, int]:
    """How many executions each task in sight had since a moment."""
    query = (
        select(_L.task_id, func.count())
        .where(_L.start_time >= since, text(VISIBLE), *executions_seen(sight))
        .group_by(_L.task_id)
    )
    return {task_id: count for task_id, count in connection.execute(query)}


def busiest(
    connection: Connection, spans: Sequence[tuple[datetime, datetime]], *, sight: Sight = ALL
) -> list[list[tuple[str, int]]]:
    """For each span of time, the tasks in sight with most executions that began in it; how many."""
    if not spans:
        return []
    seen, parameters = executions_seen_text(sight)
    values: dict[str, Any] = {"names": NAMES, **parameters}
    for number, (begin, end) in enumerate(spans):
        values |= {f"begin{number}": begin, f"end{number}": end}
    found: list[list[tuple[str, int]]] = [[] for _ in spans]
    for number, task_id, count in connection.execute(_busiest(len(spans), seen), values):
        found[number].append((task_id, count))
    return [sorted(tasks, key=lambda one: (-one[1], one[0])) for tasks in found]


@lru_cache(maxsize=20)
def _busiest(spans: int, seen: str) -> Any:
    part = (
        "SELECT * FROM (SELECT {0} AS span, task_id, count(*) AS count FROM task_execution_log "
        f"WHERE start_time >= :begin{{0}} AND start_time < :end{{0}} AND {VISIBLE}{seen} "
        "GROUP BY task_id ORDER BY count(*) DESC, task_id LIMIT :names) AS part{0}"
    )
    query = text(" UNION ALL ".join(part.format(number) for number in range(spans)))
    moments = (
        bindparam(f"{name}{number}", type_=_L.start_time.type)
        for name in ("begin", "end")
        for number in range(spans)
    )
    return query.bindparams(*moments)


def executions(connection: Connection, ids: Collection[str], since: datetime) -> list[Past]:
    """The executions of some tasks since a moment, and those before it that have not ended."""
    recent = select(*_PAST).where(_L.task_id.in_(ids), _L.start_time >= since, text(VISIBLE))
    running = select(*_PAST).where(
        _L.task_id.in_(ids), _L.start_time < since, _L.status.in_(OPEN), text(VISIBLE)
    )
    rows = connection.execute(union_all(recent, running))
    return [Past._make(row) for row in rows if is_told(row)]


def by_task_and_slot(
    connection: Connection, ids: Collection[str], since: datetime, origin: datetime, seconds: int
) -> list[TaskCount]:
    """The executions of some tasks since a moment, counted by slots."""
    slot = dialect_of(connection).slot("start_time")
    query = text(
        f"SELECT task_id, {slot} AS slot, status, count(*) AS count "
        "FROM task_execution_log WHERE task_id IN :ids AND start_time >= :since "
        f"AND {VISIBLE} GROUP BY 1, 2, 3"
    ).bindparams(bindparam("ids", expanding=True), _SINCE)
    values = {
        "ids": list(ids),
        "since": since,
        "origin": int(origin.timestamp()),
        "seconds": seconds,
    }
    return [
        TaskCount(row[0], int(row[1]), row[2], row[3])
        for row in connection.execute(query, values)
        if row[1] is not None and row[2] in EXECUTION_STATUSES
    ]


def names(connection: Connection, wanted: str, sight: Sight = ALL) -> dict[str, str]:
    """The names of the tasks in sight, by id, in whose name or id this text stands if it is one."""
    query = select(_T.id, _T.name).where(_T.retired_at.is_(None), *tasks_seen(sight))
    if wanted:
        query = query.where(or_(holds(_T.id, wanted), holds(_T.name, wanted)))
    return {task_id: name for task_id, name in connection.execute(query)}


_SINCE = bindparam("since", type_=_L.start_time.type)
