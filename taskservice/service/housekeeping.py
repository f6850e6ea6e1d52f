"""What is done by the clock: overrides end, and what is deleted goes, a little at a time."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial

import structlog

from taskservice.domain.trail import Cause
from taskservice.engine.engine import Engine
from taskservice.engine.repeat import repeat
from taskservice.service.changes import Changes
from taskservice.service.moments import now_utc
from taskservice.service.pace import Pace
from taskservice.settings import Settings
from taskservice.storage import deletion, events, messages
from taskservice.storage import executions as log
from taskservice.storage import tasks as store
from taskservice.storage.database import Connection, Database
from taskservice.storage.decisions import Decision
from taskservice.storage.deletion import Purge
from taskservice.storage.gate import Gate
from taskservice.storage.tasks import StoredTask

HOUSEKEEPING_SECONDS = 1.0
RETENTION_SECONDS = 60.0

PRUNED_AT_ONCE = 20
"""How many tasks one transaction deletes; of their logs it takes only those that are short."""

PRUNE = Cause(by="service", via="service", reason="its declaration is gone for long enough")

logger = structlog.get_logger()


class Housekeeping:
    """Keeps house where the process schedules."""

    def __init__(
        self,
        database: Database,
        engine: Engine,
        gate: Gate,
        changes: Changes,
        settings: Settings,
        *,
        housekeeping_seconds: float = HOUSEKEEPING_SECONDS,
        retention_seconds: float = RETENTION_SECONDS,
    ) -> None:
        self._database = database
        self._engine = engine
        self._gate = gate
        self._settings = settings
        self._changes = changes
        self._housekeeping_seconds = housekeeping_seconds
        self._retention_seconds = retention_seconds
        self._stop = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Keep house again and again, until `stop` is set."""
        self._stop = stop
        await asyncio.gather(
            repeat(stop, self._housekeeping_seconds, self._housekeep),
            repeat(stop, self._housekeeping_seconds, self._purge),
            repeat(stop, self._retention_seconds, self._apply_retention),
        )

    def _goes_on(self) -> bool:
        return self._engine.leads and not self._stop.is_set()

    async def _housekeep(self) -> None:
        if not self._engine.leads:
            return
        await self._changes.expire()
        before = now_utc() - timedelta(seconds=self._settings.prune_grace)
        await self._prune(before)
        await self._give_up(before)

    async def _prune(self, before: datetime) -> None:
        """Delete the tasks that were retired before a moment, with what is known of them."""
        while self._goes_on():
            async with self._database.read() as connection:
                ids = await store.retired_before(connection, before, limit=PRUNED_AT_ONCE)
            if not ids:
                return
            await self._gate.change(ids, partial(_forget_retired, ids), cause=PRUNE)
            logger.info("tasks_pruned", tasks=ids)

    async def _give_up(self, before: datetime) -> None:
        """Have the logs deleted of tasks that were deleted before a moment and not restored."""
        while self._goes_on():
            async with self._database.read() as connection:
                ids = await deletion.deleted_before(connection, before, limit=PRUNED_AT_ONCE)
            if not ids:
                return
            await self._database.write(
                partial(deletion.give_up, ids=ids, before=before, now=now_utc())
            )

    async def _purge(self) -> None:
        """Delete what is left of the logs of deleted tasks."""
        pace = Pace()
        while self._goes_on():
            async with self._database.read() as connection:
                wanted = await deletion.purges(connection)
            if not wanted:
                return
            for one in wanted:
                await self._batches(pace, partial(_purge, one))

    async def _apply_retention(self) -> None:
        """Delete executions, messages and events that are older than the settings allow."""
        for retention, delete in (
            (self._settings.log_retention, log.delete_before),
            (self._settings.log_retention, messages.delete_before),
            (self._settings.event_retention, events.delete_before),
        ):
            if retention is not None:
                await self._batches(Pace(), partial(_delete_old, delete, now_utc() - retention))

    async def _batches(
        self, pace: Pace, work: Callable[[int, Connection], Awaitable[bool]]
    ) -> None:
        """Do `work` with at most so many rows at a time, until it says that it is done.

        Each time is a transaction of its own, after which others have as long a turn.
        """
        done = False
        while not done and self._goes_on():
            try:
                done = await self._database.write(lambda some: work(pace.begin(), some))
            finally:
                pause = pace.end()
            await asyncio.sleep(pause)


async def _forget_retired(
    ids: Sequence[str], stored: Mapping[str, StoredTask], _now: datetime
) -> Decision:
    # One that came back in the meantime stays. What nobody declares can't come back.
    return Decision(
        forgotten=[
            task_id
            for task_id in ids
            if (one := stored.get(task_id)) is None or (one.state and one.state.retired_at)
        ]
    )


async def _purge(wanted: Purge, limit: int, connection: Connection) -> bool:
    return await deletion.purge(connection, wanted, limit=limit)


async def _delete_old(
    delete: Callable[..., Awaitable[int]], before: datetime, limit: int, connection: Connection
) -> bool:
    return await delete(connection, before, limit=limit) < limit
