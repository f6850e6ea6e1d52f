"""Times as people give them."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from taskservice.domain.errors import Invalid
from taskservice.domain.trigger import parse_trigger
from taskservice.service.moments import parse_moment, parse_until

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
SHANGHAI = ZoneInfo("Asia/Shanghai")


@pytest.mark.parametrize(
    ("text", "until"),
    [
        ("30s", NOW + timedelta(seconds=30)),
        ("90m", NOW + timedelta(minutes=90)),
        ("2h", NOW + timedelta(hours=2)),
        ("3d", NOW + timedelta(days=3)),
        ("2026-11-25", datetime(2026, 11, 24, 16, tzinfo=UTC)),
        ("2026-11-25T08:00:00", datetime(2026, 11, 25, tzinfo=UTC)),
        ("2026-11-25T08:00:00Z", datetime(2026, 11, 25, 8, tzinfo=UTC)),
        # As a query has it that was not escaped: the plus sign is a blank.
        ("2026-11-25T08:00:00 01:00", datetime(2026, 11, 25, 7, tzinfo=UTC)),
    ],
)
def test_an_end_is_a_time_or_a_span(text: str, until: datetime) -> None:
    assert parse_until(text, SHANGHAI, NOW) == until


@pytest.mark.parametrize(
    "text", ["", "soon", "5", "5w", "-1h", "0s", "999999999d", "2026-11-24T11:59:59Z", "0001-01-01"]
)
def test_other_ends_are_refused(text: str) -> None:
    with pytest.raises(Invalid) as refused:
        parse_until(text, SHANGHAI, NOW)
    assert [fault.field for fault in refused.value.faults] == ["until"]


@pytest.mark.parametrize("time", ["2026-03-29T02:30:00", "2026-10-25T02:30:00"])
def test_a_time_that_the_clock_skips_or_repeats_is_read_as_a_trigger_reads_it(time: str) -> None:
    zone = ZoneInfo("Europe/Berlin")
    trigger = parse_trigger("date", {"run_date": time}, zone=zone, anchor=NOW)
    fire = trigger.next_fire(datetime(2026, 1, 1, tzinfo=UTC))
    assert parse_moment(time, "since", zone) == fire
    assert parse_until(time, zone, datetime(2026, 1, 1, tzinfo=UTC)) == fire


def test_a_moment_without_an_offset_is_in_the_zone() -> None:
    assert parse_moment("2026-11-25T08:00", "since", SHANGHAI) == datetime(2026, 11, 25, tzinfo=UTC)
    with pytest.raises(Invalid, match="since: must be a time of ISO 8601"):
        parse_moment("yesterday", "since", SHANGHAI)
