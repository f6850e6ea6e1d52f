import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskservice.domain.errors import Fault, Invalid
from taskservice.engine.placeholders import fill, is_light, mask_of

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


def test_what_placeholders_anywhere_stand_for_can_be_hidden() -> None:
    mask = mask_of([{"a": ["${HOST}"]}, "${PORT}", None, 5, "${NONE:-default}"], ENVIRON)
    assert mask.text("at db.example:306 by default") == "at ***:306 by default"
    assert not mask_of([{"a": "$HOST"}, object()], ENVIRON)


def test_every_missing_variable_is_named() -> None:
    with pytest.raises(Invalid) as caught:
        fill({"a": "${ONE}", "b": ["${TWO}"]}, ENVIRON)
    assert caught.value.faults == (
        Fault(field="func_args.a", reason="the environment has no variable ONE"),
        Fault(field="func_args.b", reason="the environment has no variable TWO"),
    )


def test_no_more_than_twenty_missing_variables_are_named() -> None:
    with pytest.raises(Invalid) as caught:
        fill({"a": ["${" + "V" * 1000 + f"{number}}}" for number in range(1000)]}, ENVIRON)
    assert len(caught.value.faults) == 21
    assert caught.value.faults[-1].more == 980
    assert len(str(caught.value)) < 5000


def test_what_is_not_allowed_is_not_filled() -> None:
    environ = {**ENVIRON, "TASKSERVICE_API_TOKENS": "ops:admin:secret"}
    for allowed, name in (("HOST*", "PORT"), ("*", "TASKSERVICE_API_TOKENS")):
        with pytest.raises(Invalid, match=f"func_args.a: the variable {name} "):
            fill({"a": f"${{HOST}} ${{{name}}}"}, environ, allowed=[allowed])


def test_the_arguments_of_a_run_go_before_the_tasks_and_read_no_more_variables() -> None:
    own = {"a": "${HOST}", "b": "${PORT}"}
    filled, secrets = fill(own, ENVIRON, given={"b": "${HOST}!", "c": 1})
    assert filled == {"a": "db.example", "b": "db.example!", "c": 1}
    assert secrets == {"db.example"}
    with pytest.raises(Invalid, match=r"func_args.b: a run by hand .* HOST, PORT, not EMPTY"):
        fill(own, ENVIRON, given={"b": "${EMPTY}"})


def test_the_filled_arguments_have_a_limit() -> None:
    text = "${BIG}" * 30_000
    began = time.perf_counter()
    with pytest.raises(Invalid, match=r"func_args.b: the arguments are too long"):
        fill({"a": "x" * 5_000_000, "b": text}, {"BIG": "x" * 100_000})
    assert time.perf_counter() - began < 5
    assert fill({"a": "${A}b"}, {"A": "aa"}, limit=3)[0] == {"a": "aab"}
    with pytest.raises(Invalid, match="too long"):
        fill({"a": "${A}b"}, {"A": "aa"}, limit=2)


def test_arguments_that_are_nested_too_deep() -> None:
    deep: object = "x"
    for _ in range(5000):
        deep = [deep]
    with pytest.raises(Invalid, match=r"func_args.a: is nested deeper than 20"):
        fill({"a": deep}, ENVIRON)


@pytest.mark.parametrize(
    ("func_args", "light"),
    [
        ({}, True),
        ({"a": 1, "b": [None, "$HOME {x}"]}, True),
        ({"a": [{"b": "${A"}]}, False),
        ({"a": "x" * 5000}, False),
        ({"a": ["x" * 1000] * 5}, False),
        ({"a": [1] * 200}, False),
        ({"a": [[1] * 60, {str(number): 1 for number in range(60)}]}, False),
    ],
)
def test_light_arguments(func_args: dict[str, object], light: bool) -> None:
    assert is_light(func_args) is light


@given(st.dictionaries(st.text(), st.text().filter(lambda text: "${" not in text)))
def test_arguments_without_placeholders_stay(func_args: dict[str, object]) -> None:
    assert fill(func_args, {}) == (func_args, frozenset())


def test_a_value_is_not_filled_again() -> None:
    assert fill({"a": "${A}"}, {"A": "${B}", "B": "b"})[0] == {"a": "${B}"}
