"""The `local` executor: functions in the service's own process, each on a thread to itself.

A thread runs one execution at a time, and its coroutine on an event loop of that
thread: so neither a `time.sleep` nor a coroutine that waits holds up another execution
or the service. While functions are short one thread takes them one after the other, for
threads share the interpreter; where they take long, others join it.
"""

import asyncio
import contextvars
import logging
import os
import threading
import time
from asyncio import CancelledError
from collections import deque
from collections.abc import Callable
from typing import Literal

from taskservice import execution_context
from taskservice.engine.coroutines import Coroutines, is_awaitable
from taskservice.engine.executor import UNSHOWABLE, Call, Outcome, raised, returned
from taskservice.engine.output import output_context, restore

log = logging.getLogger(__name__)

_LOOK = 0.005  # seconds between two looks at what waits
_STUCK = 0.02  # seconds after which a call holds its thread up, and another one takes its place
_LONG = 0.002  # seconds from which a call is no short one
_STOPPED = Outcome(kind="stopped")


class _Job:
    """One call; its state changes under the executor's lock."""

    __slots__ = ("_executor", "began", "call", "cancel", "done", "state", "stopping")

    def __init__(
        self,
        executor: "LocalExecutor",
        call: Call,
        done: Callable[[Outcome], None],
        began: Callable[[], None] | None,
    ) -> None:
        self._executor = executor
        self.call = call
        self.done = done
        self.began = began
        self.state: Literal["waiting", "running", "ended"] = "waiting"
        self.stopping = False
        self.cancel: Callable[[], None] | None = None

    def stop(self) -> None:
        self._executor.stop(self)


class _Worker:
    """A thread: `began` its present call then, is `stuck` in it, or waits for `wake`."""

    __slots__ = ("began", "stuck", "wake")

    def __init__(self) -> None:
        self.began: float | None = None
        self.stuck = False
        self.wake = threading.Semaphore(0)


class LocalExecutor:
    """Runs functions on threads of this process; see `Executor`.

    `limit` is the number of threads, `idle` the seconds after which one without work
    ends. A waiting coroutine takes two file descriptors, so the process should be
    allowed a few more than twice the limit. The threads are daemons: one that is
    stuck doesn't keep the interpreter from exiting.
    """

    def __init__(self, *, limit: int = 2_000, idle: float = 30.0) -> None:
        self._limit = limit
        self._idle_seconds = idle
        self._lock = threading.Lock()
        self._waiting: deque[_Job] = deque()
        self._busy: set[_Worker] = set()
        self._idle: list[_Worker] = []
        self._called = 0  # how many functions run
        self._flowing = 0  # how many of the busy ones are not known to be stuck
        self._long = 0.0  # the share of the last calls that were no short ones
        # What the loop is to be told next: a call's outcome, or None when it begins.
        self._news: list[tuple[_Job, Outcome | None]] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._watcher: asyncio.TimerHandle | None = None
        self._released: asyncio.Event | None = None

    @property
    def threads(self) -> int:
        """The number of threads there are."""
        return len(self._busy) + len(self._idle)

    @property
    def waiting(self) -> int:
        """How many calls wait for a free thread."""
        with self._lock:
            return sum(job.state == "waiting" for job in self._waiting)

    def start(
        self,
        call: Call,
        done: Callable[[Outcome], None],
        began: Callable[[], None] | None = None,
    ) -> _Job:
        """Start a call, as `Executor.start` has it; `call.function` is needed."""
        if self._released is not None:
            raise RuntimeError("the local executor is closed")
        self._loop = asyncio.get_running_loop()
        job = _Job(self, call, done, began)
        with self._lock:
            self._waiting.append(job)
            stopped = self._flowing == 0
        if stopped:
            self._engage(1)
        if self._watcher is None:
            self._watcher = self._loop.call_later(_LOOK, self._look)
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
        self._loop = asyncio.get_running_loop()
        self._released = self._released or asyncio.Event()
        if self._watcher is not None:
            self._watcher.cancel()
        with self._lock:
            waiting = list(self._waiting)
            for worker in self._idle:
                worker.wake.release()
            self._tell_if_released()
        for job in waiting:
            self.stop(job)
        await self._released.wait()
        self._deliver()

    # On the event loop: do calls wait that another thread should take?

    def _look(self) -> None:
        self._watcher = None
        now = time.perf_counter()
        with self._lock:
            if not self._waiting:
                return
            for worker in self._busy:
                if worker.began is not None and now - worker.began > _STUCK and not worker.stuck:
                    worker.stuck = True
                    self._flowing -= 1
            if self._flowing == 0:
                wanted = max(len(self._busy), 1)
            else:
                # More threads would only get into each other's way if calls are short.
                wanted = self._flowing if self._long > 0.5 else 0
            wanted = min(wanted, len(self._waiting))
        self._engage(wanted)
        assert self._loop is not None
        self._watcher = self._loop.call_later(_LOOK, self._look)

    def _engage(self, count: int) -> None:
        """Have so many more threads take what waits: idle ones first, the latest used before."""
        with self._lock:
            fresh = []
            for _ in range(count):
                if self._idle:
                    worker = self._idle.pop()
                    worker.wake.release()
                elif len(self._busy) < self._limit:
                    worker = _Worker()
                    fresh.append(worker)
                else:
                    break
                self._busy.add(worker)
                self._flowing += 1
        if fresh:
            self._start_thread(fresh)

    def _start_thread(self, workers: list[_Worker]) -> None:
        """Start a thread that starts the others first, so that the loop waits for one only."""
        thread = threading.Thread(
            target=self._work, args=(workers,), name="taskservice-local", daemon=True
        )
        try:
            thread.start()
        except RuntimeError as error:  # the system gives no more threads
            log.warning("thread_not_started: %s", error)
            with self._lock:
                self._busy.difference_update(workers)
                self._flowing -= len(workers)

    # On a worker thread.

    def _work(self, workers: list[_Worker]) -> None:
        worker, *others = workers
        for other in others:
            self._start_thread([other])
        coroutines = Coroutines()
        while (job := self._take(worker)) is not None:
            outcome = self._run(job, coroutines)
            self._note(worker, job, outcome)
        coroutines.close()

    def _take(self, worker: _Worker) -> _Job | None:
        """The next call for a thread, which waits for one; None: it is to end."""
        while True:
            with self._lock:
                while self._waiting:
                    job = self._waiting.popleft()
                    if job.state == "waiting":
                        job.state = "running"
                        worker.began = time.perf_counter()
                        self._called += 1
                        if job.began is not None:
                            self._tell_loop(job, None)
                        return job
                self._busy.remove(worker)
                self._flowing -= 1
                if self._released is not None:
                    self._tell_if_released()
                    return None
                self._idle.append(worker)
            if worker.wake.acquire(timeout=self._idle_seconds) and self._released is None:
                continue
            with self._lock:
                if worker in self._idle:
                    self._idle.remove(worker)
                    self._tell_if_released()
                    return None
            # It was engaged at this very moment.

    def _tell_if_released(self) -> None:
        """Let `close` go on when each thread there is runs a call; the lock is held."""
        if self._released is None or self._idle:
            return
        if all(worker.began is not None for worker in self._busy):
            self._call_loop(self._released.set)

    def _note(self, worker: _Worker, job: _Job, outcome: Outcome) -> None:
        with self._lock:
            assert worker.began is not None
            took, worker.began = time.perf_counter() - worker.began, None
            self._called -= 1
            if not self._called:
                # Two functions that redirect them at a time may leave one's to the other.
                restore()
            self._long += ((took > _LONG) - self._long) / 16
            if worker.stuck:
                worker.stuck = False
                self._flowing += 1
            job.cancel = None
            self._end(job, outcome)

    def _run(self, job: _Job, coroutines: Coroutines) -> Outcome:
        """Call the function, and return how it ended, whatever it raised or returned."""
        try:
            return self._call(job, contextvars.copy_context(), coroutines)
        except BaseException:  # what it raised or returned raises when it is looked at
            return Outcome(kind="raised", error=UNSHOWABLE)

    def _call(self, job: _Job, context: contextvars.Context, coroutines: Coroutines) -> Outcome:
        def started(cancel: Callable[[], None]) -> None:
            with self._lock:
                job.cancel = cancel
                stopping = job.stopping
            if stopping:
                cancel()

        service = os.getpid()
        try:
            value = context.run(_called, job)
            _end_copy_of(service, None)
            if is_awaitable(value):
                value = coroutines.run(value, context, started)
        except BaseException as error:
            _end_copy_of(service, error)
            if job.stopping and isinstance(error, CancelledError):
                return _STOPPED
            return context.run(raised, error, job.call.mask)
        return context.run(returned, value, job.call.mask)

    def _end(self, job: _Job, outcome: Outcome) -> None:
        """Hand an outcome to the loop; the lock is held."""
        job.state = "ended"
        self._tell_loop(job, outcome)

    def _tell_loop(self, job: _Job, outcome: Outcome | None) -> None:
        """Tell the loop, which is called once for many; the lock is held."""
        self._news.append((job, outcome))
        if len(self._news) == 1:
            self._call_loop(self._deliver)

    def _call_loop(self, function: Callable[[], None]) -> None:
        assert self._loop is not None
        try:
            self._loop.call_soon_threadsafe(function)
        except RuntimeError:
            log.debug("the event loop is closed: nobody waits for this any more")

    def _deliver(self) -> None:
        with self._lock:
            news, self._news = self._news, []
            waits = bool(self._waiting)
        if self._watcher is not None and not waits:
            # To be woken for nothing costs more than to begin again.
            self._watcher.cancel()
            self._watcher = None
        for job, outcome in news:
            try:
                if outcome is not None:
                    job.done(outcome)
                elif job.began is not None:
                    job.began()
            except Exception:
                log.exception("outcome_not_taken: execution=%s", job.call.execution.id)


def _called(job: _Job) -> object:
    """Call the function; in the execution's own context."""
    execution_context.set(job.call.execution)
    output_context.set(job.call.output)
    assert job.call.function is not None
    return job.call.function(**job.call.func_args)


def _end_copy_of(service: int, error: BaseException | None) -> None:
    """End a copy of the service that the function forked, and that came back from it.

    It has none of the other threads, and must take none of their work; `error` is what the function
    raised in it.
    """
    if os.getpid() != service:
        status = (error.code or 0) if type(error) is SystemExit else error is not None
        os._exit(status & 0xFF if isinstance(status, int) else 1)
