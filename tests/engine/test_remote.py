"""Executions on workers: who runs one owns it, and it outlives the service that claimed it."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from taskservice.domain.errors import Conflict
from taskservice.engine.claims import Recorded
from taskservice.engine.engine import Engine
from taskservice.engine.local import LocalExecutor
from taskservice.engine.options import Options
from taskservice.storage import owners
from taskservice.storage.database import CommitUnknown
from taskservice.storage.executions import ExecutionRow
from taskservice.storage.owners import QUEUE
from taskservice.storage.tables import task_execution_log
from taskservice.storage.workers import Worker
from tests.engine.harness import Bench, Work, Write, ago, once, resolution, taking, until
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
    assert (twice.status, twice.owner, twice.queue) == ("queued", QUEUE, "q")
    start("take")
    await bench.ended("twice")
    again = FolderExecutor(broker)
    again.send(twice.id, "q")
    await passed_over(broker, twice)

    # One that was closed before a worker had its message.
    elsewhere = broker.parent / "elsewhere"
    elsewhere.mkdir()
    other = await bench.start(default_executor="remote", remote=FolderExecutor(elsewhere))
    late = await other.trigger("late", None, by="ann")
    await other.cancel_sent(late, by="ann")
    again.send(late.id, "q")
    await passed_over(broker, late)
    await engine.trigger("last", None, by="ann")
    await bench.ended("last")
    assert (bench.evidence("twice"), bench.evidence("late")) == ([twice.id], [])


async def passed_over(broker: Path, execution: ExecutionRow) -> None:
    """Wait until a worker has found that an execution is not there to be taken."""
    await until(lambda: (broker.parent / f"passed-{execution.id}").exists())


async def worker(bench: Bench) -> Engine:
    """A worker in this process."""
    return await bench.start(
        lead=False, listed=taking(), default_executor="remote", remote=LocalExecutor(idle=1)
    )


async def test_a_take_whose_answer_is_lost_runs_once(bench: Bench, broker: Path) -> None:
    await bench.put(bench.noting("a"))
    service, taker = await scheduler(bench, broker), await worker(bench)
    sent = await service.trigger("a", None, by="ann")
    lost: list[Recorded] = []

    async def lose_one(write: Write, work: Work) -> Any:
        found = await write(work)
        if isinstance(found, Recorded) and found.taken and not lost:
            lost.append(found)
            raise CommitUnknown("the database went away while it saved")
        return found

    bench.database.meddle = lose_one
    with pytest.raises(CommitUnknown):
        await taker.take(sent.id)
    assert await taker.take(sent.id)
    await bench.ended("a")
    assert not await taker.take(sent.id)
    await taker.drain(5)
    assert bench.evidence("a") == [sent.id]


async def test_one_whose_task_is_deleted_before_it_is_taken_is_cancelled(
    bench: Bench, broker: Path
) -> None:
    await bench.put(bench.noting("a"))
    service, taker = await scheduler(bench, broker), await worker(bench)
    sent = await service.trigger("a", None, by="ann")
    await bench.hide("a")
    assert await taker.take(sent.id)
    (row,) = await bench.ended("a")
    assert (row.status, row.error) == ("cancelled", "cancelled: the task was deleted")
    assert (row.owner, bench.evidence("a")) == (None, [])


async def test_one_that_cannot_be_sent_is_ended(bench: Bench, broker: Path) -> None:
    await bench.put(bench.noting("a"))
    engine = await scheduler(bench, broker)
    os.rmdir(broker)
    await engine.trigger("a", None, by="ann")
    (row,) = await bench.ended("a")
    assert row.error == "unsent: the broker is gone"
    assert (row.status, row.owner, row.error_kind) == ("failed", None, "unsent")


async def test_of_many_messages_one_is_taken(bench: Bench, broker: Path) -> None:
    await bench.put(bench.noting("a"))
    service = await scheduler(bench, broker)
    takers = [await worker(bench) for _ in range(4)]
    sent = await service.trigger("a", None, by="ann")
    taken = await asyncio.gather(*(one.take(sent.id) for one in takers for _ in range(3)))
    (row,) = await bench.ended("a")
    # Who has it is told so as often as it asks while it runs.
    assert 1 <= sum(taken) <= 3
    assert (row.status, bench.evidence("a")) == ("completed", [sent.id])


async def test_a_cancel_holds_though_the_worker_does_not_answer(
    bench: Bench, broker: Path, start: Start
) -> None:
    await bench.put(bench.noting("a", "suspend"))
    engine = await scheduler(bench, broker)
    await engine.trigger("a", None, by="ann")
    process = start("take")
    row = await begun(bench, "a")
    process.send_signal(signal.SIGSTOP)
    await engine.cancel_sent(row, by="ben")
    cancelled = await bench.row(row.id)
    assert (cancelled.status, cancelled.error) == ("cancelled", "cancelled: by ben")
    # Its instance is busy until the worker has stopped it.
    with pytest.raises(Conflict, match="1 cancelled execution has not returned"):
        await engine.trigger("a", None, by="ann")
    process.send_signal(signal.SIGCONT)

    async def returned() -> bool:
        return (await bench.row(row.id)).owner is None

    await until(returned)
    assert (await bench.row(row.id)).status == "cancelled"


async def test_a_timeout_holds_though_the_worker_does_not_answer(
    bench: Bench, broker: Path, start: Start
) -> None:
    await bench.put(bench.noting("a", "suspend", timeout=2))
    engine = await scheduler(bench, broker)
    await engine.trigger("a", None, by="ann")
    process = start("take")
    row = await begun(bench, "a")
    await until(lambda: deadline_of(bench, row))
    process.send_signal(signal.SIGSTOP)
    (ended,) = await bench.ended("a")
    assert ended.error == "timed out: its time was over, and its worker did not say so"
    assert ended.owner is not None
    process.send_signal(signal.SIGCONT)


async def deadline_of(bench: Bench, execution: ExecutionRow) -> object:
    query = select(task_execution_log.c.deadline).where(task_execution_log.c.id == execution.id)
    async with bench.database.read() as connection:
        return (await connection.execute(query)).scalar()


async def test_what_no_worker_begins_fails(bench: Bench, broker: Path) -> None:
    await bench.put(bench.noting("a", retries={"max": 1, "delay": 0.001}))
    engine = await bench.start(
        default_executor="remote", remote=FolderExecutor(broker), start_timeout=1
    )
    first = await engine.trigger("a", None, by="ann")
    ended = await bench.ended("a", 2)
    assert [row.attempt for row in ended] == [1, 2]
    for row in ended:
        assert row.error == "unstarted: no worker of the queue q began it within 1 s"
        assert (row.status, row.owner) == ("failed", None)
    assert not await (await worker(bench)).take(first.id)
    assert bench.evidence("a") == []


async def test_what_a_worker_ends_is_tried_again_by_who_schedules(
    bench: Bench, broker: Path
) -> None:
    await bench.put(resolution("a", "fail", retries={"max": 1, "delay": 0.001}))
    engine, taker = await scheduler(bench, broker), await worker(bench)
    sent = await engine.trigger("a", None, by="ann")
    assert await taker.take(sent.id)
    (first,) = await bench.ended("a")
    # It is told by a notice, which the service follows.
    async with bench.database.read() as connection:
        (notice,) = await owners.notices(connection, engine.owner, scheduling=True)
    assert (notice.kind, notice.subject) == ("retry", first.id)
    await engine.plan_retries()

    async def queued() -> list[ExecutionRow]:
        return await bench.rows("a", status="queued")

    await until(queued)
    (second,) = await queued()
    assert (second.attempt, second.triggered_by) == (2, "ann")


IMPATIENT = Options(look_seconds=0.1, sent_seconds=0.5)
"""What misses a message soon."""


async def test_what_the_broker_has_lost_is_sent_again(bench: Bench, broker: Path) -> None:
    await bench.put(*map(bench.noting, "abc"))
    engine = await bench.start(
        options=IMPATIENT, default_executor="remote", remote=FolderExecutor(broker)
    )
    sent = [await engine.trigger(name, None, by="ann") for name in "abc"]
    for one in sent:
        (broker / one.id).unlink()
    await until(lambda: len(os.listdir(broker)) == 3)
    # One of three: none can tell which it was, and all are sent.
    (broker / sent[1].id).unlink()
    for one in (sent[0], sent[2]):
        (broker / one.id).write_text("q")
    await until(lambda: (broker / sent[1].id).exists())


async def test_what_was_overtaken_is_sent_again(bench: Bench, broker: Path) -> None:
    await bench.put(*map(bench.noting, "abc"))
    engine = await bench.start(
        options=IMPATIENT, default_executor="remote", remote=FolderExecutor(broker)
    )
    lost = await engine.trigger("a", None, by="ann")
    os.replace(broker / lost.id, broker / ".kept")
    (broker / "another").write_text("q")
    (broker / "a-third").write_text("q")
    await asyncio.sleep(IMPATIENT.sent_seconds)
    assert sorted(os.listdir(broker)) == [".kept", "a-third", "another"]
    later = await engine.trigger("b", None, by="ann")
    assert await (await worker(bench)).take(later.id)
    await until(lambda: (broker / lost.id).exists())


async def test_a_worker_takes_nothing_of_queues_that_it_does_not_serve(
    bench: Bench, broker: Path
) -> None:
    await bench.put(bench.noting("a"))
    service = await scheduler(bench, broker)
    other = Worker(name="worker:other", kind="worker", queues=("another",))
    taker = await bench.start(
        lead=False, listed=other, default_executor="remote", remote=LocalExecutor(idle=1)
    )
    sent = await service.trigger("a", None, by="ann")
    assert not await taker.take(sent.id)
    assert (await bench.row(sent.id)).status == "queued"


async def test_what_workers_end_is_counted_by_who_sent_it_or_schedules_next(
    bench: Bench, broker: Path
) -> None:
    await bench.put(
        bench.noting("a", now=ago(2), **once(ago(1))), resolution("b", "fail"), bench.noting("c")
    )
    options = Options(look_seconds=0.05)
    sender = await bench.start(
        options=options, default_executor="remote", remote=FolderExecutor(broker)
    )
    taker = await worker(bench)
    (fired,) = await until(lambda: bench.rows("a", status="queued"))
    failing = await sender.trigger("b", None, by="ann")
    cancelled = await sender.trigger("c", None, by="ann")
    assert await taker.take(fired.id) and await taker.take(failing.id)
    await sender.cancel_sent(cancelled, by="ann")
    counts = sender.counts
    await until(lambda: sum(counts.ended.values()) == 3)
    assert counts.started == 3
    assert (counts.ended["completed"], counts.ended["failed"], counts.ended["cancelled"]) == (
        1, 1, 1,
    )  # fmt: skip
    # One that never began has taken no time; how late the fire began is its row's to say.
    assert [sum(counts.durations[name].counts) for name in ("completed", "cancelled")] == [1, 0]
    assert counts.lateness.sum > 0

    left = await sender.trigger("c", None, by="ann")
    await bench.stop(sender)
    next_one = await bench.start(
        options=options, default_executor="remote", remote=FolderExecutor(broker)
    )
    assert await taker.take(left.id)
    await until(lambda: next_one.counts.ended["completed"] == 1)
