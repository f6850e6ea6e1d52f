"""The triggers themselves: values that answer when a task fires next."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta, tzinfo
from hashlib import blake2b
from typing import Protocol

from taskservice.domain.trigger.pattern import DAY, Pattern
from taskservice.domain.trigger.wall import change_between, offset, to_instant, to_wall

TICK = timedelta(microseconds=1)
NEAR = timedelta(days=1)  # longer than any clock is put back, shorter than any two changes apart
DAWN = datetime(1969, 12, 1, tzinfo=UTC)  # before any cron fire; its first year is 1970
DUSK = datetime(9999, 1, 1, tzinfo=UTC)  # after any cron fire


class Trigger(Protocol):
    """When a task fires. Implementations are immutable and hold no clock."""

    @property
    def jitter(self) -> float:
        """The seconds that a start may be delayed at most; fires themselves are not moved."""

    def next_fire(self, after: datetime) -> datetime | None:
        """The first fire strictly later than `after` (aware), in UTC; None if none is left."""

    def anchored(self, anchor: datetime) -> "Trigger":
        """The trigger of a task whose interval without `start_date` counts from `anchor` (aware).

        Its first fire is one interval later.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class DateTrigger:
    """Fires once."""

    run_date: datetime
    jitter: float = 0.0

    def next_fire(self, after: datetime) -> datetime | None:
        """See Trigger."""
        return self.run_date if self.run_date > after else None

    def anchored(self, anchor: datetime) -> "DateTrigger":
        """See Trigger."""
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class IntervalTrigger:
    """Fires at `base + k * every` for k from `least` on, counted in elapsed time.

    `least` is 0 where `base` is the start that somebody gave, and 1 where it is an anchor.
    """

    base: datetime
    every: timedelta
    least: int
    end: datetime | None = None
    jitter: float = 0.0

    def next_fire(self, after: datetime) -> datetime | None:
        """See Trigger."""
        count = max((after - self.base) // self.every + 1, self.least)
        try:
            fire = self.base + count * self.every
        except OverflowError:
            return None
        return None if self.end is not None and fire > self.end else fire

    def anchored(self, anchor: datetime) -> "IntervalTrigger":
        """See Trigger."""
        return replace(self, base=anchor.astimezone(UTC)) if self.least else self


@dataclass(frozen=True, slots=True, kw_only=True)
class CronTrigger:
    """Fires when the clock in `zone` shows a time of the pattern.

    A fire at a fixed hour that the clock skips comes at once after the gap, one that
    it repeats comes once. With a wildcard hour, every real hour has its fires.
    """

    pattern: Pattern
    zone: tzinfo
    start: datetime = DAWN
    end: datetime = DUSK
    jitter: float = 0.0

    def next_fire(self, after: datetime) -> datetime | None:
        """See Trigger."""
        if after >= self.end:
            return None
        after = max(after, self.start - TICK).astimezone(UTC)
        fire = self._any_hour(after + TICK) if self.pattern.every_hour else self._fixed_hour(after)
        return None if fire is None or fire > self.end else fire

    def anchored(self, anchor: datetime) -> "CronTrigger":
        """See Trigger."""
        return self

    def count(self, first: datetime, before: datetime) -> tuple[int, datetime | None]:
        """Count the fires of whole days, from `first` (a fire) until the day that `before` is in.

        How many they are, and the first fire after them. It takes as long as there are days, not
        fires: a day on which the clock does not change has those of the pattern.
        """
        counted = 0
        fire: datetime | None = first.astimezone(UTC)
        while fire is not None:
            today = to_wall(fire, self.zone).date()
            begin, end = (
                to_instant(datetime.combine(day, time()), self.zone) for day in (today, today + DAY)
            )
            if end > before:
                break
            usual = end - begin == DAY and begin >= self.start and end <= self.end
            if usual and self.next_fire(begin - TICK) == fire:
                counted += self.pattern.times
                fire = self.next_fire(end - TICK)
            else:
                while fire is not None and fire < end:
                    counted += 1
                    fire = self.next_fire(fire)
        return counted, fire

    def _fixed_hour(self, after: datetime) -> datetime | None:
        fire = self._instant(to_wall(after, self.zone) + TICK)
        if fire is None or fire > after:
            return fire
        # `after` is in the second pass of an hour whose fires came in the first.
        change = change_between(fire, after, self.zone)
        return self._instant(to_wall(change - TICK, self.zone) + TICK)

    def _instant(self, wall: datetime) -> datetime | None:
        found = self.pattern.first(wall)
        return None if found is None else to_instant(found, self.zone)

    def _any_hour(self, start: datetime) -> datetime | None:
        """The first fire from `start` on, going from one change of the clock to the next."""
        while True:
            shift = offset(start, self.zone)
            wall = self.pattern.first(start.replace(tzinfo=None) + shift)
            fire = None if wall is None else wall.replace(tzinfo=UTC) - shift
            # A clock put back may show a time of the pattern again, however far the next is.
            near = start + NEAR if fire is None else min(fire, start + NEAR)
            if offset(near, self.zone) != shift:
                start = change_between(start, near, self.zone)
            elif fire is None or fire == near:
                return fire
            else:  # nothing fires until that wall time comes, whatever the clock does meanwhile
                start = max(near, fire - 2 * NEAR)


def upcoming(trigger: Trigger, after: datetime, count: int) -> list[datetime]:
    """The next fires later than `after` (aware), in UTC: at most `count`."""
    fires: list[datetime] = []
    while len(fires) < count and (fire := trigger.next_fire(after)) is not None:
        fires.append(fire)
        after = fire
    return fires


def jitter_delay(trigger: Trigger, task_id: str, fire: datetime) -> float:
    """The seconds, from 0 to the trigger's jitter, by which the task starts after its fire.

    It does not start after the trigger's end. The same for the same task and fire on every replica
    and after a restart.
    """
    text = f"{task_id}\0{fire.astimezone(UTC).isoformat()}"
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    room = trigger.jitter
    if isinstance(trigger, IntervalTrigger | CronTrigger) and trigger.end is not None:
        room = max(min(room, (trigger.end - fire).total_seconds()), 0.0)
    return room * (int.from_bytes(digest) / (2**64 - 1))
