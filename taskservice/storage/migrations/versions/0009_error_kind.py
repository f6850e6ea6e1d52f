"""Why an execution ended as it did, as a word of its own: so far only its error began with it."""

import sqlalchemy as sa
from alembic import op

from taskservice.storage.migrations.steps import add_columns

revision = "0009"
down_revision = "0008"

KINDS = ("raised", "timed out", "interrupted", "skipped", "missed", "cancelled")


def upgrade() -> None:
    """Adds the column, and fills it; with many millions of executions it takes some minutes."""
    add_columns("task_execution_log", [sa.Column("error_kind", sa.String(20))])
    log = sa.table("task_execution_log", sa.column("error"), sa.column("error_kind"))
    begins = {kind: log.c.error.like(f"{kind}:%") for kind in KINDS}
    op.execute(
        log.update()
        .where(log.c.error_kind.is_(None), sa.or_(*begins.values()))
        .values(error_kind=sa.case(*((found, kind) for kind, found in begins.items())))
    )
