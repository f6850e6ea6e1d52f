"""A fire that is due and not claimed yet survives every change of its task."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from taskservice.service import Service
from taskservice.storage import executions as log
from taskservice.storage.database import Connection, Database
from taskservice.storage.executions import ExecutionRow, Progress
from tests.service.conftest import until

CHANGES: dict[str, Callable[[Service], Awaitable[object]]] = {
    "pause": lambda service: service.changes.set_paused("t", True, by="me"),
    "trigger": lambda service: service.changes.change("t", {"trigger_args": {"hours": 5}}, by="me"),
    "file": lambda service: service.syncs.sync(prune=False, by="me"),
}


@pytest.mark.parametrize("name", CHANGES)
async def test_a_due_fire_is_recorded_before_its_task_changes(
    service: Service, database_url: str, folder: Path, name: str
) -> None:
    file = folder / "t.yaml"
    file.write_text(declared(hours=3))
    await service.syncs.sync(prune=False, by="me")
    fire = datetime.now(UTC) - timedelta(seconds=1)
    # As if its time had come this moment: the table says so, the timer doesn't know yet.
    await move(database_url, fire)
    file.write_text(declared(hours=4) if name == "file" else declared(hours=3))

    await CHANGES[name](service)

    rows: list[ExecutionRow] = []

    async def ran() -> bool:
        found, *_ = await service.executions.page(
            "t", status=None, since=None, until=None, page=1, size=9
        )
        rows[:] = found
        return [row.status for row in rows] == ["completed"]

    await until(ran, 5)
    assert [row.scheduled_time for row in rows] == [fire]


def declared(hours: int) -> str:
    return f"""\
name: t
task_type: t
trigger_type: interval
trigger_args: {{hours: {hours}}}
func_path: taskservice.examples.simple_task
func_args: {{message: m}}
"""


async def move(database_url: str, fire: datetime) -> None:
    database = Database(database_url)

    async def work(connection: Connection) -> None:
        now = Progress(id="t", next_run_time=fire, status="pending", last_outcome=None)
        await connection.run_sync(log.advance, [now])

    await database.write(work)
    await database.close()
