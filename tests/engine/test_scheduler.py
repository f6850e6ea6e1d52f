import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

import apscheduler.schedulers.base
import pytest
from apscheduler.jobstores.memory import MemoryJobStore

from taskservice.domain.trigger import parse_trigger
from taskservice.domain.trigger.kinds import Trigger
from taskservice.engine.scheduler import LONGEST_SLEEP, SHORTEST_SLEEP, Scheduler, bounded
from tests.engine.harness import ago, until

Calls = list[str]


@pytest.fixture
def calls() -> Calls:
    return []


@pytest.fixture
async def scheduler(calls: Calls) -> AsyncIterator[Scheduler]:
    scheduler = Scheduler(calls.append)
    scheduler.start()
    yield scheduler
    scheduler.stop()
    await asyncio.sleep(0)


def interval(seconds: float, anchor: datetime) -> Trigger:
    return parse_trigger("interval", {"seconds": seconds}, zone=UTC, anchor=anchor)


def date(when: datetime) -> Trigger:
    return parse_trigger("date", {"run_date": when.isoformat()}, zone=UTC, anchor=when)


async def test_a_task_is_due_at_each_fire_and_not_before(
    scheduler: Scheduler, calls: Calls
) -> None:
    anchor = datetime.now(UTC)
    first = anchor + timedelta(seconds=0.2)
    scheduler.set("a", first, interval(0.2, anchor))
    assert scheduler.next_fire("a") == first
    await until(lambda: len(calls) >= 3)
    heard = len(calls)
    assert datetime.now(UTC) >= anchor + heard * timedelta(seconds=0.2)
    assert scheduler.next_fire("a") == anchor + (heard + 1) * timedelta(seconds=0.2)


async def test_late_fires_are_due_once_and_the_next_one_is_in_the_future(
    scheduler: Scheduler, calls: Calls
) -> None:
    anchor = ago(1000.5)
    scheduler.set("a", anchor + timedelta(seconds=10), interval(10, anchor))
    await until(lambda: calls)
    assert calls == ["a"]
    assert scheduler.next_fire("a") == anchor + timedelta(seconds=1010)


async def test_a_date_is_due_once_and_then_forgotten(scheduler: Scheduler, calls: Calls) -> None:
    when = datetime.now(UTC) + timedelta(seconds=0.05)
    scheduler.set("a", when, date(when))
    await until(lambda: calls)
    assert scheduler.next_fire("a") is None
    assert calls == ["a"]


async def test_the_last_fire_that_was_set_is_the_one(scheduler: Scheduler, calls: Calls) -> None:
    soon, later = ago(-0.1), ago(-3600)
    for name in ("moved", "removed", "kept"):
        scheduler.set(name, soon, date(soon))
    scheduler.set("moved", later, date(later))
    scheduler.remove("removed")
    scheduler.remove("never there")
    await until(lambda: calls)
    assert calls == ["kept"]
    assert scheduler.next_fire("moved") == later


async def test_a_call_of_its_own_comes_once(scheduler: Scheduler, calls: Calls) -> None:
    heard: list[str] = []
    scheduler.once("key", ago(-0.05), heard.append)
    await until(lambda: heard)
    assert (heard, calls, scheduler.next_fire("key")) == (["key"], [], None)


async def test_many_tasks_are_set_with_one_look_at_them(
    scheduler: Scheduler, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = []
    look: Any = MemoryJobStore.get_due_jobs

    def counted(store: MemoryJobStore, now: datetime) -> Any:
        looks.append(now)
        return look(store, now)

    monkeypatch.setattr(MemoryJobStore, "get_due_jobs", counted)
    now = datetime.now(UTC)
    with scheduler.quiet():
        for number in range(200):
            scheduler.set(str(number), now, date(now))
    await until(lambda: len(calls) == 200)
    assert len(looks) <= 2


async def test_a_stopped_scheduler_calls_nothing_and_takes_everything(calls: Calls) -> None:
    scheduler = Scheduler(calls.append)
    scheduler.start()
    soon = ago(-0.05)
    scheduler.set("a", soon, date(soon))
    scheduler.stop()
    await asyncio.sleep(0)
    scheduler.stop()
    with scheduler.quiet():
        scheduler.set("b", soon, date(soon))
    scheduler.remove("a")
    other = Scheduler(calls.append)
    other.start()
    later = ago(-0.1)
    other.set("c", later, date(later))
    await until(lambda: calls)
    other.stop()
    await asyncio.sleep(0)
    assert calls == ["c"]


async def test_a_clock_that_jumps_ahead_is_noticed_within_five_seconds(
    scheduler: Scheduler, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    shift = timedelta()

    class Clock(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Any:
            return datetime.now(tz) + shift

    monkeypatch.setattr(apscheduler.schedulers.base, "datetime", Clock)
    scheduler.set("a", ago(-3600), date(ago(-3600)))
    # It has gone to sleep with an hour to wait.
    await asyncio.sleep(0.01)
    assert calls == []
    shift = timedelta(hours=2)
    await until(lambda: calls, limit=5)
    assert calls == ["a"]


@pytest.mark.parametrize(
    ("wanted", "slept"),
    [(0.0, SHORTEST_SLEEP), (0.5, 0.5), (3600.0, LONGEST_SLEEP), (None, None)],
)
def test_it_never_sleeps_long_nor_spins(wanted: float | None, slept: float | None) -> None:
    assert bounded(wanted) == slept
