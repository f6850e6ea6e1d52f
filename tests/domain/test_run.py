"""Late fires are each accounted for, and the status of a task has one meaning."""

from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskservice.domain.run import (
    EXECUTION_STATUSES,
    KEPT_APART,
    MOVES,
    OPEN,
    TASK_STATUSES,
    Accounted,
    Outcome,
    account,
    task_status,
)
from taskservice.domain.trigger import CronTrigger, Trigger, parse_trigger
from tests.domain.samples import NOW

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
# Before the clocks are put forward, and before they are put back.
STARTS = [NOW, datetime(2026, 3, 28, 22, tzinfo=UTC), datetime(2026, 10, 24, 22, tzinfo=UTC)]


def trigger(kind: str = "interval", start: datetime = NOW, /, **args: Any) -> Trigger:
    return parse_trigger(kind, args, zone=UTC, anchor=start)


def every_minute() -> Trigger:
    return trigger(start_date=NOW.isoformat(), minutes=1)


triggers = st.sampled_from(
    [
        ("interval", {"seconds": 20}),
        ("interval", {"minutes": 1, "jitter": 30}),
        ("interval", {"hours": 7}),
        ("cron", {"minute": "*/5", "timezone": "Europe/Berlin"}),
        ("cron", {"crontab": "30 1-3 * * *", "timezone": "Europe/Berlin"}),
        ("date", {"run_date": "2026-11-24T13:00:00Z"}),
    ]
)


@given(
    triggers,
    st.sampled_from(STARTS),
    st.integers(0, 5 * 3600),
    st.booleans(),
    st.none() | st.sampled_from([0.5, 60, 3600, 86400]),
    st.sampled_from([0, 30]),
)
def test_every_due_fire_is_counted_exactly_once(
    made: tuple[str, dict[str, Any]],
    start: datetime,
    late: float,
    coalesce: bool,
    grace: float | None,
    jitter: float,
) -> None:
    when = trigger(made[0], start, **made[1])
    first = when.next_fire(start)
    assert first is not None
    now = first + timedelta(seconds=late)
    accounted, following = account(when, first, now, coalesce=coalesce, grace=grace, jitter=jitter)

    due = [first]
    while (fire := when.next_fire(due[-1])) is not None and fire <= now:
        due.append(fire)
    assert following == when.next_fire(now)
    assert sum(1 + one.folded for one in accounted) == len(due)
    kept = 1 if coalesce else min(len(due), KEPT_APART)
    assert [one.scheduled_time for one in accounted] == due[-kept:]
    assert [one.folded for one in accounted] == [len(due) - kept] + [0] * (kept - 1)
    for one in accounted:
        lateness = (now - one.scheduled_time).total_seconds()
        assert one.missed == (grace is not None and lateness > grace + jitter)


# Zones whose clocks change at night, at midnight, and by half an hour; days that are few.
calendars = st.sampled_from(
    [
        {"minute": "*/30", "timezone": "Europe/Berlin"},
        {"hour": "*/3", "minute": "10", "timezone": "America/Havana"},
        {"crontab": "0,30 0-2 * * *", "timezone": "America/Havana"},
        {"crontab": "15 2 * * *", "timezone": "Australia/Lord_Howe"},
        {"crontab": "0 6 * * 1", "timezone": "UTC"},
        {"day": "last", "hour": "23", "timezone": "America/New_York"},
        {"hour": "*", "end_date": "2026-05-05T10:30:00Z"},
        {"minute": "0", "start_date": "2026-03-28T05:10:00Z", "timezone": "Europe/Berlin"},
    ]
)


@given(calendars, st.sampled_from(STARTS), st.integers(0, 70 * 24), st.booleans())
def test_fires_of_many_days_are_counted_by_the_day(
    calendar: dict[str, Any], start: datetime, hours: int, coalesce: bool
) -> None:
    when = trigger("cron", start, **calendar)
    first = when.next_fire(start)
    if first is None:
        return
    now = first + timedelta(hours=hours)
    accounted, following = account(when, first, now, coalesce=coalesce, grace=None)

    due = [first]
    while (fire := when.next_fire(due[-1])) is not None and fire <= now:
        due.append(fire)
    assert following == when.next_fire(now)
    assert sum(1 + one.folded for one in accounted) == len(due)
    kept = 1 if coalesce else min(len(due), KEPT_APART)
    assert [one.scheduled_time for one in accounted] == due[-kept:]


def test_a_cron_that_has_ended_is_counted_to_its_end() -> None:
    end = NOW + timedelta(days=10)
    when = trigger("cron", hour="*", end_date=end.isoformat())
    first = when.next_fire(NOW)
    assert first is not None
    [one], following = account(when, first, NOW + timedelta(days=30), coalesce=True, grace=None)
    assert following is None
    assert 1 + one.folded == 240
    assert one.scheduled_time <= end


class Counted(CronTrigger):
    """A cron that counts how often it is asked."""

    asked = 0

    def next_fire(self, after: datetime) -> datetime | None:
        Counted.asked += 1
        return super().next_fire(after)


@pytest.mark.parametrize("coalesce", [True, False])
def test_ten_years_of_every_ten_seconds_are_not_gone_through(coalesce: bool) -> None:
    cron = trigger("cron", second="*/10")
    assert isinstance(cron, CronTrigger)
    when = Counted(pattern=cron.pattern, zone=cron.zone)
    Counted.asked = 0
    accounted, _ = account(when, NOW, NOW + timedelta(days=3653), coalesce=coalesce, grace=None)
    assert sum(1 + one.folded for one in accounted) == 3653 * 8640 + 1
    # The days at both ends, fire by fire; one question, or two, for each day between.
    assert 0 < Counted.asked < 4 * 8640 + 3 * 3653


def test_a_fire_that_is_not_due_is_left_to_come() -> None:
    first = NOW + SECOND
    assert account(every_minute(), first, NOW, coalesce=True, grace=1) == ([], first)


def test_a_fire_is_due_at_its_own_time() -> None:
    accounted, following = account(every_minute(), NOW, NOW, coalesce=True, grace=1)
    assert accounted == [Accounted(scheduled_time=NOW, folded=0, missed=False)]
    assert following == NOW + MINUTE


def test_late_fires_fold_into_the_latest() -> None:
    accounted, following = account(every_minute(), NOW, NOW + 3.5 * MINUTE, coalesce=True, grace=60)
    latest = NOW + 3 * MINUTE
    assert accounted == [Accounted(scheduled_time=latest, folded=3, missed=False)]
    assert following == NOW + 4 * MINUTE


def test_without_coalesce_each_is_judged_by_itself() -> None:
    accounted, _ = account(every_minute(), NOW, NOW + 2.5 * MINUTE, coalesce=False, grace=60)
    assert [(one.scheduled_time - NOW, one.missed) for one in accounted] == [
        (timedelta(0), True),
        (MINUTE, True),
        (2 * MINUTE, False),
    ]


@pytest.mark.parametrize(
    ("grace", "jitter", "missed"),
    [(30, 0, False), (29.9, 0, True), (20, 10, False), (None, 0, False)],
)
def test_the_grace_is_a_limit_that_includes_itself(
    grace: float | None, jitter: float, missed: bool
) -> None:
    [one], _ = account(
        every_minute(), NOW, NOW + 30 * SECOND, coalesce=True, grace=grace, jitter=jitter
    )
    assert one.missed is missed


def test_of_very_many_only_the_latest_are_kept_apart() -> None:
    last = NOW + 10_000 * MINUTE
    accounted, following = account(every_minute(), NOW, last, coalesce=False, grace=None)
    assert len(accounted) == KEPT_APART
    assert accounted[0].folded == 10_001 - KEPT_APART
    assert accounted[-1].scheduled_time == last
    assert following == last + MINUTE


def test_a_trigger_comes_to_its_end() -> None:
    when = trigger("date", run_date=NOW.isoformat())
    accounted, following = account(when, NOW, NOW + MINUTE, coalesce=False, grace=3600)
    assert accounted == [Accounted(scheduled_time=NOW, folded=0, missed=False)]
    assert following is None


OUTCOMES: list[Outcome | None] = [None, "completed", "failed", "cancelled"]


@pytest.mark.parametrize("outcome", OUTCOMES)
@pytest.mark.parametrize("fire", [None, NOW])
def test_running_goes_before_paused_and_paused_before_the_rest(
    fire: datetime | None, outcome: Outcome | None
) -> None:
    for running, paused in product([True, False], repeat=2):
        status = task_status(
            running=running, paused=paused, next_run_time=fire, last_outcome=outcome
        )
        if running or paused:
            assert status == ("running" if running else "paused")
        elif outcome == "failed":
            assert status == "failed"
        else:
            assert status == ("pending" if fire else "completed")
        assert status in TASK_STATUSES


def test_an_execution_that_has_ended_stays_as_it_is() -> None:
    assert MOVES == {
        "queued": ("running", "failed", "cancelled"),
        "running": ("completed", "failed", "cancelled"),
    }
    assert tuple(MOVES) == OPEN
    reached = {one for moves in MOVES.values() for one in moves} | {"queued"}
    assert reached <= set(EXECUTION_STATUSES)
    assert set(EXECUTION_STATUSES) - reached == {"skipped", "missed"}
