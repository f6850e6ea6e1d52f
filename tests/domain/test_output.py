"""What is kept of a long text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskservice.domain.output import first_mark, joined, left_out, without_middle


@given(st.text(), st.integers(40, 80))
def test_without_middle_keeps_to_the_limit(text: str, limit: int) -> None:
    shown = without_middle(text, limit)
    assert len(shown.encode()) <= limit
    assert shown == text or (first_mark(shown) is not None and shown[-4:] == text[-4:])


def test_a_lone_surrogate_is_no_text() -> None:
    assert without_middle("a\ud800b", 10) == "a?b"


def test_a_long_text_loses_its_middle() -> None:
    shown = without_middle("abcd" + "x" * 1000 + "the end", 100)
    assert shown == "abcd" + left_out(934) + "x" * 66 + "the end"


@pytest.mark.parametrize(
    ("begin", "end", "count", "shown"),
    [
        (b"a", b"b", 0, "ab"),
        (b"a\xc3", b"\xa9b", 0, "aéb"),
        (b"a\xc3", b"\xa9b", 5, "a" + left_out(7) + "b"),
        (b"a\xff", b"\xffb\xc3", 1, "a\ufffd" + left_out(1) + "\ufffdb"),
        (b"", b"\x80\x80\x80\x80\x80", 1, left_out(1) + "\ufffd" * 5),
        (b"", b"", 1, left_out(1)),
    ],
)
def test_two_parts_joined(begin: bytes, end: bytes, count: int, shown: str) -> None:
    assert joined(begin, end, count) == shown


def test_the_first_mark() -> None:
    assert first_mark("none [7 bytes left out]") is None
    assert first_mark("ab" + left_out(7) + left_out(8)) == 2
