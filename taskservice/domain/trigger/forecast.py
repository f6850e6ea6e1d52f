"""What a trigger comes to over weeks and years, told without going through every fire."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo
from functools import lru_cache
from typing import Literal

from taskservice.domain.trigger.kinds import NEAR, TICK, CronTrigger, IntervalTrigger, Trigger
from taskservice.domain.trigger.pattern import DAY
from taskservice.domain.trigger.wall import change_between, offset, to_instant, to_wall

WEEK = timedelta(days=7)
YEAR = timedelta(days=366)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockChange:
    """A day on which a task fires otherwise than its clock suggests.

    `wall` is the time that it was to fire at, as the clock in its zone shows it: `skipped`, so
    that it fires at once after the gap, or `repeated`, so that it fires the first time only.
    """

    kind: Literal["skipped", "repeated"]
    wall: datetime
    fire: datetime


def runs_in_a_week(trigger: Trigger, now: datetime) -> int:
    """How many fires come in the week from `now` on; for a cron, in its next seven whole days."""
    if isinstance(trigger, IntervalTrigger):
        first = trigger.next_fire(now)
        if first is None:
            return 0
        last = now + WEEK if trigger.end is None else min(now + WEEK, trigger.end)
        return max((last - first) // trigger.every + 1, 0)
    if isinstance(trigger, CronTrigger):
        begin, end = (
            to_instant(datetime.combine(day, time()), trigger.zone)
            for day in (to_wall(now, trigger.zone).date() + n * DAY for n in (1, 8))
        )
        first = trigger.next_fire(begin - TICK)
        return 0 if first is None or first >= end else trigger.count(first, end)[0]
    first = trigger.next_fire(now)
    return int(first is not None and first <= now + WEEK)


def clock_changes(trigger: Trigger, after: datetime) -> list[ClockChange]:
    """The clock changes within a year from `after` on that touch a fire at a fixed hour."""
    if not isinstance(trigger, CronTrigger) or trigger.pattern.every_hour:
        return []
    found = []
    for change, shift in _changes(trigger.zone, to_wall(after, trigger.zone).date()):
        if change <= after:
            continue
        new = to_wall(change, trigger.zone)
        skipped = shift > timedelta(0)
        begin, end = (new - shift, new) if skipped else (new, new - shift)
        wall = trigger.pattern.first(begin)
        if wall is None or wall >= end:
            continue
        fire = to_instant(wall, trigger.zone)
        if trigger.next_fire(fire - TICK) == fire:
            found.append(
                ClockChange(kind="skipped" if skipped else "repeated", wall=wall, fire=fire)
            )
    return found


@lru_cache(maxsize=64)
def _changes(zone: tzinfo, day: date) -> tuple[tuple[datetime, timedelta], ...]:
    """When the clock changes in the year after a day, and by how much it is put forward."""
    found = []
    before = to_instant(datetime.combine(day, time()), zone)
    for _ in range(YEAR // NEAR):
        after = before + NEAR
        shift = offset(after, zone) - offset(before, zone)
        if shift:
            found.append((change_between(before, after, zone), shift))
        before = after
    return tuple(found)
