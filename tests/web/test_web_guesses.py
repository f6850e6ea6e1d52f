"""Wrong tokens are slowed by their address; right ones never are."""

import asyncio
import time
from collections.abc import AsyncIterator

import httpx
import pytest

from taskservice.domain.errors import TooManyRequests
from taskservice.settings import Settings
from taskservice.web.guesses import Guesses
from tests.web.conftest import Serve

TOKENS = Settings.from_environment(
    {"TASKSERVICE_API_TOKENS": "vic:viewer:right-one,ada:admin:right-too"}
).api_tokens
RIGHT = {"Authorization": "Bearer right-one"}
WRONG = {"Authorization": "Bearer wrong"}
FREE = 100


@pytest.fixture
async def guarded(serve: Serve) -> AsyncIterator[httpx.AsyncClient]:
    async with serve(api_tokens=TOKENS) as client:
        yield client


async def test_wrong_tokens_are_slowed_and_right_ones_are_not(guarded: httpx.AsyncClient) -> None:
    for _ in range(FREE):
        assert (await guarded.get("/task-manage/", headers=WRONG)).status_code == 401
    began = time.monotonic()
    slowed = await guarded.get("/task-manage/", headers=WRONG)
    assert time.monotonic() - began > 0.9
    assert (slowed.status_code, slowed.headers["retry-after"]) == (429, "1")
    assert slowed.headers["content-type"] == "application/problem+json"
    assert (await guarded.get("/task-manage/", headers=RIGHT)).status_code == 200
    # The form of the console, and addresses that there are none of, are no way around.
    form = {"token": "wrong"}
    origin = {"Origin": "http://127.0.0.1:8000"}
    assert (await guarded.post("/sign-in", data=form, headers=origin)).status_code == 429
    for headers in (WRONG, {"Authorization": "Bearer right-too"}):
        assert (await guarded.get("/nothing", headers=headers)).status_code == 429
    assert (await guarded.get("/nothing", headers=RIGHT)).status_code == 404
    assert (await guarded.post("/sign-in", data={"token": "right-one"}, headers=origin)).is_redirect
    # Without a token nothing is guessed.
    guarded.cookies.clear()
    assert (await guarded.get("/task-manage/")).status_code == 401


async def test_few_are_looked_at_at_a_time(guarded: httpx.AsyncClient) -> None:
    assert (await guarded.get("/task-manage/", headers=RIGHT)).status_code == 200
    for _ in range(FREE):
        await guarded.get("/task-manage/", headers=WRONG)
    held = [asyncio.create_task(guarded.get("/task-manage/", headers=WRONG)) for _ in range(30)]
    done, waiting = await asyncio.wait(held, timeout=0.5)
    assert len(waiting) == 8 and {one.result().status_code for one in done} == {429}
    # What was right before is let in meanwhile, what may be a guess is not looked at.
    assert (await guarded.get("/task-manage/", headers=RIGHT)).status_code == 200
    other = {"Authorization": "Bearer right-too"}
    assert (await guarded.get("/task-manage/", headers=other)).status_code == 429
    await asyncio.gather(*waiting)
    assert (await guarded.get("/task-manage/", headers=other)).status_code == 200


def test_a_quiet_address_is_forgotten() -> None:
    now = [0.0]
    guesses = Guesses(free=2, forget_seconds=10, clock=lambda: now[0])
    assert [guesses.count("192.0.2.1") for _ in range(4)] == [False, False, True, True]
    assert guesses.is_slowed("192.0.2.1") and not guesses.is_slowed("192.0.2.2")
    now[0] = 11
    assert not guesses.is_slowed("192.0.2.1")
    assert not guesses.count("192.0.2.1")


def test_addresses_are_few_and_one_network_is_one() -> None:
    guesses = Guesses(free=1, most=3)
    assert [guesses.count(f"2001:db8::{number}") for number in range(2)] == [False, True]
    assert not guesses.count("2001:db8:0:1::1")
    for number in range(3):
        guesses.count(f"192.0.2.{number}")
    assert not guesses.is_slowed("2001:db8::1")
    assert not guesses.count(None) and guesses.count("no address")


def test_the_wait_grows_to_a_minute() -> None:
    guesses = Guesses(free=1)
    waits = []
    for _ in range(12):
        guesses.count("192.0.2.1", weight=10)
        with pytest.raises(TooManyRequests) as refused:
            guesses.refuse("192.0.2.1")
        waits.append(refused.value.retry_after)
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60, 60, 60, 60]
