"""Queries on tasks and their declarations. Each takes an open connection."""

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Connection,
    Row,
    and_,
    bindparam,
    delete,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from taskservice.domain.errors import Fault
from taskservice.domain.overlay import DELETED, Declaration, Override, digest, merge
from taskservice.domain.plan import StoredDeclaration
from taskservice.domain.sight import ALL, Sight
from taskservice.domain.state import TaskState
from taskservice.storage.deletion import hidden
from taskservice.storage.dialects import upsert
from taskservice.storage.overrides import OVERRIDE
from taskservice.storage.rows import chunks
from taskservice.storage.sight import tasks_seen
from taskservice.storage.tables import (
    LIVE,
    task_declaration,
    task_manage,
    task_override,
)
from taskservice.storage.task_rows import columns_of, declaration_of, override_of, state_of

_T, _D, _O = task_manage.c, task_declaration.c, task_override.c
_PLACE = (_D.path, _D.line, _D.revision)

# Made once: to make a statement takes about as long as to send it.
_IDS: Any = bindparam("ids", expanding=True)
_LISTED = (
    select(task_manage, *_PLACE)
    .outerjoin(task_declaration, _D.task_id == _T.id)
    .where(_T.id.in_(_IDS), LIVE)
)
# Deleted ones too: a caller may have to lock them.
_STATES = select(task_manage).where(_T.id.in_(_IDS)).order_by(_T.id)
_STATES_LOCKED = _STATES.with_for_update()
_TAGS = select(_T.id, _T.tags).where(_T.id.in_(_IDS), LIVE)
_DECLARED = select(task_declaration).where(_D.task_id.in_(_IDS))
# Not joined to the declaration: it would come once more with each of its overrides.
_OVERRIDES = select(*OVERRIDE).where(_O.task_id.in_(_IDS)).order_by(_O.task_id, _O.field)
_STORED: Any = (
    select(
        _D.task_id, _D.source, _D.digest, _D.path, _D.line, _D.fingerprint, _T.retired_at, _O.field
    )
    .select_from(task_declaration)
    .outerjoin(task_manage, and_(_T.id == _D.task_id, LIVE))
    .outerjoin(task_override, and_(_O.task_id == _D.task_id, _O.field == DELETED))
)
_STORED_OF: Any = _STORED.where(_D.task_id.in_(_IDS))
_STORED_AFTER: Any = (
    _STORED.where(_D.task_id > bindparam("after"), _D.source == "file")
    .order_by(_D.task_id)
    .limit(bindparam("count"))
)
_IDS_AFTER = (
    select(_T.id).where(_T.id > bindparam("after"), LIVE).order_by(_T.id).limit(bindparam("count"))
)
_FIRES_AFTER = (
    select(_T.id, _T.etag, _T.next_run_time)
    .where(_T.id > bindparam("after"), _T.next_run_time.is_not(None))
    .order_by(_T.id)
    .limit(bindparam("count"))
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredTask:
    """All that is stored of a task; `state` is None where the API deleted a declared one.

    `removed` is then its state, retired, for as long as it can be restored with its log. `faults`
    are what could not be read of it, in any of its rows.
    """

    state: TaskState | None
    removed: TaskState | None = None
    declaration: Declaration
    declared_at: datetime
    declared_by: str | None
    overrides: tuple[Override, ...] = ()
    faults: tuple[Fault, ...] = ()

    @property
    def tags(self) -> tuple[str, ...]:
        """The tags that it bears, or would, were it restored."""
        if self.state is not None:
            return self.state.task.tags
        tags = merge(self.declaration, self.overrides).get("tags")
        return tuple(map(str, tags)) if isinstance(tags, list | tuple) else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A task as a list shows it: its state, and where it is declared.

    `log_begins` is from when on executions are in its log, where its id had another's log.
    """

    state: TaskState
    log_begins: datetime | None = None
    path: str | None = None
    line: int | None = None
    revision: str | None = None


async def load(
    connection: AsyncConnection, ids: Sequence[str], *, lock: bool = False
) -> dict[str, StoredTask]:
    """What is stored of the tasks with these ids; `lock` keeps others from changing them."""
    found: dict[str, StoredTask] = {}
    for piece in chunks(sorted(set(ids))):
        # The task's row is locked first, and always in the order of ids.
        states, removed = {}, {}
        for one in (await connection.execute(_states(lock), {"ids": piece})).all():
            if one.deleted_at is None:
                states[one.id] = state_of(one)
            elif one.purge_before is None:
                removed[one.id] = state_of(one)
        rows = (await connection.execute(_DECLARED, {"ids": piece})).all()
        # Of a task that is there its row says whether it has any.
        some = [row.task_id for row in rows if _may_be_overridden(states.get(row.task_id))]
        overrides: dict[str, list[Override]] = {}
        faults: dict[str, list[Fault]] = {}
        if some:
            several = (await connection.execute(_OVERRIDES, {"ids": some})).partitions(_AT_ONCE)
            for partition in several:
                for row in partition:
                    task_id = row.override_task_id
                    override, wrong = override_of(row, states.get(task_id))
                    overrides.setdefault(task_id, []).append(override)
                    faults.setdefault(task_id, []).extend(wrong)
                await asyncio.sleep(0)  # others have their turn
        for row in rows:
            state = states.get(row.task_id)
            declaration, at, by, wrong = declaration_of(row, state)
            found[row.task_id] = StoredTask(
                state=state,
                removed=removed.get(row.task_id),
                declaration=declaration,
                declared_at=at,
                declared_by=by,
                faults=(*(state.faults if state else ()), *wrong, *faults.get(row.task_id, ())),
                overrides=tuple(sorted(overrides.get(row.task_id, ()), key=lambda o: o.field)),
            )  # fmt: skip
    return found


_AT_ONCE = 500
"""Overrides that are read before others have their turn."""


def _may_be_overridden(state: TaskState | None) -> bool:
    return state is None or bool(state.overridden or state.faults)


async def seen(connection: AsyncConnection, ids: Collection[str], sight: Sight) -> frozenset[str]:
    """Those of these tasks that are in sight, deleted ones too that can be restored."""
    if not sight.is_narrowed:
        return frozenset(ids)
    found: set[str] = set()
    for piece in chunks(sorted(ids)):
        rows = (await connection.execute(_TAGS, {"ids": piece})).all()
        found |= {row.id for row in rows if isinstance(row.tags, list) and sight.sees(row.tags)}
        rest = set(piece) - {row.id for row in rows}
        stored = await load(connection, list(rest)) if rest else {}
        found |= {task_id for task_id, task in stored.items() if sight.sees(task.tags)}
    return frozenset(found)


async def ids_seen(connection: AsyncConnection, sight: Sight) -> set[str]:
    """The ids of all tasks in sight, retired ones too."""
    return set((await connection.execute(select(_T.id).where(LIVE, *tasks_seen(sight)))).scalars())


async def states_of(
    connection: AsyncConnection, ids: Sequence[str], *, lock: bool = False
) -> dict[str, TaskState]:
    """The states of the tasks with these ids, retired ones too."""
    found: dict[str, TaskState] = {}
    for piece in chunks(sorted(ids)):
        for row in await connection.execute(_states(lock), {"ids": piece}):
            if row.deleted_at is None:
                found[row.id] = state_of(row)
    return found


async def fires_known(
    connection: AsyncConnection, task_id: str, count: int
) -> dict[str, tuple[str, datetime]]:
    """Of the first `count` tasks after this id that have a next fire: their etag, and that fire.

    They are in the order of their ids.
    """
    rows = await connection.execute(_FIRES_AFTER, {"after": task_id, "count": count})
    return {row.id: (row.etag, row.next_run_time) for row in rows}


async def ids_after(connection: AsyncConnection, task_id: str, count: int) -> list[str]:
    """The first `count` ids of tasks after this one, in their order."""
    rows = await connection.execute(_IDS_AFTER, {"after": task_id, "count": count})
    return list(rows.scalars())


async def add_states(connection: AsyncConnection, states: Sequence[TaskState]) -> list[str]:
    """Write states of tasks that are new; SQLAlchemy's IntegrityError where one is there.

    Gives back the ids whose rows were of deleted tasks.
    """
    taken = await hidden(connection, [state.id for state in states])
    await save_states(connection, [state for state in states if state.id in taken])
    for piece in chunks([state for state in states if state.id not in taken]):
        await connection.execute(insert(task_manage), [columns_of(state) for state in piece])
    return sorted(taken)


async def save_states(connection: AsyncConnection, states: Iterable[TaskState]) -> None:
    """Write states as they are, new or not, or of tasks that were deleted."""
    await upsert(connection, task_manage, [columns_of(state) for state in states])


async def save_declarations(
    connection: AsyncConnection,
    declarations: Mapping[str, Declaration],
    *,
    now: datetime,
    by: str | None,
) -> None:
    """Write declarations by task id, as made `now` by the API's caller `by` (None: by a file)."""
    rows = [
        {
            "task_id": task_id,
            "source": declaration.source,
            "fields": dict(declaration.fields),
            "digest": digest(declaration.fields),
            "path": declaration.path,
            "line": declaration.line,
            "revision": declaration.revision,
            "fingerprint": declaration.fingerprint,
            "set_at": now,
            "set_by": by,
        }
        for task_id, declaration in declarations.items()
    ]
    await upsert(connection, task_declaration, rows)


async def save_revision(
    connection: AsyncConnection, ids: Sequence[str], revision: str | None
) -> None:
    """Note the commit at which files declare these tasks as they are stored."""
    for piece in chunks(ids):
        where = _D.task_id.in_(piece), _D.source == "file"
        await connection.execute(update(task_declaration).where(*where).values(revision=revision))


async def forget(connection: AsyncConnection, ids: Sequence[str]) -> None:
    """Delete what is declared and overridden of tasks."""
    for piece in chunks(ids):
        await connection.execute(delete(task_override).where(_O.task_id.in_(piece)))
        await connection.execute(delete(task_declaration).where(_D.task_id.in_(piece)))


async def declared(
    connection: AsyncConnection, ids: Sequence[str] | None = None
) -> dict[str, StoredDeclaration]:
    """By id, what planning needs of the tasks, or of these, that a file or the API declared."""
    if ids is None:
        return {row.task_id: _stored(row) for row in await connection.execute(_STORED)}
    found: dict[str, StoredDeclaration] = {}
    for piece in chunks(ids):
        rows = await connection.execute(_STORED_OF, {"ids": piece})
        found |= {row.task_id: _stored(row) for row in rows}
    return found


async def declared_after(
    connection: AsyncConnection, task_id: str, count: int
) -> dict[str, StoredDeclaration]:
    """The same of the first `count` tasks after this id that files declared, in that order."""
    query = {"after": task_id, "count": count}
    return {row.task_id: _stored(row) for row in await connection.execute(_STORED_AFTER, query)}


async def retired_before(connection: AsyncConnection, moment: datetime, *, limit: int) -> list[str]:
    """Some tasks that were retired at or before a moment."""
    query = select(_T.id).where(_T.retired_at <= moment, LIVE).limit(limit)
    return list((await connection.execute(query)).scalars())


async def retired(connection: AsyncConnection, sight: Sight = ALL) -> list[Listed]:
    """Tasks in sight that wait to be pruned, the earliest first."""
    where = _T.retired_at.is_not(None), LIVE, *tasks_seen(sight)
    query = _listed().where(*where).order_by(_T.retired_at, _T.id)
    found = [_listing(row) for row in await connection.execute(query)]
    return [listed for listed in found if listed.state.retired_at]


async def drift_counts(connection: AsyncConnection, sight: Sight = ALL) -> dict[str, int]:
    """How many tasks in sight that files declare are in each drift, retired ones apart."""
    query = (
        select(_T.drift, func.count())
        .where(_T.source == "file", _T.retired_at.is_(None), *tasks_seen(sight))
        .group_by(_T.drift)
    )
    counts = {"in_sync": 0, "overridden": 0, "conflict": 0}
    return counts | {drift: count for drift, count in await connection.execute(query)}


def listed(connection: Connection, ids: Collection[str]) -> dict[str, Listed]:
    """The tasks with these ids with their places, retired ones too."""
    found = {}
    for piece in chunks(list(ids)):
        for row in connection.execute(_LISTED, {"ids": piece}):
            found[row.id] = _listing(row)
    return found


def _states(lock: bool) -> Any:
    return _STATES_LOCKED if lock else _STATES


def _stored(row: Row[Any]) -> StoredDeclaration:
    return StoredDeclaration(
        source=row.source, digest=row.digest, path=row.path, line=row.line,
        retired_at=row.retired_at, deleted=row.field is not None, fingerprint=row.fingerprint,
    )  # fmt: skip


def _listed() -> Any:
    return select(task_manage, *_PLACE).outerjoin(task_declaration, _D.task_id == _T.id)


def _listing(row: Row[Any]) -> Listed:
    return Listed(
        state=state_of(row), path=row.path, line=row.line, revision=row.revision,
        log_begins=row.purge_before if isinstance(row.purge_before, datetime) else None,
    )  # fmt: skip
