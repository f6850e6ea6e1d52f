"""Tokens that are made by command."""

import sqlalchemy as sa

from taskservice.storage.migrations.steps import MOMENT, create_table, exact

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Adds the table."""
    create_table(
        "api_token",
        sa.Column("id", exact(36), primary_key=True),
        sa.Column("name", exact(64), nullable=False),
        sa.Column("role", sa.String(20), nullable=False),
        sa.Column("tags", sa.JSON),
        sa.Column("token_hash", exact(64), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("created_by", sa.String(100), nullable=False),
        sa.Column("expires_at", MOMENT),
        sa.Column("last_used_at", MOMENT),
        sa.Column("revoked_at", MOMENT),
        sa.Column("lives", sa.Boolean),
        sa.UniqueConstraint("token_hash", name="uq_token_hash"),
        sa.UniqueConstraint("name", "lives", name="uq_living_name"),
        comment="Tokens that were made by command, each as its SHA-256",
    )
