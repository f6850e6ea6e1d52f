"""What a deleted task is known by while its log is kept, or deleted a batch at a time."""

import sqlalchemy as sa

from taskservice.storage.migrations.steps import MOMENT, add_columns, create_index

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Adds to a task when it was deleted, and up to when its log is to be deleted."""
    add_columns("task_manage", [sa.Column("deleted_at", MOMENT), sa.Column("purge_before", MOMENT)])
    create_index("idx_deleted_at", "task_manage", "deleted_at")
    create_index("idx_purge_before", "task_manage", "purge_before")
