"""The event loop that one worker thread runs its coroutines on, one execution at a time."""

import asyncio
import contextlib
import contextvars
import inspect
import os
import selectors
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, ParamSpec, TypeGuard, TypeVar, cast

PASSED_OVER = 16
"""How many looks in a row, at files that may be ready, a busy loop may leave out."""

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


class Coroutines:
    """Runs awaitables on a plain asyncio loop, which is made when first needed and kept.

    Belongs to one thread. Tasks that an execution leaves behind are cancelled before
    the next one begins, and have `leftover_seconds` to end.
    """

    def __init__(self, leftover_seconds: float) -> None:
        self._leftover_seconds = leftover_seconds
        self._loop: _Loop | None = None
        self._tasks: set[asyncio.Future[Any]] = set()

    def run(
        self,
        awaitable: Awaitable[object],
        context: contextvars.Context,
        started: Callable[[Callable[[], None]], None],
    ) -> object:
        """Wait for an awaitable, and return or raise what it does.

        `started` is called first, with a function that cancels it: from any thread,
        and without effect once it has ended.
        """
        loop = self._loop = self._loop or self._open()
        main = asyncio.Task(awaited(awaitable), loop=loop, context=context)

        def cancel() -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(main.cancel)

        started(cancel)
        try:
            return loop.run_until_complete(main)
        finally:
            leftovers = [task for task in (main, *self._tasks) if not task.done()]
            if leftovers:
                self._end(loop, leftovers)
            self._tasks.clear()
            if loop.changed:
                self.close()

    def close(self) -> None:
        """Close the loop; a later `run` opens another."""
        if self._loop is not None:
            self._loop.close()
            self._loop = None

    def _open(self) -> "_Loop":
        loop = _Loop(_Selector())
        loop.set_task_factory(cast(Any, self._task))
        loop.set_default_executor(DaemonThreads())
        loop.changed = False
        return loop

    def _task(
        self,
        loop: asyncio.AbstractEventLoop,
        coroutine: Coroutine[Any, Any, _Result],
        **options: Any,
    ) -> asyncio.Task[_Result]:
        task = asyncio.Task(coroutine, loop=loop, **options)
        # asyncio.all_tasks() would look at the tasks of all threads, each time.
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _end(
        self, loop: asyncio.AbstractEventLoop, leftovers: list[asyncio.Future[object]]
    ) -> None:
        for task in leftovers:
            task.cancel()
        # A task that raises SystemExit, or stops the loop, ends this wait early.
        with contextlib.suppress(BaseException):
            loop.run_until_complete(asyncio.wait(leftovers, timeout=self._leftover_seconds))
        if not all(task.done() for task in leftovers):
            self.close()


class _Loop(asyncio.SelectorEventLoop):
    """Notes when a function changes what would be so for those that come after it."""

    changed = False

    def set_task_factory(self, factory: Any) -> None:
        """See `asyncio`."""
        self.changed = True
        super().set_task_factory(factory)

    def set_default_executor(self, executor: Any) -> None:
        """See `asyncio`."""
        self.changed = True
        super().set_default_executor(executor)

    async def shutdown_default_executor(self, *args: Any) -> None:
        """See `asyncio`."""
        self.changed = True
        await super().shutdown_default_executor(*args)

    def set_exception_handler(self, handler: Any) -> None:
        """See `asyncio`."""
        self.changed = True
        super().set_exception_handler(handler)

    def set_debug(self, enabled: bool) -> None:
        """See `asyncio`."""
        self.changed = True
        super().set_debug(enabled)


class _Selector(selectors.PollSelector):
    """Looks at files only now and then while the loop has other work: it asks with a timeout of 0.

    Each real look lets go of the interpreter, which another thread then holds for milliseconds:
    a coroutine that waits for nothing comes through without one. Being a poll selector it needs
    no descriptor of its own: there may be many of these loops.
    """

    _passed_over = 0

    def __init__(self) -> None:
        super().__init__()
        self._process = os.getpid()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """See `selectors.BaseSelector.select`; a copy of this process ends here."""
        if os.getpid() != self._process:
            # A copy of the service that a coroutine forked: the loop belongs to the service.
            os._exit(0)
        if timeout == 0 and self._passed_over < PASSED_OVER:
            self._passed_over += 1
            return []
        self._passed_over = 0
        return super().select(timeout)


def is_awaitable(value: object) -> TypeGuard[Awaitable[object]]:
    """Whether a function returned something to be awaited; never raises."""
    try:
        return inspect.isawaitable(value)
    except BaseException:  # its class raises when it is looked at
        return False


async def awaited(awaitable: Awaitable[object]) -> object:
    """Make a coroutine of anything that can be awaited."""
    return await awaitable


class DaemonThreads(ThreadPoolExecutor):
    """What `asyncio.to_thread` uses: a daemon thread per call.

    The threads of a usual pool are waited for at the interpreter's exit: one that
    is stuck would hold it. asyncio takes nothing but a ThreadPoolExecutor.
    """

    def submit(
        self,
        fn: Callable[_Arguments, _Result],
        /,
        *args: _Arguments.args,
        **kwargs: _Arguments.kwargs,
    ) -> Future[_Result]:
        future: Future[_Result] = Future()

        def work() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(fn(*args, **kwargs))
            except BaseException as error:
                future.set_exception(error)

        threading.Thread(target=work, name="taskservice-to-thread", daemon=True).start()
        return future
