"""Tasks as lists show them: found by a filter, and read for no more than to be shown."""

from collections import namedtuple
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache, lru_cache
from types import NoneType
from typing import Any, get_args, get_type_hints

import msgspec
from sqlalchemy import (
    JSON,
    BindParameter,
    Column,
    Connection,
    FromClause,
    Integer,
    String,
    Text,
    TextClause,
    bindparam,
    column,
    func,
    literal,
    or_,
    select,
)
from sqlalchemy import type_coerce as as_type

from taskservice.domain.overlay import Declaration, Drift
from taskservice.domain.run import TASK_STATUSES, TaskStatus
from taskservice.domain.sight import ALL, Sight
from taskservice.domain.state import TaskState
from taskservice.domain.task import FIELDS, Task
from taskservice.storage.dialects import dialect_of
from taskservice.storage.executions import select_unreturned
from taskservice.storage.rows import chunks, holds, to_json
from taskservice.storage.sight import bears, tasks_seen
from taskservice.storage.tables import LIVE, task_declaration, task_execution_log, task_manage
from taskservice.storage.task_rows import state_of

_T, _D, _L = task_manage.c, task_declaration.c, task_execution_log.c

SORTABLE = frozenset(
    column.name
    for column in task_manage.c
    if column.name
    not in ("etag", "anchor", "last_outcome", "changed_at", "deleted_at", "purge_before")
)


_DESIGNED = (
    "id", "name", "task_type", "status", "trigger_type", "trigger_args", "func_path", "func_args",
    "next_run_time", "max_instances", "description", "create_time", "update_time",
)  # fmt: skip
_NAMES = (
    *_DESIGNED, *(name for name in FIELDS if name not in _DESIGNED),
    "source", "drift", "overridden", "etag", "retired_at", "path", "line", "revision",
)  # fmt: skip


def _row() -> Any:
    return namedtuple("Shown", (*_NAMES, "unreturned"), defaults=(0,))


# Named here are those that code asks for; mypy follows no class that is made at run time.
class Shown(_row()):  # type: ignore[misc]
    """The effective task; its JSON values are as they are stored, text or (for none) None.

    `unreturned` counts its executions that were cancelled or timed out and still go on.
    """

    __slots__ = ()

    id: str
    name: str
    status: TaskStatus
    func_path: str
    func_args: str | None
    trigger_type: str
    trigger_args: str | None
    next_run_time: datetime | None
    tags: str | None
    paused: bool
    executor: str | None
    overridden: str | None
    etag: str
    retired_at: datetime | None
    path: str | None
    line: int | None
    revision: str | None
    unreturned: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which tasks a list is of: those in `sight`; a field that is None doesn't narrow it."""

    status: str | None = None
    task_type: str | None = None
    trigger_type: str | None = None
    source: str | None = None
    drift: str | None = None
    tag: str | None = None
    q: str | None = None
    task_ids: tuple[str, ...] | None = None
    retired: bool = False
    sight: Sight = ALL


_KNOWN = {column.name: column for table in (task_declaration, task_manage) for column in table.c}
_STORED_AS = [_KNOWN[name] for name in _NAMES]
# Making values of JSON, only to make JSON of them, would take as long as all the rest.
_COLUMNS = [as_type(one, Text) if isinstance(one.type, JSON) else one for one in _STORED_AS]
_IDS: BindParameter[Any] = bindparam("ids", expanding=True)


def shown(connection: Connection, ids: Collection[str]) -> dict[str, Shown]:
    """The tasks with these ids, retired ones too."""
    found = {}
    query = _showing(dialect_of(connection).with_index("idx_owner"))
    for piece in chunks(list(ids)):
        for task in _readable(connection, connection.execute(query, {"ids": piece}).all()):
            found[task.id] = task
    return found


@cache
def _showing(with_index: str) -> Any:
    counted = select_unreturned(with_index, "AND task_id IN :ids").bindparams(_IDS)
    return _select(task_manage, counted).where(_T.id.in_(_IDS), LIVE)


def _select(tasks: FromClause, unreturned: TextClause) -> Any:
    """What selects `Shown` of tasks: a second statement would cost as much as the first."""
    numbers = unreturned.columns(_L.task_id, column("number", Integer())).subquery("unreturned")
    return (
        select(*_COLUMNS, func.coalesce(numbers.c.number, 0))
        .select_from(tasks)
        .outerjoin(task_declaration, _D.task_id == _T.id)
        .outerjoin(numbers, numbers.c.task_id == _T.id)
    )


def _readable(connection: Connection, rows: Sequence[Any]) -> list[Shown]:
    """The tasks in rows; what of a task can't be read stands as if it had not been given."""
    tasks = [Shown(*row) for row in rows]
    wrong = [task.id for task in tasks if not _is_sound(task)]
    if not wrong:
        return tasks
    query = select(task_manage).where(_T.id.in_(wrong))
    states = {row.id: state_of(row) for row in connection.execute(query)}
    return [_mended(task, states[task.id]) if task.id in states else task for task in tasks]


def _mended(task: Shown, state: TaskState) -> Shown:
    path, line, revision = task.path, task.line, task.revision
    place = Declaration(
        source="api",
        fields={},
        path=path if isinstance(path, str) else None,
        line=line if isinstance(line, int) else None,
        revision=revision if isinstance(revision, str) else None,
    )
    # It is not scheduled.
    return as_written(replace(state, next_run_time=None), place, task.unreturned)


def _kinds(column: Column[Any]) -> Any:
    """What a column may hold; of JSON that it is text is known."""
    if isinstance(column.type, JSON):
        return object
    kind = column.type.python_type
    kinds = (kind, int) if kind is float else (kind,)
    return (*kinds, NoneType) if column.nullable else kinds


def _decoder(name: str) -> Callable[[str], object]:
    """What raises where a column's text is not the JSON that it should be."""
    field = FIELDS.get(name)
    if field is None or field.type.holds_words:
        return msgspec.json.Decoder(list[str]).decode
    if not field.own_override:
        return msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
    if field.type.json_type == "array":
        return msgspec.json.Decoder(str | list[dict[str, Any]] | None).decode
    return msgspec.json.Decoder(get_type_hints(Task)[name]).decode


_KINDS = [*map(_kinds, _STORED_AS), int]
_WORDS: list[tuple[int, frozenset[str | None]]] = [
    (_NAMES.index(name), frozenset(words))
    for name, words in (
        ("status", TASK_STATUSES), ("drift", get_args(Drift)), ("source", ("file", "api")),
        *(
            (name, field.type.schema["enum"])
            for name, field in FIELDS.items()
            if field.type.choices
        ),
    )
]  # fmt: skip
_OF_JSON = [(place, one.name) for place, one in enumerate(_STORED_AS) if isinstance(one.type, JSON)]
_DECODERS = [(place, _decoder(name)) for place, name in _OF_JSON]


def _is_sound(task: Shown) -> bool:
    """Whether what is shown of a task can be read."""
    if not all(map(isinstance, task, _KINDS)):
        return False
    for place, words in _WORDS:
        if task[place] not in words:
            return False
    try:
        for place, decode in _DECODERS:
            if (text := task[place]) is not None and text != "null":
                decode(text)
    except (msgspec.MsgspecError, TypeError, RecursionError):
        return False
    return True


def as_written(state: TaskState, declaration: Declaration, unreturned: int = 0) -> Shown:
    """A task as `shown` would read it back after these were written."""
    values = {
        **state.task.definition(), "overridden": state.overridden,
        "path": declaration.path, "line": declaration.line, "revision": declaration.revision,
    }  # fmt: skip
    for _, name in _OF_JSON:
        values[name] = None if values[name] is None else to_json(values[name])
    rest = {name: getattr(state, name) for name in _NAMES if name not in values}
    return Shown(**values, **rest, unreturned=unreturned)


def find(
    connection: Connection, wanted: Filter, *, sort: str, offset: int, limit: int
) -> list[Shown]:
    """A piece of the list of tasks.

    `sort` is a name of `SORTABLE`, with `-` in front for descending.
    """
    query = _finding(wanted, sort, dialect_of(connection).with_index("idx_owner"))
    place = {"offset": offset, "limit": limit}
    return _readable(connection, connection.execute(query, place).all())


def count(connection: Connection, wanted: Filter) -> int:
    """How many tasks there are in a list."""
    total: int = connection.execute(_counting(wanted)).scalar_one()
    return total


@lru_cache(maxsize=50)
def _finding(wanted: Filter, sort: str, with_index: str) -> Any:
    name = sort.removeprefix("-")

    def order(columns: Any) -> tuple[Any, Any]:
        return (columns[name].desc() if sort.startswith("-") else columns[name].asc(), columns.id)

    # The piece is cut by little: the database would sort and pass over whole rows.
    wide = select(_T.id) if name == "id" else select(_T.id, _T[name])
    cut = wide.where(*_conditions(wanted)).order_by(*order(_T))
    piece = cut.offset(bindparam("offset")).limit(bindparam("limit")).subquery("piece")
    tasks = piece.join(task_manage, _T.id == piece.c.id)
    return _select(tasks, select_unreturned(with_index)).order_by(*order(piece.c))


@lru_cache(maxsize=50)
def _counting(wanted: Filter) -> Any:
    return select(func.count()).select_from(task_manage).where(*_conditions(wanted))


def _conditions(wanted: Filter) -> list[Any]:
    retired = _T.retired_at.is_not(None) if wanted.retired else _T.retired_at.is_(None)
    where: list[Any] = [retired, LIVE] if wanted.retired else [retired]
    where += tasks_seen(wanted.sight)
    for name in ("status", "task_type", "trigger_type", "source", "drift"):
        value = getattr(wanted, name)
        if value is not None:
            where.append(_T[name] == value)
    if wanted.task_type is not None:
        # To MySQL's collations `Report` equals `report`; in their bytes they differ.
        where.append(func.hex(_T.task_type) == func.hex(literal(wanted.task_type, String())))
    if wanted.task_ids is not None:
        where.append(_T.id.in_(wanted.task_ids))
    if wanted.tag is not None:
        where.append(bears([wanted.tag]))
    if wanted.q:
        columns = (_T.id, _T.name, _T.description, _T.func_path)
        where.append(or_(*(holds(column, wanted.q) for column in columns)))
    return where
