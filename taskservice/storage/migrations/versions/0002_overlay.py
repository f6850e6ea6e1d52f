"""Declarations and overrides beside the tasks, and executions that are accounted for.

The ids become case-sensitive and the times get microseconds. Rows that are there become tasks
that the API declared; their times are taken as UTC.
"""

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

from taskservice.storage.migrations.steps import (
    ID,
    MOMENT,
    add_columns,
    create_index,
    create_table,
    exact,
    on_mysql,
)

revision = "0002"
down_revision = "0001"

FOREIGN_KEY = "fk_task_execution_log_task_id"
INTERRUPTED = "interrupted: the service was upgraded"
NOW = "CURRENT_TIMESTAMP(6)"
JSON = sa.JSON(none_as_null=True)
OUTPUT = sa.Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb")


def upgrade() -> None:
    """Brings the two tables of 0001 and their rows to the tables of this revision."""
    if on_mysql():
        _refine()
    _extend_tasks()
    _extend_log()
    _create_tables()
    # Last, in one transaction with the revision's own row: a second try finds all or nothing.
    _adopt_tasks()
    _close_executions()


def _refine() -> None:
    """Gives ids their binary collation and times their fraction."""
    keys = sa.inspect(op.get_bind()).get_foreign_keys("task_execution_log")
    if any(key["name"] == FOREIGN_KEY for key in keys):
        op.drop_constraint(FOREIGN_KEY, "task_execution_log", type_="foreignkey")
    refined: dict[str, list[tuple[str, Any, bool, str | None, str]]] = {
        "task_manage": [
            ("id", ID, False, None, "任务ID"),
            ("next_run_time", MOMENT, True, None, "下次运行时间"),
            ("create_time", MOMENT, False, NOW, "创建时间"),
            ("update_time", MOMENT, False, f"{NOW} ON UPDATE {NOW}", "更新时间"),
        ],
        "task_execution_log": [
            ("id", ID, False, None, "日志ID"),
            ("task_id", ID, False, None, "任务ID"),
            ("start_time", MOMENT, False, NOW, "开始时间"),
            ("end_time", MOMENT, True, None, "结束时间"),
        ],
    }
    for table, columns in refined.items():
        for name, kind, nullable, default, comment in columns:
            op.alter_column(
                table,
                name,
                type_=kind,
                existing_nullable=nullable,
                server_default=sa.text(default) if default else None,
                existing_comment=comment,
            )
    op.create_foreign_key(
        FOREIGN_KEY, "task_execution_log", "task_manage", ["task_id"], ["id"], ondelete="CASCADE"
    )


def _extend_tasks() -> None:
    add_columns(
        "task_manage",
        [
            sa.Column("tags", JSON),
            sa.Column("paused", sa.Boolean, nullable=False, server_default="0"),
            sa.Column("misfire_grace_time", sa.Double, server_default="3600"),
            sa.Column("coalesce", sa.Boolean, nullable=False, server_default="1"),
            sa.Column("timeout", sa.Double),
            sa.Column("retries", JSON),
            sa.Column("recover", sa.Boolean, nullable=False, server_default="0"),
            sa.Column("executor", sa.String(20)),
            sa.Column("source", sa.String(10), nullable=False, server_default="api"),
            sa.Column("drift", sa.String(20), nullable=False, server_default="in_sync"),
            sa.Column("overridden", JSON),
            sa.Column("etag", sa.String(32), nullable=False, server_default=""),
            sa.Column("anchor", MOMENT),
            sa.Column("last_outcome", sa.String(20)),
            sa.Column("retired_at", MOMENT),
        ],
    )
    create_index("idx_retired_at", "task_manage", "retired_at")


def _extend_log() -> None:
    add_columns(
        "task_execution_log",
        [
            sa.Column("scheduled_time", MOMENT),
            sa.Column("attempt", sa.Integer, nullable=False, server_default="1"),
            sa.Column("folded", sa.Integer, nullable=False, server_default="0"),
            sa.Column("triggered_by", sa.String(100), nullable=False, server_default="schedule"),
            sa.Column("output", OUTPUT),
            sa.Column("owner", ID),
            sa.Column("func_args", JSON),
            sa.Column("recovered", sa.Boolean, nullable=False, server_default="0"),
        ],
    )
    create_index("idx_task_start", "task_execution_log", "task_id", "start_time")
    create_index("idx_owner", "task_execution_log", "owner", "task_id")
    unique = sa.inspect(op.get_bind()).get_unique_constraints("task_execution_log")
    if all(key["name"] != "uq_fire" for key in unique):
        with op.batch_alter_table("task_execution_log") as batch:
            batch.create_unique_constraint("uq_fire", ["task_id", "scheduled_time", "attempt"])


def _create_tables() -> None:
    create_table(
        "task_retry",
        sa.Column(
            "execution_id", ID,
            sa.ForeignKey(
                "task_execution_log.id", name="fk_task_retry_execution_id", ondelete="CASCADE"
            ),
            primary_key=True,
        ),
        sa.Column("due", MOMENT, nullable=False),
        comment="Failed executions that will be tried again",
    )  # fmt: skip
    create_table(
        "task_declaration",
        sa.Column("task_id", ID, primary_key=True),
        sa.Column("source", sa.String(10), nullable=False),
        sa.Column("fields", JSON, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("path", sa.String(500)),
        sa.Column("line", sa.Integer),
        sa.Column("revision", sa.String(64)),
        sa.Column("set_at", MOMENT, nullable=False),
        sa.Column("set_by", sa.String(100)),
        comment="What a file, or the API at its creation, says of a task",
    )
    create_table(
        "task_override",
        sa.Column("task_id", ID, primary_key=True),
        sa.Column("field", exact(255), primary_key=True),
        sa.Column("value", JSON, nullable=False),
        sa.Column("declared_when_set", JSON, nullable=False),
        sa.Column("set_at", MOMENT, nullable=False),
        sa.Column("set_by", sa.String(100), nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("until_time", MOMENT),
        comment="What the API changed of a task, field by field",
    )
    create_index("idx_until_time", "task_override", "until_time")
    create_table(
        "task_owner",
        sa.Column("id", ID, primary_key=True),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("lease_until", MOMENT, nullable=False),
        comment="The processes that execute tasks, and until when each is believed to live",
    )
    create_table(
        "service_state",
        sa.Column("name", sa.String(50), primary_key=True),
        sa.Column("value", JSON, nullable=False),
        comment="What the service remembers of itself over a restart",
    )


def _adopt_tasks() -> None:
    """Makes each row of `task_manage` a task that the API declared."""
    tasks = sa.table(
        "task_manage",
        *(
            sa.column(name)
            for name in (
                "id", "name", "task_type", "trigger_type", "func_path", "max_instances",
                "description", "status", "last_outcome", "etag",
            )
        ),
        *(sa.column(name, JSON) for name in ("trigger_args", "func_args")),
        sa.column("paused", sa.Boolean),
        *(
            sa.column(name, MOMENT)
            for name in ("next_run_time", "create_time", "update_time", "anchor")
        ),
    )  # fmt: skip
    declarations = sa.table(
        "task_declaration",
        *(sa.column(name) for name in ("task_id", "source", "digest")),
        sa.column("fields", JSON),
        sa.column("set_at", MOMENT),
    )
    connection = op.get_bind()
    for row in connection.execute(sa.select(tasks)).mappings().all():
        fields = _declared(row)
        digest = _digest(fields)
        was_running = row["status"] == "running"
        paused = row["status"] == "paused"
        status = "failed" if was_running else row["status"]
        connection.execute(
            declarations.insert().values(
                task_id=row["id"],
                source="api",
                fields=fields,
                digest=digest,
                set_at=row["create_time"],
            )
        )
        connection.execute(
            tasks.update()
            .where(tasks.c.id == row["id"])
            .values(
                trigger_args=fields["trigger_args"],
                func_args=fields["func_args"],
                max_instances=fields["max_instances"],
                status=status,
                paused=paused,
                next_run_time=None if paused else row["next_run_time"],
                last_outcome=status if status in ("completed", "failed") else None,
                etag=digest[:32],
                anchor=row["create_time"],
                # Else MySQL would set it to the time of the migration.
                update_time=row["update_time"],
            )
        )


def _declared(row: sa.RowMapping) -> dict[str, Any]:
    fields = {
        "name": row["name"],
        "task_type": row["task_type"],
        "trigger_type": row["trigger_type"],
        "trigger_args": {} if row["trigger_args"] is None else row["trigger_args"],
        "func_path": row["func_path"],
        "func_args": {} if row["func_args"] is None else row["func_args"],
        "max_instances": 1 if row["max_instances"] is None else row["max_instances"],
        "description": row["description"],
    }
    return {**fields, "paused": True} if row["status"] == "paused" else fields


def _digest(fields: dict[str, Any]) -> str:
    text = json.dumps(fields, sort_keys=True, ensure_ascii=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _close_executions() -> None:
    """Ends the executions that were running: nobody holds them any more."""
    log = sa.table(
        "task_execution_log", sa.column("status"), sa.column("error"), sa.column("end_time", MOMENT)
    )
    now = datetime.now(UTC).replace(tzinfo=None)
    op.get_bind().execute(
        log.update()
        .where(log.c.status == "running")
        .values(status="failed", error=INTERRUPTED, end_time=now)
    )
