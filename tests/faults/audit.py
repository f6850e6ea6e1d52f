"""A folder and the table that must follow it; what the service does to the rows on the way is
written down by the database itself."""

import time
from collections.abc import Mapping
from pathlib import Path

from tests.acceptance.process import wait_for
from tests.faults.lab import Lab, write_file
from tests.faults.log import query

AGREES_LIMIT = 120.0
"""What is promised is 35 s, on a machine at rest."""

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


def agrees(lab: Lab, content: Mapping[str, str]) -> float:
    """Wait until the table says what the folder says; how long that took."""
    began = time.monotonic()
    wait_for(
        "the table is a function of the folder",
        lambda: table(lab.url) == content,
        seconds=AGREES_LIMIT,
        every=0.2,
    )
    return time.monotonic() - began


def write_tasks(folder: Path, content: Mapping[str, str]) -> None:
    """A file for each task, whose description tells its version."""
    folder.mkdir(exist_ok=True)
    for task_id, description in content.items():
        write_file(folder / f"{task_id}.yaml", task_text(description))


def task_text(description: str) -> str:
    """A sound file of a task that does not fire for long."""
    return (
        "name: n\ntask_type: t\ntrigger_type: date\n"
        'trigger_args: {run_date: "2999-01-01T00:00:00Z"}\n'
        "func_path: taskservice.examples.simple_task\nfunc_args: {message: m}\n"
        f'description: "{description}"\n'
    )
