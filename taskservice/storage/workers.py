"""Who executes, to be shown: services and workers; and what waits in the queues."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache, lru_cache
from typing import Any

from sqlalchemy import (
    Connection,
    bindparam,
    case,
    delete,
    func,
    insert,
    literal,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from taskservice.domain.placement import CELERY
from taskservice.domain.sight import ALL, Sight
from taskservice.storage.damage import UNKNOWN_SINCE
from taskservice.storage.dialects import dialect_of
from taskservice.storage.executions import ExecutionRow, held
from taskservice.storage.owners import QUEUE
from taskservice.storage.rows import chunks
from taskservice.storage.sight import executions_seen, executions_seen_text, tasks_seen
from taskservice.storage.tables import (
    LIVE,
    task_execution_log,
    task_manage,
    task_owner,
    task_worker,
)

_L, _K, _T, _W = task_execution_log.c, task_worker.c, task_manage.c, task_owner.c

LATELY = 1000
"""How many executions, of all that began last, are looked at to see how far queues have come."""

SHOWN_DEAD = timedelta(seconds=60)
"""How long one that is dead is still listed."""

TOGETHER = 100
"""Owners that one statement asks about: SQLite takes no more than 500 parts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """Who executes: a service, or a worker that serves `queues`, so many executions at a time."""

    name: str
    kind: str
    queues: tuple[str, ...] | None = None
    concurrency: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """What waits in a queue for a worker: how many executions, and since when the first.

    `overdue` counts those that have waited since before the moment that was asked for.
    """

    count: int
    oldest: datetime
    overdue: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed(Worker):
    """One that is listed: by its owner's id, alive or not, since when, and when it was heard."""

    id: str
    is_alive: bool
    since: datetime
    heard: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningExecution:
    """An execution that runs."""

    id: str
    task_id: str
    start_time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningExecutions:
    """How many run somewhere, and the first of them."""

    count: int
    first: list[RunningExecution] = field(default_factory=list)


async def register(connection: AsyncConnection, owner: str, worker: Worker) -> None:
    """List an owner anew, and forget those that have been dead for long."""
    now = await dialect_of(connection).now(connection)
    await connection.execute(delete(task_worker).where(_K.gone < now - SHOWN_DEAD))
    await connection.execute(delete(task_worker).where(_K.id == owner))
    queues = None if worker.queues is None else list(worker.queues)
    values = {
        "id": owner, "name": worker.name, "kind": worker.kind, "queues": queues,
        "concurrency": worker.concurrency, "since": now, "heard": now, "gone": None,
    }  # fmt: skip
    await connection.execute(insert(task_worker).values(values))


async def heard(connection: AsyncConnection, owner: str) -> None:
    """Note that an owner says it lives."""
    now = await dialect_of(connection).now(connection)
    await connection.execute(update(task_worker).where(_K.id == owner).values(heard=now, gone=None))


async def gone(connection: AsyncConnection, owner: str) -> None:
    """Note that an owner is dead, or has stopped."""
    now = await dialect_of(connection).now(connection)
    where = _K.id == owner, _K.gone.is_(None)
    await connection.execute(update(task_worker).where(*where).values(gone=now))


def waiting(
    connection: Connection, before: datetime | None = None, *, sight: Sight = ALL
) -> dict[str, Waiting]:
    """What waits of tasks in sight, by queue, and of it since `before`, where something does."""
    overdue = func.sum(case((_L.queued_at < before, 1), else_=0)) if before else literal(0)
    query = (
        select(_L.queue, func.count(), func.min(_L.queued_at), overdue)
        .where(_L.owner == QUEUE, *executions_seen(sight))
        .group_by(_L.queue)
    )
    return {
        queue: Waiting(count=count, oldest=oldest, overdue=int(late))
        for queue, count, oldest, late in connection.execute(query)
        if isinstance(queue, str) and isinstance(oldest, datetime)
    }


def places(connection: Connection) -> dict[str, int]:
    """By queue, how many executions the workers that serve it and are not gone run at a time."""
    found: Counter[str] = Counter()
    query = select(_K.queues, _K.concurrency).where(_K.kind == "worker", _K.gone.is_(None))
    for queues, concurrency in connection.execute(query):
        if isinstance(queues, list) and isinstance(concurrency, int):
            found.update({str(queue): concurrency for queue in queues})
    return found


def queued_before(connection: Connection, moment: datetime, *, limit: int) -> list[ExecutionRow]:
    """Executions that have waited in queues since before a moment, the first ones first."""
    query = select(_L.id).where(_L.owner == QUEUE, _L.queued_at < moment)
    ids = connection.execute(query.order_by(_L.queued_at, _L.id).limit(limit)).scalars().all()
    found = held(connection, ids)
    return [found[key] for key in ids if key in found]


def queued_ids(connection: Connection, queue: str, until: datetime, *, limit: int) -> Sequence[str]:
    """The ids of executions that have waited in a queue since before a moment, first ones first."""
    query = select(_L.id).where(_L.owner == QUEUE, _L.queue == queue, _L.queued_at < until)
    return connection.execute(query.order_by(_L.queued_at, _L.id).limit(limit)).scalars().all()


def reached(connection: Connection) -> dict[str, datetime]:
    """By queue, when the last one was queued of those that workers have begun lately."""
    lately = (
        select(_L.queue, _L.queued_at, _L.worker)
        .order_by(_L.start_time.desc())
        .limit(LATELY)
        .subquery()
    )
    found = lately.c
    query = select(found.queue, func.max(found.queued_at)).where(found.worker.is_not(None))
    return {
        queue: at
        for queue, at in connection.execute(query.group_by(found.queue))
        if isinstance(at, datetime)
    }


def timed_out(connection: Connection, moment: datetime, *, limit: int) -> list[ExecutionRow]:
    """Executions of workers that run though their time was over before a moment."""
    query = _timed_out(dialect_of(connection).with_index("idx_owner"))
    values = {"queue": QUEUE, "moment": moment, "limit": limit}
    return list(held(connection, connection.execute(query, values).scalars().all()).values())


# Few rows have an owner: no planner is to go through all the others.
@cache
def _timed_out(with_index: str) -> Any:
    query = text(
        f"SELECT id FROM task_execution_log {with_index} WHERE owner IS NOT NULL "
        "AND owner <> :queue AND status = 'running' AND deadline < :moment LIMIT :limit"
    )
    return query.bindparams(bindparam("moment", type_=_L.deadline.type)).columns(_L.id)


async def listed(connection: AsyncConnection, *, limit: int) -> list[Listed]:
    """Who executes, the living first, and who did until a minute ago."""
    now = await dialect_of(connection).now(connection)
    shown = or_(_K.gone.is_(None), _K.gone >= now - SHOWN_DEAD)
    query = select(task_worker, _W.lease_until).outerjoin(task_owner, _W.id == _K.id).where(shown)
    # Those of whom it is known that they are gone are the ones to leave out where there are many.
    rows = await connection.execute(query.order_by(_K.gone.is_not(None), _K.since, _K.id))
    found = []
    for row in rows:
        lease = row.lease_until if isinstance(row.lease_until, datetime) else None
        is_alive = row.gone is None and lease is not None and lease >= now
        since, heard_at = (
            one if isinstance(one, datetime) else UNKNOWN_SINCE for one in (row.since, row.heard)
        )
        # Nobody may have noticed yet, or be there to notice.
        if not is_alive and row.gone is None and (lease or heard_at) < now - SHOWN_DEAD:
            continue
        queues = row.queues if isinstance(row.queues, list) else None
        found.append(
            Listed(
                id=row.id, name=str(row.name), kind=str(row.kind),
                queues=None if queues is None else tuple(map(str, queues)),
                concurrency=row.concurrency if isinstance(row.concurrency, int) else None,
                is_alive=is_alive, since=since, heard=heard_at,
            )
        )  # fmt: skip
    found.sort(key=lambda one: not one.is_alive)
    return found[:limit]


def running(
    connection: Connection, owners: Sequence[str], *, each: int, sight: Sight = ALL
) -> dict[str, RunningExecutions]:
    """What runs at these owners, of tasks in sight: how many, and `each` of those that began first.

    Of an owner at which nothing runs there is nothing.
    """
    with_index = dialect_of(connection).with_index("idx_owner")
    seen, parameters = executions_seen_text(sight)
    counts = {
        owner: number
        for owner, number in connection.execute(
            _running_counts(with_index, seen), {"queue": QUEUE, **parameters}
        )
    }
    found = {
        owner: RunningExecutions(count=counts[owner]) for owner in owners if owner in counts
    }  # fmt: skip
    for piece in chunks(list(found), TOGETHER):
        values = {f"owner{number}": owner for number, owner in enumerate(piece)}
        query = _first_running(len(piece), with_index, seen)
        for row in connection.execute(query, {**values, "each": each, **parameters}):
            if isinstance(row.start_time, datetime):
                found[row.owner].first.append(
                    RunningExecution(id=row.id, task_id=row.task_id, start_time=row.start_time)
                )
    for some in found.values():
        some.first.sort(key=lambda one: (one.start_time, one.id))
    return found


def named(
    connection: Connection, *, executor: str, queue: str, limit: int, sight: Sight = ALL
) -> list[str]:
    """The queues that tasks in sight name; `executor` and `queue` are for tasks that name none."""
    sent = or_(_T.executor == CELERY, _T.executor.is_(None)) if executor == CELERY else (
        _T.executor == CELERY
    )  # fmt: skip
    query = (
        select(_T.queue)
        .where(LIVE, _T.retired_at.is_(None), or_(_T.queue.is_not(None), sent), *tasks_seen(sight))
        .distinct()
        .limit(limit)
    )
    found = {queue if one is None else one for one in connection.execute(query).scalars()}
    if executor == CELERY:
        found.add(queue)
    return sorted(one for one in found if isinstance(one, str))


# Few rows have an owner: no planner is to go through all the others.
@lru_cache(maxsize=50)
def _running_counts(with_index: str, seen: str) -> Any:
    return text(
        f"SELECT owner, count(*) AS number FROM task_execution_log {with_index} "
        f"WHERE owner IS NOT NULL AND owner <> :queue AND status = 'running'{seen} GROUP BY owner"
    )


@lru_cache(maxsize=TOGETHER)
def _first_running(owners: int, with_index: str, seen: str) -> Any:
    part = (
        "SELECT * FROM (SELECT owner, id, task_id, start_time FROM task_execution_log "
        f"{with_index}"
        f" WHERE owner = :owner{{0}} AND status = 'running'{seen} ORDER BY start_time, id "
        "LIMIT :each)"
        " AS part{0}"
    )
    query = " UNION ALL ".join(part.format(number) for number in range(owners))
    return text(query).columns(_L.owner, _L.id, _L.task_id, _L.start_time)
