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
from taskservice.engine.executor import UNSHOWABLE, Call, CallResult, raised, returned
from taskservice.engine.output import output_context, restore

log = logging.getLogger(__name__)

_LOOK = 0.005  # seconds between two looks at what waits
_STUCK = 0.02  # seconds after which a call holds its thread up, and another one takes its place
_LONG = 0.002  # seconds from which a call is no short one
_STOPPED = CallResult(kind="stopped")


class _LocalHandle:
    """One call; its state changes under the executor's lock."""

    __slots__ = ("_executor", "began", "call", "cancel", "done", "state", "stopping")

    def __init__(
        self,
        executor: "LocalExecutor",
        call: Call,
        done: Callable[[CallResult], None],
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


class _Thread:
    """A thread: `began` its present call then, is `stuck` in it, or waits for `wake`."""

    __slots__ = ("began", "stuck", "wake")

    def __init__(self) -> None:
        self.began: float | None = None
        self.stuck = False
        self.wake = threading.Semaphore(0)


class LocalExecutor:
    """Runs functions on threads of this process; see `Executor`.

    `limit` is the number of threads, `idle` the seconds after which one without work
    ends; tasks that a function leaves behind have `leftover_seconds` to end. A waiting
    coroutine takes two file descriptors, so the process should be allowed a few more than twice
    the limit. The threads are daemons: one that is stuck doesn't keep the interpreter from exiting.
    """

    finds_functions = False
    survives: Literal[False] = False

    def __init__(
        self, *, limit: int = 2_000, idle: float = 30.0, leftover_seconds: float = 5.0
    ) -> None:
        self._limit = limit
        self._idle_seconds = idle
        self._leftover_seconds = leftover_seconds
        self._lock = threading.Lock()
        self._waiting: deque[_LocalHandle] = deque()
        self._busy: set[_Thread] = set()
        self._idle: list[_Thread] = []
        self._called = 0  # how many functions run
        self._flowing = 0  # how many of the busy ones are not known to be stuck
        self._long = 0.0  # the share of the last calls that were no short ones
        # What the loop is to be told next: a call's outcome, or None when it begins.
        self._news: list[tuple[_LocalHandle, CallResult | None]] = []
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
            return sum(handle.state == "waiting" for handle in self._waiting)

    def start(
        self,
        call: Call,
        done: Callable[[CallResult], None],
        began: Callable[[], None] | None = None,
    ) -> _LocalHandle:
        """Start a call, as `Executor.start` has it; `call.function` is needed."""
        if self._released is not None:
            raise RuntimeError("the local executor is closed")
        self._loop = asyncio.get_running_loop()
        handle = _LocalHandle(self, call, done, began)
        with self._lock:
            self._waiting.append(handle)
            stopped = self._flowing == 0
        if stopped:
            self._engage(1)
        if self._watcher is None:
            self._watcher = self._loop.call_later(_LOOK, self._look)
        return handle

    def stop(self, handle: _LocalHandle) -> None:
        """Drop a call that waits, or cancel its coroutine; a plain function goes on."""
        with self._lock:
            handle.stopping = True
            cancel = handle.cancel
            if handle.state == "waiting":
                self._end(handle, _STOPPED)
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
            for thread in self._idle:
                thread.wake.release()
            self._tell_if_released()
        for handle in waiting:
            self.stop(handle)
        await self._released.wait()
        self._deliver()

    # On the event loop: do calls wait that another thread should take?

    def _look(self) -> None:
        self._watcher = None
        now = time.perf_counter()
        with self._lock:
            if not self._waiting:
                return
            for thread in self._busy:
                if thread.began is not None and now - thread.began > _STUCK and not thread.stuck:
                    thread.stuck = True
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
                    thread = self._idle.pop()
                    thread.wake.release()
                elif len(self._busy) < self._limit:
                    thread = _Thread()
                    fresh.append(thread)
                else:
                    break
                self._busy.add(thread)
                self._flowing += 1
        if fresh:
            self._start_thread(fresh)

    def _start_thread(self, threads: list[_Thread]) -> None:
        """Start a thread that starts the others first, so that the loop waits for one only."""
        started = threading.Thread(
            target=self._work, args=(threads,), name="taskservice-local", daemon=True
        )
        try:
            started.start()
        except RuntimeError as error:  # the system gives no more threads
            log.warning("thread_not_started: %s", error)
            with self._lock:
                self._busy.difference_update(threads)
                self._flowing -= len(threads)

    # On a thread of its own.

    def _work(self, threads: list[_Thread]) -> None:
        thread, *others = threads
        for other in others:
            self._start_thread([other])
        coroutines = Coroutines(self._leftover_seconds)
        while (handle := self._take(thread)) is not None:
            outcome = self._run(handle, coroutines)
            self._note(thread, handle, outcome)
        coroutines.close()

    def _take(self, thread: _Thread) -> _LocalHandle | None:
        """The next call for a thread, which waits for one; None: it is to end."""
        while True:
            with self._lock:
                while self._waiting:
                    handle = self._waiting.popleft()
                    if handle.state == "waiting":
                        handle.state = "running"
                        thread.began = time.perf_counter()
                        self._called += 1
                        if handle.began is not None:
                            self._tell_loop(handle, None)
                        return handle
                self._busy.remove(thread)
                self._flowing -= 1
                if self._released is not None:
                    self._tell_if_released()
                    return None
                self._idle.append(thread)
            if thread.wake.acquire(timeout=self._idle_seconds) and self._released is None:
                continue
            with self._lock:
                if thread in self._idle:
                    self._idle.remove(thread)
                    self._tell_if_released()
                    return None
            # It was engaged at this very moment.

    def _tell_if_released(self) -> None:
        """Let `close` go on when each thread there is runs a call; the lock is held."""
        if self._released is None or self._idle:
            return
        if all(thread.began is not None for thread in self._busy):
            self._call_loop(self._released.set)

    def _note(self, thread: _Thread, handle: _LocalHandle, outcome: CallResult) -> None:
        with self._lock:
            assert thread.began is not None
            took, thread.began = time.perf_counter() - thread.began, None
            self._called -= 1
            if not self._called:
                # Two functions that redirect them at a time may leave one's to the other.
                restore()
            self._long += ((took > _LONG) - self._long) / 16
            if thread.stuck:
                thread.stuck = False
                self._flowing += 1
            handle.cancel = None
            self._end(handle, outcome)

    def _run(self, handle: _LocalHandle, coroutines: Coroutines) -> CallResult:
        """Call the function, and return how it ended, whatever it raised or returned."""
        try:
            return self._call(handle, contextvars.copy_context(), coroutines)
        except BaseException:  # what it raised or returned raises when it is looked at
            return CallResult(kind="raised", error=UNSHOWABLE)

    def _call(
        self, handle: _LocalHandle, context: contextvars.Context, coroutines: Coroutines
    ) -> CallResult:
        def started(cancel: Callable[[], None]) -> None:
            with self._lock:
                handle.cancel = cancel
                stopping = handle.stopping
            if stopping:
                cancel()

        service = os.getpid()
        try:
            value = context.run(_called, handle)
            _end_copy_of(service, None)
            if is_awaitable(value):
                value = coroutines.run(value, context, started)
        except BaseException as error:
            _end_copy_of(service, error)
            if handle.stopping and isinstance(error, CancelledError):
                return _STOPPED
            return context.run(raised, error, handle.call.mask)
        return context.run(returned, value, handle.call.mask)

    def _end(self, handle: _LocalHandle, outcome: CallResult) -> None:
        """Hand an outcome to the loop; the lock is held."""
        handle.state = "ended"
        self._tell_loop(handle, outcome)

    def _tell_loop(self, handle: _LocalHandle, outcome: CallResult | None) -> None:
        """Tell the loop, which is called once for many; the lock is held."""
        self._news.append((handle, outcome))
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
        for handle, outcome in news:
            try:
                if outcome is not None:
                    handle.done(outcome)
                elif handle.began is not None:
                    handle.began()
            except Exception:
                log.exception("outcome_not_taken: execution=%s", handle.call.execution.id)


def _called(handle: _LocalHandle) -> object:
    """Call the function; in the execution's own context."""
    execution_context.set(handle.call.execution)
    output_context.set(handle.call.output)
    assert handle.call.function is not None
    return handle.call.function(**handle.call.func_args)


def _end_copy_of(service: int, error: BaseException | None) -> None:
    """End a copy of the service that the function forked, and that came back from it.

    It has none of the other threads, and must take none of their work; `error` is what the function
    raised in it.
    """
    if os.getpid() != service:
        status = (error.code or 0) if type(error) is SystemExit else error is not None
        os._exit(status & 0xFF if isinstance(status, int) else 1)
