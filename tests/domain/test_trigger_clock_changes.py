"""Crons on the days on which the clock changes, case by case, and their neighbours."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from taskservice.domain.trigger import Trigger, parse_trigger, upcoming

ANCHOR = datetime(2026, 1, 1, tzinfo=UTC)
TICK = timedelta(microseconds=1)

# Zone, from, to (exclusive), and per crontab the fires between them.
CASES: dict[str, tuple[str, str, str, dict[str, str]]] = {
    "Berlin in spring: 02:00 to 03:00 is skipped": (
        "Europe/Berlin",
        "2026-03-29T00:00+01:00",
        "2026-03-29T04:01+02:00",
        {
            "0 0 * * *": "00:00+01",
            "30 1 * * *": "01:30+01",
            "0 2 * * *": "03:00+02",
            "30 2 * * *": "03:00+02",
            "59 2 * * *": "03:00+02",
            "0 3 * * *": "03:00+02",
            "30 3 * * *": "03:30+02",
            "*/30 2 * * *": "03:00+02",
            "*/30 2,3 * * *": "03:00+02 03:30+02",
            "0,30 0-23 * * *": "00:00+01 00:30+01 01:00+01 01:30+01 03:00+02 03:30+02 04:00+02",
            "*/30 * * * *": "00:00+01 00:30+01 01:00+01 01:30+01 03:00+02 03:30+02 04:00+02",
            "0 * * * *": "00:00+01 01:00+01 03:00+02 04:00+02",
            "30 * * * *": "00:30+01 01:30+01 03:30+02",
            "0 */2 * * *": "00:00+01 04:00+02",
        },
    ),
    "Berlin in autumn: 02:00 to 03:00 is repeated": (
        "Europe/Berlin",
        "2026-10-25T00:00+02:00",
        "2026-10-25T04:01+01:00",
        {
            "0 0 * * *": "00:00+02",
            "30 1 * * *": "01:30+02",
            "0 2 * * *": "02:00+02",
            "30 2 * * *": "02:30+02",
            "0 3 * * *": "03:00+01",
            "*/30 2 * * *": "02:00+02 02:30+02",
            "*/30 2,3 * * *": "02:00+02 02:30+02 03:00+01 03:30+01",
            "*/30 * * * *": (
                "00:00+02 00:30+02 01:00+02 01:30+02 02:00+02 02:30+02 02:00+01 02:30+01 03:00+01 "
                "03:30+01 04:00+01"
            ),
            "0 * * * *": "00:00+02 01:00+02 02:00+02 02:00+01 03:00+01 04:00+01",
            "30 * * * *": "00:30+02 01:30+02 02:30+02 02:30+01 03:30+01",
            "0 */2 * * *": "00:00+02 02:00+02 02:00+01 04:00+01",
        },
    ),
    "New York in spring: 02:00 to 03:00 is skipped": (
        "America/New_York",
        "2026-03-08T00:00-05:00",
        "2026-03-08T03:31-04:00",
        {
            "0 0 * * *": "00:00-05",
            "30 1 * * *": "01:30-05",
            "30 2 * * *": "03:00-04",
            "0 3 * * *": "03:00-04",
            "*/30 * * * *": "00:00-05 00:30-05 01:00-05 01:30-05 03:00-04 03:30-04",
            "0 * * * *": "00:00-05 01:00-05 03:00-04",
        },
    ),
    "New York in autumn: 01:00 to 02:00 is repeated": (
        "America/New_York",
        "2026-11-01T00:00-04:00",
        "2026-11-01T02:31-05:00",
        {
            "0 0 * * *": "00:00-04",
            "0 1 * * *": "01:00-04",
            "30 1 * * *": "01:30-04",
            "0 2 * * *": "02:00-05",
            "30 2 * * *": "02:30-05",
            "*/30 * * * *": (
                "00:00-04 00:30-04 01:00-04 01:30-04 01:00-05 01:30-05 02:00-05 02:30-05"
            ),
            "0 * * * *": "00:00-04 01:00-04 01:00-05 02:00-05",
        },
    ),
    "Lord Howe in spring: 02:00 to 02:30 is skipped": (
        "Australia/Lord_Howe",
        "2026-10-04T00:00+10:30",
        "2026-10-04T03:31+11:00",
        {
            "0 0 * * *": "00:00+10:30",
            "0 2 * * *": "02:30+11",
            "15 2 * * *": "02:30+11",
            "30 2 * * *": "02:30+11",
            "45 2 * * *": "02:45+11",
            "*/30 * * * *": (
                "00:00+10:30 00:30+10:30 01:00+10:30 01:30+10:30 02:30+11 03:00+11 03:30+11"
            ),
            "0 * * * *": "00:00+10:30 01:00+10:30 03:00+11",
            "45 * * * *": "00:45+10:30 01:45+10:30 02:45+11",
        },
    ),
    "Lord Howe in autumn: 01:30 to 02:00 is repeated": (
        "Australia/Lord_Howe",
        "2026-04-05T00:00+11:00",
        "2026-04-05T03:01+10:30",
        {
            "0 0 * * *": "00:00+11",
            "15 1 * * *": "01:15+11",
            "30 1 * * *": "01:30+11",
            "45 1 * * *": "01:45+11",
            "0 2 * * *": "02:00+10:30",
            "30 2 * * *": "02:30+10:30",
            "*/30 * * * *": (
                "00:00+11 00:30+11 01:00+11 01:30+11 01:30+10:30 02:00+10:30 02:30+10:30 "
                "03:00+10:30"
            ),
            "0 * * * *": "00:00+11 01:00+11 02:00+10:30 03:00+10:30",
            "45 * * * *": "00:45+11 01:45+11 01:45+10:30 02:45+10:30",
        },
    ),
    "Havana in spring: midnight is skipped": (
        "America/Havana",
        "2026-03-07T23:00-05:00",
        "2026-03-08T01:31-04:00",
        {
            "0 0 * * *": "01:00-04",
            "*/30 * * * *": "23:00-05 23:30-05 01:00-04 01:30-04",
        },
    ),
    "Havana in autumn: midnight is repeated": (
        "America/Havana",
        "2026-10-31T23:00-04:00",
        "2026-11-01T01:01-05:00",
        {
            "0 0 * * *": "00:00-04",
            "30 * * * *": "23:30-04 00:30-04 00:30-05",
        },
    ),
    "Apia in 2011: a whole day is skipped": (
        "Pacific/Apia",
        "2011-12-29T09:00-10:00",
        "2011-12-31T13:00+14:00",
        {
            "0 9 * * *": "09:00-10 00:00+14 09:00+14",
            "0 */12 * * *": "12:00-10 00:00+14 12:00+14",
            "0 */12 31 * *": "00:00+14 12:00+14",
        },
    ),
}
FLAT = [
    pytest.param(zone, start, end, crontab, fires.split(), id=f"{name}: {crontab}")
    for name, (zone, start, end, crontabs) in CASES.items()
    for crontab, fires in crontabs.items()
]


def cron(zone: str, **args: object) -> Trigger:
    return parse_trigger("cron", args, zone=ZoneInfo(zone), anchor=ANCHOR)


def shown(instant: datetime, zone: str) -> str:
    text = instant.astimezone(ZoneInfo(zone)).isoformat("T", "seconds")
    clock, offset = text[11:19].removesuffix(":00"), text[19:].removesuffix(":00")
    return clock + offset


@pytest.mark.parametrize(("zone", "start", "end", "crontab", "fires"), FLAT)
def test_fires_around_a_change(
    zone: str, start: str, end: str, crontab: str, fires: list[str]
) -> None:
    first, last = datetime.fromisoformat(start), datetime.fromisoformat(end)
    found = upcoming(cron(zone, crontab=crontab), first - TICK, len(fires) + 1)
    assert [shown(one, zone) for one in found if one < last] == fires
    assert found[-1] >= last
    assert all(one.tzinfo is UTC for one in found)


@pytest.mark.parametrize("crontab", ["30 * 24 10 *", "30 */23 24 10 *"])
def test_the_clock_is_put_back_to_a_fire_though_the_next_is_a_year_away(crontab: str) -> None:
    # In Beirut midnight at the end of 24 October 2026 is 23:00 again.
    zone = "Asia/Beirut"
    first = datetime.fromisoformat("2026-10-24T23:30+03:00")
    again, next_year = upcoming(cron(zone, crontab=crontab), first, 2)
    assert shown(again, zone) == "23:30+02"
    assert next_year == datetime.fromisoformat("2027-10-24T00:30+03:00")


def test_the_clock_is_put_back_to_a_fire_though_none_follows() -> None:
    zone = "Asia/Beirut"
    trigger = cron(zone, year=2026, month=10, day=24, hour="*", minute=30)
    first = datetime.fromisoformat("2026-10-24T23:30+03:00")
    assert [shown(one, zone) for one in upcoming(trigger, first, 5)] == ["23:30+02"]


def test_a_wildcard_hour_on_a_far_day_beyond_changes() -> None:
    trigger = cron("Europe/Berlin", crontab="* * 1 7 *")
    after = datetime(2026, 11, 24, tzinfo=UTC)
    assert shown(upcoming(trigger, after, 1)[0], "Europe/Berlin") == "00:00+02"
    assert trigger.next_fire(after) == datetime(2027, 6, 30, 22, 0, tzinfo=UTC)


def test_after_may_lie_anywhere_within_a_second_and_in_any_zone() -> None:
    trigger = cron("Europe/Berlin", crontab="30 2 * * *")
    end_of_gap = datetime(2026, 3, 29, 1, 0, tzinfo=UTC)
    assert trigger.next_fire(end_of_gap - TICK) == end_of_gap
    assert trigger.next_fire(end_of_gap) == datetime(2026, 3, 30, 0, 30, tzinfo=UTC)
    second_pass = datetime.fromisoformat("2026-10-25T02:10:00.000001+01:00")
    assert trigger.next_fire(second_pass) == datetime(2026, 10, 26, 1, 30, tzinfo=UTC)
    both = cron("Europe/Berlin", crontab="0,30 2,3 * * *")
    assert both.next_fire(second_pass) == datetime(2026, 10, 25, 2, 0, tzinfo=UTC)


def test_every_second_of_a_fixed_hour_runs_in_its_first_pass_only() -> None:
    trigger = cron("Europe/Berlin", hour=2, minute="*", second="*")
    last = datetime.fromisoformat("2026-10-25T02:59:59+02:00")
    assert trigger.next_fire(last - timedelta(seconds=1)) == last
    assert trigger.next_fire(last) == datetime.fromisoformat("2026-10-26T02:00:00+01:00")


def test_a_minute_alone_has_a_wildcard_hour() -> None:
    fires = upcoming(
        cron("Europe/Berlin", minute=30), datetime.fromisoformat("2026-10-25T02:00+02:00"), 3
    )
    assert [shown(one, "Europe/Berlin") for one in fires] == ["02:30+02", "02:30+01", "03:30+01"]


def test_a_zone_of_its_own_wins() -> None:
    trigger = cron("Europe/Berlin", hour=9, timezone="Asia/Shanghai")
    assert trigger.next_fire(ANCHOR) == datetime(2026, 1, 1, 1, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-03-29T02:30", "2026-03-29T01:00:00+00:00"),  # skipped: the end of the gap
        ("2026-03-29T02:30:00.25", "2026-03-29T01:00:00+00:00"),
        ("2026-10-25T02:30", "2026-10-25T00:30:00+00:00"),  # repeated: the first
        ("2026-10-25T02:30+01:00", "2026-10-25T01:30:00+00:00"),
        ("2026-10-25T02:30Z", "2026-10-25T02:30:00+00:00"),
        ("2026-07-01 02:30:00.000001", "2026-07-01T00:30:00.000001+00:00"),
        ("2026-07-01", "2026-06-30T22:00:00+00:00"),
        ("20260701T0230", "2026-07-01T00:30:00+00:00"),
        ("2026-W27-3", "2026-06-30T22:00:00+00:00"),
    ],
)
def test_times_without_an_offset_are_of_the_zone(text: str, expected: str) -> None:
    args = {"run_date": text}
    trigger = parse_trigger("date", args, zone=ZoneInfo("Europe/Berlin"), anchor=ANCHOR)
    fire = trigger.next_fire(ANCHOR)
    assert fire is not None
    assert fire.isoformat() == expected
