"""What the service keeps for itself, by name."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from taskservice.storage.damage import readable
from taskservice.storage.dialects import upsert
from taskservice.storage.rows import chunks
from taskservice.storage.tables import service_state


async def set_value(connection: AsyncConnection, name: str, value: object) -> None:
    """Keep a JSON value of the service's own under a name."""
    await upsert(connection, service_state, [{"name": name, "value": value}])


async def add_value(connection: AsyncConnection, name: str, value: object) -> None:
    """Keep one under a name that has none; where it has, `Database.write` raises `Collision`."""
    await connection.execute(insert(service_state).values(name=name, value=value))


async def get_value(connection: AsyncConnection, name: str) -> Any:
    """The value kept under a name; None where there is none, or it can't be read."""
    query = select(service_state.c.value).where(service_state.c.name == name)
    value = (await connection.execute(query)).scalar()
    return readable(value)


async def get_values(connection: AsyncConnection, prefix: str) -> dict[str, Any]:
    """The values kept under names that begin so, by name; None for what can't be read."""
    columns = service_state.c
    query = select(columns.name, columns.value).where(
        columns.name.startswith(prefix, autoescape=True)
    )
    return {row.name: readable(row.value) for row in await connection.execute(query)}


async def delete_values(connection: AsyncConnection, names: Sequence[str]) -> None:
    """Keep nothing under these names any more."""
    for piece in chunks(names):
        await connection.execute(delete(service_state).where(service_state.c.name.in_(piece)))
