import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskservice.domain.errors import Fault, Invalid
from taskservice.engine.executor import LIMIT, RESULT_MARK, returned
from taskservice.engine.output import MARK, Output
from taskservice.engine.placeholders import fill, mask

ENVIRON = {"HOST": "db.example", "PORT": "306", "EMPTY": ""}


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("${HOST}", "db.example"),
        ("http://${HOST}:${PORT}/", "http://db.example:306/"),
        ("${HOST:-other}", "db.example"),
        ("${NONE:-other one}", "other one"),
        ("${NONE:-}", ""),
        ("${EMPTY}", ""),
        ("${EMPTY:-other}", "other"),
        ("$${HOST}", "$db.example"),
        ("$HOST $$ ${} ${1} ${A B} ${HOST", "$HOST $$ ${} ${1} ${A B} ${HOST"),
    ],
)
def test_text_is_filled(text: str, filled: str) -> None:
    assert fill({"a": text}, ENVIRON)[0] == {"a": filled}


def test_lists_and_mappings_are_filled_but_not_their_keys() -> None:
    given = {"a": ["${HOST}", {"${HOST}": "${HOST}"}, 1, None, True]}
    filled, _ = fill(given, ENVIRON)
    assert filled == {"a": ["db.example", {"${HOST}": "db.example"}, 1, None, True]}
    assert given["a"][0] == "${HOST}"


def test_what_came_from_the_environment_is_secret_when_it_is_long_enough() -> None:
    _, secrets = fill({"a": "${HOST} ${PORT}", "b": "${NONE:-default}"}, ENVIRON)
    assert secrets == {"db.example"}


def test_every_missing_variable_is_named() -> None:
    with pytest.raises(Invalid) as caught:
        fill({"a": "${ONE}", "b": ["${TWO}"]}, ENVIRON)
    assert caught.value.faults == (
        Fault(field="func_args.a", reason="the environment has no variable ONE"),
        Fault(field="func_args.b", reason="the environment has no variable TWO"),
    )


@given(st.dictionaries(st.text(), st.text().filter(lambda text: "${" not in text)))
def test_arguments_without_placeholders_stay(func_args: dict[str, object]) -> None:
    assert fill(func_args, {}) == (func_args, frozenset())


def test_a_value_is_not_filled_again() -> None:
    assert fill({"a": "${A}"}, {"A": "${B}", "B": "b"})[0] == {"a": "${B}"}


def test_mask() -> None:
    assert mask("the password is hunter2!", frozenset({"hunter2"})) == "the password is ***!"
    assert mask("abcdef abcd", frozenset({"abcd", "abcdef"})) == "*** ***"
    assert mask("nothing", frozenset()) == "nothing"


@given(st.text(min_size=4))
def test_a_secret_is_masked_where_it_is_quoted(secret: str) -> None:
    secret += "\n\"'é"
    for text in (secret, repr(secret), json.dumps(secret), returned(secret).result or ""):
        assert mask(text, frozenset({secret})).strip("\"'") == "***"


@pytest.mark.parametrize("kept", [4, 5, 9])
def test_a_secret_that_was_cut_is_masked(kept: int) -> None:
    output = Output()
    output.add_text("x" * (65536 - kept) + "s3cr3t-key" + "x")
    assert mask(output.text(), frozenset({"s3cr3t-key"})) == "x" * (65536 - kept) + "***" + MARK
    text = "x" * (LIMIT - 1 - len(RESULT_MARK) - 1 - kept) + "s3cr3t-key" + "x" * 100
    result = returned(text).result or ""
    assert "s3cr" not in mask(result, frozenset({"s3cr3t-key"}))


def test_a_mark_without_a_secret_before_it_stays() -> None:
    assert mask("xyz" + MARK, frozenset({"s3cr3t-key"})) == "xyz" + MARK
