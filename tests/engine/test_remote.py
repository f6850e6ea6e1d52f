"""Executions on workers: who runs one owns it, and it outlives the service that claimed it."""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from taskservice.domain.errors import Conflict
from taskservice.engine.claims import Recorded
from taskservice.engine.engine import Engine
from taskservice.storage import owners
from taskservice.storage.database import CommitUnknown
from taskservice.storage.executions import ExecutionRow
from tests.engine.harness import Bench, Work, Write, ago, once, until
from tests.engine.remote import FolderExecutor

ROOT = Path(__file__).parents[2]

Start = Callable[[str], subprocess.Popen[bytes]]


@pytest.fixture
def broker(tmp_path: Path) -> Path:
    folder = tmp_path / "broker"
    folder.mkdir()
    return folder


@pytest.fixture
async def bench(mariadb_url: str, tmp_path: Path) -> AsyncIterator[Bench]:
    """A bench on a server: a database of one process has no workers."""
    bench = Bench(mariadb_url, tmp_path)
    try:
        yield bench
    finally:
        await bench.close()


@pytest.fixture
def start(bench: Bench, broker: Path) -> Iterator[Start]:
    """Starts a process that schedules (`send`) or a worker (`take`); those left are killed."""
    started: list[subprocess.Popen[bytes]] = []

    def start(mode: str) -> subprocess.Popen[bytes]:
        script = ["-m", "tests.engine.engine_process", mode, bench.url, str(broker)]
        started.append(subprocess.Popen([sys.executable, *script], cwd=ROOT))
        return started[-1]

    yield start
    for process in started:
        kill(process)


def kill(process: subprocess.Popen[bytes]) -> None:
    """`kill -9`."""
    process.kill()
    process.wait()


async def scheduler(bench: Bench, broker: Path) -> Engine:
    return await bench.start(default_executor="remote", remote=FolderExecutor(broker))


async def owner_name(bench: Bench, row: ExecutionRow) -> str:
    """`host:pid` of the process that owns an execution."""
    async with bench.database.read() as connection:
        found = await owners.owners(connection)
    return ":".join(found[row.owner or ""].name.split(":")[:2])


def name_of(process: subprocess.Popen[bytes]) -> str:
    return f"{socket.gethostname()}:{process.pid}"


async def begun(bench: Bench, task_id: str) -> ExecutionRow:
    """An execution whose function has begun."""
    await bench.running(task_id)
    (row,) = await bench.rows(task_id, status="running")
    return row


async def test_an_execution_outlives_the_service_and_is_its_workers(
    bench: Bench, broker: Path, start: Start
) -> None:
    await bench.put(bench.noting("a", "wait_for", now=ago(2), **once(ago(1))))
    service, worker = start("send"), start("take")
    row = await begun(bench, "a")
    assert await owner_name(bench, row) == name_of(worker)
    kill(service)

    # Whoever schedules next closes what the dead one had, and lets the worker's be.
    engine = await scheduler(bench, broker)
    assert engine.running == 0
    assert (await bench.row(row.id)).status == "running"
    assert (await bench.state("a")).status == "running"
    # Its instance counts.
    with pytest.raises(Conflict, match="all 1 instances were busy"):
        await engine.trigger("a", None, by="ann")
    bench.open_gate()
    (ended,) = await bench.ended("a")
    assert (ended.id, ended.status, ended.result) == (row.id, "completed", '"through"')
    assert (ended.owner, bench.evidence("a")) == (None, [row.id])
    assert (await bench.state("a")).status == "completed"


async def test_the_row_tells_whom_to_ask_for_a_cancel(
    bench: Bench, broker: Path, start: Start
) -> None:
    await bench.put(bench.noting("a", "suspend", now=ago(2), **once(ago(1))))
    service, worker = start("send"), start("take")
    row = await begun(bench, "a")
    kill(service)
    engine = await scheduler(bench, broker)
    with pytest.raises(Conflict):
        await engine.cancel(row.id, by="ann")
    await bench.database.write(
        lambda connection: owners.tell(
            connection, "cancel", [row.id], by="ann", recipient=row.owner
        )
    )
    (ended,) = await bench.ended("a")
    assert (ended.status, ended.error) == ("cancelled", "cancelled: by ann")
    assert worker.poll() is None


async def test_what_a_dead_worker_ran_is_closed_and_recovered(
    bench: Bench, broker: Path, start: Start
) -> None:
    await bench.put(bench.noting("a", "wait_for", now=ago(2), recover=True, **once(ago(1))))
    engine = await scheduler(bench, broker)
    worker = start("take")
    row = await begun(bench, "a")
    kill(worker)
    await engine.keep_alive()
    closed = await bench.row(row.id)
    assert (closed.status, closed.error_kind) == ("failed", "interrupted")
    assert closed.error == f"interrupted: its process {name_of(worker)} died"
    start("take")
    await until(lambda: len(bench.evidence("a")) == 2)
    bench.open_gate()
    assert [one.status for one in await bench.ended("a", 2)] == ["failed", "completed"]


async def test_a_message_that_comes_twice_or_late_runs_nothing(
    bench: Bench, broker: Path, start: Start
) -> None:
    await bench.put(bench.noting("twice"), bench.noting("late"), bench.noting("last"))
    engine = await scheduler(bench, broker)
    twice = await engine.trigger("twice", None, by="ann")
    assert twice.owner == engine.owner
    start("take")
    await bench.ended("twice")
    again = FolderExecutor(broker)
    again.send(twice.id, engine.owner)
    await passed_over(broker, twice)

    # One that nobody has taken is its claimer's, and is closed with that.
    others = FolderExecutor(broker.parent)
    other = await bench.start(default_executor="remote", remote=others)
    late = await other.trigger("late", None, by="ann")
    before = datetime.now(UTC)
    await bench.database.write(
        lambda connection: owners.renew(connection, other.owner, "elsewhere:1::", -1)
    )
    await engine.keep_alive()
    closed = await bench.row(late.id)
    assert (closed.status, closed.error_kind) == ("failed", "interrupted")
    assert closed.end_time is not None and closed.end_time >= before
    again.send(late.id, other.owner)
    await passed_over(broker, late)
    await engine.trigger("last", None, by="ann")
    await bench.ended("last")
    assert (bench.evidence("twice"), bench.evidence("late")) == ([twice.id], [])


async def passed_over(broker: Path, execution: ExecutionRow) -> None:
    """Wait until a worker has found that an execution is not there to be taken."""
    await until(lambda: (broker.parent / f"passed-{execution.id}").exists())


async def test_one_whose_row_is_ours_before_its_take_is_answered_runs_once(
    bench: Bench, broker: Path
) -> None:
    await bench.put(bench.noting("a"), bench.noting("doubtful"))
    service, worker = await scheduler(bench, broker), await bench.start()
    sent = await service.trigger("a", None, by="ann")
    committed, answered = asyncio.Event(), asyncio.Event()

    async def slow_to_answer(write: Write, work: Work) -> Any:
        found = await write(work)
        if not committed.is_set():
            committed.set()
            await answered.wait()
        elif isinstance(found, Recorded) and found.added:
            raise CommitUnknown("the database went away while it saved")
        return found

    bench.database.meddle = slow_to_answer
    taking = asyncio.create_task(worker.take(sent.id, service.owner))
    await committed.wait()
    # Now it looks what is its own, and runs that.
    with pytest.raises(CommitUnknown):
        await worker.trigger("doubtful", None, by="ann")
    await bench.ended("doubtful")
    await worker.settled()
    answered.set()
    assert await taking
    await bench.ended("a")
    await worker.drain(5)
    assert bench.evidence("a") == [sent.id]


async def test_one_whose_task_is_deleted_before_it_is_taken_is_cancelled(
    bench: Bench, broker: Path
) -> None:
    await bench.put(bench.noting("a"))
    service, worker = await scheduler(bench, broker), await bench.start()
    sent = await service.trigger("a", None, by="ann")
    await bench.hide("a")
    assert await worker.take(sent.id, service.owner)
    (row,) = await bench.ended("a")
    assert (row.status, row.error) == ("cancelled", "cancelled: the task was deleted")
    assert (row.owner, bench.evidence("a")) == (None, [])


async def test_one_that_cannot_be_sent_is_ended(bench: Bench, broker: Path) -> None:
    await bench.put(bench.noting("a"))
    engine = await scheduler(bench, broker)
    os.rmdir(broker)
    await engine.trigger("a", None, by="ann")
    (row,) = await bench.ended("a")
    assert row.error == "interrupted: the executor 'remote' could not send it: the broker is gone"
    assert (row.status, row.owner) == ("failed", None)
