"""One writer records what begins and ends: all that happens within a moment is one transaction.

A fire is claimed by its row, in the same transaction that moves its task's `next_run_time` on;
only when that is committed does it run.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime, tzinfo

import structlog

from taskservice.domain.errors import Unavailable
from taskservice.engine.claims import (
    Batch,
    Claims,
    Entry,
    Manual,
    Recorded,
    decide_ends,
    is_long_due,
    make_entry,
    progress_of,
)
from taskservice.engine.counts import Counts
from taskservice.storage import executions as log
from taskservice.storage import tasks as store
from taskservice.storage.database import Collision, Connection, Database, SyncConnection
from taskservice.storage.executions import Execution, Retry, TaskRow

LINGER = 0.01
"""Seconds between a transaction's end and the next: what comes meanwhile shares that one."""

MOST = 1000
"""How many fires, and how many ends, share a transaction at the most."""

REFUSALS = 3
"""How often a database that can be read may refuse a batch before its parts go one by one."""

REFUSED_AGAIN = 5.0
"""Seconds until the one that it refuses is tried again; the others don't wait for it."""

log_ = structlog.get_logger()


class Recorder:
    """The bounded writer behind the engine: one transaction at a time.

    `entries` is the engine's memory of tasks; `counts` counts what is recorded; `done` is called
    with what each commit came to, on the event loop, before the next transaction begins. `recover`
    is called before the first one after an outage, to find what a commit did whose answer was lost.
    """

    def __init__(
        self,
        database: Database,
        *,
        zone: tzinfo,
        owner: str,
        entries: dict[str, Entry],
        counts: Counts,
        done: Callable[[Batch, Recorded], None],
        recover: Callable[[], Awaitable[None]],
    ) -> None:
        self._database = database
        self._zone = zone
        self._owner = owner
        self._entries = entries
        self._counts = counts
        self._done = done
        self._recover = recover
        self._waiting = Batch()
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._doubtful = False
        self._refused = 0
        self._set_aside = 0
        self._unrecorded: set[str] = set()
        self._stopping = False
        self.claiming = True

    def due(self, task_id: str) -> None:
        """A task's next fire has come."""
        self._waiting.due.add(task_id)
        self._notify()

    async def claim(self, task_ids: Iterable[str]) -> None:
        """Claim what is due of these tasks, now; raises `Unavailable`."""
        told: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.due.update(task_ids)
        self._waiting.told.append(told)
        self._notify()
        await told

    def retry(self, retry: Retry) -> None:
        """A failed execution's next attempt has come."""
        self._waiting.retries[retry.execution.id] = retry
        self._notify()

    def manual(self, wish: Manual) -> None:
        """Somebody wants a task to run."""
        self._waiting.manual.append(wish)
        self._notify()

    def end(self, execution: Execution) -> None:
        """An execution has ended as its fields say; an owner in them keeps its instance."""
        self._unrecorded.add(execution.id)
        self._waiting.ends[execution.id] = execution
        self._notify()

    def release(self, execution_id: str) -> None:
        """The function of an execution that had ended in the log has returned at last."""
        self._waiting.releases.add(execution_id)
        self._notify()

    def has_ended(self, execution_id: str) -> bool:
        """Whether an execution has ended whose row doesn't say so yet."""
        return execution_id in self._unrecorded

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
            if not (self._waiting or self._stopping):
                if not self._set_aside:
                    self._idle.set()
                self._wake.clear()
                await self._wake.wait()
            if (early := ended + LINGER - loop.time()) > 0:
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
            await self._recover()
            self._doubtful = False
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
        _tell(batch)

    def _take(self, batch: Batch, recorded: Recorded) -> None:
        self._refused = 0
        self._unrecorded -= batch.ends.keys()
        self._done(batch, recorded)
        _tell(batch)

    async def _commit_single(self, single: Batch) -> None:
        try:
            recorded = await self.record(single)
        except Unavailable as outage:
            for wish in single.manual:
                _refuse(wish, outage)
            single.manual.clear()
            self._set_aside += 1
            loop = asyncio.get_running_loop()
            loop.call_later(REFUSED_AGAIN, self._take_up, single, outage)
        except Exception as error:
            log_.exception("record_refused", task_ids=sorted(single.task_ids()))
            for wish in single.manual:
                _refuse(wish, error)
            for end in single.ends.values():
                if end.output or end.result:
                    story = f"raised: its output and result can't be stored: {error}"
                    bare = replace(end, status="failed", output=None, result=None)
                    self.end(replace(bare, error=story[:1000]))
        else:
            self._take(single, recorded)

    def _take_up(self, single: Batch, outage: Unavailable) -> None:
        self._set_aside -= 1
        self._put_back(single, outage)

    def _put_back(self, batch: Batch, error: Exception) -> None:
        waiting = self._waiting
        waiting.due |= batch.due
        waiting.retries |= batch.retries
        waiting.ends = batch.ends | waiting.ends
        waiting.releases |= batch.releases
        _refuse_all(batch, error)
        self._doubtful = True
        self._notify()

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
        return recorded

    async def _record(
        self, connection: Connection, batch: Batch, owner: str, *, careful: bool
    ) -> Recorded:
        now = datetime.now(UTC)
        done, held = await connection.run_sync(self._look, batch)
        done.known = {task_id: self._entries.get(task_id) for task_id in batch.task_ids()}
        done.entries = await self._entries_for(connection, done.rows)
        done.ended = decide_ends(batch, held, owner, now, done)
        claims = Claims(done, held.values(), owner=self._owner, now=now)
        if any(is_long_due(done.rows[task_id], now) for task_id in batch.due & done.rows.keys()):
            # There may be many fires to count.
            await asyncio.to_thread(claims.claim, batch)
        else:
            claims.claim(batch)
        await connection.run_sync(self._write, batch, owner, done, claims.running, careful)
        return done

    def _look(
        self, connection: SyncConnection, batch: Batch
    ) -> tuple[Recorded, dict[str, Execution]]:
        """Lock what a batch touches; and the executions that occupy its tasks' instances."""
        done = Recorded(rows=log.lock_tasks(connection, self._owner, batch.task_ids()))
        if batch.retries:
            done.waiting = {retry.execution.id for retry in log.retries(connection)}
        return done, log.open_rows(connection, done.rows.keys())

    def _write(
        self,
        connection: SyncConnection,
        batch: Batch,
        owner: str,
        done: Recorded,
        running: set[str],
        careful: bool,
    ) -> None:
        log.finish(connection, done.ended)
        log.release(connection, owner, batch.releases)
        if careful:
            _leave_out_recorded(connection, done)
        log.add(connection, done.added)
        log.drop_retries(connection, done.dropped)
        log.save_retries(connection, {key: r.due for key, r in done.planned.items()})
        log.advance(connection, progress_of(done, running))

    async def _entries_for(
        self, connection: Connection, rows: dict[str, TaskRow]
    ) -> dict[str, Entry]:
        # Taken now: the engine may forget some of them while the others are read.
        entries = {
            row.id: self._entries[row.id]
            for row in rows.values()
            if row.id in self._entries and self._entries[row.id].state.etag == row.etag
        }
        states = await store.states_of(connection, list(rows.keys() - entries.keys()))
        fresh = {task_id: make_entry(state, self._zone) for task_id, state in states.items()}
        return entries | fresh


def _leave_out_recorded(connection: SyncConnection, done: Recorded) -> None:
    fires = [e.scheduled_time for e in done.added if e.scheduled_time]
    known = log.recorded(connection, {e.task_id for e in done.added}, fires)
    done.added = [
        e for e in done.added
        if e.scheduled_time is None or (e.task_id, e.scheduled_time, e.attempt) not in known
    ]  # fmt: skip


def _refuse(wish: Manual, error: Exception) -> None:
    if not wish.answer.done():
        wish.answer.set_exception(error)


def _refuse_all(batch: Batch, error: Exception) -> None:
    for wish in batch.manual:
        _refuse(wish, error)
    _tell(batch, error)


def _tell(batch: Batch, error: Exception | None = None) -> None:
    for told in batch.told:
        if told.done():
            continue
        if error:
            told.set_exception(error)
        else:
            told.set_result(None)
