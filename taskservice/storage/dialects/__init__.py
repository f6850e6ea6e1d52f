"""What each database does in its own way, a module for each: the rest of this room asks for none.

A further database is a module more, and a line here.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncConnection

from taskservice.storage.dialects.dialect import Dialect
from taskservice.storage.dialects.mysql import MySQL
from taskservice.storage.dialects.sqlite import SQLite
from taskservice.storage.rows import chunks

_MYSQL = MySQL()
_BY_NAME: Mapping[str, Dialect] = {"sqlite": SQLite(), "mysql": _MYSQL, "mariadb": _MYSQL}


def dialect_of(connection: Connection | AsyncConnection) -> Dialect:
    """The dialect of the database at the other end of a connection."""
    return _BY_NAME[connection.dialect.name]


def dialect_for(url: URL) -> Dialect:
    """The dialect of the database that a URL leads to."""
    return _BY_NAME[url.get_backend_name()]


async def upsert(
    connection: AsyncConnection, table: Table, rows: Sequence[Mapping[str, Any]]
) -> None:
    """Insert rows, or overwrite the columns given where the primary key is there already."""
    if not rows:
        return
    statement = _upsert(connection.dialect.name, table, tuple(rows[0]))
    for piece in chunks(rows):
        await connection.execute(statement, list(piece))


@lru_cache(maxsize=100)
def _upsert(dialect: str, table: Table, names: tuple[str, ...]) -> Any:
    keys = [column.name for column in table.primary_key]
    return _BY_NAME[dialect].upsert(table, keys, [name for name in names if name not in keys])
