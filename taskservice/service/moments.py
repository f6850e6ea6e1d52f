"""The present, and times as people give them: ISO 8601, or a span from now."""

import re
from datetime import UTC, datetime, timedelta, tzinfo

from taskservice.domain.errors import Fault, Invalid
from taskservice.domain.trigger import read_instant

_SPAN = re.compile(r"(\d{1,9})([smhd])", re.ASCII)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def now_utc() -> datetime:
    """The present moment."""
    return datetime.now(UTC)


def parse_moment(text: str, field: str, zone: tzinfo) -> datetime:
    """A moment of ISO 8601, in UTC, as a trigger's times are read. Raises `Invalid`."""
    try:
        # In a URL a plus sign stands for a blank.
        return read_instant(text.strip().replace(" ", "+"), zone)
    except (ValueError, OverflowError):
        reason = f"must be a time of ISO 8601 like 2026-01-31T08:00:00Z, not {text[:40]!r}"
        raise Invalid([Fault(field=field, reason=reason)]) from None


def parse_until(text: str, zone: tzinfo, now: datetime) -> datetime:
    """When an override ends: ISO 8601, or a span from now. Raises `Invalid`, also for the past."""
    span = _SPAN.fullmatch(text.strip())
    try:
        if span:
            moment = now + timedelta(**{_UNITS[span[2]]: int(span[1])})
        else:
            moment = parse_moment(text, "until", zone)
    except (Invalid, OverflowError):
        reason = f"must be a time of ISO 8601 or a span like 30s, 90m, 2h or 3d, not {text[:40]!r}"
        raise Invalid([Fault(field="until", reason=reason)]) from None
    if moment <= now:
        raise Invalid([Fault(field="until", reason=f"{moment.isoformat()} is in the past")])
    return moment
