"""What a task's log is read by where only executions of one status are asked for."""

from taskservice.storage.migrations.steps import create_index

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Adds the index; with many millions of executions it takes some minutes."""
    create_index("idx_task_status_start", "task_execution_log", "task_id", "status", "start_time")
