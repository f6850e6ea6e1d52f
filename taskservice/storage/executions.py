"""Queries on executions: made for many of them at a time, in one transaction.

Those of the engine are plain functions: by `AsyncConnection.run_sync` many of them go over to the
driver at once, and the statements are made only once.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from itertools import product
from typing import Any, NamedTuple

from sqlalchemy import (
    Connection,
    TextClause,
    bindparam,
    delete,
    insert,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from taskservice.domain.run import (
    ERROR_KINDS,
    EXECUTION_STATUSES,
    NEVER_RAN,
    OPEN,
    ErrorKind,
    Outcome,
)
from taskservice.storage.damage import UNKNOWN_SINCE, Damaged, readable
from taskservice.storage.dialects import dialect_of
from taskservice.storage.owners import QUEUE, LeaseLost
from taskservice.storage.paging import counted
from taskservice.storage.rows import chunks
from taskservice.storage.tables import (
    LIVE,
    task_execution_log,
    task_manage,
    task_owner,
    task_retry,
)

_L, _T, _R, _W = task_execution_log.c, task_manage.c, task_retry.c, task_owner.c

ALONE_CHARACTERS = 2**16
"""An output of more characters is written by a statement of its own, where it is quoted once."""

_SHOWN = (
    _L.id, _L.task_id, _L.scheduled_time, _L.start_time, _L.end_time, _L.status, _L.attempt,
    _L.triggered_by, _L.folded, _L.result, _L.error, _L.queue, _L.queued_at, _L.worker,
)  # fmt: skip


_SOME = select(*_SHOWN).where(_L.id.in_(bindparam("ids", expanding=True)))
_HELD = (*_SHOWN, _L.owner, _L.func_args, _L.recovered, _L.error_kind)

# One statement for the owner's row and the tasks': the owner's is there without any task, too.
_LOCK = (
    select(
        _T.id,
        _T.etag,
        _T.next_run_time,
        _T.paused,
        _T.retired_at,
        _T.status,
        _T.last_outcome,
        _T.deleted_at,
        _T.purge_before,
    )
    .select_from(task_owner)
    .outerjoin(task_manage, _T.id.in_(bindparam("ids", expanding=True)))
    .where(_W.id == bindparam("holder"))
    .order_by(_T.id)
    .with_for_update()
)
_STILL_OPEN = select(_L.id).where(_L.id.in_(bindparam("ids", expanding=True)), _L.status.in_(OPEN))
_ENDS = select(
    _L.id, _L.task_id, _L.scheduled_time, _L.start_time, _L.end_time, _L.status, _L.attempt,
    _L.queue, _L.worker,
).where(_L.id.in_(bindparam("ids", expanding=True)))  # fmt: skip
_MINE = (
    select(_L.id)
    .where(
        _L.id.in_(bindparam("ids", expanding=True)),
        _L.owner == bindparam("holder"),
        _L.status == "running",
    )
    .with_for_update(skip_locked=True)
)
_WRITE_OUTPUT = (
    update(task_execution_log).where(_L.id == bindparam("key")).values(output=bindparam("text"))
)
_ADD = insert(task_execution_log)
_TASKS_OF = select(_L.task_id).where(_L.id.in_(bindparam("ids", expanding=True)))
_RELEASE = (
    update(task_execution_log)
    .where(
        _L.owner == bindparam("holder"),
        _L.id.in_(bindparam("ids", expanding=True)),
        _L.status.not_in(OPEN),
    )
    .values(owner=None)
)


# Few rows have an owner, but a task may have a long history: no planner is to go through that.


@cache
def _open(with_index: str) -> Any:
    columns = (
        "id, task_id, scheduled_time, start_time, status, attempt, triggered_by, folded, "
        "owner, func_args, recovered, queue, queued_at, worker"
    )
    # There may be many that wait in queues: those of other tasks are not gone through.
    query = text(
        f"SELECT {columns} FROM task_execution_log {with_index} "
        "WHERE owner IS NOT NULL AND owner <> :queue AND task_id IN :ids "
        f"UNION ALL SELECT {columns} FROM task_execution_log {with_index} "
        "WHERE owner = :queue AND task_id IN :ids"
    ).bindparams(bindparam("ids", expanding=True), queue=QUEUE)
    return query.columns(
        _L.id, _L.task_id, _L.scheduled_time, _L.start_time, _L.status, _L.attempt,
        _L.triggered_by, _L.folded, _L.owner, _L.func_args, _L.recovered, _L.queue, _L.queued_at,
        _L.worker,
    )  # fmt: skip


@cache
def _sent(with_index: str) -> Any:
    return text(
        f"SELECT id FROM task_execution_log {with_index} WHERE owner IS NOT NULL "
        "AND queue IS NOT NULL AND status IN ('queued', 'running')"
    ).columns(_L.id)


@cache
def _unreturned(with_index: str) -> Any:
    return select_unreturned(with_index, "AND task_id IN :ids").bindparams(
        bindparam("ids", expanding=True)
    )


def select_unreturned(with_index: str, narrowed: str = "") -> TextClause:
    """What selects of each task the number of its executions that have ended and not returned.

    `with_index` is as a dialect says that `idx_owner` is to be used.
    """
    return text(
        f"SELECT task_id, count(*) AS number FROM task_execution_log {with_index} "
        f"WHERE owner IS NOT NULL AND owner <> '{QUEUE}' {narrowed} AND status <> 'running' "
        "GROUP BY task_id"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionRow:
    """One row of the log. `owner` occupies an instance of the task until it is None.

    One that was sent to a `queue` is that one's (`QUEUE` is its owner) until a worker takes it.
    """

    id: str
    task_id: str
    start_time: datetime
    scheduled_time: datetime | None = None
    end_time: datetime | None = None
    status: str
    attempt: int = 1
    triggered_by: str = "schedule"
    folded: int = 0
    result: str | None = None
    error: str | None = None
    error_kind: ErrorKind | None = None
    output: str | None = None
    owner: str | None = None
    func_args: Mapping[str, Any] | None = None
    recovered: bool = False
    queue: str | None = None
    queued_at: datetime | None = None
    worker: str | None = None

    @property
    def is_open(self) -> bool:
        """Whether it has not ended."""
        return self.status in OPEN

    @property
    def ran(self) -> bool:
        """Whether it began: what was skipped did not, nor what no worker has taken from a queue."""
        return self.status not in NEVER_RAN and (self.queue is None or self.worker is not None)

    def ended(
        self, status: str, at: datetime, kind: ErrorKind | None = None, story: str = "", **more: Any
    ) -> "ExecutionRow":
        """The row as it ends, never before it began; its error is its kind and the story."""
        error = f"{kind}: {story}" if kind else None
        end = max(at, self.start_time)
        return replace(self, status=status, end_time=end, error_kind=kind, error=error, **more)


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """An execution that failed and will be tried again."""

    execution: ExecutionRow
    due: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRow:
    """What of a task's row a claim decides by.

    One that is `deleted`, and retired by that, may have executions that are still ending. Those
    from `log_begins` on are in its log, where another task had its id before.
    """

    id: str
    etag: str
    next_run_time: datetime | None
    paused: bool
    retired: bool
    status: str
    last_outcome: Outcome | None
    deleted: bool = False
    log_begins: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What an execution's begin or end leaves in its task's row."""

    id: str
    next_run_time: datetime | None
    status: str
    last_outcome: Outcome | None


def lock_tasks(connection: Connection, owner: str, ids: Collection[str]) -> dict[str, TaskRow]:
    """The rows of tasks, kept from others until the transaction ends, as the owner's own is.

    Raises `LeaseLost` where another process has closed the owner.
    """
    found = {}
    for piece in list(chunks(sorted(ids))) or [[]]:
        rows = connection.execute(_LOCK, {"holder": owner, "ids": piece}).all()
        if not rows:
            raise LeaseLost("this process was taken for dead by another one")
        for row in rows:
            if row.id is not None:
                found[row.id] = TaskRow(
                    id=row.id, etag=row.etag, next_run_time=readable(row.next_run_time),
                    paused=row.paused, retired=row.retired_at is not None, status=row.status,
                    last_outcome=row.last_outcome, deleted=row.deleted_at is not None,
                    log_begins=readable(row.purge_before),
                )  # fmt: skip
    return found


def open_rows(connection: Connection, task_ids: Collection[str]) -> dict[str, ExecutionRow]:
    """By id, the executions that occupy an instance of these tasks, whoever holds them."""
    query = _open(dialect_of(connection).with_index("idx_owner"))
    return {
        row.id: _execution(row)
        for piece in chunks(sorted(task_ids))
        for row in connection.execute(query, {"ids": piece})
    }


def unreturned(connection: Connection, task_ids: Collection[str]) -> dict[str, int]:
    """How many executions of these tasks have ended in the log and not returned, if there are any.

    Each occupies an instance: a thread that can't be stopped goes on with it.
    """
    query = _unreturned(dialect_of(connection).with_index("idx_owner"))
    return {
        task_id: count
        for piece in chunks(sorted(task_ids))
        for task_id, count in connection.execute(query, {"ids": piece})
    }


def add(connection: Connection, executions: Sequence[ExecutionRow]) -> None:
    """Insert rows; raises SQLAlchemy's IntegrityError where a fire has its row already."""
    rows = [
        {
            "id": e.id, "task_id": e.task_id, "scheduled_time": e.scheduled_time,
            "start_time": e.start_time, "end_time": e.end_time, "status": e.status,
            "attempt": e.attempt, "triggered_by": e.triggered_by, "folded": e.folded,
            "error": e.error, "error_kind": e.error_kind, "owner": e.owner,
            "func_args": None if e.func_args is None else dict(e.func_args),
            "recovered": e.recovered, "queue": e.queue, "queued_at": e.queued_at,
        }
        for e in executions
    ]  # fmt: skip
    for piece in chunks(rows):
        connection.execute(_ADD, list(piece))


def recorded(
    connection: Connection, task_ids: Collection[str], fires: Collection[datetime]
) -> set[tuple[str, datetime, int]]:
    """The task, scheduled time and attempt of rows there are already of these tasks' fires.

    It may name more than was asked for where both collections are long.
    """
    found = set()
    for ids, moments in product(chunks(sorted(task_ids)), chunks(sorted(fires))):
        query = select(_L.task_id, _L.scheduled_time, _L.attempt).where(
            _L.task_id.in_(ids), _L.scheduled_time.in_(moments)
        )
        for row in connection.execute(query):
            found.add((row.task_id, row.scheduled_time, row.attempt))
    return found


def owned(connection: Connection, owner: str, *, live: bool = False) -> dict[str, ExecutionRow]:
    """The executions that an owner holds, by id; with `live`, of tasks that are not deleted."""
    query = select(*_HELD).where(_L.owner == owner)
    if live:
        query = query.join(task_manage, _T.id == _L.task_id).where(LIVE)
    return {row.id: _execution(row) for row in connection.execute(query)}


def held(connection: Connection, ids: Sequence[str]) -> dict[str, ExecutionRow]:
    """The executions with these ids, with who holds them."""
    return {
        row.id: _execution(row)
        for piece in chunks(ids)
        for row in connection.execute(select(*_HELD).where(_L.id.in_(piece)))
    }


def sent(connection: Connection) -> list[str]:
    """The executions that wait in queues or run on workers."""
    query = _sent(dialect_of(connection).with_index("idx_owner"))
    return list(connection.execute(query).scalars())


def still_open(connection: Connection, ids: Sequence[str]) -> set[str]:
    """Those of these executions that have not ended."""
    found: set[str] = set()
    for piece in chunks(ids):
        found.update(connection.execute(_STILL_OPEN, {"ids": piece}).scalars())
    return found


def ends(connection: Connection, ids: Sequence[str]) -> list[ExecutionRow]:
    """The executions with these ids as far as it takes to see when and how they ended."""
    return [
        _execution(row)
        for piece in chunks(ids)
        for row in connection.execute(_ENDS, {"ids": piece})
    ]


def tasks_of(connection: Connection, ids: Collection[str]) -> set[str]:
    """The tasks that executions are of."""
    found: set[str] = set()
    for piece in chunks(sorted(ids)):
        found.update(connection.execute(_TASKS_OF, {"ids": piece}).scalars())
    return found


def take(connection: Connection, taken: Sequence[ExecutionRow]) -> None:
    """Write who runs executions now that were queued; the caller has locked their tasks.

    Whoever closes one locks its task too: one of the two comes first.
    """
    rows = [
        {
            "id": e.id, "status": e.status, "owner": e.owner, "worker": e.worker,
            "start_time": _stamp(e.start_time),
        }
        for e in taken
    ]  # fmt: skip
    dialect_of(connection).update_rows(connection, task_execution_log, rows)


def set_deadlines(connection: Connection, deadlines: Mapping[str, datetime]) -> None:
    """Write when executions time out that the caller has found to run, and to be its own."""
    rows = [{"id": key, "deadline": _stamp(deadline)} for key, deadline in deadlines.items()]
    dialect_of(connection).update_rows(connection, task_execution_log, rows)


def keep_output(connection: Connection, owner: str, outputs: Mapping[str, str]) -> None:
    """Write what running executions of an owner have printed so far, by id.

    Rows that are another's by now are passed over, and those that somebody changes at this
    moment: nobody waits for this, so no deadlock comes of it either.
    """
    for piece in chunks(sorted(outputs)):
        mine = connection.execute(_MINE, {"holder": owner, "ids": piece}).scalars()
        for key in mine.all():
            _write_output(connection, key, outputs[key])


def _write_output(connection: Connection, key: str, output: str) -> None:
    connection.execute(_WRITE_OUTPUT, {"key": key, "text": output})


def finish(connection: Connection, ended: Sequence[ExecutionRow]) -> None:
    """Write the end of executions that the caller has found to be its own.

    An output that is None leaves the one that was written before.
    """
    long = {e.id: e.output for e in ended if e.output and len(e.output) > ALONE_CHARACTERS}
    for key, output in long.items():
        _write_output(connection, key, output)
    rows = [
        {
            "id": e.id, "end_time": _stamp(e.end_time), "status": e.status,
            "result": e.result, "error": e.error, "error_kind": e.error_kind,
            "output": None if e.id in long else e.output, "owner": e.owner,
        }
        for e in ended
    ]  # fmt: skip
    # What was written of an output while it ran stays, where its end brings no other.
    dialect_of(connection).update_rows(connection, task_execution_log, rows, keep=["output"])


def advance(connection: Connection, progress: Sequence[Progress]) -> None:
    """Write what executions left in their tasks' rows."""
    rows = [
        {
            "id": p.id, "next_run_time": _stamp(p.next_run_time), "status": p.status,
            "last_outcome": p.last_outcome,
        }
        for p in progress
    ]  # fmt: skip
    dialect_of(connection).update_rows(connection, task_manage, rows)


def release(connection: Connection, owner: str, ids: Collection[str]) -> None:
    """Give back the instances that ended executions still occupied."""
    for piece in chunks(sorted(ids)):
        connection.execute(_RELEASE, {"holder": owner, "ids": piece})


def retries(connection: Connection) -> list[Retry]:
    """The failed executions that wait for another attempt."""
    query = select(*_HELD, _R.due).join(task_retry, _R.execution_id == _L.id)
    found = []
    for row in connection.execute(query):
        values = dict(row._mapping)
        due = values.pop("due")
        # With other arguments than it was given it is not tried again.
        if not isinstance(due, Damaged) and not isinstance(row.func_args, Damaged):
            found.append(Retry(due=due, execution=_execution_of(values)))
    return found


def save_retries(connection: Connection, due: Mapping[str, datetime]) -> None:
    """Plan another attempt of failed executions, by id."""
    for piece in chunks(sorted(due)):
        drop_retries(connection, piece)
        rows = [{"execution_id": key, "due": due[key]} for key in piece]
        connection.execute(insert(task_retry), rows)


def drop_retries(connection: Connection, ids: Collection[str]) -> None:
    """Forget planned attempts: they were made, or will not be."""
    for piece in chunks(sorted(ids)):
        connection.execute(delete(task_retry).where(_R.execution_id.in_(piece)))


async def one(connection: AsyncConnection, task_id: str, execution_id: str) -> ExecutionRow | None:
    """One execution of a task, with its output and the arguments that it was given."""
    query = select(*_SHOWN, _L.output, _L.owner, _L.func_args).where(
        _L.id == execution_id, _L.task_id == task_id
    )
    row = (await connection.execute(query)).first()
    return _execution(row) if row else None


def shown(connection: Connection, ids: Collection[str]) -> list[ExecutionRow]:
    """The executions with these ids, as a page of the log shows them, the earliest first."""
    found = []
    for piece in chunks(sorted(ids)):
        found += [_execution(row) for row in connection.execute(_SOME, {"ids": piece})]
    return sorted(found, key=lambda one: (one.start_time, one.id))


class LogPage(NamedTuple):
    """A piece of a task's log: `total` is of all of it, counted to `COUNTED` at most.

    `more` says whether there are more than that; or, of a piece that goes on after an execution,
    whether anything follows it.
    """

    items: list[ExecutionRow]
    total: int
    more: bool


async def page(
    connection: AsyncConnection,
    task_id: str,
    *,
    status: str | None,
    since: datetime | None,
    until: datetime | None,
    offset: int,
    limit: int,
    before: datetime | None = None,
    before_id: str = "",
) -> LogPage:
    """A piece of a task's log, newest first: from an offset, or after an execution.

    That one is given by its start, `before`, and its id. However long the log is, and wherever
    the piece is, only `COUNTED` rows are gone through, of an index, and those of the piece read.
    """
    where: list[Any] = [_L.task_id == task_id]
    if status is not None:
        where.append(_L.status == status)
    if since is not None:
        where.append(_L.start_time >= since)
    if until is not None:
        where.append(_L.start_time <= until)
    query = (
        select(*_SHOWN).where(*where).order_by(_L.start_time.desc(), _L.id.desc()).limit(limit + 1)
    )
    if before is None:
        query = query.offset(offset)
    else:
        earlier = or_(_L.start_time < before, _L.id < before_id)
        query = query.where(_L.start_time <= before, earlier)
    found = [_execution(row) for row in await connection.execute(query)]
    total, more = await counted(
        connection, select(_L.id).where(*where),
        found=len(found), limit=limit, offset=offset, goes_on=before is not None,
    )  # fmt: skip
    return LogPage(found[:limit], total, more)


async def start_of(connection: AsyncConnection, task_id: str, execution_id: str) -> datetime | None:
    """When an execution of a task began; None where there is none."""
    query = select(_L.start_time).where(_L.id == execution_id, _L.task_id == task_id)
    return readable((await connection.execute(query)).scalar())


async def delete_before(connection: AsyncConnection, moment: datetime, *, limit: int) -> int:
    """Delete at most `limit` executions that ended before a moment; how many it were."""
    query = (
        select(_L.id)
        .where(_L.start_time < moment, _L.end_time < moment, _L.owner.is_(None))
        .order_by(_L.start_time)
        .limit(limit)
    )
    ids = list((await connection.execute(query)).scalars())
    await delete_executions(connection, ids)
    return len(ids)


async def delete_executions(connection: AsyncConnection, ids: Sequence[str]) -> None:
    """Delete executions with the attempts that were to follow them."""
    for piece in chunks(ids):
        await connection.execute(delete(task_execution_log).where(_L.id.in_(piece)))


def _stamp(moment: datetime | None) -> str | None:
    """A time as it is stored."""
    if moment is None:
        return None
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")


def _execution(row: Any) -> ExecutionRow:
    return _execution_of(dict(row._mapping))


def _execution_of(values: dict[str, Any]) -> ExecutionRow:
    """The execution in a row; what of it can't be read counts as not given.

    Versions that have no `error_kind` leave it null: it is the word that their error begins with.
    """
    for name, (is_read, instead) in _READABLE.items():
        if name in values and not is_read(values[name]):
            values[name] = instead
    if values.get("error_kind") is None and (error := values.get("error")):
        word = error.partition(":")[0]
        values["error_kind"] = word if word in ERROR_KINDS else None
    return ExecutionRow(**values)


def _is_moment(value: object) -> bool:
    return isinstance(value, datetime)


def _is_moment_or_null(value: object) -> bool:
    return value is None or isinstance(value, datetime)


def _is_text_or_null(value: object) -> bool:
    return value is None or isinstance(value, str)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and value >= 0


_READABLE: Mapping[str, tuple[Callable[[Any], bool], Any]] = {
    "scheduled_time": (_is_moment_or_null, None),
    "start_time": (_is_moment, UNKNOWN_SINCE),
    "end_time": (_is_moment_or_null, None),
    # It ended, nobody knows how.
    "status": (frozenset(EXECUTION_STATUSES).__contains__, "failed"),
    "attempt": (_is_count, 1),
    "triggered_by": (lambda value: isinstance(value, str), "?"),
    "folded": (_is_count, 0),
    "result": (_is_text_or_null, None),
    "error": (_is_text_or_null, None),
    "error_kind": (_is_text_or_null, None),
    "output": (_is_text_or_null, None),
    "func_args": (lambda value: value is None or isinstance(value, dict), None),
    "queue": (_is_text_or_null, None),
    "queued_at": (_is_moment_or_null, None),
    "worker": (_is_text_or_null, None),
}
