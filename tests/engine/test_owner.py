import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from taskservice.domain.errors import Unavailable
from taskservice.engine import owner
from taskservice.engine.engine import Engine
from taskservice.engine.options import Options
from taskservice.storage import executions as log
from taskservice.storage import owners
from taskservice.storage.executions import ExecutionRow
from taskservice.storage.owners import LeaseLost
from tests.engine.harness import Bench, Work, Write, ago, once, ran_at_most_once, until

ROOT = Path(__file__).parents[2]


# The names of processes.


def test_a_process_has_one_name_that_no_other_has() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        name = owner.process_name(child.pid)
        assert name == owner.process_name(child.pid) != owner.process_name()
        assert name.startswith(f"{socket.gethostname()}:{child.pid}:")
        assert len(name) <= 255
        child.communicate(b"\n")


def test_a_process_is_dead_once_it_has_ended_reaped_or_not() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        name = owner.process_name(child.pid)
        assert not owner.is_dead(name)
        child.kill()
        # It is a zombie now: nobody has waited for it.
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert owner.is_dead(name)
    assert owner.is_dead(name)
    assert not owner.is_dead(owner.process_name())


def test_another_process_of_the_same_number_is_another() -> None:
    host, pid, began, namespace = owner.process_name().split(":", 3)
    assert owner.is_dead(f"{host}:{pid}:{int(began) - 1}:{namespace}")


@pytest.mark.parametrize("part", ["host", "namespace", "began", "form"])
def test_of_a_process_elsewhere_nothing_is_known(part: str) -> None:
    host, _, began, namespace = owner.process_name().split(":", 3)
    gone = 2**22 + 1
    name = {
        "host": f"elsewhere:{gone}:{began}:{namespace}",
        "namespace": f"{host}:{gone}:{began}:another",
        "began": f"{host}:{gone}::{namespace}",
        "form": "somebody",
    }[part]
    assert not owner.is_dead(name)
    assert owner.is_dead(f"{host}:{gone}:{began}:{namespace}")


# What becomes of their executions.


class Child:
    """An engine in another process; with a lease, of so many seconds, it is one elsewhere."""

    def __init__(self, bench: Bench, *lease: float) -> None:
        script = ["-m", "tests.engine.engine_process", "serve", bench.url, *map(str, lease)]
        self._process = subprocess.Popen([sys.executable, *script], cwd=ROOT)

    def kill(self) -> None:
        """`kill -9`."""
        self._process.kill()
        self._process.wait()


@pytest.fixture
async def children() -> AsyncIterator[list[Child]]:
    children: list[Child] = []
    yield children
    for child in children:
        child.kill()


async def test_executions_of_a_dead_process_are_closed_and_recovered_once(
    bench: Bench, children: list[Child]
) -> None:
    fire = ago(1)
    await bench.put(
        bench.noting("plain", "wait_for", now=ago(2), **once(fire)),
        bench.noting("recovered", "wait_for", now=ago(2), recover=True, **once(fire)),
        bench.noting("by hand", "wait_for", recover=True),
    )
    children.append(Child(bench))
    await bench.running("plain", "recovered")
    assert (await bench.state("plain")).status == "running"
    children[0].kill()
    children.append(Child(bench))
    await until(lambda: len(bench.evidence("recovered")) == 2)
    children[1].kill()

    before = datetime.now(UTC)
    engine = await bench.start()
    assert (datetime.now(UTC) - before).total_seconds() < 5
    # It is closed at once: the process is known to be dead.
    assert await bench.rows(status="running") == []
    (plain,) = await bench.rows("plain")
    assert (plain.status, plain.scheduled_time, plain.owner) == ("failed", fire, None)
    assert (plain.error or "").startswith(f"interrupted: its process {socket.gethostname()}:")
    assert plain.end_time is not None and plain.end_time >= plain.start_time
    assert (await bench.state("plain")).status == "failed"

    await engine.trigger("by hand", None, by="ann")
    bench.open_gate()
    await bench.ended("by hand")
    await engine.drain(10)
    rows = await bench.rows("recovered")
    assert [(row.attempt, row.status, row.scheduled_time) for row in rows] == [
        (1, "failed", fire),
        (2, "failed", fire),
    ]
    ran_at_most_once(rows, bench.evidence("recovered"))
    async with bench.database.read() as connection:
        assert await connection.run_sync(log.retries) == []
        assert list(await owners.owners(connection)) == [engine.owner]


@pytest.fixture
async def mariadb_bench(mariadb_url: str, tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(mariadb_url, tmp_path)
    try:
        yield bench
    finally:
        await bench.close()


async def lease_of(bench: Bench, owner_id: str) -> bool | None:
    """Whether the lease of an owner has run out; None if there is no such owner."""
    async with bench.database.read() as connection:
        found = await owners.owners(connection)
    return found[owner_id].expired if owner_id in found else None


async def test_where_death_cannot_be_known_the_lease_decides(
    mariadb_bench: Bench, children: list[Child]
) -> None:
    bench = mariadb_bench
    options = Options(lease_seconds=1.5, renew_seconds=0.2)
    await bench.put(
        bench.noting("dead", "wait_for", now=ago(2), **once(ago(1))),
        bench.noting("alive", "wait_for"),
    )
    spawned = datetime.now(UTC)
    children.append(Child(bench, 3))
    await bench.running("dead")
    (row,) = await bench.rows("dead")
    assert row.owner is not None
    engine = await bench.start(options=options)
    await engine.trigger("alive", None, by="ann")
    await bench.running("alive")
    children[0].kill()
    other = await bench.start(options=options)

    async def closed() -> bool:
        return (await bench.row(row.id)).status == "failed"

    await until(closed, limit=10)
    ended = await bench.row(row.id)
    assert (ended.error or "").startswith("interrupted: ")
    # No earlier than its lease, which it took when it started, had run out.
    assert ended.end_time is not None and ended.end_time >= spawned + timedelta(seconds=3)
    await until(lambda: lease_is_gone(bench, row))
    # Those that live have renewed theirs, and let each other be.
    (alive,) = await bench.rows("alive")
    assert (alive.status, alive.owner) == ("running", engine.owner)
    assert alive.start_time < ago(1.5)
    assert await lease_of(bench, engine.owner) is False
    assert await lease_of(bench, other.owner) is False
    bench.open_gate()
    await bench.ended("alive")


async def lease_is_gone(bench: Bench, row: ExecutionRow) -> bool:
    return row.start_time < ago(1.5) and await lease_of(bench, row.owner or "") is None


async def close_as_dead(bench: Bench, engine: Engine) -> None:
    """What another process does that takes this engine for dead."""
    await bench.database.write(
        lambda connection: owners.renew(connection, engine.owner, "elsewhere:1::", -1)
    )
    other = await bench.start()
    await bench.stop(other)
    await bench.database.write(
        lambda connection: owners.forget(connection, other.owner, if_expired=False)
    )


async def test_who_was_taken_for_dead_cannot_write_to_what_was_closed(bench: Bench) -> None:
    await bench.put(
        bench.noting("lost", "suspend"),
        bench.noting("deaf", "wait_for", timeout=0.2),
        bench.noting("begun after"),
    )
    engine = await bench.start()
    for task_id in ("lost", "deaf"):
        await engine.trigger(task_id, None, by="ann")
    await bench.ended("deaf")
    await bench.running("lost", "deaf")
    await close_as_dead(bench, engine)
    assert await lease_of(bench, engine.owner) is None
    # It has not noticed yet: nothing begins until it has a lease again.
    await refused(engine, "begun after")
    assert bench.evidence("begun after") == []
    await until(lambda: lease_is_back(bench, engine))
    # What was closed is stopped, for it may have been begun again elsewhere.
    await until(lambda: engine.running == 0 and engine.unreturned == 1)
    await engine.trigger("begun after", None, by="ann")
    await bench.ended("begun after")
    bench.open_gate()
    await engine.drain(5)

    rows = {row.task_id: row for row in await bench.rows()}
    assert (rows["lost"].status, rows["lost"].result) == ("failed", None)
    assert (rows["lost"].error or "").startswith("interrupted: its process ")
    assert rows["deaf"].error == "timed out: after 0.2 s"
    assert rows["begun after"].status == "completed"
    assert {row.owner for row in rows.values()} == {None}
    assert (await bench.state("lost")).status == "failed"


async def refused(engine: Engine, task_id: str) -> None:
    with pytest.raises(LeaseLost):
        await engine.trigger(task_id, None, by="ann")


async def lease_is_back(bench: Bench, engine: Engine) -> bool:
    return await lease_of(bench, engine.owner) is False


async def test_what_runs_of_a_task_that_another_process_deletes_is_stopped(bench: Bench) -> None:
    await bench.put(bench.noting("a", "suspend"), bench.noting("b", "wait_for"))
    engine = await bench.start()
    for task_id in ("a", "b"):
        await engine.trigger(task_id, None, by="ann")
    await bench.running("a", "b")
    await bench.remove("a")
    await engine.keep_alive()
    # It was cancelled, and says so.
    await until(lambda: len(bench.evidence("a")) == 2)
    assert (engine.running, engine.unreturned) == (1, 0)
    bench.open_gate()
    (row,) = await bench.ended("b")
    assert row.status == "completed"


async def test_an_outage_does_not_end_the_renewal(bench: Bench) -> None:
    engine = await bench.start(options=Options(renew_seconds=0.05))
    renewals: list[bool] = []

    async def failing_first(write: Write, work: Work) -> Any:
        if len(renewals) < 2:
            renewals.append(False)
            raise (Unavailable("no answer"), ValueError("a mistake"))[len(renewals) - 1]
        renewals.append(True)
        return await write(work)

    bench.database.meddle = failing_first
    await until(lambda: len(renewals) >= 4)
    assert renewals[:2] == [False, False]
    assert await lease_of(bench, engine.owner) is False
