"""Requests that come within a moment share their round trips to the database."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from taskservice.domain.errors import Unavailable

MOST = 32
"""Wishes of one batch: the loop decides all of them without a pause."""

AT_ONCE = 4
"""Batches under way together: as many connections they use."""

PATIENCE = 0.05
"""Seconds for which a batch under way is waited for, so that wishes gather, but no longer:
it may wait for a lock."""

WAIT_SECONDS = 5.0
"""How long wishes wait while so many batches stand still: as long as for a connection."""

K = TypeVar("K")
T = TypeVar("T")


def _answer() -> asyncio.Future[Any]:
    return asyncio.get_running_loop().create_future()


@dataclass(slots=True, kw_only=True, eq=False)
class Wish(Generic[K, T]):
    """What somebody wants of a task, say, by its `key`; `answer` gets it, or why it can't be."""

    key: K
    answer: asyncio.Future[T] = field(default_factory=_answer)

    def fulfil(self, value: T) -> None:
        """Answer, unless who asked is gone."""
        if not self.answer.done():
            self.answer.set_result(value)

    def refuse(self, error: BaseException) -> None:
        """Say why there is no answer, unless who asked is gone."""
        if not self.answer.done():
            self.answer.set_exception(error)


W = TypeVar("W", bound=Wish[Any, Any])


class Batches(Generic[W]):
    """Has a wish fulfilled at once, and those together that come while it is under way.

    `work` answers all the wishes that it is given, each with another key unless `repeat` allows
    several with one; an error that it raises is the answer of those that it left without.
    """

    def __init__(self, work: Callable[[list[W]], Awaitable[None]], *, repeat: bool = False) -> None:
        self._work = work
        self._repeat = repeat
        self._waiting: list[W] = []
        self._under_way: set[asyncio.Task[None]] = set()
        self._giving_out: asyncio.Task[None] | None = None

    def add(self, wish: W) -> None:
        """Have a wish fulfilled."""
        self._waiting.append(wish)
        if self._giving_out is None:
            self._giving_out = asyncio.create_task(self._give_out())

    async def _give_out(self) -> None:
        while self._waiting:
            if len(self._under_way) >= AT_ONCE and not await self._one_ends():
                error = Unavailable("the database is too busy")
                for wish in self._take(len(self._waiting)):
                    wish.refuse(error)
                continue
            task = asyncio.create_task(self._do(self._take(MOST)))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)
            await asyncio.wait([task], timeout=PATIENCE)
        self._giving_out = None

    async def _one_ends(self) -> bool:
        wait_for = asyncio.FIRST_COMPLETED
        done, _ = await asyncio.wait(self._under_way, timeout=WAIT_SECONDS, return_when=wait_for)
        return bool(done)

    def _take(self, most: int) -> list[W]:
        taken: list[W] = []
        left: list[W] = []
        keys: set[object] = set()
        for wish in self._waiting:
            fits = len(taken) < most and (self._repeat or wish.key not in keys)
            (taken if fits else left).append(wish)
            keys.add(wish.key)
        self._waiting = left
        return taken

    async def _do(self, batch: list[W]) -> None:
        try:
            await self._work(batch)
        except Exception as error:
            for wish in batch:
                wish.refuse(error)
        finally:
            for wish in batch:
                wish.answer.cancel()
