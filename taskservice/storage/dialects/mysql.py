"""MySQL and MariaDB: a server that several processes share, over connections that may break."""

import json
import time
from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import msgspec
from sqlalchemy import Column, Connection, Index, String, Table, event, text
from sqlalchemy.dialects import mysql
from sqlalchemy.engine import URL
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry, NullPool

from taskservice.storage.damage import read_json
from taskservice.storage.dialects.dialect import Connections, Dialect, Limits, LockKept
from taskservice.storage.dialects.mysql_lock import ServerLock
from taskservice.storage.rows import to_json

PORT = 3306
"""Where a server listens whose URL names no port."""

PACKET_BYTES = 2**20
"""The server refuses a packet that is too big, 16 MiB at least: quoting doubles it at most."""

TABLES_LOCK = "taskservice.schema"
# A big table takes its time; another program that holds on to one is not waited for so long.
MIGRATE_SECONDS = 3600
TABLE_LOCK_SECONDS = 60


class MySQL(Dialect):
    def connections(self, url: URL, limits: Limits) -> "MySQLConnections":
        return MySQLConnections(url, limits)

    def place(self, url: URL) -> int | str:
        """The Unix socket of the server, or its port."""
        return str(url.query.get("unix_socket", "")) or url.port or PORT

    async def now(self, connection: AsyncConnection) -> datetime:
        found = (await connection.execute(text("SELECT UTC_TIMESTAMP(6)"))).scalar_one()
        return found.replace(tzinfo=UTC)  # type: ignore[no-any-return]

    def with_index(self, name: str) -> str:
        return f"FORCE INDEX ({name})"

    def slot(self, column: str) -> str:
        return f"(TIMESTAMPDIFF(SECOND, '1970-01-01', {column}) - :origin) DIV :seconds"

    def upsert(self, table: Table, keys: Sequence[str], others: Sequence[str]) -> Any:
        # Only placeholders stand in VALUES: with anything else the driver goes row by row.
        insert = mysql.insert(table)
        inserted = insert.inserted  # made anew each time that it is asked for
        return insert.on_duplicate_key_update({name: inserted[name] for name in others})

    def update_rows(
        self,
        connection: Connection,
        table: Table,
        rows: Sequence[dict[str, Any]],
        *,
        keep: Collection[str] = (),
    ) -> None:
        # The driver would send an UPDATE of many rows one by one.
        if rows:
            statement = _update_from_json(table, tuple(rows[0]), frozenset(keep))
            for array in _packets(rows):
                connection.execute(statement, {"rows": array})


def only(index: Index) -> Index:
    """An index that only this database has."""
    return index.ddl_if(dialect="mysql")


@lru_cache(maxsize=100)
def _update_from_json(table: Table, names: tuple[str, ...], keep: frozenset[str]) -> Any:
    columns = ", ".join(f"{name} {_json_type(table.c[name])} PATH '$.{name}'" for name in names)
    values = [
        f"t.{name} = COALESCE(r.{name}, t.{name})" if name in keep else f"t.{name} = r.{name}"
        for name in names
        if name != "id"
    ]
    # The server would move these by itself.
    values += [
        f"t.{column.name} = t.{column.name}"
        for column in table.columns
        if column.server_onupdate is not None and column.name not in names
    ]
    return text(
        f"UPDATE {table.name} AS t JOIN JSON_TABLE(:rows, '$[*]' COLUMNS ({columns})) AS r "
        f"ON t.id = r.id SET {', '.join(values)}"
    )


def _json_type(column: Column[Any]) -> str:
    """A column's type in a JSON_TABLE, whose texts have the database's character set otherwise.

    That may have no room for 中文.
    """
    if isinstance(column.type, String):
        length = column.type.length
        return f"{f'varchar({length})' if length else 'mediumtext'} CHARACTER SET utf8mb4"
    return "datetime(6)"


def _packets(rows: Iterable[dict[str, Any]]) -> Iterator[str]:
    """The rows as JSON arrays that fit a packet each."""
    packet: list[str] = []
    size = 0
    for row in rows:
        encoded = msgspec.json.encode(row)
        if packet and size + len(encoded) > PACKET_BYTES:
            yield f"[{','.join(packet)}]"
            packet, size = [], 0
        packet.append(encoded.decode())
        size += len(encoded)
    if packet:
        yield f"[{','.join(packet)}]"


class MySQLConnections(Connections):
    # A deadlock, a lock waited for too long or not at all, a row that changed since the snapshot
    # (MariaDB from 11.6.2 on), and a commit that another member of MySQL's group replication was
    # in the way of.
    give_way = frozenset({1213, 1205, 3572, 1020, 3101})
    # No JSON, nested too deep, and what a CHECK of either server refuses: the driver has no class
    # for them.
    refusals = frozenset({3140, 3157, 3819, 4025})

    def __init__(self, url: URL, limits: Limits) -> None:
        # What only reads needs no transaction, whose end would be one more message each time.
        read, write = _engine(url, limits, reads=True), _engine(url, limits, reads=False)
        super().__init__(url, write, write=write, read=read)
        self._limits = limits
        self._fresh_from = 0.0
        for engine in (self.write, self.read):
            self._replace_broken(engine)

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
            if time.monotonic() - record.info["idle_since"] > self._limits.idle_seconds:
                try:
                    engine.dialect.do_ping(connection)
                except engine.dialect.loaded_dbapi.Error:
                    raise DisconnectionError("it broke while it was idle") from None

    def note_outage(self) -> None:
        self._fresh_from = time.monotonic()

    @asynccontextmanager
    async def snapshot(self, connection: AsyncConnection) -> AsyncIterator[None]:
        await connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        await connection.exec_driver_sql("START TRANSACTION WITH CONSISTENT SNAPSHOT")
        try:
            yield
        finally:
            await connection.exec_driver_sql("COMMIT")

    @asynccontextmanager
    async def migrating(self, lock_seconds: int) -> AsyncIterator[AsyncConnection]:
        engine = create_async_engine(
            self.url,
            poolclass=NullPool,
            isolation_level="READ COMMITTED",
            json_serializer=lambda value: json.dumps(value, ensure_ascii=False),
            connect_args=_arguments(self.url, self._limits, read_seconds=MIGRATE_SECONDS)
            | {"init_command": f"SET lock_wait_timeout = {TABLE_LOCK_SECONDS}"},
        )
        # Its end gives the lock back, whatever happened.
        async with engine.connect() as connection:
            taken = await connection.scalar(
                text("SELECT GET_LOCK(:name, :seconds)"),
                {"name": TABLES_LOCK, "seconds": lock_seconds},
            )
            if taken != 1:
                raise LockKept
            yield connection

    def scheduler_lock(self) -> ServerLock:
        return ServerLock(
            str(self.url.database),
            create_async_engine(
                self.url,
                poolclass=NullPool,
                isolation_level="AUTOCOMMIT",
                connect_args=_arguments(self.url, self._limits),
            ),
        )


def _engine(url: URL, limits: Limits, *, reads: bool) -> AsyncEngine:
    engine = create_async_engine(
        url,
        isolation_level="AUTOCOMMIT" if reads else "READ COMMITTED",
        skip_autocommit_rollback=True,
        # Whoever uses a connection ends its transaction; a rollback more changes nothing.
        pool_reset_on_return=None,
        json_serializer=to_json,
        json_deserializer=read_json,
        pool_size=limits.pool_size,
        max_overflow=0,
        pool_timeout=limits.pool_seconds,
        pool_recycle=1800,
        # The connection that was used last is used next: what more there are may end meanwhile.
        pool_use_lifo=True,
        connect_args=_arguments(url, limits)
        | {"init_command": _session(limits, None if reads else limits.frozen_seconds)},
    )
    if reads:

        @event.listens_for(engine.sync_engine, "connect")
        def refuse_writes(dbapi_connection: Any, _record: object) -> None:
            cursor = dbapi_connection.cursor()
            cursor.execute("SET SESSION TRANSACTION READ ONLY")
            cursor.close()

    return engine


def _arguments(url: URL, limits: Limits, *, read_seconds: int | None = None) -> dict[str, Any]:
    """What every connection is opened with; `read_seconds` for an answer, if not the usual ones."""
    arguments: dict[str, Any] = {
        "connect_timeout": limits.connect_seconds,
        "read_timeout": read_seconds or limits.read_seconds,
        "charset": "utf8mb4",
    }
    if url.password is not None:
        # The servers take a password for the bytes of its UTF-8, the driver for those of Latin-1.
        arguments["password"] = str(url.password).encode()
    return arguments


def _session(limits: Limits, frozen_seconds: int | None) -> str:
    """The statement that a connection begins with.

    A wait for a lock ends before the driver takes the server for dead; a value that does not fit
    is refused, never cut; and the server ends a transaction that a process was frozen in, before
    another process takes its work over. MySQL has no limit for that but the one on every
    connection that says nothing. What one of the two servers alone knows stands in a comment that
    the other passes over: MySQL does so with those of `M`, MariaDB with those of MySQL's versions
    from 5.7 on (both manuals on comments).
    """
    wanted = ["time_zone = '+00:00'", "sql_mode = 'TRADITIONAL'"]
    wanted.append(f"innodb_lock_wait_timeout = {limits.lock_seconds}")
    if frozen_seconds is not None:
        wanted[-1] += f" /*M!100300 , idle_transaction_timeout = {frozen_seconds} */"
        wanted[-1] += f" /*!80000 , wait_timeout = {frozen_seconds} */"
    return f"SET {', '.join(wanted)}"
