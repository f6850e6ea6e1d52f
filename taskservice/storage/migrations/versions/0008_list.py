"""What a list of tasks is read by, in the order of their ids."""

from taskservice.storage.migrations.steps import create_index

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Adds the index, by which no page of the list sorts all tasks or reads their rows."""
    create_index("idx_retired_id", "task_manage", "retired_at", "id")
