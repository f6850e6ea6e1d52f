"""What a watcher finds changed tasks by."""

import sqlalchemy as sa

from taskservice.storage.migrations.steps import MOMENT, add_columns, create_index

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Adds to a task when its definition or its overrides were written last, with an index."""
    add_columns("task_manage", [sa.Column("changed_at", MOMENT)])
    create_index("idx_changed_at", "task_manage", "changed_at")
