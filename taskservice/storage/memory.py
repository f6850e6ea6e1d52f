"""What the service keeps for itself, by name."""

from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from taskservice.storage.damage import Damaged
from taskservice.storage.rows import upsert
from taskservice.storage.tables import service_state


async def remember(connection: AsyncConnection, name: str, value: object) -> None:
    """Keep a JSON value of the service's own under a name."""
    await upsert(connection, service_state, [{"name": name, "value": value}])


async def recall(connection: AsyncConnection, name: str) -> Any:
    """The value kept under a name; None where there is none, or it can't be read."""
    query = select(service_state.c.value).where(service_state.c.name == name)
    value = (await connection.execute(query)).scalar()
    return None if isinstance(value, Damaged) else value
