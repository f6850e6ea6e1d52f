"""Sessions that somebody signed out of: kept for as long as their cookies would hold.

A session's cookie says by itself who signed in. That it is over has to be known to all replicas,
and over a restart, so it stands in the database.
"""

import asyncio
import time

from taskservice.storage.database import Connection, Database
from taskservice.storage.key_values import delete_values, get_values, set_value

_PREFIX = "session-ended:"


class EndedSessions:
    """The ids of such sessions, as the database had them within `fresh_seconds`."""

    def __init__(self, database: Database, *, fresh_seconds: float = 1.0) -> None:
        self._database = database
        self._fresh_seconds = fresh_seconds
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()
        self._ended: frozenset[str] = frozenset()

    def __contains__(self, session_id: str) -> bool:
        return session_id in self._ended

    async def refresh(self) -> None:
        """Learn what other replicas ended. Raises `Unavailable`."""
        async with self._reading:
            if time.monotonic() - self._read_at < self._fresh_seconds:
                return
            async with self._database.read() as connection:
                found = await get_values(connection, _PREFIX)
            self._ended = frozenset(name.removeprefix(_PREFIX) for name in found)
            self._read_at = time.monotonic()

    async def end(self, session_id: str, until: float) -> None:
        """End a session that would hold until then (seconds since 1970)."""
        now = time.time()

        async def work(connection: Connection) -> None:
            known = await get_values(connection, _PREFIX)
            over = [name for name, end in known.items() if end is not None and end < now]
            await delete_values(connection, over)
            await set_value(connection, _PREFIX + session_id, until)

        await self._database.write(work)
        self._ended |= {session_id}
