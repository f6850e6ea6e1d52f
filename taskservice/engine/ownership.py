"""What this process holds of the log, and what processes that died have left open in it."""

from collections.abc import Callable
from datetime import UTC, datetime

import structlog

from taskservice.domain.task import Task
from taskservice.engine import owner
from taskservice.engine.claims import AT_FAULT, Batch
from taskservice.engine.options import Options
from taskservice.engine.recorder import Recorder
from taskservice.engine.runner import Runner
from taskservice.storage import executions as log
from taskservice.storage import owners, workers
from taskservice.storage import tasks as store
from taskservice.storage.database import Connection, Database
from taskservice.storage.executions import ExecutionRow, Retry
from taskservice.storage.workers import Worker

log_ = structlog.get_logger()


class Ownership:
    """The lease of this process, known as `id`, and the executions under it and others'.

    `plan` is called with each attempt that is to be made of an execution which was closed; `listed`
    is what this process is shown as.
    """

    def __init__(
        self,
        id: str,
        database: Database,
        recorder: Recorder,
        runner: Runner,
        plan: Callable[[Retry], None],
        options: Options,
        *,
        listed: Worker,
    ) -> None:
        self.id = id
        self._listed = listed
        self._renewed = 0.0
        self._database = database
        self._recorder = recorder
        self._runner = runner
        self._plan = plan
        self._name = options.name
        self._lease_seconds = options.lease_seconds

    @property
    def lease_ends(self) -> float:
        """Until when the lease is known to last, by the clock of `owner.seconds_now`."""
        return self._renewed + self._lease_seconds

    async def register(self) -> None:
        """Begin a lease."""

        async def work(connection: Connection) -> None:
            await owners.register(connection, self.id, self._name, self._lease_seconds)
            await workers.register(connection, self.id, self._listed)

        asked = owner.seconds_now()
        await self._database.write(work)
        self._renewed = asked

    async def renew(self) -> None:
        """Renew the lease; one that was lost meanwhile is begun anew."""

        async def work(connection: Connection) -> bool:
            await workers.heard(connection, self.id)
            return await owners.renew(connection, self.id, self._name, self._lease_seconds)

        asked = owner.seconds_now()
        if await self._database.write(work):
            self._renewed = asked
        else:
            log_.error("lease_lost", owner=self.id)
            await self.register()
        await self.look_at_rows()

    async def leave(self) -> None:
        """Say that this process stops."""
        await self._database.write(lambda connection: workers.gone(connection, self.id))

    async def find_lost(self) -> list[Retry]:
        """Run the executions that are ours in the log and unknown here; the waiting attempts."""
        async with self._database.read() as connection:
            mine = await connection.run_sync(log.owned, self.id)
            lost = [
                execution for execution in mine.values()
                if execution.status == "running" and not self._is_here(execution.id)
            ]  # fmt: skip
            states = await store.states_of(connection, [e.task_id for e in lost])
            waiting = await connection.run_sync(log.retries)
        for execution in lost:
            state = states.get(execution.task_id)
            task = None if state is None or state.faults else state.task
            self.run(execution, task, deleted=state is None)
        return waiting

    def _is_here(self, execution_id: str) -> bool:
        """Whether an execution runs, or has ended and its row doesn't say so yet."""
        return execution_id in self._runner.running or self._recorder.has_ended(execution_id)

    def run(self, execution: ExecutionRow, task: Task | None, *, deleted: bool) -> None:
        """Run or send what is claimed or taken; without a task it is ended.

        After this process was frozen its executions may be closed: it is looked first.
        """
        now = datetime.now(UTC)
        if self._is_here(execution.id):
            return
        if owner.seconds_now() >= self.lease_ends:
            self._recorder.doubt()
        elif deleted:
            story = "the task was deleted"
            self._recorder.end(execution.ended("cancelled", now, "cancelled", story, owner=None))
        elif task is None:
            # What it would be called with is not known.
            self._recorder.end(execution.ended("failed", now, "interrupted", AT_FAULT, owner=None))
        else:
            self._runner.start(execution, task)

    async def close_dead(self) -> None:
        """Close the executions of processes that are gone: all others, where one serves alone."""
        async with self._database.read() as connection:
            found = await owners.owners(connection)
        for owner_id, other in found.items():
            if owner_id == self.id:
                continue
            certain = self._database.one_process or owner.is_dead(other.name)
            if certain or other.expired:
                await self._close(owner_id, other.name, if_expired=not certain)

    async def _close(self, owner_id: str, name: str, *, if_expired: bool) -> None:
        # First it may write no more, then its rows are closed: should this process die in
        # between, the next one finds rows of an owner that nobody registered.

        async def work(connection: Connection) -> bool:
            gone = await owners.forget(connection, owner_id, if_expired=if_expired)
            if gone:
                await workers.gone(connection, owner_id)
            return gone

        if not await self._database.write(work):
            return
        async with self._database.read() as connection:
            held = await connection.run_sync(log.owned, owner_id)
        process = owner.short_name(name)
        now, story = datetime.now(UTC), f"its process {process} died"
        batch = Batch(
            ends={
                execution.id: execution.ended("failed", now, "interrupted", story, owner=None)
                for execution in held.values()
                if execution.is_open
            },
            releases={e.id for e in held.values() if not e.is_open},
        )
        recorded = await self._recorder.record(batch, owner=owner_id)
        for retry in recorded.planned.values():
            self._plan(retry)
        if held:
            log_.warning("dead_process_closed", process=process, executions=len(held))

    async def look_at_rows(self) -> None:
        """Stop what runs here and is to run no more.

        It was closed as a dead process's, its task was deleted, or others have ended its row: a
        cancel and a timeout hold though this process does not answer.
        """
        running = [one for one in self._runner.running.values() if not one.ended]
        if not running:
            return
        async with self._database.read() as connection:
            mine = await connection.run_sync(lambda some: log.owned(some, self.id, live=True))
        for one in running:
            row = mine.get(one.execution.id)
            if row is None:
                self._runner.abandon(one)
            elif not row.is_open:
                self._runner.end_as(one, row)
