"""The service's life: what it is made of, how it starts, what it does by itself, how it stops."""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import structlog

from taskservice.domain.errors import Fault, StartError, Unavailable
from taskservice.engine.engine import Engine
from taskservice.engine.executor import Executor
from taskservice.engine.functions import FunctionInfo, Functions, ParameterInfo
from taskservice.engine.local import LocalExecutor
from taskservice.engine.process import ProcessExecutor
from taskservice.engine.repeat import repeat
from taskservice.service.checkup import Checkup
from taskservice.service.declared import Declared
from taskservice.service.events import Subscription
from taskservice.service.housekeeping import Housekeeping
from taskservice.service.leading import NOTICE_SECONDS, Leading
from taskservice.service.metrics import Measured, Metrics, Stored
from taskservice.service.notices import Notices
from taskservice.service.reading import now_utc
from taskservice.service.sessions import EndedSessions
from taskservice.service.timeline import Timeline, Timelines
from taskservice.service.watching import Watcher
from taskservice.settings import Settings
from taskservice.storage import owners
from taskservice.storage import tasks as store
from taskservice.storage.database import Database
from taskservice.storage.gate import Cause
from taskservice.storage.schema import prepare
from taskservice.storage.totals import totals
from taskservice.sync.folder.listing import warn_of_files
from taskservice.sync.gitrepo.repository import Repository, forget_pull, last_pull
from taskservice.sync.report import last_report
from taskservice.sync.syncer import Syncer

LOOK_SECONDS = 2.0
"""How often the files of functions are compared with what was loaded of them."""

SYNC_PATIENCE = 0.3
"""Seconds for which a sync waits for the import of a module: what takes longer follows later."""

START_PATIENCE = 2.0
"""The same for the first sync, which may have many tasks of one module."""

WEBHOOK_SECONDS = 8.0
"""How long a webhook is made to wait for a sync: GitHub gives up after ten seconds."""

CHECKUP_SECONDS = 1.0
"""How often tasks that are found to be at fault are noted, for every process to tell."""

logger = structlog.get_logger()


class Service(Declared):
    """Everything behind the API and the console, of one process."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.draining = False
        self._functions = Functions(settings.functions)
        self._default_executor = settings.executor
        self._env_allow = settings.env_allow
        database = Database(settings.database_url)
        self._processes = ProcessExecutor(settings.functions, limit=settings.processes)
        executors: dict[str, Executor] = {
            "local": LocalExecutor(limit=settings.threads),
            "process": self._processes,
        }
        engine = Engine(
            database,
            self._functions,
            executors,
            default_executor=settings.executor,
            zone=settings.timezone,
            env_allow=settings.env_allow,
            output_limit=settings.output_limit,
        )
        super().__init__(database, engine, settings.timezone)
        self._repository = self._followed(settings, database)
        self._root = self._repository.root if self._repository else settings.tasks_dir.absolute()
        self._syncer = Syncer(
            database,
            self._gate,
            self._root,
            check=self._check_patiently,
            check_at_once=self.check,
            zone=settings.timezone,
        )
        self._checkup = Checkup(database, engine, self._gate, settings.timezone)
        self._housekeeping = Housekeeping(
            database, engine, self._gate, settings, expire=self.expire
        )
        self._notices = Notices(database, engine, changed=self._follow_others, sync=self._sync_here)
        self._leading = Leading(
            database,
            engine.owner,
            lead=self._lead,
            follow=self._follow,
            handle=self._notices.handle,
        )
        self.ended_sessions = EndedSessions(database)
        self._metrics = Metrics(engine.counts)
        self._watcher = Watcher(database, self.sync_report)
        self._timelines = Timelines(database, engine, settings.timezone, self._looking)
        self._patience = SYNC_PATIENCE
        self._syncing: list[asyncio.Task[None]] = []
        self._loops: list[asyncio.Task[None]] = []
        self._stop = asyncio.Event()

    def _followed(self, settings: Settings, database: Database) -> Repository | None:
        """The repository that the settings name, if they do."""
        if not settings.git_url:
            return None
        return Repository(
            database,
            settings.tasks_dir.absolute(),
            url=settings.git_url,
            shown=settings.shown_git_url,
            branch=settings.git_branch,
            path=settings.git_path,
            interval=settings.git_interval,
            sync=lambda prune: self._syncer.sync_now(prune=prune),
        )

    def lifelines(self) -> list[int]:
        """The descriptors that keep child processes alive: no copy of this one is to hold them."""
        return [*self._processes.descriptors(), *self._functions.descriptors()]

    async def start(self) -> None:
        """Open the database and, unless another process does, sync the folder and fire.

        Raises `StartError`.
        """
        if self._repository:
            try:
                await asyncio.to_thread(self._repository.prepare)
                await asyncio.to_thread(warn_of_files, self.settings.tasks_dir)
            except OSError as error:
                raise StartError(f"no folder can be made for the repository: {error}") from None
        elif not self.settings.tasks_dir.is_dir():
            raise StartError(
                f"no folder {str(self.settings.tasks_dir)!r}: make it, or name another with "
                "TASKSERVICE_TASKS_DIR or --tasks-dir"
            )
        loop = asyncio.get_running_loop()

        def on_answer() -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody syncs any more
                loop.call_soon_threadsafe(self._syncer.functions_changed)

        self._functions.on_answer(on_answer)
        try:
            self._database.claim()
            await prepare(self._database)
            await self._engine.start()
            await self._leading.start()
        except Unavailable as outage:
            await self.stop()
            raise StartError(str(outage)) from outage
        except BaseException:
            await self.stop()
            raise
        notices = self._leading.look_at_notices
        self._loops = [
            asyncio.create_task(self._leading.run()),
            asyncio.create_task(repeat(self._stop, NOTICE_SECONDS, notices)),
            asyncio.create_task(repeat(self._stop, LOOK_SECONDS, self._look_at_functions)),
            asyncio.create_task(self._housekeeping.run(self._stop)),
            asyncio.create_task(repeat(self._stop, CHECKUP_SECONDS, self._checkup.look)),
        ]

    async def _lead(self) -> None:
        await self._engine.lead()
        await self.expire()
        if self._repository:
            await self._repository.start()
        else:
            await forget_pull(self._database)
        self._patience = START_PATIENCE
        await self._syncer.start()
        self._patience = SYNC_PATIENCE
        self._syncing = [asyncio.create_task(self._syncer.run())]
        if self._repository:
            self._syncing.append(asyncio.create_task(self._repository.run()))

    def _check_patiently(self, task_id: str, fields: Mapping[str, object]) -> list[Fault]:
        """The same as `check`, with the patience of a sync."""
        return self.check(task_id, fields, patience=self._patience)

    async def _follow(self) -> None:
        self._engine.follow()
        if self._repository:
            self._repository.stop()
        if self._syncing:
            self._syncer.stop()
            await asyncio.wait(self._syncing)
            self._syncing = []

    def _follow_change(self, cause: Cause) -> None:
        super()._follow_change(cause)
        if cause.via != "file":
            self._syncer.overrides_changed()

    async def _follow_others(self, task_ids: Sequence[str]) -> None:
        """Schedule what other processes changed."""
        await self._engine.reconcile(task_ids)
        self._syncer.overrides_changed()

    async def _look_at_functions(self) -> None:
        """Check again what was refused for the code of a function that has changed since."""
        if await asyncio.to_thread(self._functions.look):
            self._syncer.functions_changed()

    async def drain(self) -> None:
        """Take no new fire, and give running executions the time that the settings allow."""
        if not self.draining:
            self.draining = True
            # Another process may schedule from now on.
            self._leading.stop()
            await self._engine.drain(self.settings.shutdown_grace)

    async def subscribe(self, task_id: str | None, *, again: bool = False) -> Subscription:
        """Be told of what changes, of one task or of all; see `Watcher.subscribe`."""
        return await self._watcher.subscribe(task_id, again=again)

    async def end_streams(self) -> None:
        """End what subscribers read, whose requests would never end by themselves."""
        await self._watcher.end()

    async def stop(self) -> None:
        """Drain, and close everything."""
        if self._stop.is_set():
            return
        self._stop.set()
        if self._loops:
            await self.drain()
            await asyncio.wait(self._loops)
        else:
            await self._leading.give_up()
        await self._notices.stop()
        await self._engine.stop()
        await self._watcher.stop()
        self._functions.close()
        self._end_offloads()
        await self._database.close()

    async def ready(self) -> dict[str, str]:
        """What readiness stands on; raises `Unavailable` where something lacks."""
        if self.draining or not self._engine.firing:
            raise Unavailable("the service is stopping" if self.draining else "it is starting")
        async with self._database.read() as connection:
            await owners.owners(connection)
        return {"database": "ok", "scheduler": "ok" if self._engine.leads else "standby"}

    async def metrics(self) -> bytes:
        """What Prometheus scrapes, as text; without the database, what is known here."""
        try:
            async with self._database.read() as connection:
                counted = await connection.run_sync(totals)
                report = await last_report(connection)
        except Unavailable:
            stored = None
        else:
            stored = Stored.of(counted, report, now_utc())
        measured = Measured(
            running=self._engine.running,
            waiting=self._engine.waiting,
            unreturned=self._engine.unreturned,
            scheduling=self._engine.leads,
            stored=stored,
        )
        # It reads the process's files.
        return await asyncio.to_thread(self._metrics.text, measured)

    async def functions(self) -> list[FunctionInfo]:
        """The functions that tasks may call."""
        return await self._functions.catalogue()

    async def parameters(self, func_path: str) -> list[ParameterInfo]:
        """The arguments that a function takes by name. Raises `Invalid` where there is none."""
        return await self._functions.parameters(func_path)

    async def runs_old_code(self, func_path: str, executor: str | None) -> bool:
        """Whether executions in this process run another code than what is on disk."""
        if self._engine.finds_functions(executor) or self._functions.path_faults(func_path):
            return False
        if self._functions.look_is_due(func_path):
            await asyncio.to_thread(self._functions.look, func_path)
        return self._functions.has_changed(func_path)

    async def sync_now(self, *, prune: bool, by: str) -> dict[str, Any]:
        """Sync by content, now, and pull before where a repository is followed; the report.

        With `prune` a held sync goes on, and a rewritten branch is taken.
        """
        if self._engine.leads:
            await self._sync_here(prune)
        else:
            await self._ask("prune" if prune else "sync", None, by=by, recipient=None)
        return await self.sync_report()

    async def sync_for_webhook(self) -> dict[str, Any]:
        """Sync now; the report, of what there is when that takes too long for a webhook."""
        try:
            async with asyncio.timeout(WEBHOOK_SECONDS):
                return await self.sync_now(prune=False, by="webhook")
        except TimeoutError:
            # Only the waiting is over: the sync goes on.
            return await self.sync_report()

    async def _sync_here(self, prune: bool) -> None:
        if self._repository:
            await self._repository.pull_now(prune=prune)
        else:
            await self._syncer.sync_now(prune=prune)

    async def sync_report(self) -> dict[str, Any]:
        """How the folder and the table stand to one another, as the one that schedules says."""
        grace = timedelta(seconds=self.settings.prune_grace)
        async with self._database.read() as connection:
            report = await last_report(connection)
            repository = await last_pull(connection)
            drift = await store.drift_counts(connection)
            retired = await store.retired(connection)
        return {
            **report,
            "errors": [*report["errors"], *await self._checkup.errors()],
            "repository": repository,
            "scheduler": await self._leading.scheduler(),
            "declared": sum(drift.values()),
            "drift": drift,
            "prune_grace": self.settings.prune_grace,
            "retired": [
                {
                    "task_id": listed.state.id,
                    "path": listed.path,
                    "retired_at": listed.state.retired_at,
                    "delete_at": _plus(listed.state.retired_at, grace),
                }
                for listed in retired
            ],
        }

    async def task_faults(self, task_id: str) -> Sequence[Fault]:
        """Why a task is not scheduled: what of it can't be read, or its trigger not any more."""
        return await self._checkup.faults(task_id)

    async def timeline(self, wanted: str, *, page: int, size: int) -> Timeline:
        """What ran in the last hours and fires in the next ones; see there."""
        return await self._timelines.make(wanted, page=page, size=size, now=now_utc())


def _plus(moment: datetime | None, span: timedelta) -> datetime | None:
    return moment and moment + span
