"""A worker: takes executions from queues, runs them, and accounts for each in its row."""

import asyncio
import contextlib
import os
import socket
from collections.abc import Sequence

import structlog

from taskservice.domain.errors import StartError, Unavailable
from taskservice.domain.placement import CELERY
from taskservice.domain.task import EXECUTORS
from taskservice.engine.engine import Engine
from taskservice.engine.functions import Functions
from taskservice.engine.process import ProcessExecutor
from taskservice.service.notify.rules import rules_on_worker
from taskservice.service.service import NEEDS_SERVER
from taskservice.settings import Settings
from taskservice.storage.database import Database
from taskservice.storage.rows import new_id
from taskservice.storage.schema import prepare
from taskservice.storage.workers import Worker

AGAIN_SECONDS = 1.0
"""How long it is waited before a database that is away is asked again."""

MOST_EXECUTIONS = 1000
"""How many executions a child process runs before another takes its place: what leaked ends."""

log = structlog.get_logger()


class Stopping(Exception):
    """The worker stops, and has not begun the execution: others are to take it."""


class WorkerService:
    """A process that executes, as the row's owner, what it takes from queues.

    `concurrency` is how many executions run at a time, each in a child process that runs no other
    meanwhile.
    """

    def __init__(self, settings: Settings, *, queues: Sequence[str], concurrency: int) -> None:
        # New at each start: a worker that comes back under an old name would hide its dead one.
        self.name = f"{socket.gethostname()}:{os.getpid()}:{new_id()[-8:]}"
        self._settings = settings
        self._functions = Functions(settings.functions)
        self._processes = ProcessExecutor(
            settings.functions, limit=concurrency, reuse=MOST_EXECUTIONS
        )
        self.database = Database(settings.database_url)
        self._stopping = asyncio.Event()
        # Whatever its task says by now: it was sent to a worker.
        executors = dict.fromkeys(EXECUTORS, self._processes)
        listed = Worker(
            name=self.name, kind="worker", queues=tuple(queues), concurrency=concurrency
        )
        self._engine = Engine(
            self.database,
            self._functions,
            executors,
            default_executor=CELERY,
            zone=settings.timezone,
            env_allow=settings.env_allow,
            output_limit=settings.output_limit,
            rules_of=rules_on_worker(settings),
            listed=listed,
        )

    def lifelines(self) -> list[int]:
        """The descriptors that keep child processes alive: no copy of this one is to hold them."""
        return [*self._processes.descriptors(), *self._functions.descriptors()]

    async def start(self) -> None:
        """Open the database, and begin a lease. Raises `StartError`."""
        if self.database.one_process:
            raise StartError(NEEDS_SERVER)
        try:
            await prepare(self.database)
            await self._engine.start()
        except Unavailable as outage:
            await self.stop()
            raise StartError(str(outage)) from outage
        except BaseException:
            await self.stop()
            raise

    async def execute(self, execution_id: str) -> None:
        """Run an execution, if it is queued still; returns when its function has really ended.

        Raises `Stopping` where it is left to others.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + self._settings.start_timeout
        while loop.time() < end:
            try:
                if await self._engine.take(execution_id):
                    await self._engine.returned(execution_id)
                return
            except Unavailable as outage:
                if self._stopping.is_set():
                    raise Stopping from outage
                log.warning("take_waits", execution=execution_id, reason=str(outage))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), AGAIN_SECONDS)

    async def drain(self) -> None:
        """Take no more, give what runs the time that the settings allow, and mark the rest."""
        if not self._stopping.is_set():
            self._stopping.set()
            log.info("stopping", running=self._engine.running)
            await self._engine.drain(self._settings.shutdown_grace)

    async def stop(self) -> None:
        """Close everything."""
        self._stopping.set()
        await self._engine.stop()
        self._functions.close()
        await self.database.close()
