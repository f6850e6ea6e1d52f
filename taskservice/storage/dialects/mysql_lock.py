"""The lock of MySQL's server that says which of several processes schedules."""

import hashlib
from contextlib import suppress
from typing import Any

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from taskservice.domain.errors import Unavailable
from taskservice.storage.dialects.dialect import SchedulerLock
from taskservice.storage.dialects.outages import is_outage

_BROKEN = (SQLAlchemyError, OSError, TimeoutError, EOFError, RuntimeError)


class ServerLock(SchedulerLock):
    """A lock of the server's, on a connection of its own; see `SchedulerLock`.

    The server gives it back by itself when that connection ends, and with it at the latest when
    its process dies (GET_LOCK in the manuals of MySQL and MariaDB). `engine` opens the connection.
    """

    def __init__(self, database: str, engine: AsyncEngine) -> None:
        # The server has one name space for all its databases, and 64 characters for a name.
        digest = hashlib.sha256(database.encode()).hexdigest()[:32]
        self._name = f"taskservice.{digest}"
        self._engine = engine
        self._connection: AsyncConnection | None = None

    async def take(self, patience: float) -> bool:
        taken = await self._ask("SELECT GET_LOCK(:name, :seconds)", seconds=patience)
        if taken == 1:
            self.id = await self._ask("SELECT CONNECTION_ID()")
        return bool(taken == 1)

    async def is_held(self) -> bool:
        return self.id is not None and await self.holder() == self.id

    async def holder(self) -> int | None:
        found: int | None = await self._ask("SELECT IS_USED_LOCK(:name)")
        return found

    async def take_away(self, holder: int) -> None:
        # Its connection is ended.
        with suppress(SQLAlchemyError):  # it may have ended meanwhile
            await self._execute(f"KILL {holder:d}")

    async def give_back(self) -> None:
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
