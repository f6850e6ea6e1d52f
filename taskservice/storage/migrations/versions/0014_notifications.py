"""Who is told of what: what was seen, where rules stand, and what is to be sent."""

import sqlalchemy as sa

from taskservice.storage.migrations.steps import (
    ID,
    MOMENT,
    add_columns,
    create_index,
    create_table,
    exact,
)

revision = "0014"
down_revision = "0013"

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Adds the field of a task, and the tables."""
    add_columns("task_manage", [sa.Column("notify", sa.JSON)])
    create_table(
        "task_signal",
        sa.Column("id", NUMBER, primary_key=True, autoincrement=True),
        sa.Column("task_id", ID, nullable=False),
        sa.Column("execution_id", ID, nullable=False),
        sa.Column("what", sa.String(20), nullable=False),
        sa.Column("seconds", sa.Double),
        sa.Column("due", MOMENT),
        comment="What was seen of executions, until rules have judged it",
    )
    create_index("idx_signal_due", "task_signal", "due", "id")
    create_index("idx_signal_execution", "task_signal", "execution_id")
    create_table(
        "task_alert",
        sa.Column("task_id", ID, primary_key=True),
        sa.Column("rule", exact(50), primary_key=True),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("since", MOMENT),
        sa.Column("incident", ID),
        sa.Column("remind_at", MOMENT),
        comment="Where the rules of tasks that fail stand",
    )
    create_index("idx_alert_remind_at", "task_alert", "remind_at")
    create_table(
        "task_silence",
        sa.Column("task_id", ID, primary_key=True),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("until_time", MOMENT),
        sa.Column("set_at", MOMENT, nullable=False),
        sa.Column("set_by", sa.String(100), nullable=False),
        comment="Tasks of which nobody is told for a while",
    )
    create_table(
        "task_message",
        sa.Column("id", ID, primary_key=True),
        sa.Column("channel", exact(40), nullable=False),
        sa.Column("task_id", ID),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("subject", sa.String(300), nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("data", sa.JSON),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("state", sa.String(15), nullable=False),
        sa.Column("due", MOMENT, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("tried_at", MOMENT),
        sa.Column("sent_at", MOMENT),
        sa.Column("answer", sa.String(200)),
        sa.Column("gathered_in", ID),
        comment="What people are told, and what became of it",
    )
    create_index("idx_message_state", "task_message", "state", "channel", "due")
    create_index("idx_message_tried_at", "task_message", "channel", "tried_at")
    create_index("idx_message_task", "task_message", "task_id", "created_at")
    create_index("idx_message_created_at", "task_message", "created_at")
