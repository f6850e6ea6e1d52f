"""What of values may stand in the audit trail: nothing that looks like a secret, and not too much.

It is told by the name that a value has, or by its own form. Both are guesses: docs/security.md says
how far they go. Each takes time in proportion to what it is given, and no more than a few
milliseconds, however much that is.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date
from functools import lru_cache
from typing import Any

from taskservice.domain.placeholders import Placeholder, pieces
from taskservice.domain.trail import Change, Event

HIDDEN = "***"
CUT = "…"

LONGEST = 4096
"""Bytes of a value, as JSON, that are told."""

LONGEST_ALL = 64 * 1024
"""Bytes of all changes of one event together; what is beyond is counted."""

LONGEST_REASON = 1000
LONGEST_NAME = 300
"""Characters of why something was done; of the names of fields and keys."""

_LOOKED_AT = 64 * 1024
"""About how many characters of one value are looked at: the rest is cut off anyway."""

_OVERHEAD = 6

_MOST_BYTES = 6
"""Bytes that a character has as JSON, at most."""

_SHORTEST_KNOWN = 20
"""Characters of the shortest secret that is known by its form."""

_SECRET = re.compile(
    r"pass(?:word|wd|phrase)|secret|token|api[-_ ]?key|credential|private[-_ ]?key|authorization",
    re.IGNORECASE,
)
# A password stands between the first colon of an authority and its last @, whatever it has.
_URL = re.compile(r"(://[^\s/@:]*+:)[^\s/]*@")
_ASSIGNED = re.compile(
    r"((?:pass(?:word|wd|phrase)|secret|token|api[-_]?key|credential|private[-_]?key)"
    r"[\w-]{0,30}=)[^\s&;\"']+",
    re.IGNORECASE,
)
_KNOWN = re.compile(
    r"\b(?:(?:tsk_|gh[opusr]_|github_pat_|gl(?:pat|dt|rt|cbt|ptt|soat|agent)-|xox[a-z]-|xapp-"
    r"|[rs]k_(?:live|test)_|whsec_|ya29\.|pypi-|dop_v1_|eyJ)[\w.=+/-]{16,}"
    r"|(?:npm_|hf_)[A-Za-z0-9]{30,}|A[KS]IA[A-Z0-9]{16}|AIza[\w-]{30,}|sk-[\w-]{32,}"
    r"|SG\.[\w-]{16,}\.[\w-]{16,})",
    re.ASCII,
)
_KEY_BLOCK = re.compile(r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----")

Hiding = Callable[[str], str]


def redacted(event: Event, hiding: Hiding = str) -> Event:
    """An event as it may be kept; `hiding` takes more out of each text, before anything is cut."""
    changes: list[Change] = []
    room = LONGEST_ALL
    for number, (field, old, new) in enumerate(event.changes):
        is_secret = looks_secret(field)
        was, now = _Reader(hiding), _Reader(hiding)
        name = _short(_text(field), LONGEST_NAME)
        one = Change(name, was.told(old, is_secret), now.told(new, is_secret))
        room -= len(name) + was.size + now.size
        if room < 0:
            changes.append(Change(CUT, None, f"and {len(event.changes) - number:,} more"))
            break
        changes.append(one)
    reason = event.reason and _short(_text(hiding(event.reason)), LONGEST_REASON)
    return replace(event, changes=tuple(changes), reason=reason)


@lru_cache(maxsize=1000)
def looks_secret(name: str) -> bool:
    """Whether what has this name is likely to be a secret."""
    return _SECRET.search(name) is not None


class _Reader:
    """One value while it is read, of which only so much is looked at; `size` is about what it has.

    That is in bytes, as JSON, of what is told of it.
    """

    def __init__(self, hiding: Hiding) -> None:
        self._hiding = hiding
        self._room = _LOOKED_AT
        self.size = 0

    def told(self, value: Any, is_secret: bool) -> Any:
        """The value as it may be told."""
        if value is None:
            return None
        clean = self._clean(value, is_secret)
        self.size = _LOOKED_AT - self._room
        if self.size * _MOST_BYTES <= LONGEST:
            return clean
        text = json.dumps(clean, ensure_ascii=False)
        self.size = len(text.encode())
        if self.size <= LONGEST:
            return clean
        self.size = LONGEST
        text = clean if isinstance(clean, str) else text
        return text.encode()[:LONGEST].decode(errors="ignore") + CUT

    def _clean(self, value: Any, is_secret: bool) -> Any:
        self._room -= _OVERHEAD
        match value:
            case None | bool():
                return value
            case str():
                return self._string(value, is_secret)
            case Mapping():
                return self._mapping(value, is_secret)
            case list() | tuple():
                items: list[Any] = []
                for item in value:
                    if self._room < 0:
                        return [*items, CUT]
                    items.append(self._clean(item, is_secret))
                return items
            case _ if is_secret:
                return HIDDEN
            case int() | float():
                return value
            case date():
                return value.isoformat()
        return CUT

    def _mapping(self, value: Mapping[Any, Any], is_secret: bool) -> dict[str, Any]:
        items = {}
        for key, item in value.items():
            if self._room < 0:
                items[CUT] = CUT
                break
            name = self._string(str(key), False)
            items[_short(name, LONGEST_NAME)] = self._clean(item, is_secret or looks_secret(name))
        return items

    def _string(self, text: str, is_secret: bool) -> str:
        seen = text[: max(self._room, 0)]
        self._room -= len(seen)
        shown = _masked(seen) if is_secret else _text(self._hiding(seen))
        return shown if len(seen) == len(text) else shown + CUT


def _masked(text: str) -> str:
    """A text that is a secret: only placeholders are left of it."""
    return "".join(
        _written(piece, HIDDEN if piece.default else piece.default)
        if isinstance(piece, Placeholder)
        else HIDDEN
        for piece in pieces(text)
        if piece
    )


def _text(text: str) -> str:
    """A text without what in it looks like a secret."""
    if "${" in text:
        parts = list(pieces(text))
        if any(map(_has_secret_default, parts)):
            text = "".join(map(_with_hidden_default, parts))
    if "://" in text:
        text = _URL.sub(rf"\1{HIDDEN}@", text)
    if "=" in text:
        text = _ASSIGNED.sub(rf"\1{HIDDEN}", text)
    if len(text) >= _SHORTEST_KNOWN:
        text = _KNOWN.sub(HIDDEN, text)
        if block := _KEY_BLOCK.search(text):
            text = text[: block.start()] + HIDDEN
    # What no encoding has can't be stored.
    return text if text.isascii() else text.encode(errors="replace").decode()


def _has_secret_default(piece: str | Placeholder) -> bool:
    return isinstance(piece, Placeholder) and bool(piece.default) and looks_secret(piece.name)


def _with_hidden_default(piece: str | Placeholder) -> str:
    if isinstance(piece, str):
        return piece
    return _written(piece, HIDDEN if _has_secret_default(piece) else piece.default)


def _written(piece: Placeholder, default: str | None) -> str:
    return f"${{{piece.name}}}" if default is None else f"${{{piece.name}:-{default}}}"


def _short(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + CUT
