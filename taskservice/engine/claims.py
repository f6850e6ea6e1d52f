"""What a batch of fires, requests and ends comes to: decided here, written by the recorder."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, tzinfo
from itertools import islice
from typing import Any

from taskservice.domain.errors import Conflict, NotFound, TaskserviceError
from taskservice.domain.run import Outcome, account, task_status
from taskservice.domain.state import TaskState, faults_of, trigger_of
from taskservice.domain.task import Task
from taskservice.domain.trail import Cause
from taskservice.domain.trigger import Trigger
from taskservice.storage.executions import ExecutionRow, Progress, Retry, TaskRow
from taskservice.storage.owners import QUEUE
from taskservice.storage.rows import new_id
from taskservice.storage.workers import Worker

SHORT = 1000
"""How many characters of each text are kept in an end that is reduced."""

MOST_CHARACTERS = 4 * 1024 * 1024
"""How much text the ends have that share a transaction: with long outputs they are fewer."""

MENDED_AGAIN = timedelta(seconds=30)
"""How long it waits when its task is at fault."""

AT_FAULT = "the task is at fault: save it again, or delete it"

LONG_DUE = timedelta(minutes=5)

_OUTCOMES: dict[str, Outcome] = {
    "completed": "completed", "failed": "failed", "cancelled": "cancelled",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduledTask:
    """What the engine keeps in memory of a task."""

    state: TaskState
    trigger: Trigger

    @property
    def task(self) -> Task:
        return self.state.task


QueueOf = Callable[[Task], str | None]
"""The queue that a task's executions are sent to; None: whoever claims them runs them."""

Known = Mapping[str, ScheduledTask | None]
"""What was scheduled of tasks at a moment: it is so still where the very same one is there."""


Fire = tuple[str, datetime, int]
"""A task's id, a scheduled time and an attempt: of each there is one row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggerRequest:
    """Somebody's request to run a task now; `answer` gets the execution, or why there is none."""

    task_id: str
    func_args: dict[str, Any] | None
    cause: Cause
    answer: asyncio.Future[ExecutionRow]


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeRequest:
    """A worker's wish to run a queued execution; `answer` gets whether it may."""

    execution_id: str
    answer: asyncio.Future[bool]


@dataclass(slots=True, kw_only=True)
class Batch:
    """What waits to be recorded; `begun` are executions with a timeout, in seconds from now."""

    due: set[str] = field(default_factory=set)
    retries: dict[str, Retry] = field(default_factory=dict)
    requests: list[TriggerRequest] = field(default_factory=list)
    takes: list[TakeRequest] = field(default_factory=list)
    begun: dict[str, tuple[ExecutionRow, float]] = field(default_factory=dict)
    ends: dict[str, ExecutionRow] = field(default_factory=dict)
    releases: set[str] = field(default_factory=set)
    waiters: list[asyncio.Future[None]] = field(default_factory=list)

    def __bool__(self) -> bool:
        fires = self.due or self.retries or self.requests
        return bool(fires or self.takes or self.begun or self.ends or self.releases)

    def take(self, most: int) -> "Batch":
        """Split off what is to be recorded next: at most so many fires and ends, and the rest."""
        taken = Batch(
            retries=self.retries,
            requests=self.requests,
            takes=self.takes,
            begun=self.begun,
            releases=self.releases,
            waiters=self.waiters,
        )
        self.retries, self.requests, self.releases, self.waiters = {}, [], set(), []
        self.takes, self.begun = [], {}
        if taken.waiters or len(self.due) <= most:
            # Who waits does so for fires that may be any of them.
            taken.due, self.due = self.due, set()
        else:
            taken.due = set(islice(self.due, most))
            self.due -= taken.due
        room = MOST_CHARACTERS
        for key, end in islice(self.ends.items(), most):
            room -= sum(len(text) for text in (end.result, end.error, end.output) if text)
            if room < 0 and taken.ends:
                break
            taken.ends[key] = end
        for key in taken.ends:
            del self.ends[key]
        return taken

    def singles(self) -> Iterator["Batch"]:
        """The same, one thing at a time."""
        yield from (Batch(ends={key: end}) for key, end in self.ends.items())
        yield from (Batch(releases={key}) for key in self.releases)
        yield from (Batch(retries={key: retry}) for key, retry in self.retries.items())
        yield from (Batch(requests=[request]) for request in self.requests)
        yield from (Batch(takes=[request]) for request in self.takes)
        yield from (Batch(begun={key: one}) for key, one in self.begun.items())
        yield from (Batch(due={task_id}) for task_id in self.due)

    def reduced(self, why: str) -> "Batch":
        """The same without what a database might not take of its ends, and a word on it there."""
        return replace(self, ends={key: _reduced(end, why) for key, end in self.ends.items()})

    def task_ids(self) -> set[str]:
        """Every task that this touches, but for those of executions that are to be taken."""
        touched = set(self.due)
        touched.update(execution.task_id for execution, _ in self.begun.values())
        touched.update(request.task_id for request in self.requests)
        touched.update(retry.execution.task_id for retry in self.retries.values())
        touched.update(end.task_id for end in self.ends.values())
        return touched


@dataclass(slots=True, kw_only=True)
class Recorded:
    """What a committed batch came to; `known` is what was scheduled when the rows were locked."""

    tasks: dict[str, ScheduledTask] = field(default_factory=dict)
    known: Known = field(default_factory=dict)
    rows: dict[str, TaskRow] = field(default_factory=dict)
    next_fires: dict[str, datetime | None] = field(default_factory=dict)
    added: list[ExecutionRow] = field(default_factory=list)
    ended: list[ExecutionRow] = field(default_factory=list)
    released: set[str] = field(default_factory=set)
    taken: list[ExecutionRow] = field(default_factory=list)
    took: list[tuple[TakeRequest, bool]] = field(default_factory=list)
    answers: list[tuple[TriggerRequest, ExecutionRow | TaskserviceError]] = field(
        default_factory=list
    )
    waiting: set[str] = field(default_factory=set)
    planned: dict[str, Retry] = field(default_factory=dict)
    dropped: set[str] = field(default_factory=set)
    outcomes: dict[str, Outcome] = field(default_factory=dict)


class Claims:
    """The decisions on a batch at one moment, over rows that are locked.

    `owner` is who will run what is claimed, unless `queue_of` gives the queue that a task's
    executions are sent to, at `queued_at`; `held` are the executions that occupy instances;
    `recorded` are fires that have their row already, whatever the task's next fire
    says, by task, time and attempt; another attempt of a busy task waits for `busy_again`. What is
    decided goes into `done`; `running` are then the tasks that run.
    """

    def __init__(
        self,
        done: Recorded,
        held: Iterable[ExecutionRow],
        *,
        owner: str,
        queue_of: QueueOf,
        queued_at: datetime,
        now: datetime,
        busy_again: timedelta,
        recorded: Collection[Fire] = (),
    ) -> None:
        self._done = done
        self._queue_of = queue_of
        self._queued_at = queued_at
        self._recorded = recorded
        self._owner = owner
        self._now = now
        self._busy_again = busy_again
        self._instances: Counter[str] = Counter()
        self._unreturned: Counter[str] = Counter()
        self._ended_by: dict[str, set[str]] = {}
        self.running: set[str] = set()
        for execution in held:
            self._instances[execution.task_id] += 1
            if execution.is_open:
                self.running.add(execution.task_id)
            else:
                self._unreturned[execution.task_id] += 1
                how = "cancelled" if execution.status == "cancelled" else "timed-out"
                self._ended_by.setdefault(execution.task_id, set()).add(how)

    def claim(self, batch: Batch) -> None:
        """Decide on all that wants to begin."""
        for retry in batch.retries.values():
            self._retry(retry)
        for request in batch.requests:
            self._done.answers.append((request, self._requested(request)))
        for task_id in sorted(batch.due & self._done.rows.keys()):
            self._due(task_id)

    def _due(self, task_id: str) -> None:
        done, now, instances = self._done, self._now, self._instances
        row = done.rows[task_id]
        first = row.next_run_time
        if row.paused or row.retired or first is None or first > now:
            return
        scheduled = done.tasks.get(task_id)
        if scheduled is None:
            return
        task = scheduled.task
        fires, done.next_fires[task_id] = account(
            scheduled.trigger, first, now,
            coalesce=task.coalesce, grace=task.misfire_grace_time, jitter=scheduled.trigger.jitter,
        )  # fmt: skip
        for fire in fires:
            if (task_id, fire.scheduled_time, 1) in self._recorded:
                continue
            execution = self._begin(task_id, scheduled_time=fire.scheduled_time, folded=fire.folded)
            late = (now - fire.scheduled_time).total_seconds()
            if fire.missed:
                grace = task.misfire_grace_time
                story = f"{late:.1f} s late, and {grace} s are allowed"
                execution = execution.ended("missed", now, "missed", story, owner=None)
            elif instances[task_id] >= task.max_instances:
                story = self._busy(task_id, task)
                execution = execution.ended("skipped", now, "skipped", story, owner=None)
            else:
                self._occupy(task_id)
            done.added.append(execution)

    def _requested(self, request: TriggerRequest) -> ExecutionRow | TaskserviceError:
        done = self._done
        row = done.rows.get(request.task_id)
        if row is None or row.deleted:
            return NotFound(f"no task {request.task_id!r}")
        if row.retired:
            return Conflict("the task is retired: its declaration is gone")
        scheduled = done.tasks.get(row.id)
        if scheduled is None:
            return Conflict(AT_FAULT)
        if self._instances[row.id] >= scheduled.task.max_instances:
            return Conflict(self._busy(row.id, scheduled.task))
        self._occupy(row.id)
        execution = self._begin(row.id, triggered_by=request.cause.by, func_args=request.func_args)
        done.added.append(execution)
        return execution

    def _retry(self, retry: Retry) -> None:
        done, now = self._done, self._now
        before = retry.execution
        row = done.rows.get(before.task_id)
        # One that waits no more was made already, by another process or in a commit whose answer
        # was lost. Who pauses a task wants it to stop, other attempts too.
        made = before.id not in done.waiting
        attempt = before.attempt + 1
        if before.scheduled_time:
            made = made or (before.task_id, before.scheduled_time, attempt) in self._recorded
        if made or row is None or row.retired or (row.paused and before.triggered_by == "schedule"):
            done.dropped.add(before.id)
            return
        scheduled = done.tasks.get(row.id)
        if scheduled is None:
            # It may be mended yet.
            done.planned[before.id] = replace(retry, due=now + MENDED_AGAIN)
            return
        if self._instances[row.id] >= scheduled.task.max_instances:
            done.planned[before.id] = replace(retry, due=now + self._busy_again)
            return
        self._occupy(row.id)
        done.dropped.add(before.id)
        done.added.append(
            self._begin(
                row.id,
                scheduled_time=before.scheduled_time,
                triggered_by=before.triggered_by,
                attempt=attempt,
                func_args=before.func_args,
                recovered=before.recovered or before.error_kind == "interrupted",
            )
        )  # fmt: skip

    def _busy(self, task_id: str, task: Task) -> str:
        story = f"all {task.max_instances} instances were busy"
        if count := self._unreturned[task_id]:
            ended = " or ".join(sorted(self._ended_by[task_id]))
            which = f"1 {ended} execution has" if count == 1 else f"{count} {ended} executions have"
            story += f"; {which} not returned"
        return story

    def _occupy(self, task_id: str) -> None:
        self._instances[task_id] += 1
        self.running.add(task_id)

    def _begin(self, task_id: str, **more: Any) -> ExecutionRow:
        # Before this, another task that had the id has its log; clocks of replicas differ.
        begins = self._done.rows[task_id].log_begins
        at = max(self._now, begins or self._now)
        queue = self._queue_of(self._done.tasks[task_id].task)
        if queue is not None:
            more |= {
                "status": "queued", "owner": QUEUE, "queue": queue, "queued_at": self._queued_at,
            }  # fmt: skip
        else:
            more |= {"status": "running", "owner": self._owner}
        return ExecutionRow(id=new_id(), task_id=task_id, start_time=at, **more)


def decide(
    batch: Batch,
    seen: Recorded,
    held: Mapping[str, ExecutionRow],
    *,
    ends_of: str,
    owner: str,
    worker: Worker | None,
    queue_of: QueueOf,
    queued_at: datetime,
    now: datetime,
    busy_again: timedelta,
    recorded: Collection[Fire],
) -> tuple[Recorded, set[str]]:
    """What a batch comes to, and the tasks that run then; nothing that is given is changed.

    `seen` has the rows and what else was read of them, `held` the executions that occupy
    instances; `ends_of` is whose executions end, `worker` what this process is that takes
    some from queues, and the others are as `Claims` has them.
    """
    done = Recorded(rows=seen.rows, tasks=seen.tasks, known=seen.known, waiting=seen.waiting)
    left = dict(held)
    done.ended = decide_ends(batch, left, ends_of, now, done)
    if worker:
        decide_takes(batch, left, done, owner=owner, worker=worker, now=now)
    claims = Claims(
        done, left.values(), owner=owner, queue_of=queue_of, queued_at=queued_at, now=now,
        busy_again=busy_again, recorded=recorded,
    )  # fmt: skip
    claims.claim(batch)
    return done, claims.running


def decide_ends(
    batch: Batch, held: dict[str, ExecutionRow], owner: str, now: datetime, done: Recorded
) -> list[ExecutionRow]:
    """The ends that an owner may write, since the executions are still its own and open.

    What waits in a queue is nobody's, and anybody may end it. One that a worker runs may be ended
    by others, who leave it its instance: it goes on until the worker sees its row. `held` is left
    with what is occupied after them and after the releases.
    """
    ended = []
    done.released = set(batch.releases)
    for end in batch.ends.values():
        row = held.get(end.id)
        if row is None:
            continue
        left_to_worker = row.queue is not None and end.owner == row.owner
        if not row.is_open:
            if row.owner == owner and end.owner is None:
                done.released.add(end.id)  # it was ended by others, and has returned now
            continue
        if row.owner not in (owner, QUEUE) and not left_to_worker:
            continue
        ended.append(end)
        done.outcomes[end.task_id] = _OUTCOMES[end.status]
        _plan_retry(end, row, now, done)
        if end.owner is None:
            del held[end.id]
        else:
            held[end.id] = end
    for execution_id in done.released & held.keys():
        if held[execution_id].owner == owner and not held[execution_id].is_open:
            del held[execution_id]
    return ended


def decide_takes(
    batch: Batch,
    held: dict[str, ExecutionRow],
    done: Recorded,
    *,
    owner: str,
    worker: Worker,
    now: datetime,
) -> None:
    """Have an owner take executions that are queued still; `held` is left as they are then.

    Only those of the queues that it serves, whatever it was sent: it may run on a machine that is
    meant for others.
    """
    for request in batch.takes:
        row = held.get(request.execution_id)
        if row and row.status == "queued" and (not worker.queues or row.queue in worker.queues):
            row = replace(
                row, status="running", owner=owner, worker=worker.name,
                start_time=max(now, row.start_time),
            )  # fmt: skip
            held[row.id] = row
            done.taken.append(row)
        # It may be the owner's already, by a commit whose answer was lost.
        done.took.append((request, row is not None and row.owner == owner and row.is_open))


def _reduced(end: ExecutionRow, why: str) -> ExecutionRow:
    """An end that any database takes: short, in plain characters, and saying what it lacks."""
    note = _plain(f"[left out, since the database does not take it: {why}]")
    return replace(
        end,
        result=end.result and json.dumps(note),
        output=end.output and note,
        error=end.error and f"{_plain(end.error.split(chr(10), 1)[0])}\n{note}",
    )


def _plain(text: str) -> str:
    return text[:SHORT].encode("ascii", "backslashreplace").decode("ascii").replace("\0", "\\0")


def _plan_retry(end: ExecutionRow, row: ExecutionRow, now: datetime, done: Recorded) -> None:
    """Plan another attempt of an execution that has ended, if there is to be one."""
    task_row = done.rows[end.task_id]
    if end.status != "failed" or task_row.retired:
        return
    scheduled = done.tasks.get(end.task_id)
    if scheduled is None:
        return
    task = scheduled.task
    wait: float | None = None
    if end.error_kind == "interrupted":
        wait = 0 if task.recover and not row.recovered else None
    elif task.retries:
        wait = task.retries.wait(row.attempt)
    if wait is not None:
        execution = replace(row, status=end.status, error=end.error, error_kind=end.error_kind)
        due = now + timedelta(seconds=wait)
        done.planned[end.id] = Retry(execution=execution, due=due)


def progress_of(done: Recorded, running: set[str]) -> list[Progress]:
    """What is to be written in the tasks' rows; `running` are those with a running execution."""
    progress = []
    for row in done.rows.values():
        next_run_time = done.next_fires.get(row.id, row.next_run_time)
        outcome = done.outcomes.get(row.id, row.last_outcome)
        status = task_status(
            running=row.id in running and not row.deleted,
            paused=row.paused or row.retired,
            next_run_time=next_run_time,
            last_outcome=outcome,
        )
        now = Progress(id=row.id, next_run_time=next_run_time, status=status, last_outcome=outcome)
        before = Progress(
            id=row.id, next_run_time=row.next_run_time, status=row.status,
            last_outcome=row.last_outcome,
        )  # fmt: skip
        if now != before:
            progress.append(now)
    return progress


def scheduled_task(state: TaskState, zone: tzinfo) -> ScheduledTask | None:
    """A task as it stands in the table, with its trigger; None for one that is at fault."""
    if faults_of(state, zone):
        return None
    return ScheduledTask(state=state, trigger=trigger_of(state.task, state.anchor, zone))


def started(recorded: Recorded) -> Iterator[tuple[ExecutionRow, Task]]:
    """The executions of a committed batch that are to run or to be sent, with their tasks."""
    for execution in recorded.added:
        if execution.is_open:
            yield execution, recorded.tasks[execution.task_id].task


def is_long_due(row: TaskRow, now: datetime) -> bool:
    """Whether a task's next fire is so long past that many may have come since."""
    return row.next_run_time is not None and now - row.next_run_time > LONG_DUE
