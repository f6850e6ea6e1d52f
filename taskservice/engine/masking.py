"""Keeping what came from the environment out of what people read: a courtesy, and no wall.

A function that encodes a secret, or takes it apart, passes; docs/security.md says so.
"""

import functools
import json
from collections.abc import Iterable

SHORTEST = 4
"""A value of fewer characters is no secret: it would be found everywhere."""

LONGEST = 4096
"""How many characters of a secret are looked for at once; a longer one is masked in parts."""

MASKED = "***"

_LOOKS = 16


class Mask:
    """Replaces secrets by `***`, also where they stand quoted as in JSON or in a `repr`."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self.secrets = frozenset(secrets)
        forms = {form for secret in self.secrets for form in _forms(secret)}
        self._forms = sorted(forms, key=len, reverse=True)
        written = {data for form in forms for data in _written(form)}
        self._written = sorted(written, key=len, reverse=True)

    def __bool__(self) -> bool:
        return bool(self._forms)

    def text(self, text: str) -> str:
        """Return a text with every secret in it replaced."""
        for form in self._forms:
            text = text.replace(form, MASKED)
        return text

    def stream(self, data: bytes) -> tuple[bytes, bytes]:
        """Mask what has come so far of a stream: what can be shown of it, and the rest.

        The rest may be the begin of a secret: give it back in front of what comes next.
        """
        for form in self._written:
            data = data.replace(form, MASKED.encode())
        held = max((_held(data, form) for form in self._written), default=0)
        return data[: len(data) - held], data[len(data) - held :]


NO_MASK = Mask()


def rest(held: bytes) -> bytes:
    """What is shown of the begin of a secret that nothing came after: none of it, if it is long."""
    return held if len(held) < SHORTEST else MASKED.encode()


def _held(data: bytes, form: bytes) -> int:
    """How many bytes at the end of `data` may be the begin of `form`, but for its last byte.

    After some looks in vain it may be more than are.
    """
    at = max(0, len(data) - len(form) + 1)
    for _ in range(_LOOKS):
        at = data.find(form[:SHORTEST], at)
        if at < 0:
            break
        if form.startswith(data[at:]):
            return len(data) - at
        at += 1
    else:
        return len(data) - at
    for length in range(min(SHORTEST, len(form)) - 1, 0, -1):
        if data.endswith(form[:length]):
            return length
    return 0


@functools.lru_cache(maxsize=256)
def _forms(secret: str) -> frozenset[str]:
    """A secret as it stands in texts: as it is, in JSON, in a `repr`, in one within the other."""
    if len(secret) < SHORTEST:
        return frozenset()
    count = -(-len(secret) // LONGEST)
    size = -(-len(secret) // count)
    forms = {secret[at : at + size] for at in range(0, len(secret), size)}
    # What is no UTF-8 comes out of a stream or a column as a question mark, or as U+FFFD.
    forms |= {form.encode("utf-8", "replace").decode() for form in forms}
    forms |= {_bytes(form).decode("utf-8", "replace") for form in forms}
    for _ in range(2):
        forms |= {quoted for form in forms for quoted in _quoted(form)}
    return frozenset(forms)


def _quoted(text: str) -> set[str]:
    return {
        json.dumps(text)[1:-1],
        json.dumps(text, ensure_ascii=False)[1:-1],
        repr(text)[1:-1],
        # In a longer text that has a double quote as well, `repr` escapes the single ones.
        repr('"' + text)[2:-1],
    }


def _written(form: str) -> set[bytes]:
    return {form.encode("utf-8", "replace"), _bytes(form)}


def _bytes(text: str) -> bytes:
    """The bytes that a variable really has; those of another's text as they can be written."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace")
