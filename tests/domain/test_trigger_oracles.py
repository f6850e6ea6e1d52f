"""Crons against other implementations: cronsim, APScheduler, and counting minute by minute."""

from bisect import bisect_left
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import accumulate, takewhile
from zoneinfo import ZoneInfo

import pytest
from apscheduler.triggers.cron import CronTrigger as APSchedulerCron
from cronsim import CronSim, CronSimError
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from taskservice.domain.errors import Invalid
from taskservice.domain.trigger import Trigger, parse_trigger, upcoming

ANCHOR = datetime(2026, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)

CHANGES = [
    ("Europe/Berlin", "2026-03-29"),
    ("Europe/Berlin", "2026-10-25"),
    ("America/New_York", "2026-03-08"),
    ("America/New_York", "2026-11-01"),
]
HALF_HOUR_CHANGES = [("Australia/Lord_Howe", "2026-04-05"), ("Australia/Lord_Howe", "2026-10-04")]
ODD_CHANGES = [
    ("America/Havana", "2026-03-08"),
    ("Asia/Beirut", "2026-10-25"),
    ("Antarctica/Troll", "2026-10-25"),
    ("Pacific/Apia", "2011-12-30"),
]
ORDINARY = [("Europe/Berlin", "2026-02-28"), ("UTC", "2028-02-29"), ("Asia/Kolkata", "2026-12-31")]


@st.composite
def crontab_items(draw: st.DrawFn, low: int, high: int) -> str:
    first = draw(st.integers(low, high))
    step = draw(st.sampled_from(["", "", "/1", "/2", "/7", "/30"]))
    if first == high or draw(st.booleans()):
        return f"{first}{step}"
    # cronsim reads `a-a/n` as `a/n`, Debian's cron as `a`: such ranges are left out.
    return f"{first}-{draw(st.integers(first + 1, high))}{step}"


def crontab_fields(low: int, high: int) -> st.SearchStrategy[str]:
    stars = st.sampled_from(["*", "*", "*/2", "*/5", "*/30", "*/7"])
    lists = st.lists(crontab_items(low, high), min_size=1, max_size=3).map(",".join)
    return stars | lists


mostly_star = st.just("*") | st.just("*")
crontabs = st.builds(
    "{} {} {} {} {}".format,
    crontab_fields(0, 59),
    crontab_fields(0, 23) | crontab_fields(0, 3),
    mostly_star | crontab_fields(1, 31),
    mostly_star | crontab_fields(1, 12),
    mostly_star | crontab_fields(0, 7),
)


def fixed_hour(crontab: str) -> bool:
    return not crontab.split()[1].startswith("*")


def cron(zone: str, **args: object) -> Trigger:
    return parse_trigger("cron", args, zone=ZoneInfo(zone), anchor=ANCHOR)


def local_midnight(zone: str, day: str) -> datetime:
    return datetime.fromisoformat(day).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


def simulated(crontab: str, start: datetime, end: datetime) -> list[datetime]:
    """cronsim's fires after `start` and before `end`, each instant once."""
    try:
        fires = takewhile(lambda fire: fire < end, CronSim(crontab, start))
        return list(dict.fromkeys(fire.astimezone(UTC) for fire in fires))
    except CronSimError:  # 30 February
        return []


def within(trigger: Trigger, start: datetime, end: datetime) -> list[datetime]:
    found: list[datetime] = []
    while (fire := trigger.next_fire(start)) is not None and fire < end:
        found.append(fire)
        start = fire
    return found


def parsed(zone: str, crontab: str) -> Trigger:
    try:
        return cron(zone, crontab=crontab)
    except Invalid as error:
        assert "never fires" in str(error)
        assert simulated(crontab, ANCHOR, ANCHOR + 400 * DAY) == []
        assume(False)
        raise


@settings(max_examples=100, deadline=None)
@given(
    crontabs,
    st.sampled_from(CHANGES + HALF_HOUR_CHANGES + ORDINARY),
    st.integers(-30 * 3600, 6 * 3600),
)
def test_crontabs_fire_as_in_cronsim(crontab: str, place: tuple[str, str], seconds: int) -> None:
    # cronsim, as Debian, takes a fixed hour with a wildcard minute for a wildcard; we don't.
    assume(not (crontab.startswith("*") and fixed_hour(crontab)))
    # cronsim goes on from the full hour, which a change of half an hour does not reach.
    assume(fixed_hour(crontab) or place not in HALF_HOUR_CHANGES)
    zone, day = place
    start = local_midnight(zone, day) + timedelta(seconds=seconds)
    end = start + 2 * DAY
    trigger = parsed(zone, crontab)
    simulated_fires = simulated(crontab, start.astimezone(ZoneInfo(zone)), end)
    # Started in the second pass of a repeated hour, cronsim gives the first pass's fires too.
    assert within(trigger, start, end) == [fire for fire in simulated_fires if fire > start]


@lru_cache
def minutes_of(zone: str, day: str) -> tuple[list[datetime], list[datetime], list[datetime]]:
    """Three days' minutes in UTC, what the clock showed then, and the latest shown so far."""
    start = local_midnight(zone, day) - DAY
    instants = [start + n * MINUTE for n in range(3 * 24 * 60)]
    walls = [one.astimezone(ZoneInfo(zone)).replace(tzinfo=UTC) for one in instants]
    return instants, walls, list(accumulate(walls, max))


@settings(max_examples=100, deadline=None)
@given(
    crontabs,
    st.sampled_from(CHANGES + HALF_HOUR_CHANGES + ODD_CHANGES + ORDINARY),
    st.integers(0, 2 * 24 * 60),
)
def test_crontabs_fire_as_counted_minute_by_minute(
    crontab: str, place: tuple[str, str], minute: int
) -> None:
    instants, walls, latest = minutes_of(*place)
    trigger = parsed(place[0], crontab)
    matching = simulated(crontab, walls[0] - MINUTE, max(walls) + MINUTE)
    if fixed_hour(crontab):
        # The first minute whose clock shows that time or, behind a gap, a later one.
        expected = sorted({instants[bisect_left(latest, wall)] for wall in matching})
    else:
        wanted = set(matching)
        expected = [one for one, wall in zip(instants, walls, strict=True) if wall in wanted]
    start = instants[minute]
    before = start - timedelta(microseconds=1)
    assert within(trigger, before, instants[-1] + MINUTE) == [x for x in expected if x >= start]


RANGES = {"month": (1, 12), "day": (1, 31), "week": (1, 53), "day_of_week": (0, 6)}
TIMES = {"hour": (0, 23), "minute": (0, 59), "second": (0, 59)}
SPECIAL = {
    "month": ["feb", "Jan-mar", "2", "12"],
    "day": ["last", "2nd fri", "5th mon", "last sun", "29", "31", "30-31"],
    "week": ["1", "52-53", "53"],
    "day_of_week": ["mon", "sat-sun", "MON-FRI"],
    "year": ["*/4", "2026-2030", "2027,2032"],
}


@st.composite
def expressions(draw: st.DrawFn, low: int, high: int) -> str | int:
    first = draw(st.integers(low, high))
    last = draw(st.integers(first, high))
    step = draw(st.integers(1, max(last - first, 1)))
    whole = draw(st.integers(1, high - low))
    stepped = f"{first}-{last}/{step}" if first < last else str(first)
    written: list[str | int] = [first, str(first), f"{first}-{last}", stepped, "*", f"*/{whole}"]
    return draw(st.sampled_from(written))


cron_fields = st.fixed_dictionaries(
    {},
    optional={
        name: expressions(*bounds) | st.sampled_from(SPECIAL.get(name, ["*"]))
        for name, bounds in (RANGES | TIMES).items()
    }
    | {"year": st.sampled_from(SPECIAL["year"])},
)


@settings(max_examples=100, deadline=None)
@given(cron_fields, st.datetimes(datetime(1969, 12, 1), datetime(2110, 1, 1)))  # noqa: DTZ001
def test_cron_fields_fire_as_in_apscheduler(fields: dict[str, str | int], naive: datetime) -> None:
    assume(fields)
    after = naive.replace(tzinfo=UTC)
    end = after + 3 * 366 * DAY
    oracle = APSchedulerCron(**fields, timezone=UTC, end_date=end)
    expected: list[datetime] = []
    now = after + timedelta(microseconds=1)
    while len(expected) < 4 and (fire := oracle.get_next_fire_time(None, now)) is not None:
        expected.append(fire)
        now = fire + timedelta(microseconds=1)
    try:
        trigger = cron("UTC", **fields)
    except Invalid as error:
        assert "never fires" in str(error)
        assert expected == []
    else:
        found = [fire for fire in upcoming(trigger, after, 4) if fire <= end]
        assert found == expected


@pytest.mark.parametrize("week", [1, 52, 53])
@pytest.mark.parametrize("weekday", range(7))
def test_iso_weeks_of_four_centuries(week: int, weekday: int) -> None:
    start = datetime(1999, 12, 31, tzinfo=UTC)
    days = (start + n * DAY for n in range(1, 400 * 366))
    expected = [day for day in days if day.isocalendar().week == week and day.weekday() == weekday]
    trigger = cron("UTC", week=week, day_of_week=weekday)
    assert upcoming(trigger, start, len(expected)) == expected


def anywhere() -> st.SearchStrategy[datetime]:
    return st.datetimes(datetime(2026, 1, 1), datetime(2028, 1, 1)).map(  # noqa: DTZ001
        lambda naive: naive.replace(tzinfo=UTC)
    )


@settings(max_examples=80, deadline=None)
@given(
    crontabs,
    st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Beirut"]),
    anywhere(),
    st.floats(0, 1),
)
def test_nothing_fires_between_a_moment_and_its_next_fire(
    crontab: str, zone: str, after: datetime, share: float
) -> None:
    trigger = parsed(zone, crontab)
    fire = trigger.next_fire(after)
    assert fire is not None
    assert after < fire
    assert fire.tzinfo is UTC
    between = min(after + (fire - after) * share, fire - timedelta(microseconds=1))
    assert trigger.next_fire(between) == fire
    following = trigger.next_fire(fire)
    assert following is not None
    assert fire < following


@settings(max_examples=80, deadline=None)
@given(crontabs, st.lists(anywhere(), min_size=2, max_size=6))
def test_later_moments_have_later_fires(crontab: str, moments: list[datetime]) -> None:
    trigger = parsed("Europe/Berlin", crontab)
    fires = [trigger.next_fire(moment) for moment in sorted(moments)]
    present = [fire for fire in fires if fire is not None]
    assert present == sorted(present)
    assert len(present) == len(fires)
