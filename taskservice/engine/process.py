"""The `process` executor: executions in worker processes, which can be killed.

The processes are forked from multiprocessing's fork server, which has the worker's side
imported already, so one starts within milliseconds; a fork of the service itself, which
has threads, would not be safe. A thread attends to each process. Each worker has a
supervisor: what it leaves behind ends with it, and the end of the fork server harms none that runs.
"""

import asyncio
import contextlib
import logging
import multiprocessing
import multiprocessing.forkserver
import os
import pickle
import selectors
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from queue import SimpleQueue
from typing import Literal

from taskservice.engine.executor import Call, CallResult
from taskservice.engine.output import Output
from taskservice.engine.worker import BEGAN, LAST, MESSAGE_LIMIT, STALE, Order, Post, decode

log = logging.getLogger(__name__)

_CHUNK = 64 * 1024
_LAST_CHUNKS = 32
_LITTLE = 4 * 1024
_PACE = 32 * 1024 * 1024  # bytes of output that are read in a second, if so many come

# Seconds between two tries to have a worker made.
_ASK_AGAIN = (0.01, 0.1, 1.0)


class _ProcessHandle:
    """One call and, once it is started, its process."""

    __slots__ = (
        "_lock", "_worker", "began", "call", "done", "executor", "gone", "loop", "stopping"
    )  # fmt: skip

    def __init__(
        self,
        executor: "ProcessExecutor",
        call: Call,
        done: Callable[[CallResult], None],
        began: Callable[[], None] | None,
    ) -> None:
        self.executor = executor
        self.call = call
        self.done = done
        self.began = began
        self.loop = asyncio.get_running_loop()
        self.gone = asyncio.Event()
        self.stopping = False
        self._lock = threading.Lock()
        self._worker: _WorkerProcess | None = None

    def tell(self, function: Callable[..., None], *args: object) -> None:
        """Have the event loop call a function; from any thread."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self.loop.call_soon_threadsafe(function, *args)

    def stop(self) -> None:
        with self._lock:
            self.stopping = True
            if self._worker:
                self._worker.kill()
        self.executor.drop(self)

    def hold(self, worker: "_WorkerProcess | None") -> None:
        """Be run by this process, which a `stop` kills, or by none; from any thread."""
        with self._lock:
            self._worker = worker
            if worker and self.stopping:
                worker.kill()


class ProcessExecutor:
    """Runs functions in worker processes; see `Executor`.

    `patterns` are those of the functions that may be called: each worker finds its
    function by itself, with this process's `sys.path`, and has `import_seconds` to
    import its module. At most `limit` executions run at a time; further calls wait
    their turn in order. Each has a process of its own, or, with `reuse`, one that has run
    others before, so many in all: unless it was killed, left something that goes on, or code
    has changed since. `fork` makes a process with the descriptors that it is given.
    A worker does not outlive this process, and what it started not the execution.
    """

    finds_functions = True
    survives: Literal[False] = False

    def __init__(
        self,
        patterns: Sequence[str],
        *,
        limit: int = 64,
        import_seconds: float = 30.0,
        reuse: int = 1,
        fork: Callable[[list[int]], int] | None = None,
    ) -> None:
        self._fork = fork or _fork
        self._patterns = tuple(patterns)
        self._limit = limit
        self._import_seconds = import_seconds
        self._reuse = reuse
        # Each of a thread that waits, with the process that it attends to.
        self._idle: list[SimpleQueue[_ProcessHandle | None]] = []
        self._processes: set[_WorkerProcess] = set()
        self._waiting: deque[_ProcessHandle] = deque()
        self._live: set[_ProcessHandle] = set()
        self._closed = False
        self._folder = os.getcwd()
        multiprocessing.set_forkserver_preload(["taskservice.engine.worker"])

    @property
    def waiting(self) -> int:
        """How many calls wait for a process to end."""
        return len(self._waiting)

    def start(
        self,
        call: Call,
        done: Callable[[CallResult], None],
        began: Callable[[], None] | None = None,
    ) -> _ProcessHandle:
        """Start a call, as `Executor.start` has it; `call.function` is not looked at."""
        if self._closed:
            raise RuntimeError("the process executor is closed")
        handle = _ProcessHandle(self, call, done, began)
        self._waiting.append(handle)
        self._next()
        return handle

    def descriptors(self) -> list[int]:
        """What keeps workers alive: no copy of this process is to hold it."""
        found = [worker.lifeline for worker in list(self._processes)]
        return [lifeline for lifeline in found if lifeline is not None]

    def drop(self, handle: _ProcessHandle) -> None:
        """End a call that still waits its turn; on the event loop."""
        with contextlib.suppress(ValueError):
            self._waiting.remove(handle)
            asyncio.get_running_loop().call_soon(self._tell, handle, CallResult(kind="stopped"))

    async def close(self) -> None:
        """Kill all workers and wait until they are gone.

        The fork server, which this process's other uses of multiprocessing share,
        ends with this process.
        """
        self._closed = True
        handles = [*self._waiting, *self._live]
        for handle in handles:
            handle.stop()
        for handle in handles:
            await handle.gone.wait()
        while self._idle:
            self._idle.pop().put(None)

    def _next(self) -> None:
        while self._waiting and len(self._live) < self._limit:
            handle = self._waiting.popleft()
            self._live.add(handle)
            if self._idle:
                self._idle.pop().put(handle)
            else:
                threading.Thread(
                    target=self._attend, args=(handle,), name="taskservice-process", daemon=True
                ).start()

    def _attend(self, first: _ProcessHandle) -> None:
        """See one process through its life, with all that it runs; on a thread."""
        worker: _WorkerProcess | None = None
        given: SimpleQueue[_ProcessHandle | None] = SimpleQueue()
        given.put(first)
        while handle := given.get():
            result = None
            try:
                # One that has run others may be gone, or its code old: then it has begun nothing.
                while result is None:
                    worker = worker or self._process()
                    result = self._run(worker, handle)
                    if worker.ended is not None:
                        self._close(worker)
                        worker = None
            except OSError as error:
                story = f"the worker process could not be started: {error}"
                result = CallResult(kind="died", error=story)
            handle.tell(self._ended, handle, result, given if worker else None)
            if worker is None:
                return
        if worker:
            self._close(worker)

    def _process(self) -> "_WorkerProcess":
        worker = _WorkerProcess(self._folder, self._fork, most=self._reuse)
        self._processes.add(worker)
        return worker

    def _close(self, worker: "_WorkerProcess") -> None:
        worker.close()
        self._processes.discard(worker)

    def _run(self, worker: "_WorkerProcess", handle: _ProcessHandle) -> CallResult | None:
        """How an execution came out; None where it has not begun and may be in another process."""
        again = worker.orders > 0
        handle.hold(worker)
        result = worker.run(handle, self._patterns, self._import_seconds)
        handle.hold(None)
        if result is None and handle.stopping:
            return CallResult(kind="stopped")
        if result is None and not (again and not worker.began):
            return CallResult(kind="died", error=worker.ended)
        return result

    def _ended(
        self,
        handle: _ProcessHandle,
        outcome: CallResult,
        idle: "SimpleQueue[_ProcessHandle | None] | None",
    ) -> None:
        """Take an outcome, and the thread that may run another one; on the event loop."""
        self._live.discard(handle)
        if idle and self._closed:
            idle.put(None)
        elif idle:
            self._idle.append(idle)
        self._next()
        self._tell(handle, outcome)

    def _tell(self, handle: _ProcessHandle, outcome: CallResult) -> None:
        handle.gone.set()
        try:
            handle.done(outcome)
        except Exception:
            log.exception("outcome_not_taken: execution=%s", handle.call.execution.id)


class _WorkerProcess:
    """A worker process seen from here: its pipes, of which one tells when it is gone.

    It takes `most` orders, one at a time. `orders` is how many it was given, `began` whether the
    function of the last one was called, and `ended`, once it is gone, how, in words.
    """

    def __init__(self, folder: str, fork: Callable[[list[int]], int], *, most: int) -> None:
        self.orders = 0
        self.began = False
        self.ended: str | None = None
        self._most = most
        self._outcome: CallResult | None = None
        self._handle: _ProcessHandle | None = None
        self._printed = Output()
        self._pid: int | None = None
        self._lock = threading.Lock()
        with ExitStack() as childs, ExitStack() as resources:
            self._answer, childs_answer = multiprocessing.Pipe(duplex=False)
            resources.enter_context(self._answer)
            childs.enter_context(childs_answer)
            childs_orders, self._given = multiprocessing.Pipe(duplex=False)
            resources.enter_context(self._given)
            childs.enter_context(childs_orders)
            self._output, childs_output = os.pipe()
            resources.callback(os.close, self._output)
            childs.callback(os.close, childs_output)
            self._status, childs_status = os.pipe()
            resources.callback(os.close, self._status)
            childs.callback(os.close, childs_status)
            self.lifeline: int | None = fork(
                [childs_answer.fileno(), childs_output, childs_orders.fileno(), childs_status]
            )
            resources.callback(self.kill)
            # What has no chance to arrive, since the process is gone, is told by its status.
            with contextlib.suppress(BrokenPipeError):
                post = pickle.dumps({"sys_path": sys.path}) + pickle.dumps(Post(folder=folder))
                _write(self.lifeline, post)
            os.set_blocking(self._output, False)
            self._sources = resources.enter_context(selectors.DefaultSelector())
            # By its number, since what makes no sense closes the connection.
            self._answers = self._answer.fileno()
            for source in (self._answers, self._output, self._status):
                self._sources.register(source, selectors.EVENT_READ)
            self._resources = resources.pop_all()

    def kill(self) -> None:
        """Have the process killed with all that it started, if it isn't gone; from any thread."""
        with self._lock:
            lifeline, self.lifeline = self.lifeline, None
        if lifeline is not None:
            os.close(lifeline)

    def close(self) -> None:
        """End the process, if it isn't gone, and wait for nothing."""
        self._resources.close()

    def run(
        self, handle: _ProcessHandle, patterns: tuple[str, ...], import_seconds: float
    ) -> CallResult | None:
        """Have an execution run, and return how it came out; None where the process died before.

        Where the process takes no other, it is gone by then, with all that it started.
        """
        call = handle.call
        self._handle, self._printed = handle, call.output
        self._outcome, self.began = None, False
        self.orders += 1
        order = Order(
            execution=call.execution, func_path=call.func_path, func_args=dict(call.func_args),
            patterns=patterns, secrets=call.mask.secrets, begin_before=call.begin_before(),
        )  # fmt: skip
        with contextlib.suppress(BrokenPipeError):  # it is gone, as its status tells
            self._given.send_bytes(pickle.dumps(order))
        if self.orders >= self._most:
            self._give_no_more()
        self._follow(import_seconds)
        return self._outcome

    def _give_no_more(self) -> None:
        """Let the process end after what it has to do."""
        self._given.close()

    def _follow(self, import_seconds: float) -> None:
        """Take what comes until the order is done, or the process gone if it takes no other."""
        late = time.monotonic() + import_seconds
        while self.ended is None and (self._outcome is None or self._given.closed):
            patience = None if self.began else max(late - time.monotonic(), 0)
            ready = [key.fd for key, _ in self._sources.select(patience)]
            if not ready:
                self._give_up_import(import_seconds)
            if self._output in ready:
                taken = self._take_output()
                if not taken:
                    self._sources.unregister(self._output)
                elif taken > _LITTLE:
                    # Who prints as fast as it can waits: the service has others to see to.
                    time.sleep(taken / _PACE)
            if self._answers in ready and not self._take_answer():
                self._sources.unregister(self._answers)
            if self._status in ready:
                self.ended = self._take_status()
        with contextlib.suppress(BlockingIOError):
            for _ in range(_LAST_CHUNKS):  # it may have left somebody behind who writes on
                if not self._take_output():
                    break
        known = self._sources.get_map()
        while self.ended is not None and self._answers in known and self._answer.poll():
            if not self._take_answer():
                break

    def _take_status(self) -> str | None:
        """Take what the supervisor tells: how the worker ended, in words, or None before."""
        try:
            told = multiprocessing.forkserver.read_signed(self._status)
        except EOFError:
            # The worker dies with its supervisor; its group may not.
            if self._pid is not None:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(self._pid, signal.SIGKILL)
            return "the supervisor of the worker process was killed"
        if self._pid is None:
            self._pid = told
            return None
        return exit_in_words(told)

    def _give_up_import(self, seconds: float) -> None:
        assert self._handle is not None
        func_path = self._handle.call.func_path
        story = f"{func_path!r} can't be called: the import of its module took over {seconds:g} s"
        self._outcome = CallResult(kind="raised", error=story)
        self.began = True
        self._give_no_more()
        self.kill()

    def _take_output(self) -> int:
        chunk = os.read(self._output, _CHUNK)
        self._printed.add(chunk)
        return len(chunk)

    def _take_answer(self) -> bool:
        """Take a message; whether another one is to come."""
        try:
            message = self._answer.recv_bytes(MESSAGE_LIMIT)
            if message == BEGAN and not self.began:
                self.began = True
                if self._handle and self._handle.began is not None:
                    self._handle.tell(self._handle.began)
            elif message in (STALE, LAST):
                self._give_no_more()
            else:
                self._outcome = self._outcome or decode(message)
            return True
        except EOFError:
            return False  # the process ends, without an answer if there was none
        except (OSError, ValueError):
            # The function wrote into this pipe itself: nothing that comes after makes sense.
            story = "the worker process gave an answer that makes no sense"
            self._outcome = self._outcome or CallResult(kind="died", error=story)
            self._give_no_more()
            self.kill()
            return False


def _fork(descriptors: list[int]) -> int:
    """Have the fork server make a worker's supervisor with these descriptors.

    Returns a descriptor that takes what is to be run, and keeps it alive. Unlike
    `multiprocessing.Process` this doesn't import the main module of this process in each
    worker.

    A fork server that was killed refuses, or hangs up, until the kernel has made it a
    zombie that multiprocessing sees and replaces. A worker that was not told what to run
    has run nothing, so asking again is safe.
    """
    for pause in _ASK_AGAIN:
        with contextlib.suppress(ConnectionError, EOFError):
            return _ask(descriptors)
        time.sleep(pause)
    return _ask(descriptors)


def _ask(descriptors: list[int]) -> int:
    status, lifeline = multiprocessing.forkserver.connect_to_new_process(descriptors)
    try:
        # That it was forked. Of its end the fork server can't tell if it dies before.
        multiprocessing.forkserver.read_signed(status)
        return lifeline
    except BaseException:
        os.close(lifeline)
        raise
    finally:
        os.close(status)


def _write(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def exit_in_words(exit_code: int) -> str:
    if exit_code >= 0:
        return f"the worker process ended with exit status {exit_code}"
    try:
        name = f" ({signal.Signals(-exit_code).name})"
    except ValueError:
        name = ""
    return f"the worker process ended by signal {-exit_code}{name}"
