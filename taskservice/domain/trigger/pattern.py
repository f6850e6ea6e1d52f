"""Which wall times a cron expression matches. Knows the calendar, nothing of zones.

APScheduler's field classes read the expressions; they are asked once per value, and
the answers kept as bits: bit n of a mask says that n matches. So finding the next
match takes microseconds, and an expression that matches no day is seen to at once.
"""

from calendar import isleap, monthrange
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from typing import Any, NamedTuple, Protocol, cast

from apscheduler.triggers.cron.fields import (
    BaseField,
    DayOfMonthField,
    DayOfWeekField,
    MonthField,
    WeekField,
)

DAY = timedelta(days=1)
EPOCH = date(1970, 1, 1)  # APScheduler's first year
LAST_YEAR = 9998  # so that a zone's offset can't leave datetime's range
CYCLE = 400  # years after which the Gregorian calendar repeats, weekdays included

_CLASSES = {
    "month": MonthField,
    "day": DayOfMonthField,
    "week": WeekField,
    "day_of_week": DayOfWeekField,
}


class CronField(Protocol):
    """What is used of APScheduler's untyped fields."""

    def get_value(self, at: date) -> int: ...
    def get_next_value(self, at: date) -> int | None: ...


@lru_cache(maxsize=1024)
def compile_field(name: str, expression: str) -> CronField:
    """Reads one of APScheduler's cron expressions; a ValueError says what is wrong with it."""
    kind: Any = _CLASSES.get(name, BaseField)
    for part in expression.split(","):
        # APScheduler ignores what follows a name (`mon-fri/2` would be `mon-fri`), and
        # takes the digits of every script.
        known = any(one.value_re.fullmatch(part.strip()) for one in kind.COMPILERS)
        if not known or not part.isascii():
            raise ValueError("it is no expression for this field")
    return cast(CronField, kind(name, expression))


def bits(values: Iterable[int]) -> int:
    """The mask of `values`."""
    return sum(1 << value for value in set(values))


def lowest_bit(mask: int, start: int) -> int | None:
    """The first value of the mask at or after `start`."""
    rest = mask >> start
    return start + (rest & -rest).bit_length() - 1 if rest else None


def matching(name: str, expression: str, at: Iterable[date]) -> set[int]:
    """The values of the field that the expression takes, of those that it has on the dates `at`."""
    field = compile_field(name, expression)
    return {field.get_value(one) for one in at if field.get_next_value(one) == field.get_value(one)}


class Days(NamedTuple):
    """Days of any year, as APScheduler's expressions; all four must match."""

    month: str = "*"
    day: str = "*"
    week: str = "*"
    day_of_week: str = "*"


class DayRule(NamedTuple):
    """Days of some years."""

    days: Days
    year: str = "*"

    def first_day(self, start: date) -> date | None:
        """The first matching day, `start` included; None if there is none."""
        years = compile_field("year", self.year)
        year = years.get_next_value(start)
        for _ in range(CYCLE):
            if year is None or year > LAST_YEAR:
                return None
            first = date(year, 1, 1)
            passed = max((start - first).days, 0)
            found = lowest_bit(_year_mask(self.days, _twin(first)), passed)
            if found is not None:
                return first + found * DAY
            year = years.get_next_value(date(year + 1, 1, 1))
        return None


def _kind_of_year(first: date) -> tuple[int, bool, bool]:
    # The year before decides whether the first days are in week 52 or 53.
    return first.weekday(), isleap(first.year), isleap(first.year - 1)


_TWINS = {_kind_of_year(date(year, 1, 1)): year for year in range(2001, 2029)}


def _twin(first: date) -> int:
    """A year with the same days, weekdays and ISO weeks as the one that begins with `first`."""
    return _TWINS[_kind_of_year(first)]


@lru_cache(maxsize=8192)
def _year_mask(days: Days, year: int) -> int:
    """The matching days of a year: bit 0 is 1 January."""
    monday = date(2001, 1, 1)
    weekdays = matching("day_of_week", days.day_of_week, (monday + n * DAY for n in range(7)))
    long_year = (date.fromisocalendar(2020, week, 1) for week in range(1, 54))
    weeks = matching("week", days.week, long_year)
    found: list[int] = []
    for month in matching("month", days.month, (date(year, month, 1) for month in range(1, 13))):
        first = date(year, month, 1)
        dates = [first + n * DAY for n in range(monthrange(year, month)[1])]
        for day in matching("day", days.day, dates):
            one = dates[day - 1]
            if one.weekday() in weekdays and one.isocalendar().week in weeks:
                found.append((one - date(year, 1, 1)).days)
    return bits(found)


@lru_cache(maxsize=1024)
def _clock_mask(name: str, expression: str) -> int:
    """The matching hours, minutes or seconds."""
    midnight = datetime.combine(EPOCH, time())
    values = range(24 if name == "hour" else 60)
    return bits(matching(name, expression, (midnight + n * _UNITS[name] for n in values)))


_UNITS = {
    "hour": timedelta(hours=1), "minute": timedelta(minutes=1), "second": timedelta(seconds=1),
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """The wall times at any of the hours, minutes and seconds (masks) of a day of any rule."""

    rules: tuple[DayRule, ...]
    hours: int
    minutes: int
    seconds: int
    every_hour: bool  # the hour was written `*` or `*/n`: a fire belongs to no fixed hour

    @property
    def times(self) -> int:
        """How many times a matching day has."""
        return self.hours.bit_count() * self.minutes.bit_count() * self.seconds.bit_count()

    def fires(self) -> bool:
        """False if the calendar has no such day."""
        return self._first_day(EPOCH) is not None

    def first(self, start: datetime) -> datetime | None:
        """The first matching wall time, `start` included; None if there is none."""
        if start.microsecond:
            start = start.replace(microsecond=0) + timedelta(seconds=1)
        today = start.date()
        day = self._first_day(today)
        if day == today:
            moment = self._first_time(start.hour, start.minute, start.second)
            if moment is not None:
                return datetime.combine(day, moment)
            day = self._first_day(today + DAY)
        return None if day is None else datetime.combine(day, self._time())

    def _first_day(self, start: date) -> date | None:
        days = (rule.first_day(start) for rule in self.rules)
        return min((day for day in days if day is not None), default=None)

    def _first_time(self, hour: int, minute: int, second: int) -> time | None:
        if self.hours >> hour & 1:
            if self.minutes >> minute & 1:
                later = lowest_bit(self.seconds, second)
                if later is not None:
                    return time(hour, minute, later)
            later = lowest_bit(self.minutes, minute + 1)
            if later is not None:
                return self._time(hour, later)
        later = lowest_bit(self.hours, hour + 1)
        return None if later is None else self._time(later)

    def _time(self, hour: int | None = None, minute: int | None = None) -> time:
        """The first time of the day, of the hour or of the minute."""
        return time(
            hour if hour is not None else lowest_bit(self.hours, 0) or 0,
            minute if minute is not None else lowest_bit(self.minutes, 0) or 0,
            lowest_bit(self.seconds, 0) or 0,
        )


@lru_cache(maxsize=4096)
def cron_pattern(
    year: str,
    month: str,
    day: str,
    week: str,
    day_of_week: str,
    hour: str,
    minute: str,
    second: str,
) -> Pattern:
    """The pattern of APScheduler's eight fields; a ValueError says what is wrong with one."""
    return Pattern(
        rules=(DayRule(Days(month, day, week, day_of_week), year),),
        hours=_clock_mask("hour", hour),
        minutes=_clock_mask("minute", minute),
        seconds=_clock_mask("second", second),
        every_hour=hour.startswith("*"),
    )
