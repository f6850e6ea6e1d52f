"""SQLite: one file, one process that serves it, one writer at a time."""

import asyncio
import fcntl
import os
from collections.abc import Collection, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, TextIO

from sqlalchemy import Connection, Index, Table, event, text
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from taskservice.domain.errors import StartError
from taskservice.storage.damage import read_json
from taskservice.storage.dialects.dialect import Connections, Dialect, Limits
from taskservice.storage.rows import chunks, to_json


class SQLite(Dialect):
    def connections(self, url: URL, limits: Limits) -> "SQLiteConnections":
        return SQLiteConnections(url, limits)

    def place(self, url: URL) -> int | str:
        """The real path of the file."""
        return os.path.realpath(str(url.database))

    async def now(self, connection: AsyncConnection) -> datetime:
        """The time: the database has no clock but this machine's."""
        return datetime.now(UTC)

    def with_index(self, name: str) -> str:
        return f"INDEXED BY {name}"

    def slot(self, column: str) -> str:
        # Given a fraction of a second, strftime would round.
        seconds = f"CAST(strftime('%s', substr({column}, 1, 19)) AS INTEGER)"
        return f"({seconds} - :origin) / :seconds"

    def upsert(self, table: Table, keys: Sequence[str], others: Sequence[str]) -> Any:
        insert = sqlite.insert(table)
        return insert.on_conflict_do_update(
            index_elements=keys, set_={name: insert.excluded[name] for name in others}
        )

    def update_rows(
        self,
        connection: Connection,
        table: Table,
        rows: Sequence[dict[str, Any]],
        *,
        keep: Collection[str] = (),
    ) -> None:
        if rows:
            statement = _update_by_id(table, tuple(rows[0]), frozenset(keep))
            for piece in chunks(rows):
                connection.execute(statement, list(piece))


def only(index: Index) -> Index:
    """An index that only this database has."""
    return index.ddl_if(dialect="sqlite")


@lru_cache(maxsize=100)
def _update_by_id(table: Table, names: tuple[str, ...], keep: frozenset[str]) -> Any:
    values = ", ".join(
        f"{name} = COALESCE(:{name}, {name})" if name in keep else f"{name} = :{name}"
        for name in names
        if name != "id"
    )
    return text(f"UPDATE {table.name} SET {values} WHERE id = :id")


class SQLiteConnections(Connections):
    one_process = True

    def __init__(self, url: URL, limits: Limits) -> None:
        # Connections come and go, and the working folder may change between them.
        url = url.set(database=os.path.abspath(url.database)) if url.database else url
        engine = _engine(url, limits)
        # An option of each connection would cost as much as a statement.
        super().__init__(url, engine, write=engine.execution_options(writes=True), read=engine)
        # Waiting for the one writer here, in order, is cheaper than the database's busy handler.
        self._turn = asyncio.Lock()
        self._claimed: TextIO | None = None

    def claim(self) -> None:
        """Refuse a file that another process serves, or that can't be there."""
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
        self._claimed = lock_file

    def turn(self) -> AbstractAsyncContextManager[Any]:
        return self._turn

    async def close(self) -> None:
        await super().close()
        if self._claimed:
            self._claimed.close()


def _engine(url: URL, limits: Limits) -> AsyncEngine:
    engine = create_async_engine(
        url,
        pool_reset_on_return=None,
        json_serializer=to_json,
        json_deserializer=read_json,
        pool_size=limits.pool_size,
        max_overflow=0,
        pool_timeout=limits.pool_seconds,
    )

    @event.listens_for(engine.sync_engine, "connect")
    def prepare(dbapi_connection: Any, _record: object) -> None:
        # The driver's own transactions begin too late (at the first write): see "begin".
        dbapi_connection.isolation_level = None
        cursor = dbapi_connection.cursor()
        for pragma in (
            "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON",
            f"busy_timeout={limits.read_seconds * 1000}",
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
