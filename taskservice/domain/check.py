"""What checks of values share: how a refusal is told, and what any text or JSON value must be."""

import difflib
import math
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeGuard

from taskservice.domain.errors import Fault
from taskservice.domain.fault_limits import OF_TASK, rest

MAX_DEPTH = 20

JsonSchema = dict[str, Any]
"""A part of a JSON Schema, draft 2020-12."""

# JavaScript takes the byte order mark for a space, Python does not.
NO_SPACE = r"(\S|\uFEFF)"
"""A regular expression, for any language, of one character that is no space."""

_MAX_INT = 2**63
_LINE_BREAKS_AND_CONTROLS = ("Cc", "Zl", "Zp")


class Refused(Exception):
    """What a check says of a value: reasons, each with the part that it is about ("": all).

    `more` counts those that are not told.
    """

    def __init__(
        self, reason: str = "", *, parts: Sequence[tuple[str, str]] = (), more: int = 0
    ) -> None:
        self.parts = parts or [("", reason)]
        self.more = more

    def faults(self, name: str) -> list[Fault]:
        """The same as faults of the field `name`."""
        told = [
            Fault(field=f"{name}.{part}" if part else name, reason=reason)
            for part, reason in self.parts
        ]
        if self.more:
            told.append(Fault(field=name, reason=rest(self.more, "of this kind"), more=self.more))
        return told


def nearest(word: str, known: Iterable[str]) -> str:
    """`; did you mean …?` when a known word is close to `word`, in any case, else nothing."""
    by_lower = {one.lower(): one for one in known}
    close = difflib.get_close_matches(word[:100].lower(), by_lower, n=1)
    return f"; did you mean {by_lower[close[0]]!r}?" if close else ""


def describe(value: object) -> str:
    """What a value is, in the words of somebody who writes YAML or JSON."""
    match value:
        case None:
            return "null"
        case bool():
            return f"the boolean {'true' if value else 'false'} (quote it if it is meant as text)"
        case str():
            return f"the text {value[:40]!r}"
        case int() | float():
            return "a number"
        case list():
            return "a list"
        case Mapping():
            return "a mapping"
    return f"a {type(value).__name__}"


def is_plain(name: object) -> TypeGuard[str]:
    """Whether a key can be shown as a part of a field's name."""
    return isinstance(name, str) and 0 < len(name) <= 100 and name.isprintable()


def has_controls(value: str) -> bool:
    """Whether text holds line breaks or control characters."""
    # str.isprintable alone would also refuse the wide blank of Chinese and joined emoji.
    return not value.isprintable() and any(
        unicodedata.category(one) in _LINE_BREAKS_AND_CONTROLS for one in value
    )


def printable(text: str) -> str:
    """What somebody else wrote, with `?` for all that is no visible character."""
    return "".join(one if one.isprintable() else "?" for one in text)


def refuse_surrogates(value: str) -> None:
    """Refuse text that can't be written in UTF-8."""
    try:
        value.encode()
    except UnicodeEncodeError:
        raise Refused("holds half of a surrogate pair, which is no character") from None


def json_value(value: object, depth: int) -> None:
    """Refuse what JSON can't hold; `depth` is that of the list or mapping around the value."""
    match value:
        case None | bool():
            return
        case str():
            refuse_surrogates(value)
        case int() if not -_MAX_INT <= value < _MAX_INT:
            raise Refused("is a number beyond 64 bits; quote it to pass it as text")
        case float() if not math.isfinite(value):
            raise Refused("is not a finite number")
        case int() | float():
            return
        case list() | Mapping() if depth == MAX_DEPTH:
            raise Refused(f"is nested deeper than {MAX_DEPTH}")
        case list():
            for item in value:
                json_value(item, depth + 1)
        case Mapping():
            for key, item in value.items():
                if not isinstance(key, str):
                    raise Refused(f"has a key that is not text but {describe(key)}")
                refuse_surrogates(key)
                json_value(item, depth + 1)
        case _:
            raise Refused(f"can't be stored as JSON: {describe(value)}")


def check_parts(
    check: Callable[[Any, object], Any], parts: Iterable[tuple[object, object]]
) -> dict[Any, Any]:
    """The parts by key, as `check` takes them; refuses those at fault together."""
    taken: dict[Any, Any] = {}
    refused: list[tuple[str, str]] = []
    more = 0
    for key, item in parts:
        try:
            if not isinstance(key, str):
                raise Refused(f"a key must be text, not {describe(key)}")
            taken[key] = check(key, item)
        except Refused as refusal:
            [(_, reason)] = refusal.parts
            if len(refused) == OF_TASK:
                more += 1
            else:
                refused.append((key, reason) if is_plain(key) else ("", _of_key(key, reason)))
    if refused:
        raise Refused(parts=refused, more=more)
    return taken


def _of_key(key: object, reason: str) -> str:
    return f"the key {key[:40]!r} {reason}" if isinstance(key, str) else reason
