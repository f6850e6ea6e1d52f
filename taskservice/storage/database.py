"""The connection to the database: transactions, time limits, and what an outage looks like."""

import asyncio
import fcntl
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    nullcontext,
    suppress,
)
from pathlib import Path
from typing import Any, TextIO, TypeVar

import sqlalchemy
from sqlalchemy import event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import (
    DataError,
    DBAPIError,
    DisconnectionError,
    IntegrityError,
    ProgrammingError,
    SQLAlchemyError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from taskservice.domain.errors import StartError, Unavailable
from taskservice.storage.damage import read_json
from taskservice.storage.rows import to_json

CONNECT_SECONDS = 5
READ_SECONDS = 10
LOCK_SECONDS = 5
TRANSACTION_SECONDS = 60
FROZEN_SECONDS = 20
"""How long a transaction may stand still before the server ends it."""

IDLE_SECONDS = 5.0
"""How long a connection may lie idle before it is asked whether it is alive."""

POOL_SECONDS = 5
POOL_SIZE = 8
"""Connections to write with, and on MySQL as many to read with."""

MYSQL_PORT = 3306
"""Where a server listens whose URL names no port."""

# A deadlock, a lock waited for too long or not at all, a row that changed since the snapshot
# (MariaDB from 11.6.2 on), and a commit that another member of MySQL's group replication was in
# the way of: the transaction was rolled back and may be tried again.
_TRY_AGAIN = {1213, 1205, 3572, 1020, 3101}

# What MySQL refuses as JSON (no JSON, nested too deep), and what a CHECK of either server refuses:
# the driver has no class for them.
_REFUSED = {3140, 3157, 3819, 4025}
TRIES = 5
"""How often a transaction is tried that others are in the way of."""

Connection = AsyncConnection
"""A connection within a transaction, as the queries of this room take it."""

SyncConnection = sqlalchemy.Connection
"""The same for queries that are called through `run_sync`, many of them at once."""

T = TypeVar("T")


class Collision(Exception):
    """A row is there already that must be unique; nothing was written."""


class Busy(Unavailable):
    """Others were in the way of a transaction each time that it was tried."""


class CommitUnknown(Unavailable):
    """The answer to a commit was lost: only reading back tells whether it was done."""


def is_outage(error: BaseException) -> bool:
    """Whether an error of the driver means that the database can't be reached or used now."""
    if isinstance(error, DBAPIError):
        refused = isinstance(error, IntegrityError | ProgrammingError | DataError)
        return not refused and _code(error) not in _REFUSED
    if isinstance(error, RuntimeError):
        # uvloop and asyncmy say so of a transport that is gone, or went while it was opened.
        return "closed" in str(error) or "does not expose socket" in str(error)
    return isinstance(error, PoolTimeout | OSError | TimeoutError | EOFError)


class Database:
    """One pool of connections, and transactions on it.

    Every write goes through `write`, every read through `read`; both raise `Unavailable` when
    the database can't be reached within the time limits. A transaction that stands still for
    `frozen_seconds` is ended by the server (SQLite has none).
    """

    def __init__(self, url: str, *, frozen_seconds: int = FROZEN_SECONDS) -> None:
        self.url: URL = make_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        if self.is_sqlite and self.url.database:
            # Connections come and go, and the working folder may change between them.
            self.url = self.url.set(database=os.path.abspath(self.url.database))
        self.engine: AsyncEngine = (
            _sqlite(self.url) if self.is_sqlite else _mysql(self.url, frozen_seconds=frozen_seconds)
        )
        # An option of each connection would cost as much as a statement.
        self._writing = self.engine.execution_options(writes=True)
        # What only reads needs no transaction, whose end would be one more message each time.
        self._reading = self.engine if self.is_sqlite else _mysql(self.url)
        self._fresh_from = 0.0
        if not self.is_sqlite:
            for engine in (self.engine, self._reading):
                self._replace_broken(engine)
        self._lock_file: TextIO | None = None
        # SQLite has one writer; waiting for it here, in order, is cheaper than its busy handler.
        self._writer: AbstractAsyncContextManager[Any] = (
            asyncio.Lock() if self.is_sqlite else nullcontext()
        )

    def _replace_broken(self, engine: AsyncEngine) -> None:
        """Have connections replaced that are older than an outage, or broke while they were idle.

        Asking each time whether a connection is alive would cost a message each time.
        """

        @event.listens_for(engine.sync_engine, "connect")
        def note_begin(_connection: object, record: ConnectionPoolEntry) -> None:
            record.info["since"] = record.info["idle_since"] = time.monotonic()

        @event.listens_for(engine.sync_engine, "checkin")
        def note_end(_connection: object, record: ConnectionPoolEntry) -> None:
            record.info["idle_since"] = time.monotonic()

        @event.listens_for(engine.sync_engine, "checkout")
        def look(connection: Any, record: ConnectionPoolEntry, _: object) -> None:
            if record.info["since"] < self._fresh_from:
                raise DisconnectionError("it is older than an outage")
            if time.monotonic() - record.info["idle_since"] > IDLE_SECONDS:
                try:
                    engine.dialect.do_ping(connection)
                except engine.dialect.loaded_dbapi.Error:
                    raise DisconnectionError("it broke while it was idle") from None

    @property
    def in_use(self) -> int:
        """How many connections are in somebody's hands."""
        pools: list[Any] = [self.engine.pool, self._reading.pool]
        return sum(pool.checkedout() for pool in pools[: 1 if self.is_sqlite else 2])

    def claim_file(self) -> None:
        """Refuse a SQLite file that another process serves; raises `StartError`."""
        if not self.is_sqlite:
            return
        path = Path(self.url.database or "")
        if not path.parent.is_dir():
            raise StartError(f"no folder {path.parent} for the database file {path.name}")
        try:
            lock_file = open(f"{path}.lock", "w")
        except OSError as error:
            raise StartError(f"can't write beside the database {path}: {error.strerror}") from None
        try:
            fcntl.flock(lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock_file.close()
            raise StartError(
                f"another process serves {path}: SQLite takes one; use MariaDB for several"
            ) from None
        self._lock_file = lock_file

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A connection to read with; each query sees what is committed by then."""
        try:
            async with self._connection(self._reading) as connection:
                yield connection
        except (SQLAlchemyError, OSError, TimeoutError, EOFError, RuntimeError) as error:
            if is_outage(error):
                self._fresh_from = time.monotonic()
                raise Unavailable(f"the database does not answer: {_short(error)}") from error
            raise

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[AsyncConnection]:
        """A connection to read with, whose queries all see the same: what is committed by now."""
        async with self.read() as connection:
            if self.is_sqlite:  # its transactions are no less
                yield connection
                return
            await connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            await connection.exec_driver_sql("START TRANSACTION WITH CONSISTENT SNAPSHOT")
            try:
                yield connection
            finally:
                await connection.exec_driver_sql("COMMIT")

    async def write(
        self, work: Callable[[AsyncConnection], Awaitable[T]], *, tries: int | None = None
    ) -> T:
        """Do `work` in one transaction, which is committed when this returns.

        `work` may be called again after a deadlock or a broken connection, so it must have no
        effect but on the database. Raises `CommitUnknown` where the commit's answer was lost,
        and `Busy` where others were in the way `tries` times (`TRIES` if it is not given).
        """
        for attempt in range(1, TRIES + 1):
            committing = False
            try:
                # The driver limits its waiting for answers, but not its sending.
                limit = asyncio.timeout(TRANSACTION_SECONDS)
                async with limit, self._writer, self._connection(self._writing) as connection:
                    try:  # the first statement begins the transaction
                        result = await work(connection)
                        committing = True
                        await connection.commit()
                    except BaseException:
                        await connection.rollback()
                        raise
                    return result
            except (SQLAlchemyError, OSError, TimeoutError, EOFError, RuntimeError) as error:
                if _may_try_again(error):
                    if attempt >= (tries or TRIES):
                        raise Busy(f"the database is too busy: {_short(error)}") from error
                    continue
                if isinstance(error, IntegrityError):
                    raise Collision(_short(error)) from error
                if not is_outage(error):
                    raise
                self._fresh_from = time.monotonic()
                if committing:
                    raise CommitUnknown("the database went away while it saved") from error
                if attempt > 1 or isinstance(error, PoolTimeout):
                    raise Unavailable(f"the database does not answer: {_short(error)}") from error
        raise AssertionError("the loop above returns or raises")

    @asynccontextmanager
    async def _connection(self, engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
        opening = asyncio.create_task(engine.connect().start())
        try:
            connection = await asyncio.shield(opening)
        except asyncio.CancelledError:
            # The drivers lose a connection whose opening is cut off, so it is awaited.
            with suppress(Exception):
                await (await opening).close()
            raise
        async with AsyncExitStack() as stack:
            stack.push_async_exit(connection)
            yield connection

    async def close(self) -> None:
        """Close every connection and give the file back."""
        await self.engine.dispose()
        await self._reading.dispose()
        if self._lock_file:
            self._lock_file.close()


def place_of(url: str) -> int | str:
    """What the open files of a database are known by.

    The TCP port or the Unix socket of its server, or the real path of SQLite's file.
    """
    parts = make_url(url)
    if parts.get_backend_name() == "sqlite":
        return os.path.realpath(str(parts.database))
    return str(parts.query.get("unix_socket", "")) or parts.port or MYSQL_PORT


def _may_try_again(error: BaseException) -> bool:
    return _code(error) in _TRY_AGAIN


def _code(error: BaseException) -> object:
    """The number that the server has for an error."""
    if isinstance(error, DBAPIError) and error.orig and error.orig.args:
        return error.orig.args[0]
    return None


def _short(error: BaseException) -> str:
    cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
    return (str(cause) or type(cause).__name__).splitlines()[0][:200]


def driver_arguments(url: URL, *, read_seconds: int = READ_SECONDS) -> dict[str, Any]:
    """What every connection to MySQL or MariaDB is opened with; `read_seconds` for an answer."""
    arguments: dict[str, Any] = {
        "connect_timeout": CONNECT_SECONDS,
        "read_timeout": read_seconds,
        "charset": "utf8mb4",
    }
    if url.password is not None:
        # The servers take a password for the bytes of its UTF-8, the driver for those of Latin-1.
        arguments["password"] = str(url.password).encode()
    return arguments


def _mysql(url: URL, *, frozen_seconds: int | None = None) -> AsyncEngine:
    """An engine whose transactions end when they stand still for so long; None: to read with."""
    reads = frozen_seconds is None
    engine = create_async_engine(
        url,
        isolation_level="AUTOCOMMIT" if reads else "READ COMMITTED",
        skip_autocommit_rollback=True,
        # Whoever uses a connection ends its transaction; a rollback more changes nothing.
        pool_reset_on_return=None,
        json_serializer=to_json,
        json_deserializer=read_json,
        pool_size=POOL_SIZE,
        max_overflow=0,
        pool_timeout=POOL_SECONDS,
        pool_recycle=1800,
        # The connection that was used last is used next: what more there are may end meanwhile.
        pool_use_lifo=True,
        connect_args=driver_arguments(url, read_seconds=READ_SECONDS)
        | {"init_command": _session(frozen_seconds)},
    )
    if reads:

        @event.listens_for(engine.sync_engine, "connect")
        def refuse_writes(dbapi_connection: Any, _record: object) -> None:
            cursor = dbapi_connection.cursor()
            cursor.execute("SET SESSION TRANSACTION READ ONLY")
            cursor.close()

    return engine


def _session(frozen_seconds: int | None) -> str:
    """The statement that a connection begins with.

    A wait for a lock ends before the driver takes the server for dead; a value that does not fit
    is refused, never cut; and the server ends a transaction that a process was frozen in, before
    another process takes its work over. MySQL has no limit for that but the one on every
    connection that says nothing. What one of the two servers alone knows stands in a comment that
    the other passes over: MySQL does so with those of `M`, MariaDB with those of MySQL's versions
    from 5.7 on (both manuals on comments).
    """
    wanted = ["time_zone = '+00:00'", "sql_mode = 'TRADITIONAL'"]
    wanted.append(f"innodb_lock_wait_timeout = {LOCK_SECONDS}")
    if frozen_seconds is not None:
        wanted[-1] += f" /*M!100300 , idle_transaction_timeout = {frozen_seconds} */"
        wanted[-1] += f" /*!80000 , wait_timeout = {frozen_seconds} */"
    return f"SET {', '.join(wanted)}"


def _sqlite(url: URL) -> AsyncEngine:
    engine = create_async_engine(
        url,
        pool_reset_on_return=None,
        json_serializer=to_json,
        json_deserializer=read_json,
        pool_size=POOL_SIZE,
        max_overflow=0,
        pool_timeout=POOL_SECONDS,
    )

    @event.listens_for(engine.sync_engine, "connect")
    def prepare(dbapi_connection: Any, _record: object) -> None:
        # The driver's own transactions begin too late (at the first write): see "begin".
        dbapi_connection.isolation_level = None
        cursor = dbapi_connection.cursor()
        for pragma in (
            "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON",
            f"busy_timeout={READ_SECONDS * 1000}",
        ):  # fmt: skip
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Any) -> None:
        # A transaction that reads first and writes later fails at once when another one wrote in
        # between, whatever the busy timeout: so writers say from the start that they will write.
        writes = connection.get_execution_options().get("writes")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine
