"""Fires in many short spans, against going through every fire."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskservice.domain.trigger import Trigger, count_by_slot, parse_trigger
from tests.domain.samples import NOW

QUARTER = timedelta(minutes=15)
SLOTS = 97


def made(kind: str, zone: Any = UTC, **args: Any) -> Trigger:
    return parse_trigger(kind, args, zone=zone, anchor=NOW - timedelta(seconds=7))


def one_by_one(trigger: Trigger, after: datetime, begin: datetime) -> list[int]:
    counts = [0] * SLOTS
    fire = trigger.next_fire(after)
    while fire is not None and fire < begin + SLOTS * QUARTER:
        counts[(fire - begin) // QUARTER] += 1
        fire = trigger.next_fire(fire)
    return counts


TRIGGERS = [
    ("date", {"run_date": "2026-11-25T01:02:03Z"}),
    ("date", {"run_date": "2020-01-01T00:00:00Z"}),
    ("interval", {"seconds": 10}),
    ("interval", {"seconds": 7, "end_date": "2026-11-24T18:00:00Z"}),
    ("interval", {"seconds": 7, "end_date": "2026-11-24T12:00:01Z"}),
    ("interval", {"minutes": 5, "start_date": "2026-11-25T00:01:00Z"}),
    ("interval", {"minutes": 15}),
    ("interval", {"hours": 5}),
    ("cron", {"crontab": "0 0 * * *"}),
    ("cron", {"crontab": "*/7 * * * 2"}),
    ("cron", {"minute": "*", "second": "5,25,45"}),
    ("cron", {"hour": "13-15", "second": "*/20", "minute": "*"}),
    ("cron", {"crontab": "0 3 1 6 *"}),
    ("cron", {"minute": "*/5", "end_date": "2026-11-24T20:02:00Z"}),
    ("cron", {"minute": "*/5", "start_date": "2026-11-24T20:02:00Z"}),
]


@pytest.mark.parametrize(("kind", "args"), TRIGGERS)
@pytest.mark.parametrize("zone", ["UTC", "Asia/Kathmandu", timezone(timedelta(seconds=20))])
@pytest.mark.parametrize("past", [0, 1, 61_000_001, 725_500_000, 899_999_999])
def test_the_counts_are_those_of_the_fires(
    kind: str, args: dict[str, Any], zone: Any, past: int
) -> None:
    given_zone = {"timezone": zone} if isinstance(zone, str) and kind == "cron" else {}
    trigger = made(kind, zone if not isinstance(zone, str) else UTC, **args, **given_zone)
    begin = datetime(2026, 11, 24, 12, tzinfo=UTC)
    after = begin + timedelta(microseconds=past)
    counts = count_by_slot(trigger, after, begin, QUARTER, SLOTS)
    assert list(counts) == one_by_one(trigger, after, begin)


@given(
    st.sampled_from(["*/10 * * * *", "30 1,2 * * *", "0 */3 * * *", "15 2 * * 0"]),
    st.sampled_from(["Europe/Berlin", "Australia/Lord_Howe"]),
    st.sampled_from([datetime(2026, 3, 28, tzinfo=UTC), datetime(2026, 10, 3, tzinfo=UTC)]),
    st.integers(-100, 200),
    st.integers(0, 899),
)
def test_a_clock_change_counts_as_it_fires(
    crontab: str, zone: str, day: datetime, quarters: int, seconds: int
) -> None:
    trigger = made("cron", crontab=crontab, timezone=zone)
    begin = day + quarters * QUARTER
    after = begin + timedelta(seconds=seconds)
    counts = count_by_slot(trigger, after, begin, QUARTER, SLOTS)
    assert list(counts) == one_by_one(trigger, after, begin)
