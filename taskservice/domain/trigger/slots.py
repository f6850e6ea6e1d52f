"""How many fires a trigger has in each of many short spans, counted without going through all."""

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from functools import lru_cache

from taskservice.domain.trigger.kinds import NEAR, TICK, CronTrigger, IntervalTrigger, Trigger
from taskservice.domain.trigger.pattern import DAY, Pattern
from taskservice.domain.trigger.wall import offset

_MINUTE = timedelta(minutes=1)


def count_by_slot(
    trigger: Trigger, after: datetime, begin: datetime, slot: timedelta, slots: int
) -> Sequence[int]:
    """How many fires come in each of `slots` spans of length `slot`, the first from `begin` on.

    Only fires later than `after` count, which is in the first of them. Both times are in UTC;
    `begin` and `slot` are whole minutes.
    """
    if isinstance(trigger, IntervalTrigger):
        return _of_interval(trigger, after, begin, slot, slots)
    if isinstance(trigger, CronTrigger):
        return _of_cron(trigger, after, begin, slot, slots)
    return _one_by_one(trigger, after, begin, slot, slots)


def _one_by_one(
    trigger: Trigger, after: datetime, begin: datetime, slot: timedelta, slots: int
) -> Sequence[int]:
    counts, end = [0] * slots, begin + slots * slot
    fire = trigger.next_fire(after)
    while fire is not None and fire < end:
        counts[(fire - begin) // slot] += 1
        fire = trigger.next_fire(fire)
    return counts


def _of_interval(
    trigger: IntervalTrigger, after: datetime, begin: datetime, slot: timedelta, slots: int
) -> Sequence[int]:
    if trigger.every >= slot:
        return _one_by_one(trigger, after, begin, slot, slots)
    first = trigger.next_fire(after)
    if first is None:
        return [0] * slots
    total = None if trigger.end is None else (trigger.end - first) // trigger.every + 1
    # In microseconds: whole numbers are several times faster than times.
    every, length = trigger.every // TICK, slot // TICK
    bound = (begin - first) // TICK
    counts, before = [], 0
    for _ in range(slots):
        bound += length
        upto = max(0, -(-bound // every))
        if total is not None:
            upto = min(upto, total)
        counts.append(upto - before)
        before = upto
    return counts


@lru_cache(maxsize=4096)
def _of_cron(
    trigger: CronTrigger, after: datetime, begin: datetime, slot: timedelta, slots: int
) -> Sequence[int]:
    end = begin + slots * slot
    shift = offset(begin, trigger.zone)
    # A clock that was put back a while ago still keeps fires at a fixed hour from repeating.
    steady = all(offset(one, trigger.zone) == shift for one in (begin - NEAR, end))
    if not steady or shift % _MINUTE or trigger.start > after or trigger.end < end:
        return _one_by_one(trigger, after, begin, slot, slots)
    first, wall = (one.replace(tzinfo=None) + shift for one in (after + TICK, begin))
    return _of_pattern(trigger.pattern, first, wall, slot, slots)


@lru_cache(maxsize=4096)
def _of_pattern(
    pattern: Pattern, first: datetime, begin: datetime, slot: timedelta, slots: int
) -> Sequence[int]:
    """The same on the wall and from `first` on, minute by minute."""
    counts = [0] * slots
    length, now = slot // _MINUTE, (first - begin) // _MINUTE
    hours, minutes, each = _bits(pattern.hours), _bits(pattern.minutes), pattern.seconds.bit_count()
    second = first.second + (first.microsecond > 0)
    for day in _days(pattern, begin.date(), (begin + slots * slot).date()):
        midnight = (datetime.combine(day, time()) - begin) // _MINUTE
        for at in (midnight + 60 * hour + minute for hour in hours for minute in minutes):
            if now < at < slots * length:
                counts[at // length] += each
            elif now == at:
                counts[at // length] += (pattern.seconds >> second).bit_count()
    return counts


def _days(pattern: Pattern, start: date, last: date) -> list[date]:
    """The days of a pattern in some days."""
    days = [start + number * DAY for number in range((last - start).days + 1)]
    return [day for day in days if any(rule.first_day(day) == day for rule in pattern.rules)]


@lru_cache(maxsize=1024)
def _bits(mask: int) -> Sequence[int]:
    return [place for place in range(60) if mask >> place & 1]
