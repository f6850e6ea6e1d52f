"""Fires a week, and the clock changes that touch a task, against going through every fire."""

from datetime import UTC, datetime, timedelta
from itertools import takewhile
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskservice.domain.trigger import (
    ClockChange,
    clock_changes,
    parse_trigger,
    runs_in_a_week,
    upcoming,
)
from tests.domain.samples import NOW

BERLIN = ZoneInfo("Europe/Berlin")
TICK = timedelta(microseconds=1)


def made(kind: str, **args: Any) -> Any:
    return parse_trigger(kind, args, zone=UTC, anchor=NOW)


@pytest.mark.parametrize(
    ("kind", "args", "runs"),
    [
        ("date", {"run_date": "2026-11-26T00:00:00Z"}, 1),
        ("date", {"run_date": "2026-12-26T00:00:00Z"}, 0),
        ("date", {"run_date": "2025-12-26T00:00:00Z"}, 0),
        ("interval", {"seconds": 1}, 604_800),
        ("interval", {"days": 1}, 7),
        ("interval", {"days": 8}, 0),
        ("interval", {"days": 1, "end_date": "2026-11-27T12:00:00Z"}, 3),
        ("interval", {"days": 1, "end_date": "2026-11-24T12:30:00Z"}, 0),
        ("interval", {"hours": 1, "start_date": "2026-12-01T11:00:00Z"}, 2),
        ("cron", {"second": "*"}, 604_800),
        ("cron", {"crontab": "0 7 * * 1-5"}, 5),
        ("cron", {"crontab": "0 7 1 6 *"}, 0),
        ("cron", {"hour": 9, "end_date": "2026-11-24T12:30:00Z"}, 0),
    ],
)
def test_runs_in_a_week(kind: str, args: dict[str, Any], runs: int) -> None:
    assert runs_in_a_week(made(kind, **args), NOW) == runs


@given(
    st.sampled_from(["0 7 * * *", "*/30 * * * *", "30 1,2 * * 0", "0 */5 * 3,10 *"]),
    st.sampled_from(["UTC", "Europe/Berlin", "Australia/Lord_Howe"]),
    st.integers(0, 2 * 366 * 24),
)
def test_runs_of_a_cron_are_those_of_its_next_seven_days(
    crontab: str, zone: str, hours: int
) -> None:
    trigger = made("cron", crontab=crontab, timezone=zone)
    now = NOW + timedelta(hours=hours)
    fires = takewhile(lambda fire: fire < now + timedelta(days=9), upcoming(trigger, now, 500))
    days = sorted({now.astimezone(ZoneInfo(zone)).date() + timedelta(n) for n in range(1, 8)})
    assert runs_in_a_week(trigger, now) == sum(
        fire.astimezone(ZoneInfo(zone)).date() in days for fire in fires
    )


def test_an_hour_that_the_clock_skips_and_one_that_it_repeats() -> None:
    trigger = made("cron", crontab="30 2 * * *", timezone="Europe/Berlin")
    assert clock_changes(trigger, NOW) == [
        ClockChange(
            kind="skipped",
            wall=datetime.fromisoformat("2027-03-28T02:30"),
            fire=datetime(2027, 3, 28, 3, 0, tzinfo=BERLIN).astimezone(UTC),
        ),
        ClockChange(
            kind="repeated",
            wall=datetime.fromisoformat("2027-10-31T02:30"),
            fire=datetime(2027, 10, 31, 2, 30, tzinfo=BERLIN).astimezone(UTC),
        ),
    ]


@pytest.mark.parametrize(
    ("kind", "args"),
    [
        ("cron", {"crontab": "30 2 * * *"}),  # UTC has no clock changes
        ("cron", {"crontab": "0 9 * * *", "timezone": "Europe/Berlin"}),
        ("cron", {"crontab": "30 * * * *", "timezone": "Europe/Berlin"}),
        ("cron", {"crontab": "30 2 1 6 *", "timezone": "Europe/Berlin"}),
        ("cron", {"hour": 2, "timezone": "Europe/Berlin", "end_date": "2027-01-01T00:00:00Z"}),
        ("interval", {"days": 1, "timezone": "Europe/Berlin"}),
    ],
)
def test_others_fire_as_the_clock_says(kind: str, args: dict[str, Any]) -> None:
    assert clock_changes(made(kind, **args), NOW) == []


def test_a_change_of_today_is_told_until_it_is_over() -> None:
    trigger = made("cron", crontab="30 2 * * *", timezone="Europe/Berlin")
    change = datetime(2027, 3, 28, 1, 0, tzinfo=UTC)
    kinds = [[one.kind for one in clock_changes(trigger, now)] for now in (change - TICK, change)]
    assert kinds == [["skipped", "repeated", "skipped"], ["repeated", "skipped"]]


@given(
    st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]),
    st.integers(0, 23),
    st.integers(0, 59),
)
def test_a_daily_fire_is_elsewhere_on_those_days_alone(zone: str, hour: int, minute: int) -> None:
    trigger = made("cron", hour=hour, minute=minute, timezone=zone)
    told = {one.fire: one for one in clock_changes(trigger, NOW)}
    for fire in upcoming(trigger, NOW, 365):
        local = fire.astimezone(ZoneInfo(zone))
        differs = (local.hour, local.minute) != (hour, minute)
        later = (fire + timedelta(minutes=n) for n in (30, 60))
        again = any(one.astimezone(ZoneInfo(zone)).time() == local.time() for one in later)
        assert (fire in told) == (differs or again)
