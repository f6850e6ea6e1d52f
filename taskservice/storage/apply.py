"""Writing what was resolved of tasks, in the caller's transaction."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType

from taskservice.domain.overlay import Override
from taskservice.domain.state import Resolution
from taskservice.storage import deletion, executions, signals, tasks
from taskservice.storage.database import Connection
from taskservice.storage.executions import ExecutionRow
from taskservice.storage.overrides import save_overrides
from taskservice.storage.rows import new_id
from taskservice.storage.signals import Signal


async def apply(
    connection: Connection,
    resolutions: Sequence[Resolution],
    *,
    now: datetime,
    declared_by: str | None = None,
    declare: bool = True,
    overrides: Mapping[str, Collection[Override]] = MappingProxyType({}),
) -> list[str]:
    """Write resolutions; the ids of the tasks whose row changed.

    `declare` says whether the declarations are written too, as `declared_by` made them (None:
    a file). A state that is as it was is not written. `overrides` are tasks' overrides as they
    were read with their rows locked: those that stay as they were are not written either.
    """
    changed = [r for r in resolutions if r.state != r.previous]
    # What a file declares can be restored, with its log.
    await deletion.hide(connection, [r.id for r in changed if r.state is None], now=now)
    new = {r.id: r for r in changed if r.state and not r.previous}
    # Another process may make a task of the same id at this moment: one of them fails.
    taken = await tasks.add_states(connection, [r.state for r in new.values() if r.state])
    await deletion.free_fires(connection, {one: new[one].missed for one in taken}, now=now)
    await tasks.save_states(connection, [r.state for r in changed if r.state and r.previous])
    if declare:
        declarations = {r.id: r.declaration for r in resolutions}
        await tasks.save_declarations(connection, declarations, now=now, by=declared_by)
    await save_overrides(connection, {r.id: r.overrides for r in resolutions}, overrides)
    await _record_missed(connection, resolutions, now)
    return [r.id for r in changed]


async def _record_missed(
    connection: Connection, resolutions: Sequence[Resolution], now: datetime
) -> None:
    missed = {(r.id, r.missed, 1): r for r in resolutions if r.missed}
    if not missed:
        return
    known = await connection.run_sync(
        executions.recorded, [key[0] for key in missed], [key[1] for key in missed]
    )
    rows = [
        ExecutionRow(
            id=new_id(),
            task_id=task_id,
            scheduled_time=fire,
            start_time=now,
            end_time=now,
            status="missed",
            error_kind="missed",
            error="missed: its time had passed when it was declared",
        )
        for task_id, fire, attempt in missed
        if (task_id, fire, attempt) not in known
    ]
    await connection.run_sync(executions.add, rows)
    # Whether anybody is to be told is found out by who judges it.
    seen = [Signal(task_id=one.task_id, execution_id=one.id, what="missed") for one in rows]
    await connection.run_sync(signals.add, seen)
