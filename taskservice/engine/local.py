"""The `local` executor: functions in the service's own process, each on a thread to itself.

A thread runs one execution at a time, and its coroutine on an event loop of that
thread: so neither a `time.sleep` nor a coroutine that waits holds up another execution
or the service. Threads stay few while functions are short; those that block get company.
"""

import asyncio
import contextvars
import inspect
import logging
import queue
import threading
import time
from asyncio import CancelledError
from collections.abc import Callable
from typing import Literal

from taskservice import execution_context
from taskservice.engine.coroutines import Coroutines
from taskservice.engine.executor import Call, Outcome, raised, returned
from taskservice.engine.output import Output, output_context

log = logging.getLogger(__name__)

_WATCH = 0.002  # seconds between two looks at the inbox
_PATIENCE = 10  # looks that a busy interpreter may need before it comes to the inbox
_STOPPED = Outcome(kind="stopped")


class _Job:
    """One call; its state changes under the executor's lock."""

    __slots__ = ("_executor", "call", "cancel", "done", "printed", "state", "stopping")

    def __init__(
        self, executor: "LocalExecutor", call: Call, done: Callable[[Outcome], None]
    ) -> None:
        self._executor = executor
        self.call = call
        self.done = done
        self.printed = Output()
        self.state: Literal["waiting", "running", "ended"] = "waiting"
        self.stopping = False
        self.cancel: Callable[[], None] | None = None

    def output(self) -> str:
        return self.printed.text()

    def stop(self) -> None:
        self._executor.stop(self)


class LocalExecutor:
    """Runs functions on threads of this process; see `Executor`.

    `limit` is the number of threads, `idle` the seconds after which one without work
    ends. A waiting coroutine takes two file descriptors, so the process should be
    allowed a few more than twice the limit. The threads are daemons: one that is
    stuck doesn't keep the interpreter from exiting.
    """

    def __init__(self, *, limit: int = 2_000, idle: float = 30.0) -> None:
        self._limit = limit
        self._idle = idle
        self._inbox: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._threads = 0
        self._starting = 0
        self._busy = 0
        self._taken = 0
        self._stuck = 0
        self._ended: list[tuple[_Job, Outcome]] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._watcher: asyncio.TimerHandle | None = None
        self._released: asyncio.Event | None = None

    @property
    def threads(self) -> int:
        """The number of threads there are."""
        return self._threads

    def start(self, call: Call, done: Callable[[Outcome], None]) -> _Job:
        """Start a call, as `Executor.start` has it; `call.function` is needed."""
        if self._released is not None:
            raise RuntimeError("the local executor is closed")
        self._loop = asyncio.get_running_loop()
        job = _Job(self, call, done)
        self._inbox.put(job)
        if self._threads == 0:
            self._grow(1)
        if self._watcher is None:
            self._watch()
        return job

    def stop(self, job: _Job) -> None:
        """Drop a call that waits, or cancel its coroutine; a plain function goes on."""
        with self._lock:
            job.stopping = True
            cancel = job.cancel
            if job.state == "waiting":
                self._end(job, _STOPPED)
        if cancel is not None:
            cancel()

    async def close(self) -> None:
        """Drop what waits, and end the threads: those that are busy, when they get free."""
        self._released = self._released or asyncio.Event()
        if self._watcher is not None:
            self._watcher.cancel()
        while not self._inbox.empty():
            job = self._inbox.get()
            if job is not None:
                self.stop(job)
        with self._lock:
            threads, idle = self._threads, self._threads - self._busy
        for _ in range(threads):
            self._inbox.put(None)
        if idle:
            await self._released.wait()
        self._deliver()

    # On the event loop: are there enough threads?

    def _watch(self) -> None:
        """Look a moment later whether the inbox gets emptied, and add threads if it doesn't."""
        assert self._loop is not None
        self._watcher = self._loop.call_later(
            _WATCH, self._look, self._taken, time.perf_counter(), time.process_time()
        )

    def _look(self, taken: int, since: float, used: float) -> None:
        self._watcher = None
        waiting = self._inbox.qsize()
        if waiting == 0 or self._threads >= self._limit:
            return
        working = time.process_time() - used > (time.perf_counter() - since) / 2
        self._stuck = 0 if self._taken > taken else self._stuck + 1
        if self._stuck and (not working or self._stuck % _PATIENCE == 0):
            wanted = max(self._threads, 1)
        else:
            # Short functions keep the interpreter busy one after another: more threads
            # would only get into each other's way. Others wait for something: one more.
            wanted = 0 if working else 1
        room = min(waiting - self._starting, self._limit - self._threads)
        if min(wanted, room) > 0:
            self._grow(min(wanted, room))
        self._watch()

    def _grow(self, count: int) -> None:
        with self._lock:
            self._threads += count
            self._starting += count
        self._start_thread(count - 1)

    def _start_thread(self, others: int) -> None:
        """Start a thread that starts the others first, so that the loop waits for one only."""
        thread = threading.Thread(
            target=self._work, args=(others,), name="taskservice-local", daemon=True
        )
        try:
            thread.start()
        except RuntimeError as error:  # the system gives no more threads
            log.warning("thread_not_started: %s", error)
            with self._lock:
                self._threads -= 1 + others
                self._starting -= 1 + others

    # On a worker thread.

    def _work(self, others: int) -> None:
        for _ in range(others):
            self._start_thread(0)
        with self._lock:
            self._starting -= 1
        coroutines = Coroutines()
        while self._serve(coroutines):
            pass
        coroutines.close()
        with self._lock:
            self._threads -= 1
            self._tell_if_released()

    def _serve(self, coroutines: Coroutines) -> bool:
        """Run the next execution; tell whether there may be another."""
        try:
            job = self._inbox.get(timeout=self._idle)
        except queue.Empty:
            return False
        if job is None:
            return False
        with self._lock:
            self._taken += 1
            if job.state != "waiting":
                return True
            job.state = "running"
            self._busy += 1
            self._tell_if_released()
        context = contextvars.copy_context()
        outcome = self._run(job, context, coroutines)
        with self._lock:
            self._busy -= 1
            job.cancel = None
            self._end(job, outcome)
        return True

    def _run(self, job: _Job, context: contextvars.Context, coroutines: Coroutines) -> Outcome:
        def started(cancel: Callable[[], None]) -> None:
            with self._lock:
                job.cancel = cancel
                stopping = job.stopping
            if stopping:
                cancel()

        try:
            value = context.run(_called, job)
            if inspect.isawaitable(value):
                value = coroutines.run(value, context, started)
        except BaseException as error:
            if job.stopping and isinstance(error, CancelledError):
                return _STOPPED
            return context.run(raised, error)
        return context.run(returned, value)

    def _tell_if_released(self) -> None:
        """Let `close` go on when no thread is idle any more; the lock is held."""
        if self._released is not None and self._threads == self._busy:
            self._call_loop(self._released.set)

    def _end(self, job: _Job, outcome: Outcome) -> None:
        """Hand an outcome to the loop, which is called once for many; the lock is held."""
        job.state = "ended"
        self._ended.append((job, outcome))
        if len(self._ended) == 1:
            self._call_loop(self._deliver)

    def _call_loop(self, function: Callable[[], None]) -> None:
        assert self._loop is not None
        try:
            self._loop.call_soon_threadsafe(function)
        except RuntimeError:
            log.debug("the event loop is closed: nobody waits for this any more")

    def _deliver(self) -> None:
        with self._lock:
            ended, self._ended = self._ended, []
        for job, outcome in ended:
            try:
                job.done(outcome)
            except Exception:
                log.exception("outcome_not_taken: execution=%s", job.call.execution.id)


def _called(job: _Job) -> object:
    """Call the function; in the execution's own context."""
    execution_context.set(job.call.execution)
    output_context.set(job.printed)
    assert job.call.function is not None
    return job.call.function(**job.call.func_args)
