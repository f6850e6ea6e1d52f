"""What is kept of a long text: some of its begin, more of its end, and between them a mark."""

import codecs
import re

BEGIN_SHARE = 16
"""One part of so many is kept of the begin, the others of the end, where most is told."""

_MARK = re.compile(r"\n\[[0-9]{1,20} bytes left out\]\n")


def left_out(count: int) -> str:
    """The mark that says how many bytes are left out where it stands."""
    return f"\n[{count} bytes left out]\n"


def first_mark(text: str) -> int | None:
    """Where the first mark stands in a text; None where nothing is left out."""
    found = _MARK.search(text)
    return found.start() if found else None


def without_middle(text: str, limit: int) -> str:
    """Return a text whose UTF-8 has at most `limit` bytes, its middle left out where it has more.

    A lone surrogate becomes a question mark.
    """
    data = text.encode("utf-8", "replace")
    if len(data) <= limit:
        return data.decode("utf-8")
    room = limit - len(left_out(len(data)))
    begin = room // BEGIN_SHARE
    end = len(data) - (room - begin)
    return joined(data[:begin], data[end:], end - begin)


def joined(begin: bytes, end: bytes, count: int) -> str:
    """The text that two parts of a longer one make, between which `count` bytes are left out.

    Nothing is shown of a character that was cut in two.
    """
    first, lacking = _decoded(begin)
    if not count:
        return _decoded(begin + end)[0]
    skipped = next((at for at, byte in enumerate(end[:4]) if byte & 0xC0 != 0x80), 0)
    return first + left_out(count + lacking + skipped) + _decoded(end[skipped:])[0]


def _decoded(data: bytes) -> tuple[str, int]:
    """Bytes as text, without a character at the end that is not whole; how many bytes that has."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    return decoder.decode(data), len(decoder.getstate()[0])
