"""What was due: whole-number arithmetic for intervals, the package cronsim for cron.

Neither APScheduler nor the service's own triggers are asked.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from cronsim import CronSim

from tests.faults.evidence import SECOND

DAY = 86400 * SECOND


class Oracle(Protocol):
    """Counts fires; moments are microseconds since 1970."""

    def count(self, after: int, until: int) -> int:
        """How many fires there are later than `after` and not later than `until`."""

    def has(self, moment: int) -> bool:
        """Whether there is a fire at exactly this moment."""


@dataclass(frozen=True, slots=True)
class Interval:
    """Fires at `start`, and then every so many microseconds."""

    start: int
    every: int

    def count(self, after: int, until: int) -> int:
        """See Oracle."""
        return max(self._up_to(until) - self._up_to(after), 0)

    def has(self, moment: int) -> bool:
        """See Oracle."""
        return moment >= self.start and (moment - self.start) % self.every == 0

    def _up_to(self, moment: int) -> int:
        return max((moment - self.start) // self.every + 1, 0)


@dataclass(frozen=True, slots=True)
class Cron:
    """Fires by a crontab expression in UTC; with six fields the first is the second."""

    expression: str

    def count(self, after: int, until: int) -> int:
        """See Oracle."""
        # Of ten years of minutes cronsim would take minutes itself. Each day is like another.
        days = max((until - after) // DAY - 1, 0) if self.expression.endswith("* * *") else 0
        each = self._count(after, after + DAY) if days else 0
        return days * each + self._count(after + days * DAY, until)

    def _count(self, after: int, until: int) -> int:
        found = 0
        for fire in CronSim(self.expression, _floor(after)):
            if to_moment(fire) > until:
                break
            found += 1
        return found

    def has(self, moment: int) -> bool:
        """See Oracle."""
        return self.count(moment - 1, moment) == 1


@dataclass(frozen=True, slots=True)
class Once:
    """Fires at one moment."""

    moment: int

    def count(self, after: int, until: int) -> int:
        """See Oracle."""
        return int(after < self.moment <= until)

    def has(self, moment: int) -> bool:
        """See Oracle."""
        return moment == self.moment


def _floor(moment: int) -> datetime:
    """The whole second before: cronsim gives what is later, in whole seconds."""
    return datetime.fromtimestamp(moment // SECOND, UTC)


def to_moment(when: datetime) -> int:
    """Microseconds since 1970, without going through a float."""
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    passed = when - datetime(1970, 1, 1, tzinfo=UTC)
    return (passed.days * 86400 + passed.seconds) * SECOND + passed.microseconds
