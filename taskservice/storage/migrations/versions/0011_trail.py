"""The audit trail: who did what, when and why."""

import sqlalchemy as sa

from taskservice.storage.migrations.steps import MOMENT, create_index, create_table, exact

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Adds the table, with an index for each way to look into it."""
    create_table(
        "task_event",
        sa.Column("id", exact(36), primary_key=True),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("task_id", exact(36)),
        sa.Column("action", exact(20), nullable=False),
        sa.Column("done_by", exact(100), nullable=False),
        sa.Column("via", sa.String(10), nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("changes", sa.JSON),
        sa.Column("path", sa.String(500)),
        sa.Column("line", sa.Integer),
        sa.Column("revision", sa.String(64)),
        sa.Column("author", sa.String(200)),
        comment="Who did what, when and why; only its age deletes a row",
    )
    create_index("idx_event_task", "task_event", "task_id", "id")
    create_index("idx_event_by", "task_event", "done_by", "id")
    create_index("idx_event_action", "task_event", "action", "id")
