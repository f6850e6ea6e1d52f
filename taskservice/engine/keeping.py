"""Writing what executions print to their rows while they run, so that a crash keeps it."""

from collections.abc import Mapping
from datetime import UTC, datetime

from taskservice.engine.runner import Running
from taskservice.storage import executions as log
from taskservice.storage.database import Database

SOON_OVER = 0.5
"""Seconds from its begin for which an execution is left to its end, which writes it all."""

ROUND_CHARACTERS = 2 * 1024 * 1024
"""How much is written at a time: the rest waits for its turn, and no claim waits for it."""


class Keeper:
    """Writes the outputs of the executions that run here, known by `owner`, to their rows.

    A row that is not this process's any more is left as it is.
    """

    def __init__(
        self,
        database: Database,
        owner: str,
        running: Mapping[str, Running],
        *,
        room: int = ROUND_CHARACTERS,
    ) -> None:
        self._room = room
        self._database = database
        self._owner = owner
        self._running = running
        self._turn = 0

    async def keep(self) -> None:
        """Write the outputs that have changed, those first that were not written for longest.

        Raises `Unavailable`.
        """
        now = datetime.now(UTC)
        changed = [
            one
            for one in self._running.values()
            if one.ended is None
            and one.output.size != one.kept
            and (now - one.execution.start_time).total_seconds() > SOON_OVER
        ]
        changed.sort(key=lambda one: one.kept_in)
        self._turn += 1
        texts: dict[str, str] = {}
        sizes = {}
        room = self._room
        for one in changed:
            size, text = one.output.size, one.output.text()
            room -= len(text)
            if texts and room < 0:
                break
            texts[one.execution.id], sizes[one.execution.id] = text, size
        if not texts:
            return
        await self._database.write(
            lambda connection: connection.run_sync(log.keep_output, self._owner, texts), tries=1
        )
        for one in changed[: len(texts)]:
            one.kept, one.kept_in = sizes[one.execution.id], self._turn
