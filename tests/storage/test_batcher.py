"""Requests that wait for a turn are answered together, and none waits for ever."""

import asyncio

import pytest

from taskservice.domain.errors import Unavailable
from taskservice.storage.batcher import Batcher, Request
from taskservice.storage.database import Busy

Requests = list[Request[str, str]]


class Work:
    """Notes its batches and answers each, in capitals, when it is let go on."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.go = asyncio.Event()

    async def __call__(self, batch: Requests) -> None:
        self.batches.append([one.asked for one in batch])
        await self.go.wait()
        for one in batch:
            one.fulfil(one.asked.upper())


@pytest.fixture
async def work() -> Work:
    return Work()


async def ask(batcher: Batcher[str, str], *asked: str) -> list[asyncio.Task[str]]:
    """Ask, and let all of it come to where it waits."""
    tasks = [asyncio.create_task(batcher.ask(one)) for one in asked]
    for _ in range(5):
        await asyncio.sleep(0)
    return tasks


async def test_what_comes_while_there_is_no_turn_is_done_together(work: Work) -> None:
    batcher = Batcher[str, str](work, at_once=1, key=str)
    first = await ask(batcher, "a")
    rest = await ask(batcher, "b", "c", "b", "a")
    assert work.batches == [["a"]]
    work.go.set()
    assert await asyncio.gather(*first, *rest) == ["A", "B", "C", "B", "A"]
    # Of one key there is one in a batch.
    assert work.batches == [["a"], ["b", "c", "a"], ["b"]]
    assert await asyncio.gather(*await ask(batcher, "d")) == ["D"]


async def test_a_batch_is_not_too_large_and_may_repeat_where_there_is_no_key(work: Work) -> None:
    batcher = Batcher[str, str](work, at_once=1, most=3)
    asked = await ask(batcher, "a", "b", "b", "b", "c")
    work.go.set()
    assert await asyncio.gather(*asked) == ["A", "B", "B", "B", "C"]
    assert work.batches == [["a"], ["b", "b", "b"], ["c"]]


async def test_an_error_is_the_answer_of_those_without_one() -> None:
    go = asyncio.Event()

    async def fail(batch: Requests) -> None:
        await go.wait()
        batch[0].fulfil("done")
        raise Unavailable("gone")

    batcher = Batcher[str, str](fail, at_once=1)
    first = await ask(batcher, "a")
    done, other = await ask(batcher, "b", "c")
    go.set()
    assert [await first[0], await done] == ["done", "done"]
    with pytest.raises(Unavailable, match="gone"):
        await other


async def test_who_has_the_turn_may_be_gone_before_the_others_are_answered(work: Work) -> None:
    batcher = Batcher[str, str](work, at_once=1)
    first = await ask(batcher, "a")
    leader, other, gone = await ask(batcher, "b", "c", "d")
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    work.go.set()
    await asyncio.gather(*first)
    leader.cancel()
    assert await other == "C"
    assert work.batches == [["a"], ["b", "c"]]


async def test_batches_that_stand_still_hold_up_few(work: Work) -> None:
    batcher = Batcher[str, str](work, at_once=2, turn_seconds=0.05)
    standing = await ask(batcher, "a", "b")
    assert work.batches == [["a"], ["b"]]
    for late in await ask(batcher, "c", "d"):
        with pytest.raises(Unavailable, match="too busy"):
            await late
    work.go.set()
    assert await asyncio.gather(*standing, batcher.ask("e")) == ["A", "B", "E"]
    assert work.batches == [["a"], ["b"], ["e"]]


async def test_an_answer_that_is_there_waits_for_no_turn() -> None:
    turns = asyncio.Semaphore(0)

    async def work(batch: Requests) -> None:
        await turns.acquire()
        for one in batch:
            one.fulfil(one.asked.upper())

    batcher = Batcher[str, str](work, at_once=1, key=str)
    a, b, again, c = await ask(batcher, "a", "b", "b", "c")
    turns.release()
    turns.release()
    async with asyncio.timeout(5):
        assert [await a, await b, await c] == ["A", "B", "C"]
    assert not again.done()
    turns.release()
    assert await again == "B"


async def test_one_of_a_batch_that_failed_holds_up_no_other() -> None:
    begin, unlock = asyncio.Event(), asyncio.Event()
    batches: list[list[str]] = []

    async def work(batch: Requests) -> None:
        batches.append([one.asked for one in batch])
        await begin.wait()
        if len(batch) > 1:
            batch[-1].refuse(Unavailable("no"))
            raise Busy("a row is locked")
        if batch[0].asked == "locked":
            await unlock.wait()
        batch[0].fulfil(batch[0].asked.upper())

    batcher = Batcher[str, str](work, at_once=2, key=str)
    first = await ask(batcher, "a", "b")
    locked, c, d, gone, refused = await ask(batcher, "locked", "c", "d", "gone", "refused")
    begin.set()
    await asyncio.gather(*first)
    gone.cancel()
    async with asyncio.timeout(5):
        assert [await c, await d] == ["C", "D"]
        with pytest.raises(Unavailable, match="no"):
            await refused
        # One more of its key is no second turn that stands still.
        more, e = await ask(batcher, "locked", "e")
        assert await e == "E"
    assert not locked.done()
    unlock.set()
    assert [await locked, await more] == ["LOCKED", "LOCKED"]
    shared = ["locked", "c", "d", "gone", "refused"]
    assert [one for one in batches if len(one) > 1] == [shared]


async def test_who_is_gone_keeps_no_turn(work: Work) -> None:
    batcher = Batcher[str, str](work, at_once=1)
    asked = await ask(batcher, "a", "b", "c")
    for one in asked:
        one.cancel()
    await asyncio.gather(*asked, return_exceptions=True)
    work.go.set()
    async with asyncio.timeout(5):
        assert await batcher.ask("d") == "D"
    assert work.batches == [["a"], ["d"]]
