"""Several processes on one database: who schedules, and what they tell each other."""

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from taskservice.storage.migrations.steps import add_columns, create_table

revision = "0003"
down_revision = "0002"

ID = sa.String(36).with_variant(
    mysql.VARCHAR(36, charset="utf8mb4", collation="utf8mb4_bin"), "mysql", "mariadb"
)


def upgrade() -> None:
    """Adds the scheduler's lock to the owners, and the table of notices."""
    add_columns("task_owner", [sa.Column("lock_id", sa.BigInteger)])
    create_table(
        "task_notice",
        sa.Column("id", ID, primary_key=True),
        sa.Column("recipient", ID),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("subject", ID),
        sa.Column("said_by", sa.String(100), nullable=False),
        comment="What processes ask of each other; each is deleted when it is done",
    )
