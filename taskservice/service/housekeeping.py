"""What is done by the clock: overrides end, retired tasks are deleted, old executions too."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial

import structlog

from taskservice.engine.engine import Engine
from taskservice.engine.repeat import repeat
from taskservice.service.reading import now_utc
from taskservice.settings import Settings
from taskservice.storage import executions as log
from taskservice.storage import tasks as store
from taskservice.storage.database import Connection, Database

HOUSEKEEPING_SECONDS = 1.0
RETENTION_SECONDS = 60.0
RETENTION_BATCH = 1000

logger = structlog.get_logger()


class Housekeeping:
    """Keeps house where the process schedules.

    `expire` ends the overrides whose time has come; `commit` does a work in one transaction and
    has the engine follow what became of the tasks whose ids are given.
    """

    def __init__(
        self,
        database: Database,
        engine: Engine,
        settings: Settings,
        *,
        expire: Callable[[], Awaitable[object]],
        commit: Callable[..., Awaitable[object]],
    ) -> None:
        self._database = database
        self._engine = engine
        self._settings = settings
        self._expire = expire
        self._commit = commit

    async def run(self, stop: asyncio.Event) -> None:
        """Keep house again and again, until `stop` is set."""
        await asyncio.gather(
            repeat(stop, HOUSEKEEPING_SECONDS, self._housekeep),
            repeat(stop, RETENTION_SECONDS, partial(self._apply_retention, stop)),
        )

    async def _housekeep(self) -> None:
        if not self._engine.leads:
            return
        await self._expire()
        await self._prune()

    async def _prune(self) -> None:
        before = now_utc() - timedelta(seconds=self._settings.prune_grace)
        async with self._database.read() as connection:
            ids = await store.retired_before(connection, before)
        if not ids:
            return

        async def work(connection: Connection) -> None:
            # One that came back in the meantime stays.
            due = await store.states_of(connection, ids, lock=True)
            gone = [task_id for task_id, state in due.items() if state.retired_at]
            await store.remove(connection, gone)
            await store.forget(connection, gone)

        await self._commit(work, *ids)
        logger.info("tasks_pruned", tasks=ids)

    async def _apply_retention(self, stop: asyncio.Event) -> None:
        retention = self._settings.log_retention
        if retention is None or not self._engine.leads:
            return
        before = now_utc() - retention
        deleted = RETENTION_BATCH
        while deleted == RETENTION_BATCH and not stop.is_set():
            deleted = await self._database.write(
                lambda connection: log.delete_before(connection, before, limit=RETENTION_BATCH)
            )
