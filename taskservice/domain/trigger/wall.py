"""From a clock on the wall to an instant and back, where clocks are put forward and back.

A wall time is a naive datetime, an instant one in UTC. Zone changes are taken to
fall on whole seconds and never twice within a day, as in all of the zone database.
"""

from datetime import UTC, datetime, timedelta, tzinfo

SECOND = timedelta(seconds=1)


def to_wall(instant: datetime, zone: tzinfo) -> datetime:
    """What the clock in `zone` shows at `instant`."""
    return instant.astimezone(zone).replace(tzinfo=None)


def offset(instant: datetime, zone: tzinfo) -> timedelta:
    """How far the clock in `zone` is ahead of UTC at `instant` (an instant in UTC)."""
    return to_wall(instant, zone) - instant.replace(tzinfo=None)


def to_instant(wall: datetime, zone: tzinfo) -> datetime:
    """When the clock in `zone` first shows `wall`; if it skips it, the first instant after the gap.

    Raises OverflowError within a day of the ends of datetime's range.
    """
    instant = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if to_wall(instant, zone) == wall:
        return instant
    before_gap = wall.replace(tzinfo=zone, fold=1).astimezone(UTC)
    return change_between(before_gap, instant, zone)


def read_instant(text: str, zone: tzinfo) -> datetime:
    """An instant in UTC, from ISO 8601; a time without an offset is one in `zone`.

    Raises ValueError, and OverflowError at the ends of datetime's range.
    """
    moment = datetime.fromisoformat(text)
    return to_instant(moment, zone) if moment.tzinfo is None else moment.astimezone(UTC)


def change_between(before: datetime, after: datetime, zone: tzinfo) -> datetime:
    """The first instant of the offset that `after` has and `before` has not."""
    old = offset(before, zone)
    start = before.replace(microsecond=0)
    low, high = 0, -((start - after) // SECOND)
    while high - low > 1:
        middle = (low + high) // 2
        if offset(start + middle * SECOND, zone) == old:
            low = middle
        else:
            high = middle
    return start + high * SECOND
