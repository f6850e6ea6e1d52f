"""crontab(5): five fields or `@daily` and the like, as Debian's cron reads them."""

import re
from functools import lru_cache
from typing import NamedTuple

from taskservice.domain.errors import Fault, Invalid
from taskservice.domain.trigger.pattern import DayRule, Days, Pattern, bits

MACROS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}


class _Field(NamedTuple):
    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()  # the first means `low`

    def __str__(self) -> str:
        named = f" or {self.names[0]} to {self.names[-1]}" if self.names else ""
        return f"{self.low} to {self.high}{named}"


_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FIELDS = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of month", 1, 31),
    _Field("month", 1, 12, _MONTHS),
    _Field("weekday", 0, 7, _WEEKDAYS),
)
_ITEM = re.compile(
    r"(?:\*|(?P<first>[0-9]{1,3}|[a-z]{3})(?:-(?P<last>[0-9]{1,3}|[a-z]{3}))?)"
    r"(?:/(?P<step>[0-9]{1,3}))?",
    re.IGNORECASE | re.ASCII,
)


@lru_cache(maxsize=4096)
def crontab_pattern(text: str) -> Pattern:
    """Reads a crontab expression.

    With day and weekday both restricted either will do; a field that starts with `*`
    restricts nothing, so `*/2` and a weekday must both match (Debian's cron).

    Raises Invalid, with the field `trigger_args.crontab`.
    """
    words = MACROS.get(text.strip().lower(), text).split()
    if len(words) != 5:
        raise _invalid([_miscount(text, words)])
    values: list[frozenset[int]] = []
    reasons: list[str] = []
    for field, word in zip(_FIELDS, words, strict=True):
        try:
            values.append(_values(field, word))
        except ValueError as error:
            reasons.append(f"{field.name}: {error}")
    if reasons:
        raise _invalid(reasons)

    minutes, hours, days, months, weekdays = values
    month = _expression(months, 12)
    day = _expression(days, 31)
    # Sunday is 0 and 7 to cron, 6 to APScheduler, whose Monday is 0.
    weekday = _expression(frozenset((number - 1) % 7 for number in weekdays), 7)
    if words[2].startswith("*") or words[4].startswith("*"):
        rules: tuple[DayRule, ...] = (DayRule(Days(month, day, "*", weekday)),)
    else:
        rules = (DayRule(Days(month, day)), DayRule(Days(month, "*", "*", weekday)))
    return Pattern(
        rules=rules,
        hours=bits(hours),
        minutes=bits(minutes),
        seconds=bits([0]),
        every_hour=words[1].startswith("*"),
    )


def _invalid(reasons: list[str]) -> Invalid:
    return Invalid([Fault(field="trigger_args.crontab", reason=reason) for reason in reasons])


def _miscount(text: str, words: list[str]) -> str:
    if text.strip().lower() == "@reboot":
        return "@reboot is no time that could be scheduled; give five fields or @daily, say"
    if text.strip().startswith("@"):
        return f"{text.strip()[:40]!r} is not known; the names are {', '.join(MACROS)}"
    return (
        f"has {len(words)} fields; five are expected: "
        "minute, hour, day of month, month, weekday (for seconds or years use the cron fields)"
    )


def _values(field: _Field, word: str) -> frozenset[int]:
    found: set[int] = set()
    for item in word.split(","):
        match = _ITEM.fullmatch(item)
        if match is None:
            raise ValueError(
                f"{item[:40]!r} can't be read; allowed are *, {field}, a range a-b, "
                "steps */n and a-b/n, and lists of these with commas"
            )
        first, last, step = match["first"], match["last"], match["step"]
        low = field.low if first is None else _number(field, first)
        high = field.high if last is None else _number(field, last)
        if first is not None and last is None and step is None:
            high = low
        if high < low:
            hint = " (as the end of a range, Sunday is 7)" if field.names is _WEEKDAYS else ""
            raise ValueError(f"{item!r} runs backwards{hint}")
        if step is not None and int(step) == 0:
            raise ValueError(f"{item!r} has a step of 0; it must be at least 1")
        found.update(range(low, high + 1, int(step or 1)))
    return frozenset(found)


def _number(field: _Field, word: str) -> int:
    if word.lower() in field.names:
        return field.low + field.names.index(word.lower())
    if not word.isdecimal() or not field.low <= int(word) <= field.high:
        raise ValueError(f"{word!r} is not allowed; allowed are {field}")
    return int(word)


def _expression(values: frozenset[int], count: int) -> str:
    return "*" if len(values) == count else ",".join(map(str, sorted(values)))
