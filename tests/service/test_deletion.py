"""Tasks that are deleted: gone at once, while a long log follows a little at a time."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import event, func, select, update

from taskservice.domain.errors import NotFound
from taskservice.service import Service
from taskservice.service.pace import Pace
from taskservice.storage import executions as log
from taskservice.storage.database import Connection, Database
from taskservice.storage.executions import ExecutionRow
from taskservice.storage.rows import new_id
from taskservice.storage.tables import task_execution_log, task_manage
from tests.service.conftest import AT_ONCE, until

LONG = 2500

FILE = """\
name: t
task_type: t
trigger_type: interval
trigger_args: {hours: 1}
func_path: taskservice.examples.simple_task
func_args: {message: m}
"""
FIELDS = {
    "id": "t", "name": "t", "task_type": "t", "trigger_type": "interval",
    "trigger_args": {"hours": 1}, "func_path": "taskservice.examples.simple_task",
    "func_args": {"message": "m"},
}  # fmt: skip


async def ran(database_url: str, count: int = LONG) -> None:
    """Have the task's log say that it ran so often."""
    database = Database(database_url)
    begin = datetime.now(UTC) - timedelta(days=1)
    rows = [
        ExecutionRow(
            id=new_id(), task_id="t", start_time=begin + timedelta(seconds=number),
            end_time=begin + timedelta(seconds=number), status="completed",
        )
        for number in range(count)
    ]  # fmt: skip
    await database.write(lambda connection: connection.run_sync(log.add, rows))
    await database.close()


async def rows_of(database_url: str) -> tuple[int, int]:
    """How many rows the database has of the task, and of its log."""
    database = Database(database_url)
    tasks = select(func.count()).where(task_manage.c.id == "t")
    executions = select(func.count()).where(task_execution_log.c.task_id == "t")
    async with database.read() as connection:
        left = (await connection.execute(tasks)).scalar_one()
        count = (await connection.execute(executions)).scalar_one()
    await database.close()
    return left, count


async def total(service: Service) -> int:
    _, found, _ = await service.executions.page(
        "t", status=None, since=None, until=None, page=1, size=1
    )
    return found


async def test_a_deleted_task_is_gone_at_once_and_its_long_log_soon(
    service: Service, database_url: str
) -> None:
    await service.changes.create(FIELDS, by="ann")
    await ran(database_url)
    biggest = deleted_at_once(service.database)
    await service.changes.delete("t", by="ann")
    for ask in (
        service.tasks.show,
        service.tasks.get,
        service.tasks.yaml,
        lambda one: service.tasks.fires(one, 1),
    ):
        with pytest.raises(NotFound):
            await ask("t")
    with pytest.raises(NotFound):
        await total(service)
    # The id is free, and what comes has a log of its own.
    await service.changes.create({**FIELDS, "name": "new"}, by="ann")
    assert await total(service) == 0
    mine = await service.executions.trigger("t", None, by="ann")

    async def alone() -> bool:
        return await rows_of(database_url) == (1, 1)

    await until(alone, 60)
    assert (await service.executions.get("t", mine.id)).id == mine.id
    assert (await service.tasks.show("t")).name == "new"
    assert 0 < max(biggest) <= 1000


def deleted_at_once(database: Database) -> list[int]:
    """How many executions each statement deletes from now on."""
    found: list[int] = []

    def note(_connection: object, cursor: object, statement: str, *_more: object) -> None:
        if statement.startswith("DELETE FROM task_execution_log"):
            found.append(getattr(cursor, "rowcount", 0))

    event.listen(database.engine.sync_engine, "after_cursor_execute", note)
    return found


async def test_a_declared_task_is_restored_with_its_log(
    service: Service, folder: Path, database_url: str
) -> None:
    (folder / "t.yaml").write_text(FILE)
    await service.syncs.sync(prune=False, by="me")
    await ran(database_url, 5)
    created = (await service.tasks.show("t")).create_time
    await service.changes.delete("t", by="ann", reason="why")
    with pytest.raises(NotFound, match="no task"):
        await service.executions.get("t", "any")
    (folder / "t.yaml").write_text(FILE.replace("name: t", "name: other"))
    await service.syncs.sync(prune=False, by="me")
    with pytest.raises(NotFound):
        await service.tasks.show("t")

    task = await service.changes.restore("t", by="ann")
    assert (task.name, task.create_time, task.status) == ("other", created, "pending")
    assert task.next_run_time and task.next_run_time > datetime.now(UTC)
    assert await total(service) == 5


async def test_the_log_of_a_deleted_declared_task_goes_after_the_grace(
    make_service: Callable[..., Service], folder: Path, database_url: str
) -> None:
    (folder / "t.yaml").write_text(FILE)
    service = make_service(prune_grace=0.1)
    await service.start()
    await service.syncs.sync(prune=False, by="me")
    await ran(database_url)
    await service.changes.delete("t", by="ann")

    async def nothing() -> bool:
        return await rows_of(database_url) == (0, 0)

    await until(nothing, 60)
    await service.syncs.sync(prune=False, by="me")
    with pytest.raises(NotFound):
        await service.tasks.show("t")
    await service.changes.restore("t", by="ann")
    assert await total(service) == 0


async def test_a_deleted_task_whose_file_goes_is_forgotten_with_its_log(
    make_service: Callable[..., Service], folder: Path, database_url: str
) -> None:
    service = make_service(syncing=AT_ONCE)
    await service.start()
    (folder / "t.yaml").write_text(FILE)
    await service.syncs.sync(prune=False, by="me")
    await ran(database_url)
    await service.changes.delete("t", by="ann")
    (folder / "t.yaml").unlink()
    await service.syncs.sync(prune=False, by="me")
    # Whoever declares it now begins anew.
    (folder / "t.yaml").write_text(FILE)
    await service.syncs.sync(prune=False, by="me")
    assert await total(service) == 0

    async def alone() -> bool:
        return await rows_of(database_url) == (1, 0)

    await until(alone, 60)


async def test_a_retired_task_with_a_long_log_is_pruned(
    make_service: Callable[..., Service], folder: Path, database_url: str
) -> None:
    (folder / "t.yaml").write_text(FILE)
    service = make_service(syncing=AT_ONCE, prune_grace=0.1)
    await service.start()
    await service.syncs.sync(prune=False, by="me")
    await ran(database_url)
    (folder / "t.yaml").unlink()
    await service.syncs.sync(prune=False, by="me")

    async def nothing() -> bool:
        return await rows_of(database_url) == (0, 0)

    await until(nothing, 60)


async def test_what_a_deleted_task_runs_is_ended_and_its_instance_free(
    make_service: Callable[..., Service], folder: Path, database_url: str
) -> None:
    (folder / "t.yaml").write_text(
        FILE.replace("examples.simple_task", "examples_shell.run_command").replace(
            "{message: m}", "{command: sleep 60}"
        )
    )
    # Its thread sleeps on, and nobody is to wait for it.
    service = make_service(functions=("taskservice.*",), shutdown_grace=0.1)
    await service.start()
    await service.syncs.sync(prune=False, by="me")
    running = await service.executions.trigger("t", None, by="ann")
    await service.changes.delete("t", by="ann")
    await service.changes.restore("t", by="ann")

    async def ended() -> bool:
        return (await service.executions.get("t", running.id)).status != "running"

    await until(ended)
    row = await service.executions.get("t", running.id)
    assert (row.status, row.error) == ("cancelled", "cancelled: the task was deleted")

    async def idle() -> bool:
        return (await service.tasks.show("t")).status != "running"

    await until(idle)


async def test_an_old_deletion_of_long_ago_is_taken_up_by_the_next_start(
    make_service: Callable[..., Service], database_url: str
) -> None:
    first = make_service()
    await first.start()
    await first.changes.create(FIELDS, by="ann")
    await ran(database_url)
    await first.stop()
    database = Database(database_url)
    now = datetime.now(UTC)

    async def work(connection: Connection) -> None:
        marked = update(task_manage).values(
            deleted_at=now, retired_at=now, purge_before=now, next_run_time=None
        )
        await connection.execute(marked)

    await database.write(work)
    await database.close()
    second = make_service()
    await second.start()

    async def nothing() -> bool:
        return await rows_of(database_url) == (0, 0)

    await until(nothing, 60)


def test_pieces_grow_while_they_are_quick_and_shrink_where_they_are_slow() -> None:
    pace = Pace(rows=100, least=10, most=350, seconds=1000)
    sizes = []
    for _ in range(4):
        sizes.append(pace.begin())
        assert pace.end() == 200
    assert sizes == [100, 200, 350, 350]
    slow = Pace(rows=100, least=30, seconds=0)
    sizes = []
    for _ in range(4):
        sizes.append(slow.begin())
        assert slow.end() > 0
    assert sizes == [100, 50, 30, 30]
