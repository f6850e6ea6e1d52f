"""Who executes, to be shown: services and workers; and what waits in the queues."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import (
    Connection,
    bindparam,
    case,
    delete,
    func,
    insert,
    literal,
    select,
    text,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from taskservice.storage.dialects import dialect_of
from taskservice.storage.executions import ExecutionRow, held
from taskservice.storage.owners import QUEUE
from taskservice.storage.tables import task_execution_log, task_worker

_L, _K = task_execution_log.c, task_worker.c

LATELY = 1000
"""How many executions, of all that began last, are looked at to see how far queues have come."""

SHOWN_DEAD = timedelta(seconds=60)
"""How long one that is dead is still listed."""


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


async def register(connection: AsyncConnection, owner: str, worker: Worker) -> None:
    """List an owner, unless it is listed, and forget those that have been dead for long."""
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


def waiting(connection: Connection, before: datetime | None = None) -> dict[str, Waiting]:
    """What waits, by queue, and of it since `before`; where nothing does, there is nothing."""
    overdue = func.sum(case((_L.queued_at < before, 1), else_=0)) if before else literal(0)
    query = (
        select(_L.queue, func.count(), func.min(_L.queued_at), overdue)
        .where(_L.owner == QUEUE)
        .group_by(_L.queue)
    )
    return {
        queue: Waiting(count=count, oldest=oldest, overdue=int(late))
        for queue, count, oldest, late in connection.execute(query)
        if queue is not None and isinstance(oldest, datetime)
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
