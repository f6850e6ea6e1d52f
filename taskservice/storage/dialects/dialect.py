"""What is asked of every database: how it says things in SQL, and how it is connected to."""

from collections.abc import Collection, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import Connection, Table
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long things may take, in seconds, and how many there may be of them."""

    connect_seconds: int = 5
    read_seconds: int = 10
    """How long an answer of the server may take."""

    lock_seconds: int = 5
    transaction_seconds: float = 60
    frozen_seconds: int = 20
    """How long a transaction may stand still before the server ends it; SQLite has no such end."""

    idle_seconds: float = 5.0
    """How long a connection may lie idle before it is asked whether it is alive."""

    pool_seconds: float = 5
    pool_size: int = 8
    """Connections to write with, and on a server as many to read with."""

    tries: int = 5
    """How often a transaction is tried that others are in the way of."""


class LockKept(Exception):
    """Another process kept the lock on the tables for longer than was waited for it."""


class SchedulerLock:
    """The lock that says which of several processes on one database schedules.

    Used by one caller at a time; every method raises `Unavailable` where the database doesn't
    answer, and the lock is lost then. `id` is the number that the database knows its holder by,
    while that is this process. As it is here, it is that of the only process, which always has it.
    """

    id: int | None = None

    async def take(self, patience: float) -> bool:
        """Wait for the lock, at most `patience` seconds; whether it is held now."""
        self.id = 0
        return True

    async def is_held(self) -> bool:
        """Whether this process still has the lock."""
        return True

    async def holder(self) -> int | None:
        """The number of who has the lock, whoever that is."""
        return 0

    async def take_away(self, holder: int) -> None:
        """Take the lock from a process that can't give it back itself."""

    async def give_back(self) -> None:
        """Let another process have the lock; raises nothing."""
        self.id = None


class Connections:
    """What is open of one database: `read` to read with, `write` to write, `engine` for all else.

    Errors whose number is among `give_way` mean that the transaction was rolled back and may be
    tried again, those of `refusals` that the database refuses a value. `one_process` says that one
    process at a time serves the database.
    """

    give_way = refusals = frozenset[int]()
    one_process = False

    def __init__(self, url: URL, engine: AsyncEngine, *, write: AsyncEngine, read: AsyncEngine):
        self.url = url
        self.engine = engine
        self.write = write
        self.read = read

    @property
    def in_use(self) -> int:
        """How many connections are in somebody's hands."""
        pools: set[Any] = {self.engine.pool, self.read.pool}
        return sum(pool.checkedout() for pool in pools)

    def claim(self) -> None:
        """Refuse a database that another process serves, if one may; raises `StartError`."""

    def note_outage(self) -> None:
        """Have connections replaced that are older than this moment, if they can break."""

    def turn(self) -> AbstractAsyncContextManager[Any]:
        """The turn of a writer, where writers take turns."""
        return nullcontext()

    def snapshot(self, connection: AsyncConnection) -> AbstractAsyncContextManager[None]:
        """Have all queries of a connection see what is committed by now, if they don't anyway."""
        return nullcontext()

    def migrating(self, lock_seconds: int) -> AbstractAsyncContextManager[AsyncConnection]:
        """A connection to change tables with, alone; it may take longer than the others.

        Raises `LockKept` where another process changes them for longer than so many seconds.
        """
        return self.write.connect()

    def scheduler_lock(self) -> SchedulerLock:
        """The lock of whoever schedules."""
        return SchedulerLock()

    async def close(self) -> None:
        """Close every connection, and give up what was claimed."""
        await self.engine.dispose()
        await self.read.dispose()


class Dialect(Protocol):
    """How a database says in SQL what others say otherwise."""

    def connections(self, url: URL, limits: Limits) -> Connections:
        """The connections to a database, none of which is open yet."""

    def place(self, url: URL) -> int | str:
        """What the open files of a database are known by: a TCP port, or a path."""

    async def now(self, connection: AsyncConnection) -> datetime:
        """The time by the database's clock."""

    def with_index(self, name: str) -> str:
        """What follows a table's name to have an index used, whatever the planner thinks."""

    def slot(self, column: str) -> str:
        """In which slot of `:seconds` a time is, counted from `:origin`, seconds since 1970."""

    def upsert(self, table: Table, keys: Sequence[str], others: Sequence[str]) -> Any:
        """A statement that inserts a row, or overwrites the others where the keys are there."""

    def update_rows(
        self,
        connection: Connection,
        table: Table,
        rows: Sequence[dict[str, Any]],
        *,
        keep: Collection[str] = (),
    ) -> None:
        """Set the columns that the rows name, in the row of each one's `id`.

        A null leaves a column as it is that is one of `keep`. Times are given as they are stored.
        """
