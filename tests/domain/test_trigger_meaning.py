"""What the triggers mean away from clock changes: dates, intervals, crons, jitter, equality."""

import json
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from apscheduler.triggers.cron import CronTrigger as APSchedulerCron
from hypothesis import assume, given
from hypothesis import strategies as st

from taskservice.domain.errors import Invalid
from taskservice.domain.trigger import (
    Trigger,
    canonical_trigger,
    jitter_delay,
    parse_trigger,
    upcoming,
)

ANCHOR = datetime(2026, 1, 1, 0, 0, 0, 123456, tzinfo=UTC)
TICK = timedelta(microseconds=1)
moments = st.datetimes(datetime(1970, 1, 2), datetime(9998, 1, 1))  # noqa: DTZ001
moments_in_utc = moments.map(lambda naive: naive.replace(tzinfo=UTC))


def read(trigger_type: str, **args: object) -> Trigger:
    return parse_trigger(trigger_type, args, zone=UTC, anchor=ANCHOR)


def days(trigger: Trigger, after: str, count: int) -> list[str]:
    start = datetime.fromisoformat(after).replace(tzinfo=UTC)
    return [f"{fire:%a %Y-%m-%d}" for fire in upcoming(trigger, start, count)]


def test_what_says_the_same_is_one_trigger() -> None:
    assert read("cron", hour=9) == read("cron", hour=9)
    assert read("interval", hours=1, start_date="2026-01-01") == read(
        "interval", hours=1, start_date="2026-01-01"
    )


def test_what_only_looks_the_same_is_not() -> None:
    assert read("cron", hour=1) == read("cron", hour="1")
    with pytest.raises(Invalid):
        read("cron", hour=True)
    with pytest.raises(Invalid):
        read("cron", hour=1.0)
    with pytest.raises(Invalid):
        read("cron", hour=[1])
    berlin = parse_trigger("cron", {"hour": 1}, zone=ZoneInfo("Europe/Berlin"), anchor=ANCHOR)
    assert berlin != read("cron", hour=1)


def test_what_says_the_same_counts_from_its_own_anchor() -> None:
    later = parse_trigger("interval", {"hours": 1}, zone=UTC, anchor=ANCHOR + timedelta(minutes=1))
    assert read("interval", hours=1).next_fire(ANCHOR) == ANCHOR + timedelta(hours=1)
    assert later.next_fire(ANCHOR) == ANCHOR + timedelta(hours=1, minutes=1)


# Dates


def test_a_date_fires_once() -> None:
    trigger = read("date", run_date="2026-12-01T09:00:00")
    run_date = datetime(2026, 12, 1, 9, tzinfo=UTC)
    assert upcoming(trigger, ANCHOR, 5) == [run_date]
    assert trigger.next_fire(run_date - TICK) == run_date
    assert trigger.next_fire(run_date) is None
    assert trigger.jitter == 0


# Intervals


def test_an_interval_counts_from_its_anchor() -> None:
    trigger = read("interval", minutes=30)
    half_an_hour = timedelta(minutes=30)
    assert trigger.next_fire(ANCHOR - timedelta(days=9)) == ANCHOR + half_an_hour
    assert trigger.next_fire(ANCHOR) == ANCHOR + half_an_hour
    assert upcoming(trigger, ANCHOR, 3) == [ANCHOR + n * half_an_hour for n in (1, 2, 3)]


def test_an_interval_keeps_its_phase_when_it_is_read_again() -> None:
    # APScheduler counts an interval without start_date from when the trigger was built.
    later = ANCHOR + timedelta(days=400, seconds=1)
    assert read("interval", hours=7).next_fire(later) == read("interval", hours=7).next_fire(later)
    fire = read("interval", hours=7).next_fire(later)
    assert fire is not None
    assert (fire - ANCHOR) % timedelta(hours=7) == timedelta()


def test_an_interval_with_start_date_fires_at_it() -> None:
    trigger = read("interval", hours=1, start_date="2026-06-01T00:30")
    start = datetime(2026, 6, 1, 0, 30, tzinfo=UTC)
    assert trigger.next_fire(ANCHOR) == start
    assert trigger.next_fire(start) == start + timedelta(hours=1)


def test_an_end_date_is_the_last_moment_to_fire() -> None:
    window = {"start_date": "2026-06-01T00:00", "end_date": "2026-06-01T02:00"}
    end = datetime(2026, 6, 1, 2, tzinfo=UTC)
    for trigger in (
        read("interval", hours=1, **window),
        read("cron", minute=0, **window),
        read("cron", hour="*", **window),
        read("cron", hour="0-23", **window),
    ):
        assert upcoming(trigger, ANCHOR, 9) == [end - timedelta(hours=n) for n in (2, 1, 0)]
        assert trigger.next_fire(end) is None


def test_an_interval_is_elapsed_time_over_a_clock_change() -> None:
    args = {"days": 1, "start_date": "2026-03-28T12:00"}
    berlin = ZoneInfo("Europe/Berlin")
    trigger = parse_trigger("interval", args, zone=berlin, anchor=ANCHOR)
    fires = upcoming(trigger, ANCHOR, 3)
    assert [fire.astimezone(berlin).hour for fire in fires] == [12, 13, 13]


def test_parts_add_up_and_may_be_fractions() -> None:
    trigger = read("interval", weeks=1, days=1, hours=1, minutes=1, seconds=1.5)
    every = timedelta(weeks=1, days=1, hours=1, minutes=1, seconds=1.5)
    assert trigger.next_fire(ANCHOR) == ANCHOR + every
    tenths = read("interval", seconds=0.1)
    assert upcoming(tenths, ANCHOR, 20)[-1] == ANCHOR + timedelta(seconds=2)
    assert tenths.next_fire(ANCHOR + timedelta(days=10**5)) == ANCHOR + timedelta(
        days=10**5, seconds=0.1
    )


def test_the_longest_interval_ends_with_the_calendar() -> None:
    trigger = read("interval", days=36525)
    assert len(upcoming(trigger, ANCHOR, 1000)) == 79
    assert trigger.next_fire(datetime.max.replace(tzinfo=UTC)) is None


@given(
    st.fixed_dictionaries(
        {"seconds": st.floats(0.1, 1e6) | st.integers(1, 10**6)},
        optional={"days": st.integers(0, 900), "start_date": moments.map(datetime.isoformat)},
    ),
    moments_in_utc,
    st.floats(0, 1),
)
def test_intervals_are_exact(args: dict[str, object], after: datetime, share: float) -> None:
    assume(after.year < 9990)  # beyond, the calendar ends before the fire after the next
    trigger = read("interval", **args)
    fire = trigger.next_fire(after)
    assert fire is not None
    assert after < fire
    assert trigger.next_fire(min(after + (fire - after) * share, fire - TICK)) == fire
    following = trigger.next_fire(fire)
    assert following is not None
    every = timedelta(days=int(str(args.get("days", 0)))) + timedelta(
        seconds=float(str(args["seconds"]))
    )
    assert following - fire == every


# Crons


def test_weekdays_of_a_crontab_are_monday_to_friday() -> None:
    # APScheduler's from_crontab has Tuesday to Saturday here.
    trigger = read("cron", crontab="0 9 * * 1-5")
    assert days(trigger, "2026-11-21", 6) == [
        "Mon 2026-11-23",
        "Tue 2026-11-24",
        "Wed 2026-11-25",
        "Thu 2026-11-26",
        "Fri 2026-11-27",
        "Mon 2026-11-30",
    ]
    theirs = APSchedulerCron.from_crontab("0 9 * * 1-5", UTC)
    assert f"{theirs.get_next_fire_time(None, datetime(2026, 11, 21, tzinfo=UTC)):%a}" == "Sat"


@pytest.mark.parametrize("weekday", ["0", "7", "sun", "SUN", "7-7", "0,7"])
def test_sunday_is_0_and_7_in_a_crontab(weekday: str) -> None:
    trigger = read("cron", crontab=f"0 9 * * {weekday}")
    assert days(trigger, "2026-11-24", 2) == ["Sun 2026-11-29", "Sun 2026-12-06"]


def test_monday_is_0_in_the_cron_fields() -> None:
    assert days(read("cron", day_of_week=0), "2026-11-24", 1) == ["Mon 2026-11-30"]
    assert days(read("cron", day_of_week="6"), "2026-11-24", 1) == ["Sun 2026-11-29"]


@pytest.mark.parametrize(
    ("crontab", "expected"),
    [
        ("0 0 13 * 5", ["Fri 2026-11-27", "Fri 2026-12-04", "Fri 2026-12-11", "Sun 2026-12-13"]),
        ("0 0 13 * *", ["Sun 2026-12-13", "Wed 2027-01-13"]),
        ("0 0 * * 5", ["Fri 2026-11-27", "Fri 2026-12-04"]),
        ("0 0 */2 * 5", ["Fri 2026-11-27", "Fri 2026-12-11"]),  # Debian: `*/2` restricts nothing
        ("0 0 13 * */5", ["Sun 2026-12-13", "Sun 2027-06-13"]),
        ("0 0 30 2 1", ["Mon 2027-02-01", "Mon 2027-02-08"]),
        ("0 0 1 jan-mar/2 *", ["Fri 2027-01-01", "Mon 2027-03-01"]),
        ("@yearly", ["Fri 2027-01-01", "Sat 2028-01-01"]),
        ("@annually", ["Fri 2027-01-01", "Sat 2028-01-01"]),
        ("@monthly", ["Tue 2026-12-01", "Fri 2027-01-01"]),
        ("@weekly", ["Sun 2026-11-29", "Sun 2026-12-06"]),
        ("@daily", ["Wed 2026-11-25", "Thu 2026-11-26"]),
        (" @Midnight ", ["Wed 2026-11-25", "Thu 2026-11-26"]),
    ],
)
def test_days_of_a_crontab(crontab: str, expected: list[str]) -> None:
    trigger = read("cron", crontab=crontab)
    assert days(trigger, "2026-11-24", len(expected)) == expected


def test_times_of_a_crontab() -> None:
    fires = upcoming(read("cron", crontab="\t10-20/5,50  */12 * * *"), ANCHOR, 5)
    assert [f"{fire:%H:%M:%S}" for fire in fires] == [
        "00:10:00",
        "00:15:00",
        "00:20:00",
        "00:50:00",
        "12:10:00",
    ]
    hourly = upcoming(read("cron", crontab="@hourly"), ANCHOR, 2)
    assert [f"{fire:%H:%M}" for fire in hourly] == ["01:00", "02:00"]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"hour": "9", "minute": "0"}, ["2026-11-24T09:00:00", "2026-11-25T09:00:00"]),
        ({"hour": 9}, ["2026-11-24T09:00:00", "2026-11-25T09:00:00"]),
        ({"minute": 30}, ["2026-11-24T00:30:00", "2026-11-24T01:30:00"]),
        ({"second": "*/20"}, ["2026-11-24T00:00:20", "2026-11-24T00:00:40"]),
        ({"minute": 0, "second": "5,50"}, ["2026-11-24T00:00:05", "2026-11-24T00:00:50"]),
        ({"month": 5}, ["2027-05-01T00:00:00", "2028-05-01T00:00:00"]),
        ({"month": "dec", "hour": 23}, ["2026-12-01T23:00:00", "2026-12-02T23:00:00"]),
        ({"day": "last"}, ["2026-11-30T00:00:00", "2026-12-31T00:00:00"]),
        ({"day": " 2nd fri, last sun "}, ["2026-11-29T00:00:00", "2026-12-11T00:00:00"]),
        ({"day_of_week": "sat,sun"}, ["2026-11-28T00:00:00", "2026-11-29T00:00:00"]),
        ({"week": 53}, ["2026-12-28T00:00:00", "2026-12-29T00:00:00"]),
        ({"year": 2028}, ["2028-01-01T00:00:00"]),
        ({"year": 2026, "day": 13}, ["2026-12-13T00:00:00"]),
        ({"month": 2, "day": 29}, ["2028-02-29T00:00:00", "2032-02-29T00:00:00"]),
        ({"month": 2, "day": 29, "day_of_week": "mon"}, ["2044-02-29T00:00:00"]),
        ({"year": "2020-2025"}, []),
        ({"year": 2025, "hour": "*"}, []),
    ],
)
def test_cron_fields(fields: dict[str, object], expected: list[str]) -> None:
    after = datetime(2026, 11, 24, tzinfo=UTC)
    found = upcoming(read("cron", **fields), after, len(expected) or 1)
    assert [fire.isoformat()[:19] for fire in found] == expected


def test_a_cron_begins_at_its_start_date() -> None:
    start = datetime(2030, 5, 5, 9, tzinfo=UTC)
    for hour in ("9", "*/9"):
        exact = read("cron", hour=hour, start_date="2030-05-05T09:00")
        assert exact.next_fire(ANCHOR) == start
        late = read("cron", hour=hour, start_date="2030-05-05T09:00:00.000001")
        assert late.next_fire(ANCHOR) != start
    # An offset of the start_date is not the zone of the fields.
    elsewhere = read("cron", hour=9, start_date="2030-05-05T18:00+09:00")
    assert elsewhere.next_fire(ANCHOR) == start


def test_a_cron_lives_within_the_calendar() -> None:
    for trigger in (read("cron", hour=0), read("cron", hour="*")):
        assert trigger.next_fire(datetime.max.replace(tzinfo=UTC)) is None
        assert trigger.next_fire(datetime(9998, 12, 31, 23, tzinfo=UTC)) is None
        assert trigger.next_fire(datetime(1, 1, 1, tzinfo=UTC)) == datetime(1970, 1, 1, tzinfo=UTC)
    old = read("cron", hour="*", start_date="1000-01-01")
    assert old.next_fire(datetime(1, 1, 1, tzinfo=UTC)) == datetime(1970, 1, 1, tzinfo=UTC)


# Jitter


def test_jitter_is_the_same_for_the_same_fire_and_spread_over_its_range() -> None:
    trigger = read("cron", crontab="* * * * *", jitter=60)
    assert trigger.jitter == 60
    fires = upcoming(trigger, ANCHOR, 500)
    delays = [jitter_delay(trigger, "a", fire) for fire in fires]
    assert delays == [
        jitter_delay(trigger, "a", fire.astimezone(ZoneInfo("Asia/Shanghai"))) for fire in fires
    ]
    assert delays != [jitter_delay(trigger, "b", fire) for fire in fires]
    assert all(0 <= delay <= 60 for delay in delays)
    assert all(any(low <= delay < low + 6 for delay in delays) for low in range(0, 60, 6))


@pytest.mark.parametrize(
    "trigger",
    [
        read("cron", minute="*", jitter=3600, end_date="2026-01-01T02:00:30Z"),
        read("interval", minutes=1, jitter=3600, end_date="2026-01-01T02:00:30Z"),
    ],
)
def test_jitter_starts_nothing_after_the_end(trigger: Trigger) -> None:
    end = datetime(2026, 1, 1, 2, 0, 30, tzinfo=UTC)
    fires = upcoming(trigger, end - timedelta(minutes=90), 200)
    starts = [fire + timedelta(seconds=jitter_delay(trigger, "a", fire)) for fire in fires]
    assert fires and max(starts) <= end
    assert any(
        start - fire > timedelta(minutes=1) for fire, start in zip(fires, starts, strict=True)
    )


def test_no_jitter_is_no_delay() -> None:
    assert jitter_delay(read("cron", hour=9), "a\ud800", ANCHOR) == 0
    assert read("interval", seconds=5, jitter=1.5).jitter == 1.5


# Equality


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (("cron", {"hour": 9}), ("cron", {"hour": "9"})),
        (("cron", {"hour": " 9 "}), ("cron", {"hour": "9"})),
        (("cron", {"hour": 9, "minute": 0}), ("cron", {"minute": "0", "hour": "9"})),
        (("cron", {"day": "2nd  Fri"}), ("cron", {"day": "2nd fri"})),
        (("cron", {"crontab": "0 9 * * MON"}), ("cron", {"crontab": "0  9 * * mon "})),
        (("interval", {"seconds": 60}), ("interval", {"seconds": 60.0})),
    ],
)
def test_equal_triggers(
    first: tuple[str, dict[str, object]], second: tuple[str, dict[str, object]]
) -> None:
    one, other = canonical_trigger(*first), canonical_trigger(*second)
    assert one == other
    assert hash(one) == hash(other)
    assert json.dumps(one) == json.dumps(other)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (("cron", {"hour": 9}), ("cron", {"hour": 10})),
        (("cron", {"hour": 9}), ("cron", {"minute": 9})),
        (("cron", {"hour": 1}), ("cron", {"hour": True})),
        (("cron", {"hour": 9}), ("cron", {"hour": 9.0})),
        (("cron", {"hour": 9}), ("cron", {"hour": 9, "timezone": "Europe/Berlin"})),
        (("cron", {"hour": "*"}), ("cron", {"hour": "0-23"})),
        (("interval", {"seconds": 1}), ("interval", {"seconds": "1"})),
        (("interval", {"seconds": 1}), ("interval", {"seconds": 1.5})),
        (("interval", {"seconds": 0}), ("interval", {"seconds": None})),
        (("interval", {}), ("cron", {})),
        (("date", {"run_date": ["a"]}), ("date", {"run_date": {"a": 1}})),
        (("date", {"run_date": "2026-01-01"}), ("date", {"run_date": ANCHOR.date()})),
        (("interval", {"seconds": 10**5000}), ("interval", {"seconds": 10**5000 + 1})),
    ],
)
def test_different_triggers(
    first: tuple[str, dict[str, object]], second: tuple[str, dict[str, object]]
) -> None:
    assert canonical_trigger(*first) != canonical_trigger(*second)
