"""What an unquoted scalar of a task file means."""

import math
import re

_NUMBER = re.compile(r"[-+]?(?:(?:0|[1-9][0-9]*)(\.[0-9]*)?|(\.[0-9]+))([eE][-+]?[0-9]+)?")
_WORDS: dict[str, bool | None] = {
    spelling: value
    for words, value in (("true yes on", True), ("false no off", False), ("null", None))
    for word in words.split()
    for spelling in (word, word.title(), word.upper())
} | {"": None, "~": None}
_NOT_FINITE = frozenset(
    f"{sign}{word}" for sign in ("", "+", "-") for word in (".inf", ".Inf", ".INF")
) | {".nan", ".NaN", ".NAN"}


def resolve_plain(text: str) -> str | int | float | bool | None:
    """The value of a scalar without quotes.

    Words are YAML 1.1's (`yes`, `off`, `~`), numbers decimal and without leading zero;
    everything else is text: dates, `12:30`, `05`, `0x1F`, `1_000`. Raises ValueError, with a
    reason for a person, for a number that JSON or 64 bits can't hold.
    """
    if text in _WORDS:
        return _WORDS[text]
    number = _NUMBER.fullmatch(text)
    if number is None and text not in _NOT_FINITE:
        return text
    if number is not None and number.lastindex is None:
        if len(text) > 20 or not -(2**63) <= int(text) < 2**63:
            raise ValueError(f"{quoted(text)} needs more than 64 bits; text goes in quotes")
        return int(text)
    value = math.inf if number is None else float(text)
    if not math.isfinite(value):
        raise ValueError(f"{quoted(text)} is not a finite number; text goes in quotes")
    return value


def kind_of(value: object) -> str:
    """What a value is, in words: `a boolean`, `text`, `a list`."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "text"
    return "a list" if isinstance(value, list) else "a mapping"


def plain_kind(text: str) -> str | None:
    """What an unquoted `text` is if it isn't text; None: it is."""
    try:
        value = resolve_plain(text)
    except ValueError:
        return "a number"
    return None if isinstance(value, str) else kind_of(value)


def quoted(text: str) -> str:
    """The text in quotes, for a reason; a long one is cut."""
    return repr(text if len(text) <= 40 else f"{text[:40]}…")
