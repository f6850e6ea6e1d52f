"""What the API set of tasks, field by field. Each query takes an open connection."""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any

from sqlalchemy import bindparam, delete, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from taskservice.domain.overlay import Override
from taskservice.domain.task import UNSET
from taskservice.storage.dialects import upsert
from taskservice.storage.rows import chunks
from taskservice.storage.tables import DELETED_ROW, task_manage, task_override
from taskservice.storage.task_rows import override_of

_O, _T = task_override.c, task_manage.c

OVERRIDE = [one.label(f"override_{one.name}") for one in task_override.c]
"""The columns that `override_of` reads, by names that no other table's columns have."""

# Made once: to make a statement takes about as long as to send it.
_EVERY = select(*OVERRIDE).order_by(_O.task_id, _O.field)
_END: Any = delete(task_override).where(_O.task_id.in_(bindparam("ids", expanding=True)))


async def save_overrides(
    connection: AsyncConnection,
    overrides: Mapping[str, Collection[Override]],
    before: Mapping[str, Collection[Override]] = MappingProxyType({}),
) -> None:
    """Make these the overrides of each task; those it had before and that are not here end.

    `before` are a task's overrides as they were read in this transaction, with its row locked:
    where the caller gives them, only what changed is sent.
    """
    ended = {
        task_id
        for task_id, kept in overrides.items()
        if task_id not in before or _fields(before[task_id]) - _fields(kept)
    }
    # The very objects that were read: to Python, an override by 1 equals one by true.
    unchanged = {
        id(one) for task_id, read in before.items() if task_id not in ended for one in read
    }
    for piece in chunks(sorted(ended)):
        await connection.execute(_END, {"ids": piece})
    rows = [
        {
            "task_id": task_id,
            "field": override.field,
            "value": _boxed(override.value),
            "declared_when_set": _boxed(override.declared_when_set),
            "set_at": override.set_at,
            "set_by": override.set_by,
            "reason": override.reason,
            "until_time": override.until,
        }
        for task_id, several in overrides.items()
        for override in several
        if id(override) not in unchanged
    ]
    await upsert(connection, task_override, rows)


async def all_overrides(connection: AsyncConnection) -> dict[str, list[Override]]:
    """Every override there is, by task."""
    found: dict[str, list[Override]] = {}
    for row in await connection.execute(_EVERY):
        found.setdefault(row.override_task_id, []).append(override_of(row)[0])
    return found


async def overridden(connection: AsyncConnection) -> list[str]:
    """Tasks that have an override."""
    return list((await connection.execute(select(_O.task_id).distinct())).scalars())


async def expired(connection: AsyncConnection, now: datetime) -> list[str]:
    """Tasks with an override whose time is over, deleted tasks too but no retired ones."""
    query = (
        select(_O.task_id)
        .outerjoin(task_manage, _T.id == _O.task_id)
        .where(_O.until_time <= now, or_(_T.retired_at.is_(None), DELETED_ROW))
        .distinct()
    )
    return list((await connection.execute(query)).scalars())


def _fields(overrides: Iterable[Override]) -> set[str]:
    return {override.field for override in overrides}


def _boxed(value: object) -> dict[str, object]:
    return {} if value is UNSET else {"value": value}
