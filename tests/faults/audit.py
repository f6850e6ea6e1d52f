"""What the service does to the rows of tasks, written down by the database itself."""

from tests.faults.log import query

_SQLITE = (
    "CREATE TABLE fault_audit (task_id text, event text)",
    """
    CREATE TRIGGER fault_deleted AFTER DELETE ON task_manage BEGIN
        INSERT INTO fault_audit VALUES (OLD.id, 'deleted');
    END
    """,
    """
    CREATE TRIGGER fault_retired AFTER UPDATE ON task_manage
    WHEN NEW.retired_at IS NOT NULL AND OLD.retired_at IS NULL BEGIN
        INSERT INTO fault_audit VALUES (NEW.id, 'retired');
    END
    """,
)
_MYSQL = (
    "CREATE TABLE fault_audit (task_id varchar(36), event varchar(20))",
    """
    CREATE TRIGGER fault_deleted AFTER DELETE ON task_manage
    FOR EACH ROW INSERT INTO fault_audit VALUES (OLD.id, 'deleted')
    """,
    """
    CREATE TRIGGER fault_retired AFTER UPDATE ON task_manage
    FOR EACH ROW INSERT INTO fault_audit SELECT NEW.id, 'retired' FROM DUAL
    WHERE NEW.retired_at IS NOT NULL AND OLD.retired_at IS NULL
    """,
)


def install(url: str) -> None:
    """Begin to write down; the tables must be there."""
    for statement in _SQLITE if url.startswith("sqlite") else _MYSQL:
        query(url, statement)


def events(url: str) -> list[tuple[str, str]]:
    """Each task that was deleted or retired since, and which of the two it was."""
    return [(task_id, event) for task_id, event in query(url, "SELECT * FROM fault_audit")]


def table(url: str) -> dict[str, str]:
    """The description of every declared task that is not retired, by id."""
    found = query(
        url,
        "SELECT id, description FROM task_manage WHERE source = 'file' AND retired_at IS NULL",
    )
    return {task_id: description for task_id, description in found}
