"""The two tables of the design that started the project, as it has them.

A database that somebody made by hand from the design passes through unchanged.
"""

import sqlalchemy as sa

from taskservice.storage.migrations.steps import create_index, create_table, on_mysql

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Creates what is missing of `task_manage` and `task_execution_log`."""
    now = sa.text("CURRENT_TIMESTAMP")
    touched = sa.text("CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP") if on_mysql() else now
    create_table(
        "task_manage",
        sa.Column("id", sa.String(36), primary_key=True, comment="任务ID"),
        sa.Column("name", sa.String(100), nullable=False, comment="任务名称"),
        sa.Column("task_type", sa.String(50), nullable=False, comment="任务类型"),
        sa.Column(
            "status", sa.String(20), nullable=False, server_default="pending",
            comment="任务状态：pending/running/paused/completed/failed",
        ),
        sa.Column(
            "trigger_type", sa.String(20), nullable=False,
            comment="触发器类型：date/interval/cron",
        ),
        sa.Column("trigger_args", sa.JSON, comment="触发器参数，JSON格式"),
        sa.Column("func_path", sa.String(255), nullable=False, comment="执行函数路径"),
        sa.Column("func_args", sa.JSON, comment="函数参数，JSON格式"),
        sa.Column("next_run_time", sa.DateTime, comment="下次运行时间"),
        sa.Column("max_instances", sa.Integer, server_default="1", comment="最大实例数"),
        sa.Column("description", sa.Text, comment="任务描述"),
        sa.Column(
            "create_time", sa.DateTime, nullable=False, server_default=now, comment="创建时间"
        ),
        sa.Column(
            "update_time", sa.DateTime, nullable=False, server_default=touched, comment="更新时间"
        ),
        comment="定时任务管理表",
    )  # fmt: skip
    create_index("idx_status", "task_manage", "status")
    create_index("idx_next_run_time", "task_manage", "next_run_time")
    create_table(
        "task_execution_log",
        sa.Column("id", sa.String(36), primary_key=True, comment="日志ID"),
        sa.Column(
            "task_id", sa.String(36),
            sa.ForeignKey(
                "task_manage.id", name="fk_task_execution_log_task_id", ondelete="CASCADE"
            ),
            nullable=False, comment="任务ID",
        ),
        sa.Column(
            "start_time", sa.DateTime, nullable=False, server_default=now, comment="开始时间"
        ),
        sa.Column("end_time", sa.DateTime, comment="结束时间"),
        sa.Column(
            "status", sa.String(20), nullable=False, server_default="running",
            comment="状态：running/completed/failed",
        ),
        sa.Column("result", sa.Text, comment="执行结果"),
        sa.Column("error", sa.Text, comment="错误信息"),
        comment="任务执行日志表",
    )  # fmt: skip
    create_index("idx_task_id", "task_execution_log", "task_id")
    create_index("idx_start_time", "task_execution_log", "start_time")
    # On SQLite the name of an index belongs to the whole database.
    create_index("idx_status" if on_mysql() else "idx_log_status", "task_execution_log", "status")
