"""The connection to the database: transactions, time limits, and what an outage looks like."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import TypeVar

import sqlalchemy
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from taskservice.domain.errors import Unavailable
from taskservice.storage.dialects import dialect_for
from taskservice.storage.dialects.dialect import Limits, SchedulerLock
from taskservice.storage.dialects.outages import is_outage, number_of

LIMITS = Limits()

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


class Database:
    """One pool of connections, and transactions on it.

    Every write goes through `write`, every read through `read`; both raise `Unavailable` when
    the database can't be reached within the time limits.
    """

    def __init__(self, url: str, *, limits: Limits = LIMITS) -> None:
        found = make_url(url)
        self.limits = limits
        self.connections = dialect_for(found).connections(found, limits)
        self.url = self.connections.url
        self.engine: AsyncEngine = self.connections.engine

    @property
    def one_process(self) -> bool:
        """Whether one process at a time serves this database."""
        return self.connections.one_process

    @property
    def in_use(self) -> int:
        """How many connections are in somebody's hands."""
        return self.connections.in_use

    def claim(self) -> None:
        """Refuse a database that another process serves, if one may; raises `StartError`."""
        self.connections.claim()

    def scheduler_lock(self) -> SchedulerLock:
        """The lock that says which of several processes on this database schedules."""
        return self.connections.scheduler_lock()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A connection to read with; each query sees what is committed by then."""
        try:
            async with self._connection(self.connections.read) as connection:
                yield connection
        except (SQLAlchemyError, OSError, TimeoutError, EOFError, RuntimeError) as error:
            if self._is_outage(error):
                self.connections.note_outage()
                raise Unavailable(f"the database does not answer: {_short(error)}") from error
            raise

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[AsyncConnection]:
        """A connection to read with, whose queries all see the same: what is committed by now."""
        async with self.read() as connection, self.connections.snapshot(connection):
            yield connection

    async def write(
        self, work: Callable[[AsyncConnection], Awaitable[T]], *, tries: int | None = None
    ) -> T:
        """Do `work` in one transaction, which is committed when this returns.

        `work` may be called again after a deadlock or a broken connection, so it must have no
        effect but on the database. Raises `CommitUnknown` where the commit's answer was lost,
        and `Busy` where others were in the way `tries` times, if not as often as is usual.
        """
        limits, connections = self.limits, self.connections
        for attempt in range(1, limits.tries + 1):
            committing = False
            try:
                # The driver limits its waiting for answers, but not its sending.
                limit = asyncio.timeout(limits.transaction_seconds)
                opened = self._connection(connections.write)
                async with limit, connections.turn(), opened as connection:
                    try:  # the first statement begins the transaction
                        result = await work(connection)
                        committing = True
                        await connection.commit()
                    except BaseException:
                        await connection.rollback()
                        raise
                    return result
            except (SQLAlchemyError, OSError, TimeoutError, EOFError, RuntimeError) as error:
                if number_of(error) in connections.give_way:
                    if attempt >= (tries or limits.tries):
                        raise Busy(f"the database is too busy: {_short(error)}") from error
                    continue
                if isinstance(error, IntegrityError):
                    raise Collision(_short(error)) from error
                if not self._is_outage(error):
                    raise
                connections.note_outage()
                if committing:
                    raise CommitUnknown("the database went away while it saved") from error
                if attempt > 1 or isinstance(error, PoolTimeout):
                    raise Unavailable(f"the database does not answer: {_short(error)}") from error
        raise AssertionError("the loop above returns or raises")

    def _is_outage(self, error: BaseException) -> bool:
        return is_outage(error, self.connections.refusals)

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
        """Close every connection, and give up what was claimed."""
        await self.connections.close()


def place_of(url: str) -> int | str:
    """What the open files of a database are known by: a TCP port, a socket's or a file's path."""
    parts = make_url(url)
    return dialect_for(parts).place(parts)


def _short(error: BaseException) -> str:
    cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
    return (str(cause) or type(cause).__name__).splitlines()[0][:200]
