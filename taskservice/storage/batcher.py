"""Requests that wait for their turn at the database share its round trips."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from taskservice.domain.errors import Unavailable
from taskservice.storage.database import Busy

AT_ONCE = 4
"""Batches under way together: as many connections they use at most."""

MOST = 32
"""Requests of one batch: the loop decides all of them without a pause."""

TURN_SECONDS = 5.0
"""How long a request waits for its turn: as long as for a connection."""

Q = TypeVar("Q")
T = TypeVar("T")


@dataclass(slots=True, kw_only=True, eq=False)
class Request(Generic[Q, T]):
    """What somebody asks for; `answer` gets it, or why it can't be.

    Of one `key` one is under way at a time. Once it was in a batch that failed it is to be `alone`.
    """

    asked: Q
    answer: asyncio.Future[T]
    key: Hashable
    alone: bool = False

    def fulfil(self, value: T) -> None:
        """Answer, unless who asked is gone."""
        if not self.answer.done():
            self.answer.set_result(value)

    def refuse(self, error: BaseException) -> None:
        """Say why there is no answer, unless who asked is gone."""
        if not self.answer.done():
            self.answer.set_exception(error)


class Batcher(Generic[Q, T]):
    """Has requests answered at once while there is a turn, and else those together that wait.

    `work` answers all that it is given. Where it raises, those that it left without an answer are
    done again, each alone and in a turn of its own, and get the error that comes then; an outage is
    the answer of all at once. Requests of one `key`, where it is given, wait for one another.
    """

    def __init__(
        self,
        work: Callable[[list[Request[Q, T]]], Awaitable[None]],
        *,
        key: Callable[[Q], Hashable] | None = None,
        at_once: int = AT_ONCE,
        most: int = MOST,
        turn_seconds: float = TURN_SECONDS,
    ) -> None:
        self._work = work
        self._key = key
        self._at_once = at_once
        self._most = most
        self._turn_seconds = turn_seconds
        # Each with what ends its waiting.
        self._waiting: dict[Request[Q, T], asyncio.TimerHandle] = {}
        self._under_way: dict[asyncio.Task[None], list[Request[Q, T]]] = {}

    async def ask(self, asked: Q) -> T:
        """The answer. Raises what the work does, and `Unavailable` where no turn comes."""
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        key = self._key(asked) if self._key else answer
        request = Request(asked=asked, answer=answer, key=key)
        self._wait(request)
        self._begin()
        try:
            return await answer
        finally:
            self._leave(request)  # who asks no more

    def _wait(self, request: Request[Q, T]) -> None:
        loop = asyncio.get_running_loop()
        self._waiting[request] = loop.call_later(self._turn_seconds, self._give_up, request)

    def _leave(self, request: Request[Q, T]) -> None:
        if timer := self._waiting.pop(request, None):
            timer.cancel()

    def _give_up(self, request: Request[Q, T]) -> None:
        self._leave(request)
        request.refuse(Unavailable("the database is too busy"))

    def _begin(self) -> None:
        """Use the turns that there are for those that wait."""
        while len(self._under_way) < self._at_once and (batch := self._next()):
            for request in batch:
                self._leave(request)
            # Whoever asked first may be gone before the others have their answers.
            task = asyncio.create_task(self._do(batch))
            self._under_way[task] = batch
            task.add_done_callback(self._end)

    def _end(self, task: asyncio.Task[None]) -> None:
        del self._under_way[task]
        self._begin()

    def _next(self) -> list[Request[Q, T]]:
        """Who waits the longest, and those that can be done with it."""
        busy = {request.key for batch in self._under_way.values() for request in batch}
        batch: list[Request[Q, T]] = []
        for request in self._waiting:
            if request.key in busy or (request.alone and batch):
                continue
            batch.append(request)
            busy.add(request.key)
            if request.alone or len(batch) == self._most:
                break
        return batch

    async def _do(self, batch: list[Request[Q, T]]) -> None:
        try:
            await self._work(batch)
        except Exception as error:
            outage = isinstance(error, Unavailable) and not isinstance(error, Busy)
            for request in batch:
                if outage or len(batch) == 1:
                    request.refuse(error)
                elif not request.answer.done():
                    # What is wrong with one of them is to be no harm to the others.
                    request.alone = True
                    self._wait(request)
        finally:
            for request in batch:
                if request not in self._waiting:
                    request.answer.cancel()
