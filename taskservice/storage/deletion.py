"""The deletion of tasks: at once for everybody, of their logs a batch at a time.

A deleted task whose log has more than a few rows stays in the table, marked: its log is kept until
it is restored, or given up and deleted a batch at a time. Its id may be taken meanwhile; the new
task's log begins after `purge_before`.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Connection, delete, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from taskservice.storage import alerts
from taskservice.storage.damage import Damaged
from taskservice.storage.executions import delete_executions, open_rows
from taskservice.storage.rows import chunks
from taskservice.storage.tables import (
    DELETED_ROW,
    LIVE,
    task_execution_log,
    task_manage,
    task_retry,
)

_T, _L, _R = task_manage.c, task_execution_log.c, task_retry.c
_MARKS = (_T.deleted_at, _T.purge_before)

SHORT = 100
"""A log of at most so many executions is deleted with its task, in one statement."""

PURGES = 100
"""How many tasks whose logs are to be deleted are told at a time."""


class Purge(NamedTuple):
    """A task of whose log everything that began before a moment is to be deleted."""

    task_id: str
    before: datetime


async def hide(connection: AsyncConnection, ids: Iterable[str], *, now: datetime) -> None:
    """Delete tasks so that they can be restored, with their logs; nothing is tried again.

    To whoever reads the table they are retired: paused, and they fire no more.
    """
    for piece in chunks(sorted(set(ids))):
        await connection.execute(
            update(task_manage)
            .where(_T.id.in_(piece), LIVE)
            .values(
                deleted_at=now,
                status="paused",
                next_run_time=None,
                retired_at=func.coalesce(_T.retired_at, now),
            )
        )
        waiting = (
            select(_R.execution_id).join(task_execution_log, _L.id == _R.execution_id)
            .where(_L.task_id.in_(piece))
        )  # fmt: skip
        for some in chunks((await connection.execute(waiting)).scalars().all()):
            await connection.execute(delete(task_retry).where(_R.execution_id.in_(some)))
        await alerts.forget(connection, piece)


async def discard(connection: AsyncConnection, ids: Iterable[str], *, now: datetime) -> None:
    """Delete tasks for good: at once where their logs are short, else `purge` does the rest.

    Executions that somebody holds are gone at once, as the tasks are.
    """
    ids = sorted(set(ids))
    await hide(connection, ids, now=now)
    for task_id in ids:
        of_it = _L.task_id == task_id
        few = select(_L.id).where(of_it).limit(SHORT + 1)
        if len((await connection.execute(few)).all()) <= SHORT:
            await connection.execute(delete(task_manage).where(_T.id == task_id))
            continue
        held = await connection.run_sync(open_rows, [task_id])
        await delete_executions(connection, list(held))
        newest = select(_L.start_time).where(of_it).order_by(_L.start_time.desc()).limit(1)
        last = (await connection.execute(newest)).scalar() or now
        before = last + timedelta(microseconds=1)
        await connection.execute(
            update(task_manage).where(_T.id == task_id).values(purge_before=before)
        )


async def hidden(
    connection: AsyncConnection, ids: Collection[str], *, before: datetime | None = None
) -> set[str]:
    """Which of these ids have the row of a deleted task, or of one deleted at or before a moment.

    The rows are kept from others until the transaction ends.
    """
    found: set[str] = set()
    since = DELETED_ROW if before is None else _T.deleted_at <= before
    for piece in chunks(sorted(ids)):
        query = select(_T.id).where(_T.id.in_(piece), since).with_for_update()
        found.update((await connection.execute(query)).scalars())
    return found


async def free_fires(
    connection: AsyncConnection, missed: Mapping[str, datetime | None], *, now: datetime
) -> None:
    """Delete of logs that are given up what is in the way of the tasks that took their ids.

    `missed` is, by task, a fire before `now` that is to be recorded, if there is one.
    """
    for task_id, fire in missed.items():
        given_up = select(_T.purge_before).where(_T.id == task_id).scalar_subquery()
        at = _L.scheduled_time >= now
        await connection.execute(
            delete(task_execution_log).where(
                _L.task_id == task_id,
                at if fire is None else or_(at, _L.scheduled_time == fire),
                _L.start_time < given_up,
            )
        )


async def deleted_before(connection: AsyncConnection, moment: datetime, *, limit: int) -> list[str]:
    """Some tasks that were deleted at or before a moment and whose logs are still kept."""
    query = select(_T.id).where(_T.deleted_at <= moment, _T.purge_before.is_(None)).limit(limit)
    return list((await connection.execute(query)).scalars())


async def give_up(
    connection: AsyncConnection, *, ids: Collection[str], before: datetime, now: datetime
) -> None:
    """Have the logs deleted of these tasks, as far as they were deleted before and still are."""
    await discard(connection, await hidden(connection, ids, before=before), now=now)


async def unreadable_marks(connection: AsyncConnection) -> list[str]:
    """Tasks with a mark of deletion that can't be read: it is taken for none."""
    query = select(_T.id, *_MARKS).where(or_(*(mark.is_not(None) for mark in _MARKS)))
    return [row.id for row in await connection.execute(query) if _unreadable(row)]


async def unmark(connection: AsyncConnection, ids: Collection[str]) -> list[str]:
    """Take away the marks of deletion of these tasks that can't be read: the log is there again.

    Gives back those that had one.
    """
    found = []
    for task_id in ids:
        query = select(*_MARKS).where(_T.id == task_id).with_for_update()
        row = (await connection.execute(query)).first()
        if row and (wrong := _unreadable(row)):
            await connection.execute(
                update(task_manage).where(_T.id == task_id).values(dict.fromkeys(wrong))
            )
            found.append(task_id)
    return found


def _unreadable(row: Any) -> list[str]:
    return [mark.name for mark in _MARKS if isinstance(row._mapping[mark.name], Damaged)]


async def purges(connection: AsyncConnection) -> list[Purge]:
    """Some of what is to be deleted of logs."""
    query = select(_T.id, _T.purge_before).where(_T.purge_before.is_not(None)).limit(PURGES)
    rows = await connection.execute(query)
    return [Purge(*row) for row in rows if isinstance(row.purge_before, datetime)]


async def purge(connection: AsyncConnection, wanted: Purge, *, limit: int) -> bool:
    """Delete at most `limit` executions of what is to be deleted; whether nothing is left of it.

    With the last of them the row of a deleted task goes.
    """
    task_id, before = wanted
    rows = (
        select(_L.id)
        .where(_L.task_id == task_id, _L.start_time < before)
        .order_by(_L.start_time)
        .limit(limit)
    )
    ids = (await connection.execute(rows)).scalars().all()
    await delete_executions(connection, ids)
    if len(ids) == limit:
        return False
    # Somebody may take the id at this moment, and may even have deleted that task again.
    known = select(_T.deleted_at).where(_T.id == task_id, _T.purge_before == before)
    row = (await connection.execute(known.with_for_update())).first()
    if row is None:
        return True
    if row.deleted_at is not None:
        await connection.execute(delete(task_manage).where(_T.id == task_id))
    else:
        await connection.execute(
            update(task_manage)
            .where(_T.id == task_id)
            .values(purge_before=None, update_time=_T.update_time)
        )
    return True


def log_begins(connection: Connection, ids: Collection[str]) -> dict[str, datetime]:
    """By task, from when on executions are in its log, of those whose id had another's log."""
    query = select(_T.id, _T.purge_before).where(_T.purge_before.is_not(None))
    return {
        task_id: moment
        for piece in chunks(sorted(ids))
        for task_id, moment in connection.execute(query.where(_T.id.in_(piece)))
        if isinstance(moment, datetime)
    }
