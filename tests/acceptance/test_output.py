"""What a running execution prints outlives its process, and is seen from others."""

from pathlib import Path
from typing import Any

from sqlalchemy import NullPool, create_engine, select

from taskservice.storage.tables import task_execution_log
from tests.acceptance.process import ServiceProcess, wait_for
from tests.acceptance.warm import WarmService
from tests.databases import MariaDB
from tests.engine.harness import driver_url

MODULE = """
import time
def talk(lines):
    for number in range(lines):
        print(f"line {number:06}")
    time.sleep(120)
"""
TASK = {
    "id": "talk", "name": "Talk", "task_type": "t", "trigger_type": "interval",
    "trigger_args": {"weeks": 1}, "func_path": "output_jobs.talk", "func_args": {"lines": 20_000},
}  # fmt: skip


def environ(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "tasks.d").mkdir()
    (tmp_path / "output_jobs.py").write_text(MODULE)
    return {
        "TASKSERVICE_IMPORT_PATH": str(tmp_path),
        "TASKSERVICE_FUNCTIONS": "output_jobs.*",
        "TASKSERVICE_OUTPUT_LIMIT": "32KiB",
    }


def output(service: ServiceProcess, begun: dict[str, Any]) -> str:
    return str(service.get(f"/task-manage/talk/logs/{begun['id']}")["output"] or "")


def stored(database_url: str) -> str:
    """The output that stands in the only row of the log."""
    engine = create_engine(driver_url(database_url), poolclass=NullPool)
    with engine.connect() as connection:
        return str(connection.execute(select(task_execution_log.c.output)).scalar_one() or "")


def is_whole(text: str) -> bool:
    """Whether its begin and its end are there, and what lacks between them is told."""
    assert len(text) < 32 * 1024 + 100
    return (
        text.startswith("line 000000\n")
        and text.endswith("line 019999\n")
        and " bytes left out]\n" in text
    )


def test_a_killed_service_leaves_what_was_printed(database_url: str, tmp_path: Path) -> None:
    with WarmService(database_url, tmp_path / "tasks.d", environ(tmp_path)) as service:
        service.send("POST", "/task-manage/", 201, json=TASK)
        begun = service.send("POST", "/task-manage/talk/trigger", 202)
        wait_for("it has printed", lambda: is_whole(output(service, begun)))
        wait_for("its row has it", lambda: is_whole(stored(database_url)))
        service.kill()
        service.start()

        def ended() -> Any:
            found = service.get(f"/task-manage/talk/logs/{begun['id']}")
            return found if found["status"] == "failed" else None

        row = wait_for("the execution is closed", ended, seconds=45)
        assert row["error"].startswith("interrupted:")
        assert is_whole(row["output"])


def test_another_replica_shows_what_is_printed(mariadb_server: MariaDB, tmp_path: Path) -> None:
    url = mariadb_server.create_database()
    settings = environ(tmp_path)
    with (
        WarmService(url, tmp_path / "tasks.d", settings) as first,
        WarmService(url, tmp_path / "tasks.d", settings) as second,
    ):
        first.send("POST", "/task-manage/", 201, json=TASK)
        begun = first.send("POST", "/task-manage/talk/trigger", 202)
        wait_for("the other shows it", lambda: is_whole(output(second, begun)))
    mariadb_server.drop_database(url)
