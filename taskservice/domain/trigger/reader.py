"""Reading `trigger_args` key by key, keeping every fault instead of stopping at the first."""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, tzinfo
from difflib import get_close_matches
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

from taskservice.domain.errors import Fault
from taskservice.domain.fault_limits import of_each
from taskservice.domain.trigger.wall import read_instant
from taskservice.domain.trigger.zones import zone_hint

LONGEST_TEXT = 500
FIRST_YEAR, LAST_YEAR = 1000, 9998  # what MySQL's datetime holds, less the zones' offsets
_MOMENT = re.compile(r"(?:\d{4}-?\d\d-?\d\d|\d{4}-?W\d\d(?:-?\d)?)(?:[T ]\d.*)?", re.ASCII)


def described(value: object) -> str:
    """What the value is, in the words of whoever wrote it: the start of a reason."""
    if isinstance(value, bool):
        word = "true" if value else "false"
        return f"`{word}` is a boolean (in YAML on/off/yes/no are booleans)"
    if isinstance(value, int | float):
        shown = f"`{value}` is" if abs(value) < 1e15 else "is"
        return f"{shown} {'a whole number' if isinstance(value, int) else 'a fraction'}"
    if isinstance(value, str):
        return f"{value[:40]!r} is text"
    if isinstance(value, date):
        return f"`{value}` is a date to YAML"
    kinds: dict[type, str] = {Mapping: "a mapping", list: "a list", type(None): "null"}
    names = (name for kind, name in kinds.items() if isinstance(value, kind))
    return f"is {next(names, 'a ' + type(value).__name__)}"


def nearest(word: str, known: Iterable[str]) -> str:
    """`; did you mean "hour"?`, or nothing if no known word is like it."""
    by_lower = {one.lower(): one for one in known}
    close = get_close_matches(word[:50].lower(), by_lower, 1)
    return f'; did you mean "{by_lower[close[0]]}"?' if close else ""


class Reader:
    """The arguments of one trigger, and what is wrong with them. Each method reads a key;
    it returns None if the key is absent or, with a fault kept, can't be taken."""

    def __init__(self, args: Mapping[object, object]) -> None:
        self.args = args
        self.faults: list[Fault] = []

    def fault(self, key: str | None, reason: str) -> None:
        """Keeps a fault of the key; of the arguments as a whole if it is None."""
        self.faults.append(_fault(key, reason))

    def only(self, known: tuple[str, ...], what: str) -> None:
        """Faults every key that is not one of the `known` ones of `what`."""
        allowed = f"the keys of {what} are {', '.join(known)}"

        def fault(key: object) -> Fault:
            if not isinstance(key, str):
                return _fault(None, f"a key {described(key)}; {allowed}")
            if not key.isprintable() or len(key) > 100:
                return _fault(None, f"unknown key {key[:40]!r}; {allowed}")
            return _fault(key, f"unknown key{nearest(key, known)}; {allowed}")

        self.faults += of_each([key for key in self.args if key not in known], fault)

    def text(self, key: str, what: str) -> str | None:
        """Text, `what` it should be, without spaces around it."""
        if key not in self.args:
            return None
        value = self.args[key]
        if not isinstance(value, str):
            remedy = "quote it: " if isinstance(value, bool | date) else ""
            self.fault(key, f"{described(value)}; {remedy}{what} is expected")
            return None
        if len(value) > LONGEST_TEXT:
            self.fault(key, f"has {len(value)} characters; at most {LONGEST_TEXT} are allowed")
            return None
        return value.strip()

    def number(self, key: str, most: int, unit: str) -> int | float | None:
        """A number from 0 to `most`."""
        if key not in self.args:
            return None
        value = self.args[key]
        if isinstance(value, bool) or not isinstance(value, int | float):
            remedy = ", without quotes," if isinstance(value, str) else ""
            self.fault(key, f"{described(value)}; a number{remedy} is expected")
        elif not 0 <= value <= most:  # nor is it for nan
            said = f"`{value}`" if abs(value) < 1e15 else "the number"
            self.fault(key, f"{said} is out of range; from 0 to {most} {unit} are allowed")
        else:
            return value
        return None

    def zone(self, default: tzinfo) -> tzinfo:
        """The time zone that `timezone` names, else the default."""
        name = self.text("timezone", 'the name of a time zone ("Europe/Berlin")')
        if name is None:
            return default
        if name not in _zone_names():
            hint = zone_hint(name, _zone_names())
            self.fault("timezone", f"{name[:40]!r} is no IANA time zone{hint}")
            return default
        return ZoneInfo(name)

    def moment(self, key: str, zone: tzinfo) -> datetime | None:
        """An instant in UTC, from ISO 8601; a time without an offset is one in `zone`."""
        text = self.text(key, 'an ISO 8601 time ("2030-01-31T09:00:00")')
        if text is None:
            return None
        try:
            if not _MOMENT.fullmatch(text):
                raise ValueError("not of that form")
            moment = read_instant(text, zone)
        except ValueError as error:
            self.fault(key, f'{text[:40]!r} is no ISO 8601 time ("2030-01-31T09:00:00"): {error}')
            return None
        except OverflowError:
            moment = datetime.max.replace(tzinfo=UTC)
        if not FIRST_YEAR <= moment.year <= LAST_YEAR:
            self.fault(key, f"{text!r} is not in the years {FIRST_YEAR} to {LAST_YEAR}")
            return None
        return moment


def _fault(key: str | None, reason: str) -> Fault:
    return Fault(field="trigger_args" if key is None else f"trigger_args.{key}", reason=reason)


@lru_cache(maxsize=1)
def _zone_names() -> frozenset[str]:
    return frozenset(available_timezones())
