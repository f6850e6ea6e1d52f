"""The service's life: what it is made of, how it starts, what it does by itself, how it stops."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import structlog

from taskservice.domain.errors import StartError, Unavailable
from taskservice.engine.engine import Engine
from taskservice.engine.executor import Executor
from taskservice.engine.functions import FunctionInfo, Functions
from taskservice.engine.local import LocalExecutor
from taskservice.engine.owner import process_name
from taskservice.engine.process import ProcessExecutor
from taskservice.engine.repeat import repeat
from taskservice.service.changing import Changing
from taskservice.service.reading import now_utc
from taskservice.settings import Settings
from taskservice.storage import executions as log
from taskservice.storage import tasks as store
from taskservice.storage.database import Connection, Database
from taskservice.storage.schema import prepare
from taskservice.sync.syncer import Syncer

HOUSEKEEPING_SECONDS = 1.0
RETENTION_SECONDS = 60.0
RETENTION_BATCH = 1000

logger = structlog.get_logger()


class Service(Changing):
    """Everything behind the API and the console, of one process."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.draining = False
        self._functions = Functions(settings.functions)
        database = Database(settings.database_url)
        executors: dict[str, Executor] = {
            "local": LocalExecutor(),
            "process": ProcessExecutor(settings.functions),
        }
        engine = Engine(
            database,
            self._functions,
            executors,
            default_executor=settings.executor,
            zone=settings.timezone,
        )
        super().__init__(database, engine, settings.timezone)
        self._syncer = Syncer(
            database,
            settings.tasks_dir,
            check=self.check,
            zone=settings.timezone,
            changed=engine.reconcile,
            claim=engine.claim,
        )
        self._loops: list[asyncio.Task[None]] = []
        self._stop = asyncio.Event()

    async def start(self) -> None:
        """Open the database, sync the folder, and begin to fire. Raises `StartError`."""
        if not self.settings.tasks_dir.is_dir():
            raise StartError(
                f"no folder {str(self.settings.tasks_dir)!r}: make it, or name another with "
                "TASKSERVICE_TASKS_DIR or --tasks-dir"
            )
        try:
            self._database.claim_file()
            await prepare(self._database)
            await self._engine.start()
            await self.expire()
            await self._syncer.start()
        except Unavailable as outage:
            await self.stop()
            raise StartError(str(outage)) from outage
        except BaseException:
            await self.stop()
            raise
        self._loops = [
            asyncio.create_task(self._syncer.run()),
            asyncio.create_task(repeat(self._stop, HOUSEKEEPING_SECONDS, self._housekeep)),
            asyncio.create_task(repeat(self._stop, RETENTION_SECONDS, self._apply_retention)),
        ]

    async def drain(self) -> None:
        """Take no new fire, and give running executions the time that the settings allow."""
        if not self.draining:
            self.draining = True
            await self._engine.drain(self.settings.shutdown_grace)

    async def stop(self) -> None:
        """Drain, and close everything."""
        if self._stop.is_set():
            return
        self._stop.set()
        self._syncer.stop()
        if self._loops:
            await self.drain()
            await asyncio.wait(self._loops)
        await self._engine.stop()
        await self._database.close()

    async def ready(self) -> dict[str, str]:
        """What readiness stands on; raises `Unavailable` where something lacks."""
        if self.draining or not self._engine.firing:
            raise Unavailable("the service is stopping" if self.draining else "it is starting")
        async with self._database.read() as connection:
            await log.owners(connection)
        return {"database": "ok", "scheduler": "ok"}

    async def functions(self) -> list[FunctionInfo]:
        """The functions that tasks may call."""
        return await asyncio.to_thread(self._functions.catalogue)

    async def sync_now(self, *, prune: bool) -> dict[str, Any]:
        """Sync by content, now; with `prune` a held sync goes on. The report."""
        await self._syncer.sync_now(prune=prune)
        return await self.sync_report()

    async def sync_report(self) -> dict[str, Any]:
        """How the folder and the table stand to one another."""
        grace = timedelta(seconds=self.settings.prune_grace)
        async with self._database.read() as connection:
            drift = await store.drift_counts(connection)
            retired = await store.retired(connection)
        held = self._syncer.held
        return {
            "synced_at": self._syncer.synced_at,
            "revision": self._syncer.revision,
            "scheduler": ":".join(process_name().split(":")[:2]),
            "declared": sum(drift.values()),
            "drift": drift,
            "errors": self._syncer.errors(),
            "retired": [
                {
                    "task_id": listed.state.id,
                    "path": listed.path,
                    "retired_at": listed.state.retired_at,
                    "delete_at": _plus(listed.state.retired_at, grace),
                }
                for listed in retired
            ],
            "held": held and {"reason": held.reason, "task_ids": list(held.task_ids)},
        }

    async def _housekeep(self) -> None:
        await self.expire()
        await self._prune()

    async def _prune(self) -> None:
        before = now_utc() - timedelta(seconds=self.settings.prune_grace)
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

    async def _apply_retention(self) -> None:
        retention = self.settings.log_retention
        if retention is None:
            return
        before = now_utc() - retention
        deleted = RETENTION_BATCH
        while deleted == RETENTION_BATCH and not self._stop.is_set():
            deleted = await self._database.write(
                lambda connection: log.delete_before(connection, before, limit=RETENTION_BATCH)
            )


def _plus(moment: datetime | None, span: timedelta) -> datetime | None:
    return moment and moment + span
