"""The ids that a task may have, wherever they come from."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskservice.domain.task_id import id_fault


@pytest.mark.parametrize(
    "task_id", ["a", "morning-notice", "a.b_c", "x" * 36, "早报", "daily:7", "A1", "-", "é" * 36]
)
def test_taken(task_id: str) -> None:
    assert id_fault(task_id) is None


@pytest.mark.parametrize(
    ("task_id", "word"),
    [
        ("", "empty"),
        ("x" * 37, "36"),
        (".hidden", "dot"),
        ("..", "dot"),
        ("a b", "whitespace"),
        ("a\n", "whitespace"),
        ("a\u3000b", "whitespace"),
        ("a/b", "'/'"),
        ("a\\b", "'\\'"),
        ("a?", "'?'"),
        ("a#b", "'#'"),
        ("50%", "'%'"),
        ("a\x00", "U+0000"),
        ("a\u200bb", "U+200B"),
        ("a\ud800", "U+D800"),
    ],
)
def test_refused_with_a_reason(task_id: str, word: str) -> None:
    reason = id_fault(task_id)
    assert reason is not None
    assert word in reason


@given(st.text(max_size=40))
def test_a_taken_id_can_stand_in_a_url_and_in_a_file_name(task_id: str) -> None:
    if id_fault(task_id) is None:
        assert 1 <= len(task_id) <= 36
        assert task_id.isprintable()
        assert not task_id.startswith(".")
        assert not set(task_id) & set("/\\?#% \t\n")
