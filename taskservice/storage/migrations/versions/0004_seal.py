"""What a later start knows unchanged files by."""

import sqlalchemy as sa

from taskservice.storage.migrations.steps import add_columns

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Adds the seal of its file to a declaration; of those that are there, nothing is known."""
    add_columns("task_declaration", [sa.Column("seal", sa.String(32))])
