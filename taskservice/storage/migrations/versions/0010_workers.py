"""Executions that workers run: where each was sent, who took it, and who executes at all."""

import sqlalchemy as sa

from taskservice.storage.migrations.steps import ID, MOMENT, add_columns, create_table

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Adds the columns, and the table of who executes."""
    add_columns("task_manage", [sa.Column("queue", sa.String(100))])
    add_columns(
        "task_execution_log",
        [
            sa.Column("queue", sa.String(100)),
            sa.Column("queued_at", MOMENT),
            sa.Column("worker", sa.String(255)),
            sa.Column("deadline", MOMENT),
        ],
    )
    create_table(
        "task_worker",
        sa.Column("id", ID, primary_key=True),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("queues", sa.JSON),
        sa.Column("concurrency", sa.Integer),
        sa.Column("since", MOMENT, nullable=False),
        sa.Column("heard", MOMENT, nullable=False),
        sa.Column("gone", MOMENT),
        comment="Who executes: services and workers, the dead ones for a minute more",
    )
