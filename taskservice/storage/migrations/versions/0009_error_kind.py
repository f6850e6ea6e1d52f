"""Why an execution ended as it did, as a word of its own: so far only its error began with it."""

import sqlalchemy as sa

from taskservice.storage.migrations.steps import add_columns

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Adds the column; whoever reads a row without it takes the word from its error."""
    add_columns("task_execution_log", [sa.Column("error_kind", sa.String(20))])
