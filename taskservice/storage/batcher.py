"""Requests that wait for their turn at the database share its round trips."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from taskservice.domain.errors import Unavailable

AT_ONCE = 4
"""Batches under way together: as many connections they use at most."""

MOST = 32
"""Requests of one batch: the loop decides all of them without a pause."""

TURN_SECONDS = 5.0
"""How long a request waits for its turn: as long as for a connection."""

Q = TypeVar("Q")
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Request(Generic[Q, T]):
    """What somebody asks for; `answer` gets it, or why it can't be."""

    asked: Q
    answer: asyncio.Future[T]

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

    `work` answers all that it is given; an error that it raises is the answer of those that it left
    without. In a batch each has another `key`, where one is given.
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
        self._most = most
        self._turn_seconds = turn_seconds
        self._turns = asyncio.Semaphore(at_once)
        self._waiting: list[Request[Q, T]] = []
        self._under_way: set[asyncio.Task[None]] = set()

    async def ask(self, asked: Q) -> T:
        """The answer. Raises what the work does, and `Unavailable` where no turn comes."""
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        request = Request(asked=asked, answer=answer)
        self._waiting.append(request)
        try:
            async with asyncio.timeout(self._turn_seconds):
                await self._turns.acquire()
        except TimeoutError:
            if request in self._waiting:
                raise Unavailable("the database is too busy") from None
        else:
            self._begin(request)
        finally:
            if request in self._waiting:
                self._waiting.remove(request)
        return await request.answer

    def _begin(self, request: Request[Q, T]) -> None:
        """Use a turn for a request and others that wait, unless it is answered with others."""
        if request not in self._waiting:
            self._turns.release()
            return
        batch: dict[Hashable, Request[Q, T]] = {}
        for one in (request, *self._waiting):
            if len(batch) < self._most:
                batch.setdefault(self._key(one.asked) if self._key else id(one), one)
        taken = list(batch.values())
        self._waiting = [one for one in self._waiting if one not in taken]
        # Whoever has the turn may be gone before the others have their answers.
        task = asyncio.create_task(self._do(taken))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _do(self, batch: list[Request[Q, T]]) -> None:
        try:
            await self._work(batch)
        except Exception as error:
            for request in batch:
                request.refuse(error)
        finally:
            self._turns.release()
            for request in batch:
                request.answer.cancel()
