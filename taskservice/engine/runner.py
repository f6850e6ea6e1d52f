"""Running what was claimed: calling the function, its time limit, its cancel and its end."""

import asyncio
import math
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime

import taskservice
from taskservice.domain.placeholders import ANY_VARIABLE
from taskservice.domain.run import ErrorKind
from taskservice.domain.task import Task
from taskservice.engine.counts import Counts
from taskservice.engine.executor import AnyExecutor, Call, CallResult, Executor, Handle
from taskservice.engine.functions import Functions
from taskservice.engine.masking import NO_MASK, Mask
from taskservice.engine.output import LIMIT, Output
from taskservice.engine.placeholders import fill, is_light
from taskservice.storage.executions import ExecutionRow

FILLERS = 2
"""How many threads fill in arguments that are not to be looked through on the event loop."""


@dataclass(slots=True, eq=False)
class Running:
    """An execution that has begun, until its function has really ended.

    `ended` is its row's end, once there is one: a thread that can't be stopped goes on after it.
    `kept` is the size that its output had when it was last written to its row, in round `kept_in`.
    """

    execution: ExecutionRow
    task: Task
    executor: Executor
    output: Output
    handle: Handle | None = None
    timer: asyncio.TimerHandle | None = None
    kept: int = 0
    kept_in: int = 0
    ended: ExecutionRow | None = None
    returned: asyncio.Event = field(default_factory=asyncio.Event)


class Runner:
    """Starts executions on their executors and tells of their ends.

    `counts` counts the calls. Of executions from a queue none is to begin after `begin_before()`
    (see `Call`), and `begun` is called when the function of one with a timeout is called, so that
    others can end it by then. `end` is called with the ended row (its owner kept while the function
    still runs), `release` when a function returns whose row had ended before. All on the event
    loop.
    """

    def __init__(
        self,
        functions: Functions,
        executors: Mapping[str, AnyExecutor],
        *,
        default_executor: str,
        env_allow: Sequence[str] = ANY_VARIABLE,
        output_limit: int = LIMIT,
        counts: Counts,
        begin_before: Callable[[], float],
        begun: Callable[[ExecutionRow, float], None],
        end: Callable[[ExecutionRow], None],
        release: Callable[[str], None],
    ) -> None:
        self._functions = functions
        self._executors = executors
        self._default = default_executor
        self._env_allow = env_allow
        self._output_limit = output_limit
        self._filling = ThreadPoolExecutor(FILLERS, thread_name_prefix="taskservice-filling")
        self._counts = counts
        self._begin_before = begin_before
        self._begun = begun
        self._end = end
        self._release = release
        self._resolved: dict[str, Callable[..., object]] = {}
        self._preparing: set[asyncio.Task[None]] = set()
        self.running: dict[str, Running] = {}
        self._idle = asyncio.Event()

    def start(self, execution: ExecutionRow, task: Task) -> None:
        """Run a claimed execution; never blocks, never raises."""
        name = task.executor or self._default
        executor = self._executors.get(name)
        if executor is None:
            story = f"there is no executor {name!r} in this process"
            self._refuse(execution, "interrupted", story)
        elif executor.survives:
            executor.send(
                execution.id,
                str(execution.queue),
                lambda story: self._refuse(execution, "unsent", story),
            )
        else:
            self._begin(Running(execution, task, executor, Output(self._output_limit)))

    def _refuse(self, execution: ExecutionRow, kind: ErrorKind, story: str) -> None:
        """End an execution that comes to no call."""
        now = datetime.now(UTC)
        self._end(execution.ended("failed", now, kind, story, owner=None))

    def _begin(self, running: Running) -> None:
        execution, task = running.execution, running.task
        self.running[execution.id] = running
        known = running.executor.finds_functions or (
            task.func_path in self._resolved and not self._functions.look_is_due(task.func_path)
        )
        args = {**task.func_args, **(execution.func_args or {})}
        if known and is_light(args):
            self._call(running, args)
        else:
            preparing = asyncio.ensure_future(self._prepare(running, known=known))
            self._preparing.add(preparing)
            preparing.add_done_callback(self._preparing.discard)

    def cancel(self, execution_id: str, by: str) -> ExecutionRow | None:
        """Stop an execution; the row as it ends, or None if it doesn't run here."""
        running = self.running.get(execution_id)
        if running is None or running.ended:
            return None
        return self._cut_short(running, "cancelled", "cancelled", f"by {by}")

    def interrupt(self, running: Running, story: str) -> None:
        """End an execution's row because this process gives up on it."""
        self._cut_short(running, "failed", "interrupted", story)

    def abandon(self, running: Running) -> None:
        """Stop an execution that is not this process's any more; its row says how it ended."""
        self._cut_short(running, "cancelled", "cancelled", "it belongs to this process no more")

    def end_as(self, running: Running, ended: ExecutionRow) -> None:
        """Stop an execution that others have ended in its row; it gives its instance back then."""
        running.ended = ended
        if running.handle:
            running.handle.stop()

    async def returned(self, execution_id: str) -> None:
        """Wait until the function of an execution that runs here has really ended."""
        if running := self.running.get(execution_id):
            await running.returned.wait()

    def drop(self, task_id: str) -> None:
        """Stop the executions of a task that is no more."""
        for running in list(self.running.values()):
            if running.execution.task_id == task_id:
                self._cut_short(running, "cancelled", "cancelled", "the task was deleted")

    def output_of(self, execution_id: str) -> str | None:
        """What a running execution has printed so far."""
        running = self.running.get(execution_id)
        return running.output.text() if running else None

    def count(self) -> int:
        """How many executions run whose rows say so."""
        return sum(not running.ended for running in self.running.values())

    def unreturned(self) -> int:
        """How many executions have not returned whose rows say that they ended."""
        return sum(running.ended is not None for running in self.running.values())

    def waiting(self) -> dict[str, int]:
        """By executor, how many executions wait for a place to run."""
        return {name: executor.waiting for name, executor in self._executors.items()}

    async def idle(self) -> None:
        """Wait until no function runs."""
        while self.running:
            self._idle.clear()
            await self._idle.wait()

    async def _prepare(self, running: Running, *, known: bool) -> None:
        """Find the function and fill in its arguments, off the loop, and call it."""
        execution, task = running.execution, running.task
        try:
            if not known:
                await self._find(task.func_path)
            func_args, mask = await asyncio.get_running_loop().run_in_executor(
                self._filling,
                self._fill, task, execution,
            )  # fmt: skip
            running.output = Output(self._output_limit, mask)
        except Exception as error:
            self._done(running, CallResult(kind="raised", error=str(error)))
            return
        if running.ended:
            self._forget(running)
            self._release(running.execution.id)
        else:
            self._call(running, func_args, mask)

    async def _find(self, func_path: str) -> None:
        """Have a function here, and know whether its file is still what was loaded of it."""
        if func_path in self._resolved:
            await asyncio.get_running_loop().run_in_executor(
                self._filling, self._functions.look, func_path
            )
        else:
            self._resolved[func_path] = await self._functions.load(func_path)

    def _fill(self, task: Task, execution: ExecutionRow) -> tuple[dict[str, object], Mask]:
        func_args, secrets = fill(
            task.func_args, os.environ, given=execution.func_args, allowed=self._env_allow
        )
        return func_args, Mask(secrets)

    def _call(
        self, running: Running, func_args: Mapping[str, object], mask: Mask = NO_MASK
    ) -> None:
        execution, task = running.execution, running.task
        call = Call(
            execution=taskservice.Execution(
                id=execution.id,
                task_id=execution.task_id,
                scheduled_time=execution.scheduled_time,
                attempt=execution.attempt,
                triggered_by=execution.triggered_by,
            ),
            func_path=task.func_path,
            func_args=func_args,
            function=self._resolved.get(task.func_path),
            output=running.output,
            mask=mask,
            begin_before=self._begin_before if execution.queue else lambda: math.inf,
        )
        if not running.executor.finds_functions:
            running.output.add_text(self._note(task.func_path))
        self._counts.called(execution)
        try:
            running.handle = running.executor.start(
                call,
                lambda result: self._done(running, result),
                None if task.timeout is None else lambda: self._limit_time(running),
            )
        except RuntimeError as error:
            # It is closed, or the system gives no more threads.
            story = f"the executor {task.executor or self._default!r} could not start it: {error}"
            self._done(running, CallResult(kind="died", error=story))

    def _note(self, func_path: str) -> str:
        """What is to be said of an execution in this process before it begins."""
        if not self._functions.has_changed(func_path):
            return ""
        return (
            f"taskservice: the code of {func_path} has changed on disk since it was loaded; this "
            "ran the code that was loaded, until the service is started again\n"
        )

    def _limit_time(self, running: Running) -> None:
        """Have an execution end at its task's timeout, which counts from now."""
        if not running.ended and running.task.timeout is not None:
            if running.execution.queue is not None:
                self._begun(running.execution, running.task.timeout)
            running.timer = asyncio.get_running_loop().call_later(
                running.task.timeout, self._time_out, running
            )

    def _time_out(self, running: Running) -> None:
        if not running.ended:
            seconds = running.task.timeout
            self._cut_short(running, "failed", "timed out", f"after {seconds:g} s")

    def _cut_short(
        self, running: Running, status: str, kind: ErrorKind, story: str
    ) -> ExecutionRow:
        if running.ended:
            return running.ended
        # Its owner stays: the function may go on, and occupies an instance until it returns.
        running.ended = self._ended(running, status, kind, story)
        self._end(running.ended)
        if running.handle:
            running.handle.stop()
        return running.ended

    def _done(self, running: Running, result: CallResult) -> None:
        self._forget(running)
        if running.ended:
            self._release(running.execution.id)
            return
        match result.kind:
            case "returned":
                ended = self._ended(running, "completed", result=result.result, owner=None)
            case "raised":
                ended = self._ended(running, "failed", "raised", result.error or "", owner=None)
            case "died" | "stopped":
                # Nobody asked for the stop: the executor was closed.
                story = result.error or "the service stopped"
                ended = self._ended(running, "failed", "interrupted", story, owner=None)
        running.ended = ended
        self._end(ended)

    def _forget(self, running: Running) -> None:
        if running.timer:
            running.timer.cancel()
        self.running.pop(running.execution.id, None)
        running.returned.set()
        if not self.running:
            self._idle.set()

    def _ended(
        self,
        running: Running,
        status: str,
        kind: ErrorKind | None = None,
        story: str = "",
        **more: str | None,
    ) -> ExecutionRow:
        output = running.output.text(ended=True) if running.handle else None
        now = datetime.now(UTC)
        return running.execution.ended(status, now, kind, story, output=output, **more)
