"""A function for the engine's tests that looks at its own rows."""

from sqlalchemy import create_engine, text

from taskservice import current_execution


def own_status(url: str) -> list[str]:
    """What another connection, by a driver that blocks, sees of this execution and its task."""
    engine = create_engine(url)
    execution = current_execution()
    keys = {"task_execution_log": execution.id, "task_manage": execution.task_id}
    try:
        with engine.connect() as connection:
            return [
                str(
                    connection.scalar(
                        text(f"SELECT status FROM {table} WHERE id = :id"), {"id": key}
                    )
                )
                for table, key in keys.items()
            ]
    finally:
        engine.dispose()
