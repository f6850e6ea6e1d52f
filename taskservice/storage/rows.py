"""Small things that all queries share: ids, chunks and an upsert that both databases speak."""

import secrets
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

from sqlalchemy import Table
from sqlalchemy.dialects import mysql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

CHUNK = 1000

T = TypeVar("T")


def new_id() -> str:
    """A new id, ordered by time so that it lands at the end of an index (RFC 9562, UUIDv7)."""
    milliseconds = time.time_ns() // 1_000_000
    value = (milliseconds & (2**48 - 1)) << 80 | secrets.randbits(80)
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return str(uuid.UUID(int=value))


def chunks(items: Sequence[T], size: int = CHUNK) -> Iterator[Sequence[T]]:
    """The items in pieces that fit one statement."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


async def upsert(
    connection: AsyncConnection, table: Table, rows: Sequence[Mapping[str, Any]]
) -> None:
    """Insert rows, or overwrite the columns given where the primary key is there already."""
    if not rows:
        return
    keys = [column.name for column in table.primary_key]
    names = [name for name in rows[0] if name not in keys]
    statement: Any
    if connection.dialect.name == "sqlite":
        insert = sqlite.insert(table)
        statement = insert.on_conflict_do_update(
            index_elements=keys, set_={name: insert.excluded[name] for name in names}
        )
    else:
        # Only placeholders stand in VALUES: with anything else the driver goes row by row.
        insert_mysql = mysql.insert(table)
        statement = insert_mysql.on_duplicate_key_update(
            {name: insert_mysql.inserted[name] for name in names}
        )
    for piece in chunks(rows):
        await connection.execute(statement, list(piece))
