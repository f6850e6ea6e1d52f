"""The use cases that change nothing."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo

from taskservice.domain.errors import Fault, Invalid, NotFound
from taskservice.domain.state import next_fires
from taskservice.engine.engine import Engine
from taskservice.service.forecasting import Forecast, forecast_of
from taskservice.service.moments import parse_moment
from taskservice.service.offload import Offload
from taskservice.storage import executions as log
from taskservice.storage import history, shown
from taskservice.storage import tasks as store
from taskservice.storage.attempts import Attempt, attempts
from taskservice.storage.database import Connection, Database
from taskservice.storage.executions import Execution, LogPage
from taskservice.storage.history import Past
from taskservice.storage.shown import Filter, Shown
from taskservice.storage.tasks import Listed, StoredTask
from taskservice.sync.text.dump import dump_task


class Reading:
    """What can be asked of tasks and executions."""

    def __init__(self, database: Database, engine: Engine, zone: tzinfo) -> None:
        self._database = database
        self._engine = engine
        self._zone = zone
        self._looking = Offload(
            "looking", threads=2, waiting=200, busy="too many ask for what takes long; try again"
        )
        self._counts: dict[Filter, asyncio.Task[int]] = {}
        self._counting = asyncio.Semaphore(2)

    async def get(self, task_id: str) -> Listed:
        """One task, a retired one too. Raises `NotFound`."""
        async with self._database.read() as connection:
            return await self._one(connection, task_id)

    async def show(self, task_id: str) -> Shown:
        """The same, to be shown."""
        async with self._database.read() as connection:
            found = await connection.run_sync(shown.shown, [task_id])
        if task_id not in found:
            raise no_task(task_id)
        return found[task_id]

    async def find(
        self, wanted: Filter, *, sort: str, page: int, size: int
    ) -> tuple[list[Shown], int]:
        """A page (from 1) of the tasks wanted, and how many there are in all."""
        before = (page - 1) * size
        async with self._database.read() as connection:
            found = await connection.run_sync(
                shown.find, wanted, sort=sort, offset=before, limit=size
            )
        if len(found) < size and (found or not before):
            return found, before + len(found)  # the list ends here, which tells as much
        count = self._counts.get(wanted)
        if count is None:
            count = self._counts[wanted] = asyncio.create_task(self._count(wanted))
        return found, await asyncio.shield(count)

    async def _count(self, wanted: Filter) -> int:
        """How many tasks there are, for all who ask for it before it is begun to be counted."""
        async with self._counting:
            del self._counts[wanted]
            async with self._database.read() as connection:
                return await connection.run_sync(shown.count, wanted)

    async def latest(self, task_ids: Sequence[str], each: int) -> dict[str, list[Past]]:
        """The last executions of some tasks, at most `each` of a task, oldest first."""
        if not task_ids:
            return {}
        async with self._database.read() as connection:
            return await connection.run_sync(history.latest, task_ids, each)

    async def states(self) -> dict[str, int]:
        """How many live tasks there are in each status."""
        async with self._database.read() as connection:
            return await connection.run_sync(history.states)

    async def ends_of_pauses(self, task_ids: Sequence[str]) -> dict[str, datetime]:
        """When the pauses end by themselves that overrides of these tasks have with an end."""
        if not task_ids:
            return {}
        async with self._database.read() as connection:
            return await connection.run_sync(history.ends, task_ids, "paused")

    async def logs(
        self,
        task_id: str,
        *,
        status: str | None,
        since: str | None,
        until: str | None,
        page: int = 1,
        before: str | None = None,
        size: int,
    ) -> LogPage:
        """A page (from 1) of a task's executions, newest first, or what comes after one of them.

        `before` is that one's id. Raises `Invalid` for a page beyond the executions that are
        counted, and where there is no such execution.
        """
        offset, after = (page - 1) * size, None
        begin = None if since is None else parse_moment(since, "since", self._zone)
        end = None if until is None else parse_moment(until, "until", self._zone)
        async with self._database.read() as connection:
            begins = (await self._one(connection, task_id)).log_begins
            if begins is not None:
                begin = max(begins, begin or begins)
            if before is not None:
                after = await log.start_of(connection, task_id, before)
                if after is None:
                    reason = f"the task has no execution {before[:100]!r}, or not any more"
                    raise Invalid([Fault(field="before", reason=reason)])
            elif offset >= log.COUNTED:
                # Not gone through, unless the log ends before.
                size, offset = 1, log.COUNTED
            found = await log.page(
                connection, task_id, status=status, since=begin, until=end,
                offset=offset, limit=size, before=after, before_id=before or "",
            )  # fmt: skip
        if offset >= log.COUNTED and after is None:
            if found.more:
                reason = f"pages go to {log.COUNTED:,} executions; go on with before=ID"
                raise Invalid([Fault(field="page", reason=reason)])
            return LogPage([], found.total, False)
        return found

    async def log(self, task_id: str, log_id: str) -> Execution:
        """One execution with its output; a running one's output as far as it has come."""
        async with self._database.read() as connection:
            begins = (await self._one(connection, task_id)).log_begins
            execution = await log.one(connection, task_id, log_id)
        if execution is None or (begins and execution.start_time < begins):
            raise NotFound(f"task {task_id!r} has no execution {log_id!r}")
        return execution

    async def attempts(self, execution: Execution) -> list[Attempt]:
        """All attempts of the fire that an execution is of; none where somebody ran it by hand."""
        if execution.scheduled_time is None:
            return []
        async with self._database.read() as connection:
            return await connection.run_sync(attempts, execution.task_id, execution.scheduled_time)

    async def fires(self, task_id: str, count: int) -> list[datetime]:
        """The next `count` fires of a task; none while it is paused or retired."""
        state = (await self.get(task_id)).state
        return list(await self._looking.run(next_fires, state, count, self._zone))

    async def forecast(self, task_id: str, count: int) -> Forecast:
        """The same with the zone of the task and its clock changes."""
        state = (await self.get(task_id)).state
        return await self._looking.run(forecast_of, state, count, now=now_utc(), zone=self._zone)

    async def yaml(self, task_id: str) -> str:
        """The effective task as the text of a task file."""
        listed = await self.get(task_id)
        return await self._looking.run(dump_task, task_id, listed.state.task.definition())

    def _end_offloads(self) -> None:
        """Let the threads end that work was given to."""
        self._looking.close()

    async def _one(self, connection: Connection, task_id: str) -> Listed:
        listed = (await connection.run_sync(store.listed, [task_id])).get(task_id)
        if listed is None:
            raise no_task(task_id)
        return listed

    async def _stored(self, connection: Connection, task_id: str) -> StoredTask:
        stored = (await store.load(connection, [task_id])).get(task_id)
        if stored is None:
            raise no_task(task_id)
        return stored


def now_utc() -> datetime:
    """The present moment."""
    return datetime.now(UTC)


def no_task(task_id: str) -> NotFound:
    """The error where there is no such task."""
    return NotFound(f"no task {task_id[:100]!r}")
