"""What the service does by itself: pruning, ending overrides, deleting old executions."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from taskservice.domain.errors import NotFound, StartError
from taskservice.domain.trail import Event
from taskservice.service import Service
from taskservice.service.housekeeping import Housekeeping
from taskservice.storage import events
from taskservice.storage import executions as log
from taskservice.storage.database import Connection
from taskservice.storage.executions import ExecutionRow
from taskservice.storage.rows import new_id
from tests.service.conftest import AT_ONCE, until

FILE = """\
name: t
task_type: t
trigger_type: interval
trigger_args: {hours: 1}
func_path: taskservice.examples.simple_task
func_args: {message: m}
"""


async def test_a_retired_task_is_pruned_with_what_is_known_of_it(
    make_service: Callable[..., Service], folder: Path
) -> None:
    service = make_service(syncing=AT_ONCE, prune_grace=1.0)
    (folder / "t.yaml").write_text(FILE)
    await service.start()
    await service.syncs.sync(prune=False, by="me")
    await service.changes.change("t", {"description": "by hand"}, by="ann")
    (folder / "t.yaml").unlink()
    await service.syncs.sync(prune=False, by="me")
    (waiting,) = (await service.syncs.report())["retired"]
    assert waiting["task_id"] == "t"
    assert waiting["delete_at"] - waiting["retired_at"] == timedelta(seconds=1)

    async def pruned() -> bool:
        try:
            await service.tasks.get("t")
        except NotFound:
            return True
        return False

    await until(pruned)
    assert (await service.syncs.report())["retired"] == []
    # Its overrides have gone with it.
    (folder / "t.yaml").write_text(FILE)
    await service.syncs.sync(prune=False, by="me")
    assert (await service.tasks.get("t")).state.overridden == ()


async def test_an_override_ends_at_its_time(service: Service, folder: Path) -> None:
    (folder / "t.yaml").write_text(FILE)
    await service.syncs.sync(prune=False, by="me")
    await service.changes.delete("t", by="ann", until="1s", reason="for a moment")
    with pytest.raises(NotFound, match="no task"):
        await service.tasks.get("t")
    assert [
        view.reason for view in await service.declarations.provenance("t", overridden=True)
    ] == ["for a moment"]

    async def ended() -> bool:
        return not await service.declarations.provenance("t", overridden=True)

    await until(ended)
    assert (await service.tasks.get("t")).state.next_run_time is not None


async def test_old_executions_are_deleted_a_batch_at_a_time(
    make_service: Callable[..., Service],
) -> None:
    service = make_service(log_retention=timedelta(days=1), event_retention=timedelta(days=1))
    await service.start()
    fields = {
        "id": "t", "name": "t", "task_type": "t", "trigger_type": "interval",
        "trigger_args": {"hours": 1}, "func_path": "taskservice.examples.simple_task",
        "func_args": {"message": "m"},
    }  # fmt: skip
    await service.changes.create(fields, by="ann")
    now = datetime.now(UTC)
    old = (timedelta(hours=25, seconds=number) for number in range(350))
    ages = [timedelta(hours=1), timedelta(hours=23), *old]
    rows = [
        ExecutionRow(
            id=new_id(), task_id="t", start_time=now - age, end_time=now - age, status="completed"
        )
        for age in ages
    ]

    async def work(connection: Connection) -> None:
        await connection.run_sync(log.add, rows)
        for age in ages:
            event = Event(action="triggered", by="ann", via="api")
            await connection.run_sync(events.record, [event], now - age)

    await service.database.write(work)

    async def deleted() -> bool:
        _, left, _ = await service.executions.page(
            "t", status=None, since=None, until=None, page=1, size=1
        )
        async with service.database.read() as connection:
            told = await events.page(connection, action="triggered", limit=1)
        return left == 2 and told.total == 2

    stop = asyncio.Event()
    often = Housekeeping(
        service.database, service.engine, service.gate, service.changes, service.settings,
        retention_seconds=0.1,
    )  # fmt: skip
    running = asyncio.create_task(often.run(stop))
    await until(deleted)
    stop.set()
    await running


async def test_without_a_folder_it_does_not_start(
    make_service: Callable[..., Service], folder: Path
) -> None:
    with pytest.raises(StartError, match="make it, or name another with TASKSERVICE_TASKS_DIR"):
        await make_service(tasks_dir=folder / "lacking").start()
