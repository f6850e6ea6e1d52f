"""What is asked of the declarations: where values come from, what is to come, what to commit."""

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import tzinfo
from pathlib import Path
from typing import TypeVar

from taskservice.domain.preview import Preview
from taskservice.domain.sight import ALL, Sight
from taskservice.domain.task import Task
from taskservice.service.checks import Checks
from taskservice.service.contributions import Promotions, promotions_of
from taskservice.service.moments import now_utc
from taskservice.service.offload import Offload
from taskservice.service.planning import plan_folder
from taskservice.service.promoting import Promotion, promotion_of
from taskservice.service.provenance import Provenance, TaskOverride, overrides_of, provenance_of
from taskservice.service.tasks import stored
from taskservice.storage import tasks as store
from taskservice.storage.database import Database
from taskservice.storage.overrides import overridden
from taskservice.storage.tasks import StoredTask
from taskservice.sync.folder.excerpt import lines_of
from taskservice.sync.gitrepo.commits import Commit, last_commits

T = TypeVar("T")

PLAN_PATIENCE = 5.0
"""Seconds for which a plan waits for the imports of modules, all together."""


class Declarations:
    """The tasks folder, `root`, as far as it is only read, beside what is stored.

    `zone` is that of times which name none, `default_executor` for tasks that name none. What
    takes long is done by `looking`.
    """

    def __init__(
        self,
        database: Database,
        root: Path,
        checks: Checks,
        looking: Offload,
        *,
        zone: tzinfo,
        default_executor: str,
    ) -> None:
        self._database = database
        self._root = root
        self._checks = checks
        self._looking = looking
        self._zone = zone
        self._default_executor = default_executor
        busy = "another plan is being made; try again"
        self._planning = Offload("planning", threads=1, waiting=0, busy=busy)
        self._plans_to_come = Offload("plans to come", threads=1, waiting=7, busy=busy)
        self._promoting = Offload(
            "promoting", threads=1, waiting=0, busy="another promotion is being made; try again"
        )

    def close(self) -> None:
        """Let the threads end that plans and promotions are made on."""
        self._planning.close()
        self._promoting.close()

    async def provenance(self, task_id: str, *, overridden: bool) -> list[Provenance]:
        """Where each field of a task comes from, or only of those that are `overridden`.

        Of a task that the API deleted, too. Raises `NotFound`.
        """
        async with self._database.read() as connection:
            task = await stored(connection, task_id)
        if overridden and not task.overrides:
            return []
        found = await self._looking.run(
            provenance_of,
            task_id,
            task,
            self._root,
            overridden=overridden,
            executor=self._default_executor,
        )
        return sorted(found, key=lambda one: one.field) if overridden else found

    async def all_overrides(self, sight: Sight = ALL) -> list[TaskOverride]:
        """What the API changed of any task in sight, deleted ones too but no retired ones."""
        async with self._database.read() as connection:
            ids = await store.seen(connection, await overridden(connection), sight)
            found = await store.load(connection, list(ids))
        return overrides_of(found, executor=self._default_executor)

    def plan_to_come(self) -> AbstractAsyncContextManager[None]:
        """A place for a plan whose files are still sent. Raises `TooManyRequests`."""
        return self._plans_to_come.turn()

    async def plan(self, files: Mapping[str, object], shape: Callable[[Preview], T]) -> T:
        """What a sync would do if the folder had these files, their texts by path; see there.

        It is given back as `shape` makes it, which is called off the loop. Raises
        `TooManyRequests` while another plan is made.
        """
        end = time.monotonic() + PLAN_PATIENCE

        def check(task_id: str, fields: Mapping[str, object]) -> Task:
            return self._checks.check(task_id, fields, patience=max(end - time.monotonic(), 0))

        async with self._planning.turn():
            return await plan_folder(
                self._database, files, shape,
                call=self._planning.call, check=check, zone=self._zone,
            )  # fmt: skip

    async def promotion(
        self, task_id: str, fields: Sequence[str] = (), *, sight: Sight = ALL
    ) -> Promotion:
        """What to commit for the file to say what the API changed of a task, or these fields of it.

        Without fields, what ends by itself is left out. Takes a deleted task too. Raises
        `NotFound` and `Conflict`, also where its file has tasks out of sight.
        """
        async with self._database.read() as connection:
            task = await stored(connection, task_id)
        return await self._looking.run(
            promotion_of, self._root, task_id, task, fields, now_utc(), sight
        )

    async def promotions(
        self,
        task_ids: Iterable[str],
        sources: Collection[str],
        fields: Sequence[str],
        shape: Callable[[Promotions], T],
        *,
        sight: Sight = ALL,
    ) -> T:
        """The same of several tasks, author by author; of what can't be promoted it says why.

        `sources` names further tasks: `file` those with a file and an override, `api` those that
        only the API declared. It is given back as `shape` makes it, which is called off the loop.
        Raises `TooManyRequests` while another is made.
        """
        async with self._promoting.turn():
            found = await self._chosen(task_ids, sources, sight)
            return await self._promoting.call(
                lambda: shape(
                    promotions_of(
                        self._root,
                        found,
                        fields,
                        now_utc(),
                        executor=self._default_executor,
                        sight=sight,
                    )
                )
            )

    async def _chosen(
        self, task_ids: Iterable[str], sources: Collection[str], sight: Sight
    ) -> dict[str, StoredTask | None]:
        """These tasks, and those in sight from `sources`; None for one that is not there."""
        named = dict.fromkeys(task_ids)
        wanted = dict(named)
        async with self._database.read() as connection:
            if sources:
                known = await store.declared(connection)
                changed = set(await overridden(connection))
                wanted |= {
                    task_id: None
                    for task_id, row in sorted(known.items())
                    if row.source in sources
                    and row.retired_at is None
                    and (row.source == "api" or task_id in changed)
                }
            seen = await store.seen(connection, wanted, sight)
            found = await store.load(connection, list(seen))
        return {one: found.get(one) for one in wanted if one in seen or one in named}

    async def commits(self, also: Iterable[str | None] = ()) -> list[Commit]:
        """The last commits of the tasks folder's work tree, newest first; see `last_commits`."""
        return await self._looking.run(last_commits, self._root, also=also)

    async def lines_of(self, wanted: Mapping[str, Collection[int]]) -> dict[str, dict[int, str]]:
        """Lines (from 1) of task files by their path, as far as they are there."""
        return await self._looking.run(lines_of, self._root, wanted)
