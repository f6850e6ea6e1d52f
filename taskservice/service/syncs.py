"""The syncs of the tasks folder, or of the repository that is followed: asked for, and told of."""

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from taskservice.domain.errors import StartError
from taskservice.domain.sight import ALL, Sight
from taskservice.domain.task import Task
from taskservice.domain.trail import Cause, Via
from taskservice.engine.engine import Engine
from taskservice.service.checks import Checks
from taskservice.service.checkup import Checkup
from taskservice.service.leader_election import scheduler_name
from taskservice.service.notices import ask
from taskservice.settings import Settings
from taskservice.storage import tasks as store
from taskservice.storage.database import Database
from taskservice.storage.gate import Gate
from taskservice.storage.owners import NoticeKind
from taskservice.sync.folder.listing import warn_of_files
from taskservice.sync.gitrepo.repository import Repository, forget_pull, last_pull
from taskservice.sync.report import last_report
from taskservice.sync.syncer import Syncer, SyncOptions

SYNC_PATIENCE = 0.3
"""Seconds for which a sync waits for the import of a module: what takes longer follows later."""

START_PATIENCE = 2.0
"""The same for the first sync, which may have many tasks of one module."""

WEBHOOK_SECONDS = 8.0
"""How long a webhook is made to wait for a sync: GitHub gives up after ten seconds."""


class Syncs:
    """Syncs where this process schedules, and has another sync where that one does.

    `root` is the folder of the task files.
    """

    def __init__(
        self,
        database: Database,
        engine: Engine,
        gate: Gate,
        checks: Checks,
        checkup: Checkup,
        settings: Settings,
        options: SyncOptions,
    ) -> None:
        self._database = database
        self._engine = engine
        self._checks = checks
        self._checkup = checkup
        self._settings = settings
        self._options = options
        self.repository = self._followed()
        self.root = self.repository.root if self.repository else settings.tasks_dir.absolute()
        self.syncer = Syncer(
            database,
            gate,
            self.root,
            check=self._check,
            check_at_once=checks.check,
            zone=settings.timezone,
            options=options,
        )
        self._patience = SYNC_PATIENCE
        self._going_on: list[asyncio.Task[None]] = []

    def _followed(self) -> Repository | None:
        """The repository that the settings name, if they do."""
        settings = self._settings
        if not settings.git_url:
            return None
        return self._options.repository(
            self._database,
            settings.tasks_dir.absolute(),
            url=settings.git_url,
            shown=settings.shown_git_url,
            branch=settings.git_branch,
            path=settings.git_path,
            interval=settings.git_interval,
            signers=settings.git_signers,
            sync=lambda confirmed: self.syncer.sync_now(confirmed=confirmed),
        )

    async def prepare(self) -> None:
        """Have the folder there. Raises `StartError`."""
        if self.repository:
            try:
                await asyncio.to_thread(self.repository.prepare)
                await asyncio.to_thread(warn_of_files, self._settings.tasks_dir)
            except OSError as error:
                raise StartError(f"no folder can be made for the repository: {error}") from None
        elif not self._settings.tasks_dir.is_dir():
            raise StartError(
                f"no folder {str(self._settings.tasks_dir)!r}: make it, or name another with "
                "TASKSERVICE_TASKS_DIR or --tasks-dir"
            )

    async def start(self) -> None:
        """Sync for the first time, and from then on whenever there is a reason to."""
        if self.repository:
            await self.repository.start()
        else:
            await forget_pull(self._database)
        self._patience = START_PATIENCE
        await self.syncer.start()
        self._patience = SYNC_PATIENCE
        self._going_on = [asyncio.create_task(self.syncer.run())]
        if self.repository:
            self._going_on.append(asyncio.create_task(self.repository.run()))

    async def stop(self) -> None:
        """Sync no more: another process does, or will."""
        if self.repository:
            self.repository.stop()
        if self._going_on:
            self.syncer.stop()
            await asyncio.wait(self._going_on)
            self._going_on = []

    def _check(self, task_id: str, fields: Mapping[str, object]) -> Task:
        return self._checks.check(task_id, fields, patience=self._patience)

    async def sync(
        self, *, prune: bool, by: str, via: Via = "api", sight: Sight = ALL
    ) -> dict[str, Any]:
        """Sync by content, now, and pull before where a repository is followed; the report.

        With `prune` a held sync goes on, and a rewritten branch is taken.
        """
        cause = Cause(by=by, via=via)
        if self._engine.leads:
            await self.sync_here(cause if prune else None)
        else:
            kind: NoticeKind = "prune" if prune else "sync"
            await ask(self._database, kind, None, cause, recipient=None)
        return await self.report(sight)

    async def sync_for_webhook(self, *, seconds: float = WEBHOOK_SECONDS) -> dict[str, Any]:
        """Sync now; the report, of what there is when that takes too long for a webhook."""
        try:
            async with asyncio.timeout(seconds):
                return await self.sync(prune=False, by="webhook")
        except TimeoutError:
            # Only the waiting is over: the sync goes on.
            return await self.report()

    async def sync_here(self, confirmed: Cause | None) -> None:
        """The same in this process, which schedules; `confirmed` lets a held sync go on."""
        if self.repository:
            await self.repository.pull_now(confirmed=confirmed)
        else:
            await self.syncer.sync_now(confirmed=confirmed)

    async def report(self, sight: Sight = ALL) -> dict[str, Any]:
        """How the folder and the table stand to one another, as the one that schedules says.

        With a sight that is narrowed it tells of the tasks in it alone.
        """
        grace = timedelta(seconds=self._settings.prune_grace)
        async with self._database.read() as connection:
            report = await last_report(connection)
            repository = await last_pull(connection)
            drift = await store.drift_counts(connection, sight)
            retired = await store.retired(connection, sight)
            scheduler = await scheduler_name(connection)
        report["errors"] = [*report["errors"], *await self._checkup.errors()]
        if sight.is_narrowed:
            report = await self._in_sight(report, sight)
        return {
            **report,
            "repository": repository,
            "scheduler": scheduler,
            "declared": sum(drift.values()),
            "drift": drift,
            "prune_grace": self._settings.prune_grace,
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

    async def _in_sight(self, report: Mapping[str, Any], sight: Sight) -> dict[str, Any]:
        """What of a report's faults, and of a held sync, is about tasks in sight."""
        errors, held = report["errors"], report["held"]
        ids = {error["task_id"] for error in errors} | set(held["task_ids"] if held else ())
        async with self._database.read() as connection:
            seen = await store.seen(connection, ids - {None}, sight)
        told = [task_id for task_id in held["task_ids"] if task_id in seen] if held else []
        return {
            **report,
            "errors": [error for error in errors if error["task_id"] in seen],
            "held": {**held, "task_ids": told} if told else None,
        }


def _plus(moment: datetime | None, span: timedelta) -> datetime | None:
    return moment and moment + span
