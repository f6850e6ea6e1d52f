"""What is refused, where and why; and that nothing else can come of bad input."""

import json
import re
from datetime import UTC, date, datetime
from time import process_time
from typing import Any
from zoneinfo import available_timezones

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from taskservice.domain.errors import Fault, Invalid
from taskservice.domain.trigger import (
    canonical_trigger,
    jitter_delay,
    parse_trigger,
    upcoming,
    zones,
)

ANCHOR = datetime(2026, 1, 1, tzinfo=UTC)
HUGE = 10**5000


def faults(trigger_type: object, trigger_args: object) -> tuple[Fault, ...]:
    with pytest.raises(Invalid) as caught:
        parse_trigger(trigger_type, trigger_args, zone=UTC, anchor=ANCHOR)
    return caught.value.faults


# Type, arguments, the field at fault, and words that its reason holds.
CASES: list[tuple[object, object, str, list[str]]] = [
    ("crn", {}, "trigger_type", ["'crn'", 'did you mean "cron"?', "date, interval, cron"]),
    ("weekly", {}, "trigger_type", ["'weekly' is unknown; allowed are date, interval, cron"]),
    (True, {}, "trigger_type", ["`true` is a boolean"]),
    (None, {}, "trigger_type", ["is null"]),
    ("cron", None, "trigger_args", ["is null; a mapping is expected"]),
    ("cron", "0 9 * * *", "trigger_args", ["'0 9 * * *' is text; a mapping is expected"]),
    # date
    ("date", {}, "trigger_args.run_date", ["is required"]),
    ("date", {"run_date": 5}, "trigger_args.run_date", ["`5` is a whole number; an ISO 8601"]),
    ("date", {"run_date": date(2026, 1, 1)}, "trigger_args.run_date", ["`2026-01-01`", "quote it"]),
    ("date", {"run_date": "tomorrow"}, "trigger_args.run_date", ["'tomorrow' is no ISO 8601 time"]),
    ("date", {"run_date": "2026-02-30"}, "trigger_args.run_date", ["day is out of range"]),
    ("date", {"run_date": "2026-02-03-09:00"}, "trigger_args.run_date", ["no ISO 8601 time"]),
    ("date", {"run_date": "0001-01-01T00:00+14:00"}, "trigger_args.run_date", ["1000 to 9998"]),
    ("date", {"run_date": "0999-01-01"}, "trigger_args.run_date", ["1000 to 9998"]),
    ("date", {"run_date": "2026-01-01", "jitter": 1}, "trigger_args.jitter", ["unknown key"]),
    ("date", {"rundate": "2026-01-01"}, "trigger_args.rundate", ['did you mean "run_date"?']),
    # interval
    ("interval", {}, "trigger_args", ["at least one of weeks, days, hours, minutes, seconds"]),
    ("interval", {"timezone": "UTC"}, "trigger_args", ["at least one of weeks"]),
    ("interval", {"seconds": 0}, "trigger_args", ["0.0 seconds long; from 0.1 seconds"]),
    ("interval", {"seconds": 0.05}, "trigger_args", ["0.05 seconds long"]),
    ("interval", {"hours": -1}, "trigger_args.hours", ["`-1` is out of range; from 0 to 876600"]),
    ("interval", {"hours": HUGE}, "trigger_args.hours", ["the number is out of range"]),
    ("interval", {"weeks": float("nan")}, "trigger_args.weeks", ["out of range"]),
    ("interval", {"weeks": float("inf")}, "trigger_args.weeks", ["out of range"]),
    ("interval", {"days": 36525, "seconds": 1}, "trigger_args", ["to 100 years are allowed"]),
    ("interval", {"seconds": "30"}, "trigger_args.seconds", ["'30' is text; a number, without"]),
    ("interval", {"seconds": True}, "trigger_args.seconds", ["`true` is a boolean (in"]),
    ("interval", {"seconds": None}, "trigger_args.seconds", ["is null; a number is expected"]),
    ("interval", {"seconds": [1]}, "trigger_args.seconds", ["is a list"]),
    ("interval", {"seconds": 5, "minute": 1}, "trigger_args.minute", ['did you mean "minutes"?']),
    ("interval", {"seconds": 5, "jitter": -1}, "trigger_args.jitter", ["`-1` is out of range"]),
    (
        "interval",
        {"seconds": 5, "start_date": "2026-01-02", "end_date": "2026-01-01"},
        "trigger_args.end_date",
        ["lies before start_date"],
    ),
    # cron
    ("cron", {}, "trigger_args", ["at least one of year, month", "or crontab, is required"]),
    ("cron", {"hour": True}, "trigger_args.hour", ["`true` is a boolean", "quote it"]),
    ("cron", {"hour": False}, "trigger_args.hour", ["`false` is a boolean"]),
    ("cron", {"hour": 9.5}, "trigger_args.hour", ["`9.5` is a fraction; a whole number or text"]),
    ("cron", {"hour": {}}, "trigger_args.hour", ["is a mapping"]),
    ("cron", {"hour": {1}}, "trigger_args.hour", ["is a set"]),
    ("cron", {"hour": 24}, "trigger_args.hour", ["'24'", "allowed are 0 to 23"]),
    ("cron", {"hour": -1}, "trigger_args.hour", ["'-1'", "allowed are 0 to 23"]),
    ("cron", {"hour": HUGE}, "trigger_args.hour", ["the number is out of range"]),
    ("cron", {"hour": "9" * 500}, "trigger_args.hour", ["can't be taken"]),
    ("cron", {"hour": "9" * 501}, "trigger_args.hour", ["has 501 characters; at most 500"]),
    ("cron", {"hour": ""}, "trigger_args.hour", ["'' can't be taken"]),
    ("cron", {"hour": "9-5"}, "trigger_args.hour", ["minimum value in a range"]),
    ("cron", {"hour": "1,,2"}, "trigger_args.hour", ["no expression"]),
    ("cron", {"minute": "*/0"}, "trigger_args.minute", ["Increment must be higher than 0"]),
    ("cron", {"minute": "*/60"}, "trigger_args.minute", ["step value (60) is higher"]),
    ("cron", {"day_of_week": 7}, "trigger_args.day_of_week", ["0 to 6 (0 is Monday)"]),
    # APScheduler takes what follows a name for nothing.
    ("cron", {"day_of_week": "mon-fri/2"}, "trigger_args.day_of_week", ["no expression"]),
    ("cron", {"month": "jan1"}, "trigger_args.month", ["no expression"]),
    ("cron", {"day": "lasts"}, "trigger_args.day", ["no expression"]),
    ("cron", {"hour": "٩"}, "trigger_args.hour", ["can't be taken"]),
    ("cron", {"hours": 9}, "trigger_args.hours", ['mean "hour"?', "the keys of a cron are"]),
    ("cron", {"hour": 9, True: 1}, "trigger_args", ["a key `true` is a boolean"]),
    ("cron", {"hour": 9, "x\ud800": 1}, "trigger_args", ["unknown key 'x\\ud800'"]),
    ("cron", {"hour": 9, "x" * 101: 1}, "trigger_args", ["unknown key 'xxx"]),
    ("cron", {"hour": 9, "timezone": "Europe/Berln"}, "trigger_args.timezone", ['"Europe/Berlin']),
    ("cron", {"hour": 9, "timezone": "europe/paris"}, "trigger_args.timezone", ['"Europe/Paris"?']),
    ("cron", {"hour": 9, "timezone": "../UTC\0"}, "trigger_args.timezone", ["no IANA time zone"]),
    ("cron", {"hour": 9, "timezone": "America"}, "trigger_args.timezone", ["no IANA time zone"]),
    ("cron", {"hour": 9, "timezone": 8}, "trigger_args.timezone", ["`8` is a whole number"]),
    ("cron", {"month": 2, "day": 30}, "trigger_args", ["never fires"]),
    ("cron", {"week": 53, "month": "2-11"}, "trigger_args", ["never fires"]),
    ("cron", {"year": "1971-9998/2", "month": 2, "day": 29}, "trigger_args", ["never fires"]),
    ("cron", {"year": 2027, "month": 2, "day": 29}, "trigger_args", ["never fires"]),
    # crontab
    ("cron", {"crontab": "0 9 * *"}, "trigger_args.crontab", ["has 4 fields; five are expected"]),
    ("cron", {"crontab": "0 0 9 * * *"}, "trigger_args.crontab", ["has 6 fields", "for seconds"]),
    ("cron", {"crontab": ""}, "trigger_args.crontab", ["has 0 fields"]),
    ("cron", {"crontab": "@reboot"}, "trigger_args.crontab", ["@reboot is no time"]),
    ("cron", {"crontab": "@dayly"}, "trigger_args.crontab", ["'@dayly' is not known", "@daily"]),
    ("cron", {"crontab": "60 * * * *"}, "trigger_args.crontab", ["minute: '60'", "0 to 59"]),
    ("cron", {"crontab": "0 24 * * *"}, "trigger_args.crontab", ["hour: '24'", "0 to 23"]),
    ("cron", {"crontab": "0 0 0 * *"}, "trigger_args.crontab", ["day of month: '0'", "1 to 31"]),
    ("cron", {"crontab": "0 0 * 13 *"}, "trigger_args.crontab", ["month: '13'", "jan to dec"]),
    ("cron", {"crontab": "0 0 * * 8"}, "trigger_args.crontab", ["weekday: '8'", "sun to sat"]),
    ("cron", {"crontab": "0 mon * * *"}, "trigger_args.crontab", ["hour: 'mon' is not allowed"]),
    ("cron", {"crontab": "0 0 L * *"}, "trigger_args.crontab", ["'L' can't be read"]),
    ("cron", {"crontab": "0 0 * * 5#2"}, "trigger_args.crontab", ["'5#2' can't be read"]),
    ("cron", {"crontab": "0 1~5 * * *"}, "trigger_args.crontab", ["'1~5' can't be read"]),
    ("cron", {"crontab": "5-1 * * * *"}, "trigger_args.crontab", ["minute: '5-1' runs backwards"]),
    ("cron", {"crontab": "0 0 * * fri-sun"}, "trigger_args.crontab", ["Sunday is 7"]),
    ("cron", {"crontab": "*/0 * * * *"}, "trigger_args.crontab", ["has a step of 0"]),
    ("cron", {"crontab": "٩ * * * *"}, "trigger_args.crontab", ["can't be read"]),
    ("cron", {"crontab": True}, "trigger_args.crontab", ["is a boolean", "quote it"]),
    ("cron", {"crontab": "0 0 30 2 *"}, "trigger_args", ["never fires"]),
    ("cron", {"crontab": "@daily", "hour": 9}, "trigger_args.hour", ["beside `crontab`"]),
    ("cron", {"crontab": "@daily", "end_date": "2030-01-01"}, "trigger_args.end_date", ["beside"]),
]


@pytest.mark.parametrize(("trigger_type", "args", "field", "words"), CASES)
def test_one_fault(trigger_type: object, args: object, field: str, words: list[str]) -> None:
    found = [fault for fault in faults(trigger_type, args) if fault.field == field]
    assert found
    assert any(all(word in fault.reason for word in words) for fault in found), found


@pytest.mark.parametrize(
    ("zone", "hint"),
    [
        ("CST", "; it may mean Asia/Shanghai, America/Chicago or America/Havana: name the place"),
        ("cest", "; it may mean Europe/Berlin or Europe/Paris: name the place"),
        ("Asia/Beijing", '; the zone of Beijing is "Asia/Shanghai"'),
        ("Asia/Bejing", '; the zone of Beijing is "Asia/Shanghai"'),
        ("beijing", '; the zone of Beijing is "Asia/Shanghai"'),
        ("America/San Francisco", '; the zone of San_Francisco is "America/Los_Angeles"'),
        ("utc", '; did you mean "UTC"?'),
        ("Berlin", '; did you mean "Europe/Berlin"?'),
        ("Europe/Brelin", '; did you mean "Europe/Berlin"?'),
        ("Asia/Harbim", '; did you mean "Asia/Harbin"?'),
        ("XST", ""),
        ("Mars", ""),
        ("UTC+8", ""),
        ("Asia/Nowhere", ""),
    ],
)
def test_a_zone_that_there_is_not_is_explained(zone: str, hint: str) -> None:
    (fault,) = faults("interval", {"hours": 1, "timezone": zone})
    assert fault.reason == f"{zone!r} is no IANA time zone{hint}"


def test_the_zones_that_hints_name_exist() -> None:
    named = {*zones.CITIES, *re.findall(r"\w+/\w+", " ".join(zones.ABBREVIATIONS.values()))}
    assert named <= available_timezones()
    assert not available_timezones() & {*zones.MEANT, *zones.ABBREVIATIONS}


def test_all_faults_are_told_at_once() -> None:
    args = {"hour": 24, "minute": None, "secnd": 0, "timezone": "Mars", "jitter": "1", "day": 30}
    assert [fault.field for fault in faults("cron", args)] == [
        "trigger_args.secnd",
        "trigger_args.timezone",
        "trigger_args.jitter",
        "trigger_args.hour",
        "trigger_args.minute",
    ]
    assert [fault.field for fault in faults("crn", [])] == ["trigger_type", "trigger_args"]
    both = faults("cron", {"crontab": "60 24 * * *"})
    assert [fault.field for fault in both] == ["trigger_args.crontab"] * 2
    parts = faults("interval", {"seconds": "1", "hours": -1, "end_date": "x", "run_date": "x"})
    assert [fault.field for fault in parts] == [
        "trigger_args.run_date",
        "trigger_args.end_date",
        "trigger_args.hours",
        "trigger_args.seconds",
    ]


def test_many_unknown_keys_are_summed_up() -> None:
    found = faults("cron", {"hour": 9} | {f"key{n}": n for n in range(50_000)})
    assert len(found) == 21
    assert found[-1].reason == "and 49,980 more faults of this kind"


def test_an_interval_of_zero_is_refused_and_not_made_one_second() -> None:
    # APScheduler's IntervalTrigger(seconds=0) is one of one second.
    assert "0.0 seconds" in faults("interval", {"seconds": 0, "minutes": 0.0})[0].reason


@pytest.mark.parametrize(
    "args",
    [
        {"month": 2, "day": 30},
        {"month": "4,6,9,11", "day": 31, "hour": "*", "minute": "*", "second": "*"},
        {"week": 53, "month": "2-11", "hour": "*"},
        {"week": 1, "month": "feb-nov", "day_of_week": "*"},
        {"crontab": "* * 31 4 *"},
    ],
)
def test_what_never_fires_is_seen_at_once(args: dict[str, object]) -> None:
    # APScheduler walks to the year 9999 and then raises; that takes seconds.
    start = process_time()
    assert "never fires" in faults("cron", args)[0].reason
    assert process_time() - start < 0.5


KEYS = (
    "weeks days hours minutes seconds run_date start_date end_date timezone jitter crontab "
    "year month day week day_of_week hour minute second"
).split()
nasty: st.SearchStrategy[Any] = (
    st.sampled_from([HUGE, -HUGE, 10**15, float("nan"), float("inf"), 1e308, 5e-324, 0, -1, True])
    | st.sampled_from(["", "\0", "\ud800", "9" * 10**6, "*" * 10**5, "*/1" * 160, "1," * 249 + "1"])
    | st.sampled_from(["last", "2nd fri", "*/2", "0-0/1", "0 0 29 2 *", "* * * * *", "@daily"])
    | st.sampled_from(["9999-12-31T23:59:59.999999-23:59", "0001-01-01T00:00+23:59", "9998-12-31"])
    | st.sampled_from(["1969-12-31", "10000", "UTC", "Pacific/Apia", "Africa/Monrovia"])
    | st.sampled_from([None, ANCHOR, ANCHOR.date(), b"bytes", object(), ("a",), {1}, [[[[]]]]])
    | st.just({"a": {"b": [{"c": []}]}})
)
values = (
    nasty
    | st.text(max_size=20)
    | st.text("0123456789*/-, @TZ:+lastfrimon", max_size=30)
    | st.integers()
    | st.integers(0, 60)
    | st.floats()
    | st.lists(st.integers(), max_size=2)
)
keys: st.SearchStrategy[object] = (
    st.sampled_from(KEYS) | st.sampled_from(KEYS) | st.text(max_size=9) | st.integers()
)
arguments: st.SearchStrategy[Any] = st.dictionaries(keys, values, max_size=5) | st.builds(
    lambda key, value: {key: value}, st.sampled_from(KEYS), values
)


@settings(max_examples=250, deadline=None)
@given(
    st.sampled_from(["date", "interval", "cron"]) | nasty.filter(lambda one: one != "date"),
    arguments | values,
    st.datetimes(),
)
@example("interval", {"weeks": 5217, "start_date": "9998-12-31"}, datetime(2026, 1, 1))  # noqa: DTZ001
@example("cron", {HUGE: 1, "hour": 9}, datetime(2026, 1, 1))  # noqa: DTZ001
def test_garbage_is_refused_or_taken_and_nothing_else(
    trigger_type: object, args: object, naive: datetime
) -> None:
    if isinstance(trigger_type, str) and isinstance(args, dict):
        form = canonical_trigger(trigger_type, args)
        assert form == canonical_trigger(trigger_type, args) or "nan" in repr(form)
        json.dumps([form, hash(form)])
    try:
        trigger = parse_trigger(trigger_type, args, zone=UTC, anchor=ANCHOR)
    except Invalid as error:
        assert error.faults
        for fault in error.faults:
            assert fault.reason.isprintable()
            assert len(fault.reason) < 600
            assert str(fault.field).split(".")[0] in ("trigger_type", "trigger_args")
            str(fault).encode()
    else:
        after = naive.replace(tzinfo=UTC)
        fires = upcoming(trigger, after, 3)
        assert fires == sorted(set(fires))
        assert all(after < fire for fire in fires)
        assert all(0 <= jitter_delay(trigger, "id", fire) <= trigger.jitter for fire in fires)
