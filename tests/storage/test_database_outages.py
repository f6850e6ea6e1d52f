"""A MariaDB that deadlocks, drops connections, is gone, or says nothing at all."""

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import uvloop
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DataError, OperationalError

from taskservice.domain.errors import Unavailable
from taskservice.storage.database import Busy, CommitUnknown, Connection, Database
from taskservice.storage.dialects.dialect import Limits
from tests.conftest import wait_until_none
from tests.databases import MYSQL, MariaDB, new_server, open_files

LOOPS: list[Callable[[], asyncio.AbstractEventLoop]] = [
    asyncio.new_event_loop,
    uvloop.new_event_loop,
]


IMPATIENT = {"read_seconds": 1, "connect_seconds": 1, "transaction_seconds": 3}


@pytest.fixture(scope="module")
def own_server() -> Iterator[MariaDB]:
    """A server that may be stopped without disturbing other tests."""
    with new_server() as server:
        yield server


@pytest.fixture(scope="module")
def table_url(own_server: MariaDB) -> str:
    """A database with one table, which has one column."""
    url = own_server.create_database()

    async def create() -> None:
        async with opened(url) as database:
            await database.write(
                lambda connection: connection.execute(
                    text("CREATE TABLE seen (word varchar(10) PRIMARY KEY)")
                )
            )

    asyncio.run(create())
    return url


@asynccontextmanager
async def opened(url: str, **limits: Any) -> AsyncIterator[Database]:
    database = Database(url, limits=Limits(**limits))
    try:
        yield database
        assert database.in_use == 0
    finally:
        # Where warnings are errors, uvloop waits for ever for a connection that stays open.
        await database.close()


@pytest.fixture
async def database(table_url: str) -> AsyncIterator[Database]:
    async with opened(table_url) as made:
        await made.write(lambda connection: connection.execute(text("DELETE FROM seen")))
        yield made


async def add(connection: Connection, word: str) -> None:
    await connection.execute(text("INSERT INTO seen VALUES (:word)"), {"word": word})


async def words(database: Database) -> list[str]:
    async with database.read() as connection:
        found = await connection.execute(text("SELECT word FROM seen ORDER BY word"))
        return list(found.scalars())


async def lock(connection: Connection, word: str) -> None:
    await connection.execute(
        text("SELECT word FROM seen WHERE word = :word FOR UPDATE"), {"word": word}
    )


async def kill(database: Database, connection: Connection) -> None:
    """Have the server drop the connection."""
    number = (await connection.execute(text("SELECT CONNECTION_ID()"))).scalar_one()
    async with database.read() as other:
        await other.execute(text(f"KILL {number}"))


async def test_a_deadlock_is_tried_again(database: Database) -> None:
    for word in ("a", "b"):
        await database.write(partial(add, word=word))
    both_hold_one = asyncio.Barrier(2)
    calls = Counter[str]()

    async def work(connection: Connection, first: str, second: str) -> None:
        calls[first] += 1
        await lock(connection, first)
        if calls[first] == 1:
            await both_hold_one.wait()
        await lock(connection, second)
        await add(connection, f"after {first}")

    await asyncio.gather(
        database.write(lambda connection: work(connection, "a", "b")),
        database.write(lambda connection: work(connection, "b", "a")),
    )
    assert sorted(calls.values()) == [1, 2]
    assert await words(database) == ["a", "after a", "after b", "b"]


@pytest.mark.parametrize("number", [1213, 1205, 1020, 3572, 3101])
async def test_a_write_that_gives_way_is_tried_again_and_again(
    table_url: str, database: Database, number: int
) -> None:
    signal_it = text(f"SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = {number}")
    calls = 0

    async def work(connection: Connection) -> None:
        nonlocal calls
        calls += 1
        await add(connection, f"{calls}")
        if calls < 4:
            await connection.execute(signal_it)

    await database.write(work)
    assert (calls, await words(database)) == (4, ["4"])
    calls = 0
    async with opened(table_url, tries=2) as hasty:
        with pytest.raises(Unavailable, match="the database is too busy"):
            await hasty.write(work)
    assert (calls, await words(database)) == (2, ["4"])
    calls = 0
    with pytest.raises(Busy):
        await database.write(work, tries=1)
    assert calls == 1


async def test_a_lock_that_others_hold_is_waited_for_a_while(
    table_url: str, database: Database
) -> None:
    await database.write(lambda connection: add(connection, "a"))
    calls = 0

    async def work(connection: Connection) -> None:
        nonlocal calls
        calls += 1
        await add(connection, "b")
        await lock(connection, "a")

    async with opened(table_url, lock_seconds=1, tries=2) as second:
        async with database.engine.connect() as holder:
            await lock(holder, "a")
            with pytest.raises(Unavailable, match="the database is too busy"):
                await second.write(work)
        assert (calls, await words(database)) == (2, ["a"])
        await second.write(work)
    assert await words(database) == ["a", "b"]


@pytest.mark.parametrize(
    "number",
    [
        1040,  # too many connections
        1053,  # the server is being ended
        1203,  # too many connections of this account
        1290,  # read only
        1317,  # ended by somebody's KILL QUERY
        1836,  # read only
        1969,  # MariaDB: it took longer than max_statement_time
        3024,  # MySQL: it took longer than max_execution_time
        3100,  # MySQL: group replication refused the commit
        4031,  # MySQL: the connection said nothing for too long
    ],
)
async def test_what_the_server_can_not_do_now_is_an_outage(database: Database, number: int) -> None:
    signal_it = text(f"SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = {number}")
    calls = 0

    async def work(connection: Connection) -> None:
        nonlocal calls
        calls += 1
        await add(connection, "a")
        await connection.execute(signal_it)

    with pytest.raises(Unavailable, match="the database does not answer") as caught:
        await database.write(work)
    assert not isinstance(caught.value, CommitUnknown | Busy)
    assert (calls, await words(database)) == (2, [])
    with pytest.raises(Unavailable, match="the database does not answer"):
        async with database.read() as connection:
            await connection.execute(signal_it)


@pytest.mark.parametrize(
    "number",
    [
        3140,  # MySQL: this is no JSON
        3157,  # MySQL: JSON is nested too deep
        3819,  # MySQL: a CHECK is violated
        4025,  # MariaDB: a CHECK is violated, such as that of a JSON column
    ],
)
async def test_a_value_that_the_server_refuses_is_no_outage(
    database: Database, number: int
) -> None:
    signal_it = text(f"SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = {number}")
    with pytest.raises(OperationalError, match=str(number)):
        await database.write(lambda connection: connection.execute(signal_it))


@pytest.fixture(params=["limit of transactions", "limit of connections"])
def options(request: pytest.FixtureRequest) -> Mapping[str, int]:
    """The options of a database whose server ends a transaction that stands still for a second.

    MySQL has no limit of transactions: there it is that of connections, which MariaDB has too,
    for transactions where they have none of their own.
    """
    if request.param == "limit of transactions" or MYSQL:
        return {"frozen_seconds": 1}
    request.getfixturevalue("short_patience")
    return {"frozen_seconds": 0}


async def test_a_transaction_that_stands_still_is_ended(
    table_url: str, database: Database, options: Mapping[str, int]
) -> None:
    calls = 0

    async def work(connection: Connection) -> None:
        nonlocal calls
        calls += 1
        await add(connection, f"a{calls}")
        if calls == 1:
            # Another one has the same row at once when it is over.
            await database.write(partial(add, word="a1"))
        await add(connection, "b")

    async with opened(table_url, **options) as frozen:
        await frozen.write(work)
    assert (calls, await words(database)) == (2, ["a1", "a2", "b"])


@pytest.fixture
def short_patience(own_server: MariaDB) -> Iterator[None]:
    """The server ends connections that say nothing for a second, as MySQL's are after a while."""
    own_server.run("SET GLOBAL wait_timeout = 1")
    yield
    own_server.run("SET GLOBAL wait_timeout = DEFAULT")


@pytest.mark.usefixtures("short_patience")
async def test_connections_that_the_server_ended_are_replaced(
    own_server: MariaDB, table_url: str
) -> None:
    async with opened(table_url, frozen_seconds=1) as database:
        await database.write(partial(add, word="ended"))
        await words(database)
        await asyncio.to_thread(wait_until_none, lambda: own_server.connections(table_url))
        await database.write(lambda connection: connection.execute(text("DELETE FROM seen")))
        assert await words(database) == []


async def test_a_broken_connection_is_replaced(database: Database) -> None:
    calls = 0

    async def work(connection: Connection) -> None:
        nonlocal calls
        calls += 1
        await add(connection, "a")
        if calls == 1:
            await kill(database, connection)
        await add(connection, "b")

    await database.write(work)
    assert (calls, await words(database)) == (2, ["a", "b"])


async def test_a_connection_that_always_breaks_is_an_outage(database: Database) -> None:
    calls = 0

    async def work(connection: Connection) -> None:
        nonlocal calls
        calls += 1
        await add(connection, "a")
        await kill(database, connection)
        await add(connection, "b")

    with pytest.raises(Unavailable, match="the database does not answer") as caught:
        await database.write(work)
    assert not isinstance(caught.value, CommitUnknown)
    assert (calls, await words(database)) == (2, [])


async def test_a_connection_that_broke_while_idle_is_replaced(
    table_url: str, database: Database
) -> None:
    async with opened(table_url, idle_seconds=0) as idle:
        async with idle.read() as connection:
            number = (await connection.execute(text("SELECT CONNECTION_ID()"))).scalar_one()
        async with database.read() as connection:
            await connection.execute(text(f"KILL {number}"))
        await idle.write(lambda connection: add(connection, "a"))
        assert await words(idle) == ["a"]


async def test_a_connection_that_broke_before_the_commit_leaves_it_unknown(
    database: Database,
) -> None:
    calls = 0

    async def work(connection: Connection) -> None:
        nonlocal calls
        calls += 1
        await add(connection, "a")
        await kill(database, connection)

    with pytest.raises(CommitUnknown, match="the database went away while it saved"):
        await database.write(work)
    assert (calls, await words(database)) == (1, [])


class Cutter:
    """Stands between the service and the server, and lets a number of the server's bytes pass."""

    def __init__(self, port: int) -> None:
        self.left: int | None = None
        self._target = port

    async def __aenter__(self) -> "Cutter":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_exception: object) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers, questions = await asyncio.open_connection("127.0.0.1", self._target)
        forward = asyncio.create_task(_forward(reader, questions))
        while self.left != 0 and (data := await answers.read(65536)):
            if self.left is not None:
                data = data[: self.left]
                self.left -= len(data)
            writer.write(data)
        forward.cancel()
        questions.close()
        writer.close()


async def _forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()


async def cut_everywhere(url: str, *, warm: bool) -> Counter[tuple[str, int]]:
    """Write a row again and again, the answers cut one byte later each time, until none is.

    How often a write ended how, and with how many rows there.
    """
    seen: Counter[tuple[str, int]] = Counter()
    target = make_url(url)
    async with Cutter(target.port or 0) as cutter, opened(url) as direct:
        through = target.set(port=cutter.port).render_as_string(hide_password=False)
        async with opened(through) as database:
            # The first connection of all asks the server what it is.
            await database.write(lambda connection: connection.execute(text("DO 1")))
            for allowed in range(1000):
                await direct.write(lambda connection: connection.execute(text("DELETE FROM seen")))
                if warm:
                    await database.write(lambda connection: connection.execute(text("DO 1")))
                else:
                    await database.engine.dispose()
                cutter.left = allowed
                end = "done"
                try:
                    await database.write(lambda connection: add(connection, "a"))
                except Unavailable as error:
                    end = type(error).__name__
                left, cutter.left = cutter.left, None
                seen[end, len(await words(direct))] += 1
                if left:
                    return seen
    raise AssertionError("no answer ends")


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("warm", [True, False], ids=["warm", "cold"])
def test_wherever_an_answer_is_cut_off_nothing_is_claimed_wrongly(
    table_url: str, loop: Callable[[], asyncio.AbstractEventLoop], warm: bool
) -> None:
    with asyncio.Runner(loop_factory=loop) as runner:
        seen = runner.run(cut_everywhere(table_url, warm=warm))
    possible = {("done", 1), ("Unavailable", 0), ("CommitUnknown", 0), ("CommitUnknown", 1)}
    assert seen.keys() <= possible
    assert seen.keys() >= {("done", 1), ("Unavailable", 0), ("CommitUnknown", 1)}


async def test_a_server_that_is_gone_is_an_outage_until_it_is_back(
    own_server: MariaDB, database: Database
) -> None:
    await database.write(lambda connection: add(connection, "a"))
    own_server.kill()
    for _ in range(2):
        with pytest.raises(Unavailable, match="the database does not answer"):
            await words(database)
        with pytest.raises(Unavailable, match="the database does not answer"):
            await database.write(lambda connection: add(connection, "b"))
    own_server.start()
    assert await words(database) == ["a"]
    await database.write(lambda connection: add(connection, "b"))
    assert await words(database) == ["a", "b"]


async def test_a_start_in_between_is_not_noticed_by_a_write(
    own_server: MariaDB, database: Database
) -> None:
    assert await words(database) == []
    own_server.kill()
    own_server.start()
    await database.write(lambda connection: add(connection, "a"))
    assert await words(database) == ["a"]


@pytest.fixture
def signalled(own_server: MariaDB) -> Iterator[Callable[[int], None]]:
    """Sends the server a signal; it goes on at the end of the test."""
    pid = own_server.pid

    def send(number: int) -> None:
        os.kill(pid, number)
        if number == signal.SIGSTOP:
            # Its threads stop one after the other: some would still answer.
            limit = time.monotonic() + 10
            while not stopped(pid):
                assert time.monotonic() < limit
                time.sleep(0.001)

    yield send
    os.kill(pid, signal.SIGCONT)


def stopped(pid: int) -> bool:
    """Whether every thread of a process stands still (proc(5), the state in `stat`)."""
    stats = [task / "stat" for task in Path(f"/proc/{pid}/task").iterdir()]
    return all(stat.read_text().rpartition(")")[2].split()[0] == "T" for stat in stats)


async def silence(database: Database, signalled: Callable[[int], None], *, warm: bool) -> None:
    """Read and write while the server says nothing, and again when it does."""
    attempts: list[Callable[[], Awaitable[object]]] = [
        lambda: words(database),
        lambda: database.write(partial(add, word="x")),
    ]
    for attempt in attempts:
        await words(database)
        if not warm:
            await database.engine.dispose()
        signalled(signal.SIGSTOP)
        start = time.monotonic()
        with pytest.raises(Unavailable, match="the database does not answer"):
            await attempt()
        assert time.monotonic() - start < 20
        signalled(signal.SIGCONT)
        assert "x" not in await words(database)


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("warm", [True, False], ids=["warm", "cold"])
def test_a_server_that_says_nothing_is_an_outage(
    signalled: Callable[[int], None],
    table_url: str,
    loop: Callable[[], asyncio.AbstractEventLoop],
    warm: bool,
) -> None:
    async def work() -> None:
        async with opened(table_url, **IMPATIENT) as database:
            await database.write(lambda connection: connection.execute(text("DELETE FROM seen")))
            await silence(database, signalled, warm=warm)

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(work())


async def test_a_server_that_takes_nothing_is_an_outage(
    signalled: Callable[[int], None], table_url: str
) -> None:
    """The statement is more than the sockets' buffers hold, so its sending never ends."""

    async def send(connection: Connection) -> None:
        await connection.execute(text("DO LENGTH(:big)"), {"big": "x" * 12_000_000})

    before = sockets()
    async with opened(table_url, **IMPATIENT) as database:
        await words(database)
        signalled(signal.SIGSTOP)
        start = time.monotonic()
        with pytest.raises(Unavailable):
            await database.write(send)
        assert time.monotonic() - start < 20
        signalled(signal.SIGCONT)
        await words(database)
    # What was not sent keeps its socket open until the server has taken it.
    await asyncio.to_thread(wait_until_none, lambda: sockets() - before)


def sockets() -> set[str]:
    return set(open_files(Path("socket:")))


async def test_a_value_that_does_not_fit_is_refused_however_lax_the_server(
    own_server: MariaDB, table_url: str
) -> None:
    own_server.run("SET GLOBAL sql_mode = ''")
    async with opened(table_url) as database:
        with pytest.raises(DataError, match="Data too long"):
            await database.write(lambda connection: add(connection, "x" * 11))
