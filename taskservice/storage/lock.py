"""The lock that says which of several processes on one database schedules."""

import hashlib
from contextlib import suppress
from typing import Any

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

from taskservice.domain.errors import Unavailable
from taskservice.storage.database import Database, driver_arguments, is_outage

_BROKEN = (SQLAlchemyError, OSError, TimeoutError, EOFError, RuntimeError)


class SchedulerLock:
    """A lock of the database server's, on a connection of its own.

    The server gives it back by itself when that connection ends, and with it at the latest when
    its process dies (GET_LOCK in the manuals of MySQL and MariaDB). SQLite's file is served by
    one process, which always has the lock. Used by one caller at a time; every method raises
    `Unavailable` where the database doesn't answer, and the lock is lost then.
    """

    def __init__(self, database: Database) -> None:
        self._sqlite = database.is_sqlite
        # The server has one name space for all its databases, and 64 characters for a name.
        digest = hashlib.sha256(str(database.url.database).encode()).hexdigest()[:32]
        self._name = f"taskservice.{digest}"
        self._connection: AsyncConnection | None = None
        self.id: int | None = None
        if not self._sqlite:
            self._engine = create_async_engine(
                database.url,
                poolclass=NullPool,
                isolation_level="AUTOCOMMIT",
                connect_args=driver_arguments(database.url),
            )

    async def take(self, patience: float) -> bool:
        """Wait for the lock, at most `patience` seconds; whether it is held now.

        `id` is then the number that the server knows the connection by.
        """
        if self._sqlite:
            self.id = 0
            return True
        taken = await self._ask("SELECT GET_LOCK(:name, :seconds)", seconds=patience)
        if taken == 1:
            self.id = await self._ask("SELECT CONNECTION_ID()")
        return bool(taken == 1)

    async def is_held(self) -> bool:
        """Whether this process still has the lock."""
        if self._sqlite:
            return True
        return self.id is not None and await self.holder() == self.id

    async def holder(self) -> int | None:
        """The connection that has the lock, whoever's it is."""
        if self._sqlite:
            return 0
        found: int | None = await self._ask("SELECT IS_USED_LOCK(:name)")
        return found

    async def take_away(self, connection_id: int) -> None:
        """End a connection of a process that can't give the lock back itself."""
        with suppress(SQLAlchemyError):  # it may have ended meanwhile
            await self._execute(f"KILL {connection_id:d}")

    async def give_back(self) -> None:
        """Let another process have the lock; raises nothing."""
        connection, self._connection, self.id = self._connection, None, None
        if connection is None:
            return
        with suppress(*_BROKEN):
            await connection.execute(text("DO RELEASE_LOCK(:name)"), {"name": self._name})
        with suppress(*_BROKEN):
            await connection.close()

    async def _ask(self, query: str, **more: Any) -> Any:
        parameters = {"name": self._name, **more} if ":name" in query else {}
        try:
            return (await self._execute(query, parameters)).scalar_one()
        except _BROKEN as error:
            if not is_outage(error):
                raise
            await self._drop()
            raise Unavailable("the database does not answer for the scheduler's lock") from error

    async def _execute(self, query: str, parameters: dict[str, Any] | None = None) -> Any:
        if self._connection is None:
            self._connection = await self._engine.connect()
        return await self._connection.execute(text(query), parameters)

    async def _drop(self) -> None:
        connection, self._connection, self.id = self._connection, None, None
        if connection is not None:
            with suppress(*_BROKEN):
                await connection.invalidate()
            with suppress(*_BROKEN):
                await connection.close()
