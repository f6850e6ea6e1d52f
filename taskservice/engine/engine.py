"""The engine: what is scheduled follows the table, and what runs is recorded in it."""

import asyncio
import contextlib
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

import structlog

from taskservice.domain.errors import Conflict, TaskserviceError, Unavailable
from taskservice.domain.placeholders import ANY_VARIABLE
from taskservice.domain.placement import HERE
from taskservice.domain.redaction import Hiding
from taskservice.domain.state import TaskState
from taskservice.domain.trail import Cause, Via
from taskservice.domain.trigger import jitter_delay
from taskservice.engine import output
from taskservice.engine.claims import (
    Batch,
    Known,
    QueueOf,
    Recorded,
    ScheduledTask,
    TakeRequest,
    TriggerRequest,
    started,
)
from taskservice.engine.counts import Counts
from taskservice.engine.executor import AnyExecutor
from taskservice.engine.functions import Functions
from taskservice.engine.keeping import Keeper
from taskservice.engine.options import Options
from taskservice.engine.owner import short_name
from taskservice.engine.ownership import Ownership
from taskservice.engine.placeholders import mask_of
from taskservice.engine.queues import Queues
from taskservice.engine.recorder import Recorder
from taskservice.engine.repeat import repeat
from taskservice.engine.runner import Runner
from taskservice.engine.schedule import Schedule
from taskservice.engine.scheduler import Scheduler
from taskservice.engine.sent import SentExecutions
from taskservice.engine.signals import RulesOf, own_rules
from taskservice.storage import executions as log
from taskservice.storage.database import Database
from taskservice.storage.executions import ExecutionRow, Retry
from taskservice.storage.rows import new_id
from taskservice.storage.workers import Worker

MOST_REMEMBERED = 10_000
"""How many tasks a worker remembers."""

_RETRY_KEY = "\0retry:"  # No task id begins with a control character.

log_ = structlog.get_logger()


class Engine:
    """Schedules the tasks of a database and executes them in this process.

    `functions` are those that tasks may call; `executors` are by name, `default_executor` is for
    tasks that name none; `zone` is that of times which name none; `env_allow` are the patterns of
    the variables that placeholders may stand for; `output_limit` is how many bytes of an
    execution's output are kept. `queue_of` gives the queue that a task's executions are sent to,
    where they may wait for `start_timeout` seconds, `rules_of` who is told of it. `listed` is what
    this process is shown as: a service, unless it says that it is a worker.
    """

    def __init__(
        self,
        database: Database,
        functions: Functions,
        executors: Mapping[str, AnyExecutor],
        *,
        default_executor: str,
        zone: tzinfo,
        env_allow: Sequence[str] = ANY_VARIABLE,
        output_limit: int = output.LIMIT,
        queue_of: QueueOf = HERE.queue_of,
        rules_of: RulesOf = own_rules,
        start_timeout: float = 300.0,
        listed: Worker | None = None,
        options: Options | None = None,
    ) -> None:
        self._options = options = options or Options()
        self._database = database
        self._executors = executors
        self._default_executor = default_executor
        self._tasks: dict[str, ScheduledTask] = {}
        self._retries: dict[str, Retry] = {}
        self.owner = new_id()
        self.leads = False
        name = f"{short_name(options.name)}:{self.owner[-8:]}"
        self._listed = listed = listed or Worker(name=name, kind="service")
        self._takes = listed.kind == "worker"
        self.counts = Counts()
        self._scheduler = Scheduler(self._on_due)
        self._recorder = Recorder(
            database,
            zone=zone,
            owner=self.owner,
            worker=listed if self._takes else None,
            queue_of=queue_of,
            rules_of=rules_of,
            leads=lambda: self.leads,
            tasks=self._tasks,
            counts=self.counts,
            done=self._recorded,
            recover=self._recover,
            refused=self._not_recorded,
            again_seconds=options.refused_again,
            busy_again=timedelta(seconds=options.busy_again),
        )
        self._runner = Runner(
            functions,
            executors,
            default_executor=default_executor,
            env_allow=env_allow,
            output_limit=output_limit,
            counts=self.counts,
            begin_before=lambda: self._ownership.lease_ends,
            begun=self._recorder.begun,
            end=self._recorder.end,
            release=self._recorder.release,
        )
        self._schedule = Schedule(
            database,
            self._scheduler,
            self._tasks,
            zone=zone,
            owner=self.owner,
            drop=self._runner.drop,
            at_once=options.reconciled_at_once,
        )
        self._ownership = Ownership(
            self.owner, database, self._recorder, self._runner, self._plan, options, listed=listed
        )
        self._queues = [
            Queues(database, executor, start_timeout, options.sent_seconds, self._recorder.end)
            for executor in executors.values()
            if executor.survives
        ]
        self._sent = SentExecutions(database, self.counts)
        self._keeper = Keeper(database, self.owner, self._runner.running)
        self._loops: list[asyncio.Task[None]] = []
        self._stop = asyncio.Event()
        self._saved: dict[str, list[asyncio.Future[None]]] = {}

    async def start(self) -> None:
        """Begin to take what is asked for; fires come with `lead`."""
        output.install()
        await self._ownership.register()
        self._scheduler.start()
        options = self._options
        self._loops = [
            asyncio.create_task(self._recorder.run()),
            asyncio.create_task(repeat(self._stop, options.renew_seconds, self.keep_alive)),
            asyncio.create_task(repeat(self._stop, options.keep_seconds, self._keeper.keep)),
            asyncio.create_task(repeat(self._stop, options.reconcile_seconds, self.reconcile_all)),
            asyncio.create_task(repeat(self._stop, options.look_seconds, self._look)),
            asyncio.create_task(repeat(self._stop, options.look_seconds, self._look_at_brokers)),
        ]

    async def lead(self) -> None:
        """Close what dead processes left open, schedule every task, and fire."""
        await self._ownership.close_dead()
        await self._sent.adopt()
        self.leads = True
        await self.reconcile_all()

    def follow(self) -> None:
        """Fire no more: another process schedules, or will. What is asked for runs on."""
        self.leads = False

    @property
    def name(self) -> str:
        """What this process is shown as."""
        return self._listed.name

    @property
    def running(self) -> int:
        """How many executions run in this process."""
        return self._runner.count()

    @property
    def waiting(self) -> dict[str, int]:
        """By executor, how many executions wait in this process for a place to run."""
        return self._runner.waiting()

    @property
    def unreturned(self) -> int:
        """How many executions that ended in the log have not returned in this process."""
        return self._runner.unreturned()

    @property
    def at_fault(self) -> frozenset[str]:
        """Tasks that were to be scheduled and can't be."""
        return frozenset(self._schedule.at_fault)

    def finds_functions(self, executor: str | None) -> bool:
        """Whether an executor (None: the default one) finds functions where it runs them.

        If it doesn't, they are loaded into this process.
        """
        place = self._executors.get(executor or self._default_executor)
        return place is None or place.finds_functions

    def next_fire(self, task_id: str) -> datetime | None:
        """The fire that a task waits for here."""
        return self._scheduler.next_fire(task_id)

    async def settled(self) -> None:
        """Wait until all that has begun and ended by now is recorded."""
        await self._recorder.settled()

    @property
    def firing(self) -> bool:
        """Whether due fires are taken."""
        return bool(self._loops) and self._recorder.claiming

    async def reconcile(self, task_ids: Sequence[str]) -> None:
        """Make what is scheduled of these tasks agree with the table."""
        if self.leads and self._recorder.claiming:
            await self._schedule.follow(task_ids)

    def known(self, task_ids: Iterable[str]) -> Known:
        """What is scheduled of tasks now."""
        return self._schedule.known(task_ids)

    def hiding(self, arguments: Iterable[object]) -> Hiding | None:
        """What takes out of texts what the placeholders in arguments stand for; None: nothing."""
        mask = mask_of(arguments, os.environ)
        return mask.text if mask else None

    def scheduled(self) -> list[ScheduledTask] | None:
        """The tasks that have a next fire; None where another process schedules."""
        return list(self._tasks.values()) if self.leads else None

    async def adopt(self, states: Sequence[TaskState], known: Known) -> None:
        """Make what is scheduled agree with states that were written and are committed.

        `known` is what was scheduled of these tasks when their rows were locked for it.
        """
        if self.leads and self._recorder.claiming:
            await self._schedule.adopt(states, known)

    async def claim(self, task_ids: Iterable[str]) -> None:
        """Claim what is due of these tasks before they are changed; raises `Unavailable`."""
        if not self._recorder.claiming:
            raise Unavailable("the service is stopping")
        await self._recorder.claim(task_ids)

    async def trigger(
        self,
        task_id: str,
        func_args: Mapping[str, Any] | None,
        *,
        by: str,
        via: Via = "api",
        reason: str | None = None,
    ) -> ExecutionRow:
        """Run a task now; the execution, once its row is committed.

        Raises `NotFound`, `Conflict` when all instances are busy, and `Unavailable`.
        """
        if not self._recorder.claiming:
            raise Unavailable("the service is stopping")
        answer: asyncio.Future[ExecutionRow] = asyncio.get_running_loop().create_future()
        args = None if func_args is None else dict(func_args)
        cause = Cause(by=by, via=via, reason=reason)
        self._recorder.request(
            TriggerRequest(task_id=task_id, func_args=args, cause=cause, answer=answer)
        )
        return await answer

    async def take(self, execution_id: str) -> bool:
        """Own and run an execution that is queued; True once it is this process's.

        False where it isn't there to be taken: another one has taken it, or it was closed. Raises
        `Unavailable`; who asks again is told what became of it.
        """
        if not self._recorder.claiming:
            raise Unavailable("the worker is stopping")
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._recorder.take(TakeRequest(execution_id=execution_id, answer=answer))
        return await answer

    async def returned(self, execution_id: str) -> None:
        """Wait until the function of an execution that runs here has really ended."""
        await self._runner.returned(execution_id)

    async def cancel(
        self, execution_id: str, *, by: str, via: Via = "api", reason: str | None = None
    ) -> None:
        """Stop a running execution; returns when its row says so.

        Raises `Conflict`, and `Unavailable` where the database refuses what is to be written.
        """
        if self._runner.cancel(execution_id, by) is None:
            raise Conflict("the execution does not run (any more) in this process")
        self._recorder.note_cause(execution_id, Cause(by=by, via=via, reason=reason))
        await self._ended(execution_id)

    async def cancel_sent(
        self, execution: ExecutionRow, *, by: str, via: Via = "api", reason: str | None = None
    ) -> None:
        """End the row of an execution that was sent to a queue, as it was read; returns after that.

        Its worker stops it when it sees that. Nothing is done where it has moved on meanwhile.
        """
        keeper = None if execution.status == "queued" else execution.owner
        now = datetime.now(UTC)
        self._recorder.end(execution.ended("cancelled", now, "cancelled", f"by {by}", owner=keeper))
        self._recorder.note_cause(execution.id, Cause(by=by, via=via, reason=reason))
        await self._ended(execution.id)

    async def _ended(self, execution_id: str) -> None:
        """Wait until an end is recorded."""
        saved = asyncio.get_running_loop().create_future()
        self._saved.setdefault(execution_id, []).append(saved)
        await saved

    def output_of(self, execution_id: str) -> str | None:
        """What an execution that runs here has printed so far."""
        return self._runner.output_of(execution_id)

    async def drain(self, grace: float) -> None:
        """Take no new fire, give running executions `grace` seconds, and mark the rest."""
        self._recorder.claiming = False
        self._scheduler.stop()
        try:
            # What is being claimed at this moment runs too: it is waited for as the others are.
            async with asyncio.timeout(grace):
                await self._recorder.settled()
                await self._runner.idle()
        except TimeoutError:
            for running in list(self._runner.running.values()):
                self._runner.interrupt(running, f"the {self._listed.kind} stopped")
        try:
            await asyncio.wait_for(self._recorder.settled(), 5)
        except TimeoutError:
            log_.error("ends_not_recorded", executions=sorted(self._runner.running))

    async def stop(self) -> None:
        """End everything; what still runs is found to be dead by whoever starts next."""
        self._recorder.stop()
        self._scheduler.stop()
        self._stop.set()
        if self._loops:
            # A transaction cut off in its midst leaves a connection in nobody's hands.
            _, stuck = await asyncio.wait(self._loops, timeout=self._options.stop_seconds)
            for loop in stuck:
                loop.cancel()
            await asyncio.gather(*self._loops, return_exceptions=True)
        for executor in self._executors.values():
            await executor.close()
        if self._loops:
            with contextlib.suppress(Unavailable, TimeoutError):
                await asyncio.wait_for(self._ownership.leave(), self._options.leave_seconds)
        output.uninstall()

    def _on_due(self, task_id: str) -> None:
        scheduled = self._tasks.get(task_id)
        if scheduled is None or not self.leads:
            return
        fire = scheduled.state.next_run_time
        if scheduled.trigger.jitter and fire:
            late = (datetime.now(UTC) - fire).total_seconds()
            delay = jitter_delay(scheduled.trigger, task_id, fire) - late
            asyncio.get_running_loop().call_later(max(delay, 0), self._recorder.due, task_id)
        else:
            self._recorder.due(task_id)

    def _recorded(self, batch: Batch, recorded: Recorded) -> None:
        self._sent.add(one.id for one in recorded.added if one.is_open and one.queue is not None)
        for execution, task in started(recorded):
            self._ownership.run(execution, task, deleted=False)
        for execution in recorded.taken:
            scheduled = recorded.tasks.get(execution.task_id)
            taken = scheduled.task if scheduled else None
            deleted = recorded.rows[execution.task_id].deleted
            self._ownership.run(execution, taken, deleted=deleted)
        for take, is_ours in recorded.took:
            if not take.answer.done():
                take.answer.set_result(is_ours)
        for request, answer in recorded.answers:
            if request.answer.done():
                continue
            if isinstance(answer, TaskserviceError):
                request.answer.set_exception(answer)
            else:
                request.answer.set_result(answer)
        for execution_id in batch.ends.keys() & self._saved.keys():
            for saved in self._saved.pop(execution_id):
                if not saved.done():
                    saved.set_result(None)
        for execution_id in recorded.dropped:
            self._retries.pop(execution_id, None)
        if self._takes:
            # As long as their etags are those of the table, they need not be read and parsed again.
            if len(self._tasks) > MOST_REMEMBERED:
                self._tasks.clear()
            self._tasks.update(recorded.tasks)
        if not self.leads:
            return
        for retry in recorded.planned.values():
            self._plan(retry)
        for task_id in batch.due | recorded.next_fires.keys():
            if not self._schedule.is_known(task_id, recorded.known):
                # A change came between, before this commit or after it: the row, once it is
                # locked again, says how they add up.
                self._recorder.due(task_id)
                continue
            row = recorded.rows.get(task_id)
            if row is None or row.paused or row.retired:
                self._schedule.forget(task_id)
                continue
            scheduled = recorded.tasks.get(task_id)
            if scheduled is None:
                self._schedule.forget(task_id)
                continue
            next_run_time = recorded.next_fires.get(task_id, row.next_run_time)
            state = replace(scheduled.state, next_run_time=next_run_time)
            self._schedule.put(replace(scheduled, state=state))

    def _not_recorded(self, execution_ids: Collection[str], error: Exception) -> None:
        for execution_id in execution_ids:
            for saved in self._saved.pop(execution_id, ()):
                if not saved.done():
                    story = "it was stopped, but that can't be recorded yet"
                    saved.set_exception(Unavailable(f"{story}: {error}"))

    def _plan(self, retry: Retry) -> None:
        key = _RETRY_KEY + retry.execution.id
        self._retries[retry.execution.id] = retry
        self._scheduler.once(key, retry.due, self._on_retry)

    def _on_retry(self, key: str) -> None:
        retry = self._retries.get(key.removeprefix(_RETRY_KEY))
        if retry:
            self._recorder.retry(retry)

    async def reconcile_all(self) -> None:
        """Make everything that is scheduled agree with the table, where this process schedules."""
        if not self.leads or not await self._schedule.reconcile_all(lambda: self.leads):
            return
        await self.plan_retries()

    async def plan_retries(self) -> None:
        """Make the attempts that wait, where this process schedules."""
        if self.leads:
            async with self._database.read() as connection:
                waiting = await connection.run_sync(log.retries)
            self._plan_unknown(waiting)

    async def _look(self) -> None:
        """Have what others end of this process's end here, and look after what workers run."""
        if self._takes:
            await self._ownership.look_at_rows()
        await self._sent.look()
        if self.leads:
            for queues in self._queues:
                await queues.end_late()

    async def _look_at_brokers(self) -> None:
        """Send again what brokers have lost, and know whether they are there."""
        for queues in self._queues:
            if self.leads:
                await queues.send_again()
            await queues.executor.check()

    def _plan_unknown(self, waiting: Iterable[Retry]) -> None:
        for retry in waiting:
            if self._scheduler.next_fire(_RETRY_KEY + retry.execution.id) is None:
                self._plan(retry)

    async def _recover(self) -> None:
        """Find out what is ours after the database was gone."""
        await self._ownership.renew()
        waiting = await self._ownership.find_lost()
        if self.leads:
            self._plan_unknown(waiting)

    async def keep_alive(self) -> None:
        """Renew this process's lease, and close what processes that died left open."""
        await self._ownership.renew()
        if self.leads:
            await self._ownership.close_dead()
