"""The tables as SQLAlchemy knows them; `schema.sql` says the same in MySQL's own words.

Times are UTC. Ids are compared byte by byte, so that a task file `Report.yaml` is not
`report.yaml` on any database.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Double,
    FetchedValue,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    literal_column,
)
from sqlalchemy.engine import Dialect

from taskservice.domain.task import FIELDS, OPTIONAL
from taskservice.storage.damage import Damaged, damaged
from taskservice.storage.dialects import mysql, sqlite
from taskservice.storage.dialects.columns import LONG_TEXT, MOMENT, NUMBER, TABLE_OPTIONS, exact


class UtcDateTime(TypeDecorator[datetime]):
    """Aware datetimes in Python, UTC without a zone and with microseconds in the table."""

    impl = MOMENT
    cache_ok = True

    @property
    def python_type(self) -> type[datetime]:
        return datetime

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"a time without a zone can't be stored: {value}")
        utc = value if value.tzinfo is UTC else value.astimezone(UTC)
        return datetime.combine(utc, utc.time())

    def result_processor(self, dialect: Dialect, coltype: object) -> Any:
        # Not by `process_result_value`, which a page of tasks would call two hundred times
        # through a function more.
        read = self.impl_instance.result_processor(dialect, coltype)
        return lambda value: _as_utc(read, value)


def _as_utc(read: Callable[[Any], Any] | None, value: Any) -> datetime | Damaged | None:
    if value is None:
        return None
    try:
        moment = value if read is None else read(value)
        # `replace` takes ten times as long.
        return datetime.combine(moment, moment.time(), UTC)
    except (ValueError, TypeError, AttributeError):
        return damaged(value)


ID = exact(36)
JSON_VALUE = JSON(none_as_null=True)
# The tables are made by the migrations alone; here it matters only that there is a default.
GIVEN = FetchedValue()
_LONGEST_STRING = 500

metadata = MetaData()


def _column(name: str) -> Column[Any]:
    """The column of an optional field, as what it holds asks for."""
    one, default = FIELDS[name].type, OPTIONAL[name]
    match one.json_type:
        case "string":
            size = 20 if one.choices else one.schema["maxLength"]
            return Column(name, String(size) if size <= _LONGEST_STRING else Text)
        case "boolean":
            return Column(name, Boolean, nullable=False, server_default=str(int(default)))
        case "number" | "integer" as kind:
            number = Double if kind == "number" else Integer
            given = None if default is None else str(default)
            return Column(name, number, server_default=given)
    return Column(name, JSON_VALUE)


_DESIGNED: list[Column[Any]] = [
    Column("id", ID, primary_key=True, comment="任务ID"),
    Column("name", String(100), nullable=False, comment="任务名称"),
    Column("task_type", String(50), nullable=False, comment="任务类型"),
    Column(
        "status", String(20), nullable=False, server_default="pending",
        comment="任务状态：pending/running/paused/completed/failed",
    ),
    Column("trigger_type", String(20), nullable=False, comment="触发器类型：date/interval/cron"),
    Column("trigger_args", JSON_VALUE, comment="触发器参数，JSON格式"),
    Column("func_path", String(255), nullable=False, comment="执行函数路径"),
    Column("func_args", JSON_VALUE, comment="函数参数，JSON格式"),
    Column("next_run_time", UtcDateTime, comment="下次运行时间"),
    Column("max_instances", Integer, server_default="1", comment="最大实例数"),
    Column("description", Text, comment="任务描述"),
    Column("create_time", UtcDateTime, nullable=False, server_default=GIVEN, comment="创建时间"),
    Column(
        "update_time", UtcDateTime, nullable=False, server_default=GIVEN, server_onupdate=GIVEN,
        comment="更新时间",
    ),
]  # fmt: skip
"""The columns of the design that started the project."""

_NAMES = {column.name for column in _DESIGNED}

task_manage = Table(
    "task_manage",
    metadata,
    *_DESIGNED,
    *(_column(name) for name in FIELDS if name not in _NAMES),
    Column("source", String(10), nullable=False, server_default="api"),
    Column("drift", String(20), nullable=False, server_default="in_sync"),
    Column("overridden", JSON_VALUE),
    Column("etag", String(32), nullable=False, server_default=""),
    Column("anchor", UtcDateTime),
    Column("last_outcome", String(20)),
    Column("retired_at", UtcDateTime),
    # Unlike update_time, which is the definition's, it moves with the overrides too; it does not
    # with executions.
    Column("changed_at", UtcDateTime),
    # Such a row is no task: what is left of its log is kept for it to be restored, or deleted. To
    # whoever only reads it is retired.
    Column("deleted_at", UtcDateTime),
    # Executions that began before are no longer the task's, and are deleted a batch at a time.
    Column("purge_before", UtcDateTime),
    Index("idx_status", "status"),
    Index("idx_next_run_time", "next_run_time"),
    Index("idx_retired_at", "retired_at"),
    # A list by id goes through this one, which SQLite would otherwise sort each time.
    Index("idx_retired_id", "retired_at", "id"),
    Index("idx_changed_at", "changed_at"),
    Index("idx_deleted_at", "deleted_at"),
    Index("idx_purge_before", "purge_before"),
    comment="定时任务管理表",
    **TABLE_OPTIONS,
)  # fmt: skip

DELETED_ROW = task_manage.c.deleted_at.is_not(None)
"""What is true of the rows of `task_manage` that are no tasks; see `deletion`."""

# Not a condition that an index is of: the planners would take it for a rare one.
LIVE = task_manage.c.deleted_at.is_(None).op("=", is_comparison=True)(literal_column("1"))
"""What is true of the others. Those that are retired neither need not be asked for it."""

task_execution_log = Table(
    "task_execution_log",
    metadata,
    Column("id", ID, primary_key=True, comment="日志ID"),
    Column(
        "task_id", ID,
        ForeignKey(
            "task_manage.id", name="fk_task_execution_log_task_id", ondelete="CASCADE"
        ),
        nullable=False, comment="任务ID",
    ),
    Column("start_time", UtcDateTime, nullable=False, server_default=GIVEN, comment="开始时间"),
    Column("end_time", UtcDateTime, comment="结束时间"),
    Column(
        "status", String(20), nullable=False, server_default="running",
        comment="状态：running/completed/failed",
    ),
    Column("result", Text, comment="执行结果"),
    Column("error", Text, comment="错误信息"),
    Column("scheduled_time", UtcDateTime),
    Column("attempt", Integer, nullable=False, server_default="1"),
    Column("folded", Integer, nullable=False, server_default="0"),
    Column("triggered_by", String(100), nullable=False, server_default="schedule"),
    Column("output", LONG_TEXT),
    # Who occupies an instance of the task: kept beyond the end while a thread can't be stopped.
    Column("owner", ID),
    # The arguments that somebody gave for this run only.
    Column("func_args", JSON_VALUE),
    # Whether this attempt is the second one after a process died with the first.
    Column("recovered", Boolean, nullable=False, server_default="0"),
    # The word that the error begins with.
    Column("error_kind", String(20)),
    # Of an execution that is sent to a worker: where to, since when, and who took it.
    Column("queue", String(100)),
    Column("queued_at", UtcDateTime),
    Column("worker", String(255)),
    # When it times out, by the database's clock: its worker may not be able to say so.
    Column("deadline", UtcDateTime),
    Index("idx_task_id", "task_id"),
    Index("idx_start_time", "start_time"),
    # On SQLite the name of an index belongs to the whole database.
    mysql.only(Index("idx_status", "status")),
    sqlite.only(Index("idx_log_status", "status")),
    Index("idx_task_start", "task_id", "start_time"),
    Index("idx_task_status_start", "task_id", "status", "start_time"),
    Index("idx_owner", "owner", "task_id"),
    UniqueConstraint("task_id", "scheduled_time", "attempt", name="uq_fire"),
    comment="任务执行日志表",
    **TABLE_OPTIONS,
)  # fmt: skip

# Most rows are of tasks that have nothing to hide: those few that have are looked up once.
VISIBLE = (
    "(task_id NOT IN (SELECT id FROM task_manage WHERE deleted_at IS NOT NULL)"
    " AND (task_id NOT IN (SELECT id FROM task_manage WHERE purge_before IS NOT NULL)"
    " OR EXISTS (SELECT 1 FROM task_manage AS purged WHERE purged.id = task_id"
    " AND purged.purge_before <= start_time)))"
)
"""What is true, as SQL, of the executions that are in the log of a task."""

task_retry = Table(
    "task_retry",
    metadata,
    Column(
        "execution_id", ID,
        ForeignKey("task_execution_log.id", name="fk_task_retry_execution_id", ondelete="CASCADE"),
        primary_key=True,
    ),
    Column("due", UtcDateTime, nullable=False),
    comment="Failed executions that will be tried again",
    **TABLE_OPTIONS,
)  # fmt: skip

task_declaration = Table(
    "task_declaration",
    metadata,
    Column("task_id", ID, primary_key=True),
    Column("source", String(10), nullable=False),
    Column("fields", JSON_VALUE, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("path", String(500)),
    Column("line", Integer),
    Column("revision", String(64)),
    Column("set_at", UtcDateTime, nullable=False),
    Column("set_by", String(100)),
    Column("seal", String(32), key="fingerprint"),
    comment="What a file, or the API at its creation, says of a task",
    **TABLE_OPTIONS,
)

task_override = Table(
    "task_override",
    metadata,
    Column("task_id", ID, primary_key=True),
    Column("field", exact(255), primary_key=True),
    # Each an object with the key "value", or without it where the field is absent.
    Column("value", JSON_VALUE, nullable=False),
    Column("declared_when_set", JSON_VALUE, nullable=False),
    Column("set_at", UtcDateTime, nullable=False),
    Column("set_by", String(100), nullable=False),
    Column("reason", Text),
    Column("until_time", UtcDateTime),
    Index("idx_until_time", "until_time"),
    comment="What the API changed of a task, field by field",
    **TABLE_OPTIONS,
)

task_owner = Table(
    "task_owner",
    metadata,
    Column("id", ID, primary_key=True),
    Column("name", String(255), nullable=False),
    Column("lease_until", UtcDateTime, nullable=False),
    # The connection that holds the scheduler's lock for it; null: it doesn't schedule.
    Column("lock_id", BigInteger),
    comment="The processes that execute tasks, and until when each is believed to live",
    **TABLE_OPTIONS,
)

task_worker = Table(
    "task_worker",
    metadata,
    # An owner's. Unlike the owner's row, which is the fence, this one is only to be shown.
    Column("id", ID, primary_key=True),
    Column("name", String(255), nullable=False),
    Column("kind", String(10), nullable=False),
    # Those that a worker serves.
    Column("queues", JSON_VALUE),
    Column("concurrency", Integer),
    Column("since", UtcDateTime, nullable=False),
    Column("heard", UtcDateTime, nullable=False),
    Column("gone", UtcDateTime),
    comment="Who executes: services and workers, the dead ones for a minute more",
    **TABLE_OPTIONS,
)

task_notice = Table(
    "task_notice",
    metadata,
    Column("id", ID, primary_key=True),
    # The owner that it is for; null: whoever schedules.
    Column("recipient", ID),
    Column("kind", String(20), nullable=False),
    # The task or the execution that it is about.
    Column("subject", ID),
    Column("said_by", String(100), nullable=False),
    # Of what somebody asks for: by what way, and why.
    Column("via", String(10)),
    Column("reason", Text),
    comment="What processes ask of each other; each is deleted when it is done",
    **TABLE_OPTIONS,
)

service_state = Table(
    "service_state",
    metadata,
    Column("name", String(50), primary_key=True),
    Column("value", JSON_VALUE, nullable=False),
    comment="What the service remembers of itself over a restart",
    **TABLE_OPTIONS,
)

# The trail outlives the tasks that it tells of. Its ids are in the order of time, so that each of
# these indexes has the newest last.
task_event = Table(
    "task_event",
    metadata,
    Column("id", ID, primary_key=True),
    Column("at", UtcDateTime, nullable=False),
    Column("task_id", ID),
    Column("action", exact(20), nullable=False),
    Column("done_by", exact(100), nullable=False),
    Column("via", String(10), nullable=False),
    Column("reason", Text),
    # Each an object with the keys field, old and new.
    Column("changes", JSON_VALUE),
    # Of what a file does: where it stands, and the commit.
    Column("path", String(500)),
    Column("line", Integer),
    Column("revision", String(64)),
    Column("author", String(200)),
    Index("idx_event_task", "task_id", "id"),
    Index("idx_event_by", "done_by", "id"),
    Index("idx_event_action", "action", "id"),
    comment="Who did what, when and why; only its age deletes a row",
    **TABLE_OPTIONS,
)

api_token = Table(
    "api_token",
    metadata,
    Column("id", ID, primary_key=True),
    Column("name", exact(64), nullable=False),
    Column("role", String(20), nullable=False),
    # A list of words, of which a task must bear one; null: all tasks.
    Column("tags", JSON_VALUE),
    # The SHA-256 of the token, in hexadecimal digits.
    Column("token_hash", exact(64), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("created_by", String(100), nullable=False),
    Column("expires_at", UtcDateTime),
    Column("last_used_at", UtcDateTime),
    Column("revoked_at", UtcDateTime),
    # True until it is revoked, then null: so one name may stand again.
    Column("lives", Boolean),
    UniqueConstraint("token_hash", name="uq_token_hash"),
    UniqueConstraint("name", "lives", name="uq_living_name"),
    comment="Tokens that were made by command, each as its SHA-256",
    **TABLE_OPTIONS,
)

task_signal = Table(
    "task_signal",
    metadata,
    # Counted by the database: those of one task are in the order in which they were committed,
    # since who writes one has the task's row locked.
    Column("id", NUMBER, primary_key=True, autoincrement=True),
    Column("task_id", ID, nullable=False),
    Column("execution_id", ID, nullable=False),
    Column("what", String(20), nullable=False),
    # The limit that will be over.
    Column("seconds", Double),
    # When to look whether it is; null: at once.
    Column("due", UtcDateTime),
    Index("idx_signal_due", "due", "id"),
    Index("idx_signal_execution", "execution_id"),
    comment="What was seen of executions, until rules have judged it",
    **TABLE_OPTIONS,
)

task_alert = Table(
    "task_alert",
    metadata,
    Column("task_id", ID, primary_key=True),
    Column("rule", exact(50), primary_key=True),
    Column("failures", Integer, nullable=False),
    Column("since", UtcDateTime),
    # The id of the message that told of the failures.
    Column("incident", ID),
    Column("remind_at", UtcDateTime),
    Index("idx_alert_remind_at", "remind_at"),
    comment="Where the rules of tasks that fail stand",
    **TABLE_OPTIONS,
)

task_silence = Table(
    "task_silence",
    metadata,
    Column("task_id", ID, primary_key=True),
    Column("reason", Text, nullable=False),
    # When it ends by itself, if the task does not recover before.
    Column("until_time", UtcDateTime),
    Column("set_at", UtcDateTime, nullable=False),
    Column("set_by", String(100), nullable=False),
    comment="Tasks of which nobody is told for a while",
    **TABLE_OPTIONS,
)

task_message = Table(
    "task_message",
    metadata,
    # Stays the same however often it is sent.
    Column("id", ID, primary_key=True),
    Column("channel", exact(40), nullable=False),
    Column("task_id", ID),
    Column("kind", String(20), nullable=False),
    Column("subject", String(300), nullable=False),
    Column("body", Text, nullable=False),
    # What a webhook is sent of it.
    Column("data", JSON_VALUE),
    Column("created_at", UtcDateTime, nullable=False),
    # waiting, sent, gathered or undeliverable.
    Column("state", String(15), nullable=False),
    # When it may be sent, or sent again: while it is in somebody's hands, when that one's time is
    # over.
    Column("due", UtcDateTime, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("tried_at", UtcDateTime),
    Column("sent_at", UtcDateTime),
    Column("answer", String(200)),
    # The message that tells of it, among others.
    Column("gathered_in", ID),
    Index("idx_message_state", "state", "channel", "due"),
    Index("idx_message_tried_at", "channel", "tried_at"),
    Index("idx_message_task", "task_id", "created_at"),
    Index("idx_message_created_at", "created_at"),
    comment="What people are told, and what became of it",
    **TABLE_OPTIONS,
)
