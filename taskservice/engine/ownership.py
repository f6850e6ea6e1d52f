"""What this process holds of the log, and what processes that died have left open in it."""

from collections.abc import Callable
from datetime import UTC, datetime

import structlog

from taskservice.domain.state import TaskState
from taskservice.engine import owner
from taskservice.engine.claims import AT_FAULT, Batch
from taskservice.engine.options import Options
from taskservice.engine.recorder import Recorder
from taskservice.engine.runner import Runner
from taskservice.storage import executions as log
from taskservice.storage import owners
from taskservice.storage import tasks as store
from taskservice.storage.database import Connection, Database
from taskservice.storage.executions import ExecutionRow, Retry

log_ = structlog.get_logger()


class Ownership:
    """The lease of this process, known as `id`, and the executions under it and others'.

    `plan` is called with each attempt that is to be made of an execution which was closed.
    """

    def __init__(
        self,
        id: str,
        database: Database,
        recorder: Recorder,
        runner: Runner,
        plan: Callable[[Retry], None],
        options: Options,
    ) -> None:
        self.id = id
        self._database = database
        self._recorder = recorder
        self._runner = runner
        self._plan = plan
        self._name = options.name
        self._lease_seconds = options.lease_seconds
        self._taking: set[str] = set()

    async def register(self) -> None:
        """Begin a lease."""
        await self._database.write(
            lambda connection: owners.register(connection, self.id, self._name, self._lease_seconds)
        )

    async def renew(self) -> None:
        """Renew the lease; one that was lost meanwhile is begun anew."""
        alive = await self._database.write(
            lambda connection: owners.renew(connection, self.id, self._name, self._lease_seconds)
        )
        if not alive:
            log_.error("lease_lost", owner=self.id)
            await self.register()
        await self._stop_what_was_taken()

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
            self._run(execution, states.get(execution.task_id))
        return waiting

    async def take(self, execution_id: str, claimed_by: str) -> bool:
        """Own and run what another process claimed; False where it isn't there to be taken."""

        async def work(connection: Connection) -> tuple[ExecutionRow, TaskState | None] | None:
            taken = await connection.run_sync(log.take, self.id, execution_id, claimed_by)
            if taken is None:
                return None
            states = await store.states_of(connection, [taken.task_id])
            return taken, states.get(taken.task_id)

        found = None
        self._taking.add(execution_id)
        try:
            found = await self._database.write(work)
        finally:
            self._taking.discard(execution_id)
            if found is None:
                # It may be ours all the same, by a commit whose answer was lost: this or another.
                self._recorder.doubt()
        if found:
            self._run(*found)
        return found is not None

    def _is_here(self, execution_id: str) -> bool:
        """Whether an execution is being taken, runs, or has ended and its row doesn't say so yet.

        One that is being taken may be ours by its row before `take` is told so, and runs it.
        """
        return (
            execution_id in self._taking
            or execution_id in self._runner.running
            or self._recorder.has_ended(execution_id)
        )

    def _run(self, execution: ExecutionRow, state: TaskState | None) -> None:
        if self._is_here(execution.id):
            return
        now = datetime.now(UTC)
        if state is None:
            story = "the task was deleted"
            self._recorder.end(execution.ended("cancelled", now, "cancelled", story, owner=None))
        elif state.faults:
            # What it would be called with is not known.
            self._recorder.end(execution.ended("failed", now, "interrupted", AT_FAULT, owner=None))
        else:
            self._runner.start(execution, state.task)

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
        gone = await self._database.write(
            lambda connection: owners.forget(connection, owner_id, if_expired=if_expired)
        )
        if not gone:
            return
        async with self._database.read() as connection:
            held = await connection.run_sync(log.owned, owner_id)
        process = owner.short_name(name)
        now, story = datetime.now(UTC), f"its process {process} died"
        batch = Batch(
            ends={
                execution.id: execution.ended("failed", now, "interrupted", story, owner=None)
                for execution in held.values()
                if execution.status == "running"
            },
            releases={e.id for e in held.values() if e.status != "running"},
        )
        recorded = await self._recorder.record(batch, owner=owner_id)
        for retry in recorded.planned.values():
            self._plan(retry)
        if held:
            log_.warning("dead_process_closed", process=process, executions=len(held))

    async def _stop_what_was_taken(self) -> None:
        """End what runs here and is ours no more: it was closed, or its task was deleted."""
        running = [one for one in self._runner.running.values() if not one.ended]
        if not running:
            return
        async with self._database.read() as connection:
            mine = await connection.run_sync(lambda some: log.owned(some, self.id, live=True))
        for one in running:
            if one.execution.id not in mine:
                self._runner.abandon(one)
