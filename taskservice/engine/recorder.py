"""One writer records what begins and ends: all that happens within a moment is one transaction.

A fire is claimed by its row, in the same transaction that moves its task's `next_run_time` on;
only when that is committed does it run.
"""

import asyncio
import os
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

import structlog

from taskservice.domain.errors import Unavailable
from taskservice.domain.redaction import Hiding
from taskservice.domain.trail import Cause, Change, Event, event_of
from taskservice.engine.claims import (
    Batch,
    Fire,
    QueueOf,
    Recorded,
    ScheduledTask,
    TakeRequest,
    TriggerRequest,
    decide,
    is_long_due,
    progress_of,
    scheduled_task,
)
from taskservice.engine.counts import Counts
from taskservice.engine.placeholders import mask_of
from taskservice.engine.signals import RulesOf, signals_of
from taskservice.storage import events, owners, signals
from taskservice.storage import executions as log
from taskservice.storage import tasks as store
from taskservice.storage.database import Collision, Connection, Database, SyncConnection
from taskservice.storage.dialects import dialect_of
from taskservice.storage.executions import ExecutionRow, Retry, TaskRow
from taskservice.storage.workers import Worker

LINGER = 0.01
"""Seconds between a transaction's end and the next: what comes meanwhile shares that one."""

MOST = 1000
"""How many fires, and how many ends, share a transaction at the most."""

REFUSALS = 3
"""How often a database that can be read may refuse a batch before its parts go one by one."""

SHOWN = 200
"""How many characters of an error are shown, in the log and where something is left out."""

log_ = structlog.get_logger()


class Recorder:
    """The bounded writer behind the engine: one transaction at a time.

    `owner` is this process, `worker` what it is where it takes executions from queues; `queue_of`
    gives the queue that a task's executions are sent to, `rules_of` who is told of it; `leads` says
    whether this process makes the attempts to come, and else the one that does is told of each.

    `tasks` are those that are scheduled, by id; `counts` counts what is recorded; `done` is called
    with what each commit came to, on the event loop, before the next transaction begins. `recover`
    is called after an outage, to find what a commit did whose answer was lost, whether or not there
    is anything to record then; `refused` with the executions whose ends the database refuses, which
    are tried again after `again_seconds`. Another attempt of a task that is busy waits for
    `busy_again`.
    """

    def __init__(
        self,
        database: Database,
        *,
        zone: tzinfo,
        owner: str,
        worker: Worker | None,
        queue_of: QueueOf,
        rules_of: RulesOf,
        leads: Callable[[], bool],
        tasks: dict[str, ScheduledTask],
        counts: Counts,
        done: Callable[[Batch, Recorded], None],
        recover: Callable[[], Awaitable[None]],
        refused: Callable[[Collection[str], Exception], None],
        again_seconds: float,
        busy_again: timedelta,
    ) -> None:
        self._database = database
        self._zone = zone
        self._owner = owner
        self._worker = worker
        self._queue_of = queue_of
        self._rules_of = rules_of
        self._leads = leads
        self._tasks = tasks
        self._counts = counts
        self._done = done
        self._recover = recover
        self._refused_ends = refused
        self._again_seconds = again_seconds
        self._busy_again = busy_again
        self._waiting = Batch()
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._doubtful = False
        self._refused = 0
        self._set_aside = 0
        self._outages: Counter[str] = Counter()
        self._early: set[str] = set()
        self._unrecorded: set[str] = set()
        self._causes: dict[str, Cause] = {}
        self._stopping = False
        self.claiming = True

    def due(self, task_id: str) -> None:
        """A task's next fire has come."""
        self._waiting.due.add(task_id)
        self._notify()

    async def claim(self, task_ids: Iterable[str]) -> None:
        """Claim what is due of these tasks, now; raises `Unavailable`."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.due.update(task_ids)
        self._waiting.waiters.append(waiter)
        self._notify()
        await waiter

    def retry(self, retry: Retry) -> None:
        """A failed execution's next attempt has come."""
        self._waiting.retries[retry.execution.id] = retry
        self._notify()

    def request(self, request: TriggerRequest) -> None:
        """Somebody wants a task to run."""
        self._waiting.requests.append(request)
        self._notify()

    def take(self, request: TakeRequest) -> None:
        """A worker wants to run what is queued."""
        self._waiting.takes.append(request)
        self._notify()

    def begun(self, execution: ExecutionRow, timeout: float) -> None:
        """The function of an execution is called now, and has so many seconds."""
        self._waiting.begun[execution.id] = (execution, timeout)
        self._notify()

    def end(self, execution: ExecutionRow) -> None:
        """An execution has ended as its fields say; an owner in them keeps its instance."""
        self._unrecorded.add(execution.id)
        self._waiting.ends[execution.id] = execution
        self._notify()

    def note_cause(self, execution_id: str, cause: Cause) -> None:
        """Somebody has an execution end, whose end is not recorded yet: the trail is to tell."""
        self._causes[execution_id] = cause

    def release(self, execution_id: str) -> None:
        """The function of an execution that had ended in the log has returned at last."""
        self._waiting.releases.add(execution_id)
        self._notify()

    def has_ended(self, execution_id: str) -> bool:
        """Whether an execution has ended whose row doesn't say so yet."""
        return execution_id in self._unrecorded

    def doubt(self) -> None:
        """Find out soon what is this process's: a commit's answer was lost."""
        self._doubtful = True
        self._notify()

    async def settled(self) -> None:
        """Wait until nothing is left to record."""
        await self._idle.wait()

    def stop(self) -> None:
        """Let `run` end after the transaction it is in; what still waits is not recorded."""
        self.claiming = False
        self._stopping = True
        self._wake.set()

    def _notify(self) -> None:
        self._idle.clear()
        self._wake.set()

    async def run(self) -> None:
        """Record until `stop`. An outage keeps what waits and is tried again."""
        try:
            await self._run()
        finally:
            _refuse_all(self._waiting, Unavailable("the service is stopping"))

    async def _run(self) -> None:
        pause = 0.1
        loop = asyncio.get_running_loop()
        ended = 0.0
        while True:
            if not (self._waiting or self._doubtful or self._stopping):
                if not self._set_aside:
                    self._idle.set()
                self._wake.clear()
                await self._wake.wait()
            # A place of a worker waits for its take: that is not held up.
            if (early := ended + LINGER - loop.time()) > 0 and not self._waiting.takes:
                await asyncio.sleep(early)
            if self._stopping:
                return
            batch = self._waiting.take(MOST)
            if not self.claiming:
                batch.due.clear()
                batch.retries.clear()
            try:
                await self._commit(batch)
                pause = 0.1
            except Unavailable as outage:
                log_.warning("record_waits", reason=str(outage))
                self._put_back(batch, outage)
                await asyncio.sleep(pause)
                pause = min(pause * 2, 2.0)
            except asyncio.CancelledError:
                _refuse_all(batch, Unavailable("the service is stopping"))
                raise
            except Exception as error:
                # The loop must go on, what was recorded be found and run, and no end be lost.
                log_.exception("recorder_failed")
                self._put_back(batch, error)
                await asyncio.sleep(pause)
                pause = min(pause * 2, 2.0)
            ended = loop.time()

    async def _commit(self, batch: Batch) -> None:
        if self._doubtful:
            # A commit whose answer was lost may have been done: its executions are ours to run.
            # A doubt that comes while it is looked is another one, and so is that it failed.
            self._doubtful = False
            await self._recover()
        if self._refused < REFUSALS:
            try:
                recorded = await self.record(batch)
            except Unavailable:
                self._refused += 1
                raise
            except Exception:
                log_.exception("record_failed")
            else:
                self._take(batch, recorded)
                return
        # One of them can't be recorded: the others must not suffer by it.
        self._refused = 0
        for single in batch.singles():
            await self._commit_single(single)
        _answer(batch)

    def _take(self, batch: Batch, recorded: Recorded) -> None:
        self._refused = 0
        self._unrecorded -= batch.ends.keys()
        for key in batch.ends:
            self._outages.pop(key, None)
            self._causes.pop(key, None)
        # A function may return before the end of its row is written, which keeps its instance.
        self._early |= batch.releases & self._unrecorded
        if now := self._early & batch.ends.keys():
            self._early -= now
            self._waiting.releases |= now
            self._notify()
        self._done(batch, recorded)
        _answer(batch)

    async def _commit_single(self, single: Batch, *, reduced: bool = False) -> None:
        try:
            recorded = await self.record(single)
        except Unavailable as outage:
            for key in single.ends:
                self._outages[key] += 1
                if self._outages[key] == REFUSALS:
                    # It may be too long for the server, which hangs up then.
                    single = single.reduced(str(outage))
            self._put_aside(single, outage)
            return
        except Exception as error:
            log_.exception("record_refused", task_ids=sorted(single.task_ids()))
            refusal = error
        else:
            self._take(single, recorded)
            return
        if single.ends and not reduced:
            why = str(refusal).split("\n", 1)[0][:SHOWN]
            await self._commit_single(single.reduced(why), reduced=True)
        else:
            self._put_aside(single, refusal)

    def _put_aside(self, single: Batch, error: Exception) -> None:
        """Try one thing again later, if nobody else would: a fire is found by the next pass."""
        _refuse_asked(single, error)
        single.requests.clear()
        single.takes.clear()
        self._refused_ends(single.ends.keys(), error)
        if isinstance(error, Unavailable) or single.ends or single.releases:
            self._set_aside += 1
            loop = asyncio.get_running_loop()
            loop.call_later(self._again_seconds, self._take_up, single, error)

    def _take_up(self, single: Batch, error: Exception) -> None:
        self._set_aside -= 1
        self._put_back(single, error)

    def _put_back(self, batch: Batch, error: Exception) -> None:
        waiting = self._waiting
        waiting.due |= batch.due
        waiting.retries |= batch.retries
        waiting.ends = batch.ends | waiting.ends
        waiting.releases |= batch.releases
        waiting.begun = batch.begun | waiting.begun
        _refuse_all(batch, error)
        self.doubt()
        if not (waiting or self.claiming or self._set_aside):
            # Who stops the service does not wait for the end of an outage to find out.
            self._idle.set()

    async def record(self, batch: Batch, owner: str | None = None) -> Recorded:
        """Record a batch; `owner` is whose executions end, if not this process's own."""
        if not batch:
            return Recorded()
        holder = owner or self._owner
        try:
            recorded = await self._database.write(
                lambda connection: self._record(connection, batch, holder, careful=False)
            )
        except Collision:
            # A fire that has its row already: look which, instead of trusting next_run_time.
            recorded = await self._database.write(
                lambda connection: self._record(connection, batch, holder, careful=True)
            )
        self._counts.record(recorded.added, recorded.ended)
        for execution in (*recorded.ended, *recorded.added):
            _log_failure(execution)
        return recorded

    async def _record(
        self, connection: Connection, batch: Batch, owner: str, *, careful: bool
    ) -> Recorded:
        now = datetime.now(UTC)
        seen, held = await connection.run_sync(self._look, batch)
        seen.known = {task_id: self._tasks.get(task_id) for task_id in batch.task_ids()}
        seen.tasks = await self._tasks_for(connection, seen.rows)
        # There may be many fires to count.
        long_due = any(is_long_due(seen.rows[key], now) for key in batch.due & seen.rows.keys())
        # By the one clock that is the same for all, where others go by it.
        at = now
        if batch.begun or any(self._queue_of(one.task) for one in seen.tasks.values()):
            at = await dialect_of(connection).now(connection)

        async def decided(recorded: Collection[Fire]) -> tuple[Recorded, set[str]]:
            def work() -> tuple[Recorded, set[str]]:
                return decide(
                    batch, seen, held,
                    ends_of=owner, owner=self._owner, worker=self._worker, now=now, queued_at=at,
                    queue_of=self._queue_of, recorded=recorded, busy_again=self._busy_again,
                )  # fmt: skip

            return await asyncio.to_thread(work) if long_due else work()

        done, running = await decided(())
        if careful and (recorded := await connection.run_sync(_recorded, done.added)):
            # Decided again, so that what is left out takes no instance from what is not.
            done, running = await decided(recorded)
        deadlines = {
            key: at + timedelta(seconds=timeout)
            for key, (_, timeout) in batch.begun.items()
            if key in held and (held[key].owner, held[key].status) == (self._owner, "running")
        }
        await connection.run_sync(log.set_deadlines, deadlines)
        await connection.run_sync(self._write, owner, done, running, now)
        await connection.run_sync(events.add_rows, self._trail(done, now))
        if done.planned and not self._leads() and not self._database.one_process:
            await owners.tell(connection, "retry", sorted(done.planned), by=self._owner)
        return done

    def _look(
        self, connection: SyncConnection, batch: Batch
    ) -> tuple[Recorded, dict[str, ExecutionRow]]:
        """Lock what a batch touches; and the executions that occupy its tasks' instances."""
        touched = batch.task_ids()
        if batch.takes:
            touched |= log.tasks_of(connection, {one.execution_id for one in batch.takes})
        done = Recorded(rows=log.lock_tasks(connection, self._owner, touched))
        if batch.retries:
            done.waiting = {retry.execution.id for retry in log.retries(connection)}
        return done, log.open_rows(connection, done.rows.keys())

    def _write(
        self,
        connection: SyncConnection,
        owner: str,
        done: Recorded,
        running: set[str],
        now: datetime,
    ) -> None:
        log.finish(connection, done.ended)
        log.release(connection, owner, done.released)
        log.take(connection, done.taken)
        log.add(connection, done.added)
        log.drop_retries(connection, done.dropped)
        log.save_retries(connection, {key: r.due for key, r in done.planned.items()})
        log.advance(connection, progress_of(done, running))
        seen, over = signals_of(done, self._rules_of, now)
        signals.forget_watches(connection, over, now)
        signals.add(connection, seen)

    def _trail(self, done: Recorded, now: datetime) -> list[dict[str, Any]]:
        """What people asked for, and got: runs that begin and runs that end."""
        told: list[Event] = []
        hidings: dict[str, Hiding] = {}
        for request, row in done.answers:
            if isinstance(row, ExecutionRow):
                own, given = done.tasks[row.task_id].task.func_args, request.func_args or {}
                changes = [Change("execution", None, row.id)]
                changes += [Change(f"func_args.{key}", own.get(key), given[key]) for key in given]
                told.append(
                    event_of("triggered", request.cause, task_id=row.task_id, changes=changes)
                )
                if mask := mask_of([own, given], os.environ):
                    hidings[row.task_id] = mask.text
        for row in done.ended:
            if cause := self._causes.get(row.id):
                changes = [Change("execution", row.id, None)]
                told.append(event_of("cancelled", cause, task_id=row.task_id, changes=changes))
        return events.rows_of(told, now, hidings)

    async def _tasks_for(
        self, connection: Connection, rows: dict[str, TaskRow]
    ) -> dict[str, ScheduledTask]:
        # Taken now: the engine may forget some of them while the others are read.
        tasks = {
            row.id: self._tasks[row.id]
            for row in rows.values()
            if row.id in self._tasks and self._tasks[row.id].state.etag == row.etag
        }
        states = await store.states_of(connection, list(rows.keys() - tasks.keys()))
        fresh = {task_id: scheduled_task(state, self._zone) for task_id, state in states.items()}
        return tasks | {task_id: scheduled for task_id, scheduled in fresh.items() if scheduled}


def _log_failure(execution: ExecutionRow) -> None:
    """A line in the service's log for each execution that failed and each fire that was missed."""
    if execution.status in ("failed", "missed"):
        error = (execution.error or "").split("\n", 1)[0][:SHOWN]
        event = f"execution_{execution.status}"
        log_.warning(
            event,
            task=execution.task_id,
            execution=execution.id,
            attempt=execution.attempt,
            # It is a function's text, and the log may go to a terminal.
            error="".join(c if c.isprintable() else ascii(c)[1:-1] for c in error),
        )


def _recorded(connection: SyncConnection, added: Iterable[ExecutionRow]) -> set[Fire]:
    """Those of the fires that have their row already."""
    fires = {(e.task_id, e.scheduled_time, e.attempt) for e in added if e.scheduled_time}
    known = log.recorded(connection, {fire[0] for fire in fires}, {fire[1] for fire in fires})
    return known & fires


def _refuse_asked(batch: Batch, error: Exception) -> None:
    asked: list[TriggerRequest | TakeRequest] = [*batch.requests, *batch.takes]
    for request in asked:
        if not request.answer.done():
            request.answer.set_exception(error)


def _refuse_all(batch: Batch, error: Exception) -> None:
    _refuse_asked(batch, error)
    _answer(batch, error)


def _answer(batch: Batch, error: Exception | None = None) -> None:
    for waiter in batch.waiters:
        if waiter.done():
            continue
        if error:
            waiter.set_exception(error)
        else:
            waiter.set_result(None)
