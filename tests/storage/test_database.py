"""Transactions on the one pool: whole or not at all, side by side, and given back."""

import asyncio
import gc
import random
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, select, text
from sqlalchemy.exc import DataError, IntegrityError, OperationalError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from taskservice.domain.errors import StartError, Unavailable
from taskservice.storage import tasks as store
from taskservice.storage.database import Collision, Connection, Database
from taskservice.storage.dialects.dialect import Limits
from taskservice.storage.dialects.outages import is_outage
from taskservice.storage.key_values import get_value, set_value
from taskservice.storage.tables import service_state, task_manage
from tests.storage.samples import is_sqlite, make_state, save

on_sqlite = pytest.mark.parametrize("empty_url", ["sqlite"], indirect=True)
on_mariadb = pytest.mark.parametrize("empty_url", ["mariadb"], indirect=True)


async def names(database: Database) -> list[str]:
    async with database.read() as connection:
        return sorted((await connection.execute(select(service_state.c.name))).scalars())


async def keep(connection: Connection, *several: str) -> None:
    for name in several:
        await set_value(connection, name, 1)


async def test_a_write_gives_back_what_its_work_gives(database: Database) -> None:
    async def work(connection: Connection) -> str:
        await keep(connection, "a", "b")
        return "done"

    assert await database.write(work) == "done"
    assert await names(database) == ["a", "b"]


@pytest.mark.parametrize("error", [KeyError("x"), ValueError("x"), asyncio.CancelledError()])
async def test_a_write_that_fails_leaves_nothing(database: Database, error: BaseException) -> None:
    calls = 0

    async def work(connection: Connection) -> None:
        nonlocal calls
        calls += 1
        await keep(connection, "a")
        raise error

    with pytest.raises(type(error)):
        await database.write(work)
    assert (calls, await names(database)) == (1, [])


async def test_a_row_that_must_be_unique_is_a_collision(database: Database) -> None:
    async def work(connection: Connection) -> None:
        await keep(connection, "b")
        insert = service_state.insert()
        await connection.execute(insert, {"name": "a", "value": 1})
        await connection.execute(insert, {"name": "a", "value": 2})

    with pytest.raises(Collision) as caught:
        await database.write(work)
    assert "\n" not in str(caught.value)
    assert await names(database) == []


async def test_a_statement_that_is_wrong_is_no_outage(database: Database) -> None:
    async def work(connection: Connection) -> None:
        await connection.execute(text("SELECT 1 FROM task_manage WHERE name = :a"), {"b": 1})

    with pytest.raises(Exception, match="bind parameter") as caught:
        await database.write(work)
    assert not isinstance(caught.value, Unavailable)


async def test_a_read_sees_what_was_committed_before_it(database: Database) -> None:
    async with database.read() as connection:
        assert await get_value(connection, "a") is None
        await database.write(lambda connection: keep(connection, "a"))
    assert await names(database) == ["a"]


@on_mariadb
async def test_a_poller_sees_new_rows_within_one_transaction(database: Database) -> None:
    async with database.read() as connection:
        assert await get_value(connection, "a") is None
        await database.write(lambda connection: keep(connection, "a"))
        assert await get_value(connection, "a") == 1


async def test_a_read_writes_nothing(database: Database) -> None:
    readonly = pytest.raises(Unavailable, match="READ ONLY")
    refused: Any = nullcontext() if is_sqlite(database) else readonly
    with refused:
        async with database.read() as connection:
            await keep(connection, "a")
    assert await names(database) == []


async def test_many_writers_and_readers_get_along(database: Database) -> None:
    await save(database, make_state("a", max_instances=1))

    async def step(connection: Connection) -> None:
        row = (await store.states_of(connection, ["a"], lock=True))["a"]
        await connection.execute(
            task_manage.update().values(max_instances=row.task.max_instances + 1)
        )

    async def look() -> int:
        async with database.read() as connection:
            return (await store.states_of(connection, ["a"]))["a"].task.max_instances

    writers = [database.write(step) for _ in range(60)]
    seen = await asyncio.gather(*writers, *(look() for _ in range(60)))
    assert all(1 <= number <= 61 for number in seen if number is not None)
    assert await look() == 61


async def test_a_cancelled_piece_of_work_leaves_no_trace(database: Database) -> None:
    """Wherever it is cut off: its connection is given back, and its answer to nobody else."""
    chance = random.Random(20261124)

    async def read(number: int) -> None:
        async with database.read() as connection:
            for _ in range(4):
                answer = await connection.execute(text(f"SELECT {number}"))
                assert answer.scalar_one() == number

    async def write(number: int) -> None:
        await database.write(lambda connection: keep(connection, f"{number}-a", f"{number}-b"))

    cancelled = 0
    for number in range(10_000):
        work = asyncio.create_task(write(number) if number % 2 else read(number))
        bystander = asyncio.create_task(read(number + 10_000))
        for _ in range(chance.randrange(200)):
            await asyncio.sleep(0)
        work.cancel()
        try:
            await work
        except asyncio.CancelledError:
            cancelled += 1
        await bystander
        # How many are cut off before they are done is the machine's doing, not the service's.
        if cancelled == 50:
            break
    assert cancelled == 50
    written = await names(database)
    halves = [name.partition("-")[0] for name in written]
    assert all(halves.count(half) == 2 for half in halves)
    await asyncio.gather(*(read(number) for number in range(30)))
    # SQLite's file stays open until the cursors that were cut off are collected.
    gc.collect()


@pytest.fixture
def no_collection() -> Iterator[None]:
    """Keeps the garbage collector from closing what was lost."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collection")
async def test_a_connection_whose_opening_is_cut_off_is_closed(empty_url: str) -> None:
    chance = random.Random(20261124)
    for _ in range(60):
        database = Database(empty_url)
        work = asyncio.create_task(names(database))
        for _ in range(chance.randrange(100)):
            await asyncio.sleep(0)
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        await database.close()


async def test_a_wait_for_a_free_connection_has_an_end(empty_url: str) -> None:
    database = Database(empty_url, limits=Limits(pool_size=1, pool_seconds=0.05))
    async with database.read() as connection:
        await connection.execute(text("SELECT 1"))
        with pytest.raises(Unavailable, match="the database does not answer"):
            await names(database)
    async with database.engine.connect():
        with pytest.raises(Unavailable, match="the database does not answer"):
            await database.write(lambda connection: keep(connection, "a"))
    assert await names(database) == []
    await database.close()


async def test_a_transaction_has_an_end(empty_url: str) -> None:
    database = Database(empty_url, limits=Limits(transaction_seconds=0.5))
    calls = 0

    async def hang(connection: Connection) -> None:
        nonlocal calls
        calls += 1
        await keep(connection, "a")
        await asyncio.Event().wait()

    with pytest.raises(Unavailable):
        await database.write(hang)
    assert calls == 2
    assert await names(database) == []
    await database.close()


@pytest.mark.parametrize(
    ("error", "outage"),
    [
        (OperationalError("", None, Exception("x")), True),
        (IntegrityError("", None, Exception("x")), False),
        (ProgrammingError("", None, Exception("x")), False),
        (DataError("", None, Exception("x")), False),
        (PoolTimeout("x"), True),
        (ConnectionResetError(), True),
        (EOFError(), True),
        (RuntimeError("unable to perform operation; the handler is closed"), True),
        (RuntimeError("something else"), False),
        (ValueError("x"), False),
    ],
)
def test_what_an_outage_is(error: BaseException, outage: bool) -> None:
    assert is_outage(error) is outage


@on_mariadb
async def test_the_session_is_in_utc_wherever_the_server_is(database: Database) -> None:
    async def work(connection: Connection) -> datetime:
        await connection.execute(
            text(
                "INSERT INTO task_manage (id, name, task_type, trigger_type, func_path)"
                " VALUES ('a', 'n', 't', 'cron', 'f')"
            )
        )
        return (await store.states_of(connection, ["a"]))["a"].create_time

    async with database.read() as connection:
        zones = await connection.execute(text("SELECT @@global.time_zone, @@session.time_zone"))
        assert tuple(zones.one()) == ("+10:30", "+00:00")
    assert abs(await database.write(work) - datetime.now(UTC)) < timedelta(minutes=1)


@pytest.fixture
def locked_elsewhere(empty_url: str) -> Iterator[sqlite3.Connection]:
    """A connection of somebody else's that holds the SQLite file's write lock."""
    path = empty_url.removeprefix("sqlite+aiosqlite:///")
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield connection


@on_sqlite
async def test_a_file_that_somebody_else_locks_is_unavailable(
    locked_elsewhere: sqlite3.Connection, empty_url: str
) -> None:
    database = Database(empty_url, limits=Limits(read_seconds=0))
    with pytest.raises(Unavailable, match="database is locked"):
        await database.write(lambda connection: keep(connection, "a"))
    assert await names(database) == []
    locked_elsewhere.execute("ROLLBACK")
    await database.write(lambda connection: keep(connection, "a"))
    assert await names(database) == ["a"]
    await database.close()


@on_sqlite
async def test_nobody_writes_between_what_a_write_reads_and_what_it_writes(
    database: Database, empty_url: str
) -> None:
    path = empty_url.removeprefix("sqlite+aiosqlite:///")

    async def work(connection: Connection) -> None:
        await get_value(connection, "a")
        with (
            closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as other,
            pytest.raises(sqlite3.OperationalError, match="database is locked"),
        ):
            other.execute("BEGIN IMMEDIATE")
        await keep(connection, "a")

    await database.write(work)
    assert await names(database) == ["a"]


@on_sqlite
async def test_a_full_disk_is_unavailable_until_there_is_room(database: Database) -> None:
    pages = 150

    def limit(connection: Any, *_more: object) -> None:
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA max_page_count={pages}")
        cursor.close()

    async def fill(connection: Connection) -> None:
        await keep(connection, "a")
        await set_value(connection, "big", "x" * 2_000_000)

    event.listen(database.engine.sync_engine, "checkout", limit)
    with pytest.raises(Unavailable, match="database or disk is full"):
        await database.write(fill)
    await database.write(lambda connection: keep(connection, "small"))
    assert await names(database) == ["small"]
    pages = 100_000
    await database.write(fill)
    assert await names(database) == ["a", "big", "small"]


CLAIM = """
import sys
from taskservice.domain.errors import StartError
from taskservice.storage.database import Database
try:
    Database(sys.argv[1]).claim()
except StartError as error:
    print(error)
else:
    print("claimed")
"""


def claim_elsewhere(url: str) -> str:
    """What another process says that claims the file too."""
    done = subprocess.run(
        [sys.executable, "-c", CLAIM, url], capture_output=True, text=True, check=True
    )
    return done.stdout


@on_sqlite
async def test_a_second_process_is_refused_the_file(empty_url: str) -> None:
    path = empty_url.removeprefix("sqlite+aiosqlite:///")
    refusal = f"another process serves {path}: SQLite takes one; use MariaDB for several"
    database, second = Database(empty_url), Database(empty_url)
    database.claim()
    assert claim_elsewhere(empty_url) == f"{refusal}\n"
    with pytest.raises(StartError) as caught:
        second.claim()
    assert str(caught.value) == refusal
    await database.close()
    assert claim_elsewhere(empty_url) == "claimed\n"
    second.claim()
    await second.close()


@on_mariadb
async def test_a_server_is_shared(empty_url: str) -> None:
    database = Database(empty_url)
    database.claim()
    assert claim_elsewhere(empty_url) == "claimed\n"
    await database.close()


def test_a_file_that_can_not_be_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"no folder .*/absent for the database file x\.db"):
        Database(f"sqlite+aiosqlite:///{tmp_path}/absent/x.db").claim()
    (tmp_path / "x.db.lock").mkdir()
    with pytest.raises(StartError, match=r"can't write beside the database .*x\.db: Is a dir"):
        Database(f"sqlite+aiosqlite:///{tmp_path}/x.db").claim()


async def test_a_snapshot_stays_as_it_was(database: Database) -> None:
    async with database.snapshot() as connection:
        assert await store.load(connection, ["notice"]) == {}
        await database.write(lambda other: store.save_states(other, [make_state()]))
        assert await store.states_of(connection, ["notice"]) == {}
    async with database.snapshot() as connection:
        assert (await store.states_of(connection, ["notice"])).keys() == {"notice"}
    assert database.in_use == 0
