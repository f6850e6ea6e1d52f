"""Calls that block and may hang, on threads of their own, which are few."""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class NoThread(Exception):
    """All threads hang."""


class Threads:
    """At most `limit` calls at a time; one that hangs keeps its place until it returns."""

    def __init__(self, name: str, *, limit: int) -> None:
        self._name = name
        self._limit = limit
        self.busy = 0

    async def call(self, work: Callable[[], T], seconds: float) -> T:
        """What `work` gives, or raises. Raises TimeoutError, and `NoThread` where none is free.

        A call that takes longer goes on, and nobody waits for it.
        """
        if self.busy >= self._limit:
            raise NoThread
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()

        def finish(result: T | None, error: BaseException | None) -> None:
            self.busy -= 1
            if done.cancelled():
                return
            if error is None:
                done.set_result(result)  # type: ignore[arg-type]
            else:
                done.set_exception(error)

        def run() -> None:
            result, error = None, None
            try:
                result = work()
            except BaseException as raised:
                error = raised
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(finish, result, error)

        self.busy += 1
        try:
            threading.Thread(target=run, name=self._name, daemon=True).start()
        except RuntimeError:
            self.busy -= 1
            raise NoThread from None
        return await asyncio.wait_for(done, seconds)
