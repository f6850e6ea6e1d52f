"""Wishes that come within a moment are fulfilled together, and none waits for ever."""

import asyncio
from collections.abc import Callable

import pytest

from taskservice.domain.errors import Unavailable
from taskservice.service import batches as module
from taskservice.service.batches import Batches, Wish


class Gate:
    """Work that notes its batches and does each when it is let go on."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.open = asyncio.Event()
        self.fulfil: Callable[[Wish[str, str]], None] = lambda wish: wish.fulfil(wish.key.upper())

    async def __call__(self, batch: list[Wish[str, str]]) -> None:
        self.batches.append([wish.key for wish in batch])
        await self.open.wait()
        for wish in batch:
            self.fulfil(wish)


@pytest.fixture
async def gate() -> Gate:
    return Gate()


def add(batches: Batches[Wish[str, str]], *task_ids: str) -> list[asyncio.Future[str]]:
    wishes = [Wish[str, str](key=task_id) for task_id in task_ids]
    for wish in wishes:
        batches.add(wish)
    return [wish.answer for wish in wishes]


async def test_what_comes_meanwhile_is_done_together(gate: Gate) -> None:
    batches = Batches(gate)
    first = add(batches, "a")
    await asyncio.sleep(0.001)
    rest = add(batches, "b", "c", "a")
    await asyncio.sleep(0.001)
    assert gate.batches == [["a"]]
    gate.open.set()
    assert await asyncio.gather(*first, *rest) == ["A", "B", "C", "A"]
    assert gate.batches == [["a"], ["b", "c", "a"]]
    assert await asyncio.gather(*add(batches, "d")) == ["D"]


async def test_the_tasks_of_a_batch_are_different_and_not_too_many(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST", 3)
    gate.open.set()
    await asyncio.gather(*add(Batches(gate), "a", "b", "a", "c", "d", "a"))
    assert gate.batches == [["a", "b", "c"], ["a", "d"], ["a"]]


async def test_several_wishes_of_a_task_share_a_batch_where_they_may(gate: Gate) -> None:
    gate.open.set()
    answers = add(Batches(gate, repeat=True), "a", "b", "a")
    assert await asyncio.gather(*answers) == ["A", "B", "A"]
    assert gate.batches == [["a", "b", "a"]]


async def test_an_error_is_the_answer_of_those_without_one() -> None:
    async def work(batch: list[Wish[str, str]]) -> None:
        batch[0].fulfil("done")
        raise Unavailable("gone")

    batches = Batches(work)
    done, other = add(batches, "a", "b")
    assert await done == "done"
    with pytest.raises(Unavailable, match="gone"):
        await other


async def test_who_is_gone_needs_no_answer(gate: Gate) -> None:
    batches = Batches(gate)
    gone, other = add(batches, "a", "b")
    await asyncio.sleep(0.001)
    gone.cancel()
    gate.open.set()
    assert await other == "B"
    gate.fulfil = lambda wish: wish.refuse(Unavailable("no"))
    [gone] = add(batches, "a")
    gone.cancel()
    with pytest.raises(Unavailable):
        await add(batches, "b")[0]


async def test_a_batch_that_stands_still_holds_up_few(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AT_ONCE", 2)
    monkeypatch.setattr(module, "PATIENCE", 0.001)
    monkeypatch.setattr(module, "WAIT_SECONDS", 0.05)
    batches = Batches(gate)
    waiting = []
    for task_id in "ab":
        waiting += add(batches, task_id)
        await asyncio.sleep(0.01)
    assert gate.batches == [["a"], ["b"]]
    for late in add(batches, "c", "c"):
        with pytest.raises(Unavailable, match="too busy"):
            await late
    gate.open.set()
    assert await asyncio.gather(*waiting, *add(batches, "d")) == ["A", "B", "D"]
    assert gate.batches == [["a"], ["b"], ["d"]]
