"""What was seen of executions, from the transaction that knew of it until rules have judged it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import get_args

from sqlalchemy import Connection, bindparam, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from taskservice.domain.incidents import What
from taskservice.storage.rows import chunks
from taskservice.storage.tables import task_signal

_S = task_signal.c

_ADD = insert(task_signal)
_OVER = delete(task_signal).where(
    _S.execution_id.in_(bindparam("ids", expanding=True)), _S.due > bindparam("now")
)
_NOW = select(task_signal).where(_S.due.is_(None)).order_by(_S.id)
_DUE = select(task_signal).where(_S.due <= bindparam("now")).order_by(_S.due, _S.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """Something that was seen of an execution, or (with `due`) that is to be looked at then.

    `seconds` is the limit that is over of what is late or long.
    """

    task_id: str
    execution_id: str
    what: What
    seconds: float | None = None
    due: datetime | None = None
    id: int = 0


def add(connection: Connection, signals: Sequence[Signal]) -> None:
    """Leave signals; the caller has their tasks locked, so that they stand in order."""
    rows = [
        {
            "task_id": one.task_id, "execution_id": one.execution_id, "what": one.what,
            "seconds": one.seconds, "due": one.due,
        }
        for one in signals
    ]  # fmt: skip
    for piece in chunks(rows):
        connection.execute(_ADD, list(piece))


def forget_watches(connection: Connection, execution_ids: Collection[str], now: datetime) -> None:
    """Look no more at what is over in time of these executions."""
    for piece in chunks(sorted(execution_ids)):
        connection.execute(_OVER, {"ids": piece, "now": now})


async def are_there(connection: AsyncConnection, now: datetime) -> bool:
    """Whether there is a signal to be judged by now."""
    for query in (_NOW, _DUE):
        found = await connection.execute(query.limit(1), {"now": now} if query is _DUE else {})
        if found.first() is not None:
            return True
    return False


async def take(connection: AsyncConnection, now: datetime, *, limit: int) -> list[Signal]:
    """The first signals, as many of each kind at most, in order; kept from others until the end."""
    found = []
    for query in (_NOW, _DUE):
        locked = query.limit(limit).with_for_update()
        found += list(await connection.execute(locked, {"now": now} if query is _DUE else {}))
    return [
        Signal(
            id=row.id, task_id=row.task_id, execution_id=row.execution_id, what=row.what,
            seconds=row.seconds, due=row.due if isinstance(row.due, datetime) else None,
        )
        for row in found if row.what in get_args(What)
    ]  # fmt: skip


async def drop(connection: AsyncConnection, ids: Collection[int]) -> None:
    """Delete signals that were judged."""
    for piece in chunks(sorted(ids)):
        await connection.execute(delete(task_signal).where(_S.id.in_(piece)))


async def look_again(connection: AsyncConnection, signal_id: int, due: datetime) -> None:
    """Look at something later."""
    await connection.execute(update(task_signal).where(_S.id == signal_id).values(due=due))
