"""Work that takes its time, on threads of its own: it keeps neither the loop nor others' threads.

The default pool of threads is everybody's: a sync that waits there for what somebody asked would
come late.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import ParamSpec, TypeVar

from taskservice.domain.errors import TooManyRequests

SMALL = 16 * 1024
"""About how many bytes of JSON are looked through on the loop itself: it takes no millisecond."""

_OVERHEAD = 6

P = ParamSpec("P")
T = TypeVar("T")


def is_small(*values: object, most: int = SMALL) -> bool:
    """Whether JSON values have about `most` bytes at most; as quick for larger ones."""
    waiting = list(values)
    size = 0
    while waiting:
        value = waiting.pop()
        size += len(value) + _OVERHEAD if isinstance(value, str) else _OVERHEAD
        if isinstance(value, list | tuple | Mapping):
            if len(value) * _OVERHEAD > most:
                return False
            waiting += value
            if isinstance(value, Mapping):
                waiting += value.values()
        if size > most:
            return False
    return True


class Offload:
    """So many `threads` for work of one kind; `waiting` pieces may wait for one of them.

    `busy` is what somebody is told whose work is refused.
    """

    def __init__(self, name: str, *, threads: int, waiting: int, busy: str) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._most = threads + waiting
        self._busy = busy
        self._taken = 0

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """A place in the queue, for work in several pieces. Raises `TooManyRequests`."""
        if self._taken >= self._most:
            raise TooManyRequests(self._busy)
        self._taken += 1
        try:
            yield
        finally:
            self._taken -= 1

    async def call(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do a piece of work within a turn."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, lambda: work(*args, **kwargs))

    async def call_if_large(
        self, values: Iterable[object], work: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """The same where these JSON values are large, which it looks through; else at once."""
        if is_small(*values):
            return work(*args, **kwargs)
        return await self.call(work, *args, **kwargs)

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do work that is one piece. Raises `TooManyRequests`."""
        async with self.turn():
            return await self.call(work, *args, **kwargs)

    def close(self) -> None:
        """Let the threads end when their work is done."""
        self._pool.shutdown(wait=False)
