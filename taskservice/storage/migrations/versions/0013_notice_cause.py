"""What a process asks another one for by order of somebody: by what way, and why."""

import sqlalchemy as sa

from taskservice.storage.migrations.steps import add_columns

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Adds the columns, for the audit trail."""
    add_columns("task_notice", [sa.Column("via", sa.String(10)), sa.Column("reason", sa.Text)])
