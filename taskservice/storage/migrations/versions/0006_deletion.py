"""What a deleted task is known by while its log is kept, or deleted a batch at a time."""

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from taskservice.storage.migrations.steps import add_columns, create_index

revision = "0006"
down_revision = "0005"

TIME = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")


def upgrade() -> None:
    """Adds to a task when it was deleted, and up to when its log is to be deleted."""
    add_columns("task_manage", [sa.Column("deleted_at", TIME), sa.Column("purge_before", TIME)])
    create_index("idx_deleted_at", "task_manage", "deleted_at")
    create_index("idx_purge_before", "task_manage", "purge_before")
