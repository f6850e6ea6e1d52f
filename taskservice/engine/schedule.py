"""What is scheduled, kept in step with the table."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, tzinfo

from taskservice.domain.state import TaskState, expected_fire
from taskservice.engine.claims import Known, ScheduledTask, scheduled_task
from taskservice.engine.scheduler import Scheduler
from taskservice.storage import executions as log
from taskservice.storage import tasks as store
from taskservice.storage.database import Connection, Database
from taskservice.storage.rows import chunks

MENDED_AT_ONCE = 200
"""For how many tasks the next fire is worked out before others have their turn."""


class Schedule:
    """Has `scheduler` call for the tasks in `tasks`: those that have a next fire.

    `zone` is that of times which name none, `owner` as whom this process writes; `drop` is called
    with the id of each task that is no more; the table is compared `at_once` tasks at a time.
    `at_fault` are those that were found to be at fault,
    and so can't be scheduled.
    """

    def __init__(
        self,
        database: Database,
        scheduler: Scheduler,
        tasks: dict[str, ScheduledTask],
        *,
        zone: tzinfo,
        owner: str,
        drop: Callable[[str], object],
        at_once: int,
    ) -> None:
        self._database = database
        self._scheduler = scheduler
        self._tasks = tasks
        self._zone = zone
        self._owner = owner
        self._drop = drop
        self._at_once = at_once
        self.at_fault: set[str] = set()
        # One reads and adopts at a time, or what was read first could be adopted last.
        self._reading = asyncio.Lock()

    def known(self, task_ids: Iterable[str]) -> Known:
        """What is scheduled of tasks now."""
        return {task_id: self._tasks.get(task_id) for task_id in task_ids}

    def is_known(self, task_id: str, known: Known) -> bool:
        """Whether what is scheduled of a task has not changed since it was `known`."""
        return self._tasks.get(task_id) is known.get(task_id)

    def put(self, scheduled: ScheduledTask) -> None:
        """Schedule a task as this says, if it fires at all."""
        state = scheduled.state
        if state.next_run_time is None or state.task.paused or state.retired_at:
            self.forget(state.id)
            return
        known = self._tasks.get(state.id)
        self._tasks[state.id] = scheduled
        same = known is not None and known.trigger is scheduled.trigger
        if not same or self._scheduler.next_fire(state.id) != state.next_run_time:
            self._scheduler.set(state.id, state.next_run_time, scheduled.trigger)

    def forget(self, task_id: str) -> None:
        """Let a task fire no more."""
        self._tasks.pop(task_id, None)
        self._scheduler.remove(task_id)

    async def follow(self, task_ids: Sequence[str]) -> dict[str, TaskState]:
        """Adopt what the table says of tasks, and return it; those that are no more are dropped."""
        async with self._reading:
            return await self._read(task_ids)

    async def adopt(self, states: Sequence[TaskState], known: Known) -> None:
        """Adopt states that were written and are committed.

        `known` is what was scheduled of these tasks when their rows were locked for it.
        """
        async with self._reading:
            # Rows are changed one after the other, but who changed them may hear of it in
            # another order. As long as nothing was scheduled of a task since its row was locked,
            # what was written is the newest that is heard of here; whoever locks the row later
            # hears later, or finds in turn that this came between. Otherwise the table is asked.
            # A task that fires no more is not there to compare: if one such came between, the
            # worst is a fire that is looked for and that the row, once it is locked, doesn't have.
            newest = [one for one in states if self.is_known(one.id, known)]
            overtaken = [one.id for one in states if not self.is_known(one.id, known)]
            self._adopt(newest)
            if overtaken:
                await self._read(overtaken)

    async def reconcile_all(self, goes_on: Callable[[], bool]) -> bool:
        """Compare the whole table with what is scheduled, and adopt what differs.

        It is given up, and False returned, as soon as `goes_on` says no.
        """
        seen = set[str]()
        followed: dict[str, TaskState] = {}
        last, fires = "", dict[str, tuple[str, datetime]]()
        while goes_on():
            # A piece at a time: fires that are due come in between.
            async with self._database.read() as connection:
                fires = await store.fires_known(connection, last, self._at_once)
            if not fires:
                break
            *_, last = fires
            seen |= fires.keys()
            differ = [
                task_id for task_id, (etag, when) in fires.items()
                if not self._is_scheduled(task_id, etag, when)
            ]  # fmt: skip
            if differ:
                followed |= await self.follow(differ)
        if not goes_on():
            return False
        if over := self._tasks.keys() - seen:
            await self.follow(list(over))
        await self._mend({key: state for key, state in followed.items() if state.next_run_time})
        return True

    async def _read(self, task_ids: Sequence[str]) -> dict[str, TaskState]:
        async with self._database.read() as connection:
            states = await store.states_of(connection, task_ids)
        self._adopt(states.values())
        for task_id in set(task_ids) - states.keys():
            self._drop(task_id)
            self.forget(task_id)
            self.at_fault.discard(task_id)
        return states

    def _adopt(self, states: Iterable[TaskState]) -> None:
        with self._scheduler.quiet():
            for state in states:
                scheduled = self._tasks.get(state.id)
                same = scheduled is not None and _trigger_of(scheduled.state) == _trigger_of(state)
                if scheduled is None or not same or state.faults:
                    scheduled = scheduled_task(state, self._zone)
                if scheduled is None:
                    self.forget(state.id)
                    self.at_fault.add(state.id)
                else:
                    self.put(replace(scheduled, state=state))
                    self.at_fault.discard(state.id)

    def _is_scheduled(self, task_id: str, etag: str, when: datetime) -> bool:
        scheduled = self._tasks.get(task_id)
        return (
            scheduled is not None
            and scheduled.state.etag == etag
            and self._scheduler.next_fire(task_id) == when
        )

    async def _mend(self, states: Mapping[str, TaskState]) -> None:
        """Move the next fires that their triggers no longer have (the default zone changed)."""
        now = datetime.now(UTC)
        wrong = {}
        for piece in chunks(list(states.values()), MENDED_AT_ONCE):
            for state in piece:
                scheduled = self._tasks.get(state.id)
                if scheduled is None or scheduled.state.etag != state.etag:
                    continue  # changed since it was read: it has its fire from that change
                expected = expected_fire(state, scheduled.trigger, now)
                if expected != state.next_run_time:
                    wrong[state.id] = expected
            await asyncio.sleep(0)
        if not wrong:
            return

        async def move(connection: Connection) -> None:
            rows = await connection.run_sync(log.lock_tasks, self._owner, wrong.keys())
            progress = [
                log.Progress(
                    id=row.id, next_run_time=wrong[row.id], status=row.status,
                    last_outcome=row.last_outcome,
                )
                for row in rows.values()
                if (row.etag, row.next_run_time) == (
                    states[row.id].etag, states[row.id].next_run_time
                )
            ]  # fmt: skip
            await connection.run_sync(log.advance, progress)

        await self._database.write(move)
        await self.follow(list(wrong))


def _trigger_of(state: TaskState) -> tuple[object, ...]:
    """What of a task its trigger is made of."""
    return state.anchor, state.task.trigger_type, state.task.trigger_args
