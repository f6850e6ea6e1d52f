"""What the storage tests share: made-up rows, and the statements that a piece of work sends."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import event

from taskservice.domain.rules import NOTIFY
from taskservice.domain.state import TaskState
from taskservice.domain.task import Retries, Task
from taskservice.storage import executions as log
from taskservice.storage import tasks as store
from taskservice.storage.database import Database
from taskservice.storage.executions import ExecutionRow
from taskservice.storage.shown import Shown


def is_sqlite(database: Database) -> bool:
    """Whether a test runs on SQLite, where it has other words for the same question."""
    return database.url.get_backend_name() == "sqlite"


NOW = datetime(2026, 3, 4, 5, 6, 7, 123456, tzinfo=UTC)

MANY = 1500
"""More rows than one statement takes."""

UGLY = (
    'it\'s "quoted" \\ \\n `x` \r\n\t two\n中文，😀 %s %% %(a)s :name ? ${HOME} -- ; /* */'
    " \x01\x1f\x7f\u2028 before\x00after </b> "
)
"""Text that quoting, JSON or a narrow character set would harm."""


def make_state(task_id: str = "notice", **changes: Any) -> TaskState:
    """A task's state; a change that names a field of `Task` goes there."""
    fields: dict[str, Any] = {
        "name": "定时通知任务",
        "task_type": "notification",
        "trigger_type": "cron",
        "trigger_args": {"hour": "9", "minute": "0"},
        "func_path": "taskservice.examples.notification_task",
    }
    state: dict[str, Any] = {
        "source": "file", "drift": "in_sync", "overridden": (), "etag": "etag", "anchor": NOW,
        "next_run_time": NOW, "status": "pending", "create_time": NOW, "update_time": NOW,
    }  # fmt: skip
    for name, value in changes.items():
        (fields if name in Task.__dataclass_fields__ else state)[name] = value
    return TaskState(id=task_id, task=Task(**fields), **state)


def make_execution(execution_id: str, task_id: str = "notice", **changes: Any) -> ExecutionRow:
    """A running execution that `me` holds, by hand unless a scheduled time is given."""
    fields: dict[str, Any] = {
        "scheduled_time": None, "start_time": NOW, "status": "running", "owner": "me",
    }  # fmt: skip
    return ExecutionRow(id=execution_id, task_id=task_id, **{**fields, **changes})


def later(seconds: float) -> datetime:
    """`NOW` and some seconds."""
    return NOW + timedelta(seconds=seconds)


FULL = make_state(
    "Full-任务",
    name="每天 'n' \"q\" 😀",
    description=UGLY,
    task_type="another",
    func_path="a.b:c",
    trigger_type="interval",
    trigger_args={"seconds": 1.5, "start_date": "2026-01-01T00:00:00+08:00", "空": None},
    func_args={"message": UGLY, "deep": [{"a": {}}, [], None, True], "big": 2**63 - 1, "": ""},
    max_instances=7,
    tags=("日报", "b", "a"),
    paused=True,
    misfire_grace_time=0.25,
    coalesce=False,
    timeout=1e9,
    retries=Retries(max=3, delay=0.1, backoff=2, max_delay=600),
    recover=True,
    executor="process",
    queue="reports.eu-1",
    notify=NOTIFY.parse("ops"),
    source="api",
    drift="conflict",
    overridden=("func_args.message", "trigger"),
    etag="0123456789abcdef0123456789abcdef",
    anchor=later(1.000001),
    next_run_time=later(2.999999),
    status="running",
    last_outcome="cancelled",
    retired_at=later(3),
    create_time=later(4),
    update_time=later(5),
)

_BLOCKS: ContextVar[tuple[int, ...]] = ContextVar("_BLOCKS", default=())


async def save(database: Database, *states: TaskState) -> None:
    """Write states in a transaction of their own."""
    await database.write(lambda connection: store.save_states(connection, states))


async def record(database: Database, *executions: ExecutionRow) -> None:
    """Insert executions in a transaction of their own."""
    await database.write(lambda connection: connection.run_sync(log.add, executions))


@contextmanager
def statements(
    database: Database, *, reads: bool = False, of_all: bool = False
) -> Iterator[list[str]]:
    """The statements that the block sends, by `Database.write` or, `reads`, `read`.

    Those of what it begins are among them; those of what ran before it, as a service's looks at
    its tables, are so only `of_all`.
    """
    sent: list[str] = []
    token = _BLOCKS.set((*_BLOCKS.get(), id(sent)))

    def note(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        if of_all or id(sent) in _BLOCKS.get():
            sent.append(statement)

    engine = (database.connections.read if reads else database.engine).sync_engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(engine, "before_cursor_execute", note)
        _BLOCKS.reset(token)


def values(task: Shown) -> dict[str, Any]:
    """A task as it is shown, with its JSON as values: MySQL has other texts for the same."""
    found: dict[str, Any] = task._asdict()
    for name in ("trigger_args", "func_args", "tags", "retries", "overridden"):
        found[name] = None if found[name] is None else json.loads(found[name])
    return found
