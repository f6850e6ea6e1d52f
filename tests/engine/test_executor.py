import json
import math
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskservice.engine.executor import LIMIT, cut, raised, returned
from taskservice.engine.masking import Mask
from tests.engine.sample_tasks import work


class Hostile:
    def __str__(self) -> str:
        raise SystemExit("no")

    __repr__ = __str__


class HostileError(Exception):
    def __str__(self) -> str:
        raise ValueError("no text")


def result(value: object) -> object:
    outcome = returned(value)
    assert outcome.kind == "returned" and outcome.error is None and outcome.result is not None
    assert len(outcome.result.encode()) <= LIMIT
    return json.loads(outcome.result, parse_constant=pytest.fail)


@pytest.mark.parametrize("value", [None, True, 1, 1.5, "é\n", [1, [2]], {"a": {"b": None}}])
def test_a_json_value_stays_as_it_is(value: object) -> None:
    assert result(value) == value


def test_text_is_not_escaped() -> None:
    assert returned("每天").result == '"每天"'


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (date(2026, 11, 24), "2026-11-24"),
        ({"at": date(2026, 11, 24)}, {"at": "2026-11-24"}),
        ((1, 2), [1, 2]),
        (math.nan, "nan"),
        ({"a": [math.inf, (1.0, -math.inf)], math.nan: 1}, {"a": ["inf", [1.0, "-inf"]], "nan": 1}),
        ({(1, 2): 3}, "{(1, 2): 3}"),
        (Hostile(), "<Hostile that can't be shown>"),
        ([Hostile()], "<list that can't be shown>"),
        ("\ud800", "?"),
        ([10**5000], "<list that can't be shown>"),
    ],
)
def test_what_json_has_no_form_for_becomes_text(value: object, shown: object) -> None:
    assert result(value) == shown


def test_a_value_that_contains_itself() -> None:
    value: list[object] = []
    value.append(value)
    assert result(value) == "[[...]]"


@pytest.mark.parametrize("character", ["x", '"', "\x01", "é", "\U0001f600"])
def test_a_long_result_is_cut_and_is_still_json(character: str) -> None:
    shown = result([character * 100_000])
    assert isinstance(shown, str)
    assert shown.startswith('["') and shown.endswith(" [result cut at 60 KiB]")


def test_a_result_of_the_limit_is_not_cut() -> None:
    assert result("x" * (LIMIT - 2)) == "x" * (LIMIT - 2)


@given(st.recursive(st.none() | st.floats() | st.text() | st.dates(), st.lists, max_leaves=5))
def test_every_result_is_json(value: object) -> None:
    result(value)


@given(st.text(), st.integers(10, 40))
def test_cut_keeps_to_the_limit(text: str, limit: int) -> None:
    whole = cut(text, limit, " [cut]")
    assert len(whole.encode()) <= limit
    assert whole == text or whole.endswith(" [cut]")


def error(exception: BaseException) -> str:
    outcome = raised(exception)
    assert outcome.kind == "raised" and outcome.result is None and outcome.error is not None
    assert len(outcome.error.encode()) <= LIMIT
    return outcome.error


def test_an_error_is_its_type_and_message_and_then_its_traceback() -> None:
    try:
        work.fail("no such thing")
    except ValueError as caught:
        lines = error(caught).splitlines()
    assert lines[0] == "ValueError: no such thing"
    assert lines[1] == "Traceback (most recent call last):"
    assert any("in fail" in line for line in lines)
    assert lines[-1] == "ValueError: no such thing"


def test_an_error_without_message_or_traceback() -> None:
    assert error(KeyError()) == "KeyError"
    assert error(SystemExit(3)) == "SystemExit: 3"


def test_an_error_that_can_not_be_shown() -> None:
    assert error(HostileError()) == "HostileError: <HostileError that can't be shown>"


def test_a_traceback_that_can_not_be_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("traceback.format_exception", lambda *_: 1 / 0)
    try:
        work.fail("x")
    except ValueError as caught:
        assert error(caught) == "ValueError: x\n[its traceback can't be shown]"


def test_a_long_error_keeps_its_begin_and_its_end() -> None:
    shown = error(ValueError("x" * 100_000 + "\nthe last line"))
    assert shown.startswith("ValueError: xxx") and shown.endswith("xxx\nthe last line")
    assert " bytes left out]\n" in shown


def test_secrets_are_masked_before_anything_is_cut() -> None:
    secret = "s3\"cr'et"
    mask = Mask({secret})
    for at in range(LIMIT - 60, LIMIT, 7):
        shown = returned(["x" * at + secret + "x" * 100], mask).result or ""
        assert "s3" not in shown and "cr" not in shown
    long = "x" * 3_780 + secret + "x" * 100_000
    for before in ("", "y" * 4, "y" * 20, "y" * 40):
        told = raised(ValueError(before + long), mask).error or ""
        assert "s3" not in told and "cr'et" not in told


class Meta(type):
    def __getattribute__(cls, name: str) -> object:
        raise SystemExit(name)


class Text(str):
    def __format__(self, how: str) -> str:
        raise KeyboardInterrupt

    def __len__(self) -> int:
        raise KeyboardInterrupt


class SpokenError(Exception):
    def __str__(self) -> str:
        return Text("spoken")


class NotedError(Exception):
    @property
    def __notes__(self) -> list[str]:  # type: ignore[override]
        raise KeyboardInterrupt


def test_an_exception_that_raises_when_it_is_looked_at() -> None:
    # Not where pytest, too, would look at it.
    class Nasty(BaseException, metaclass=Meta):
        @property  # type: ignore[misc]
        def __class__(self) -> type:
            raise SystemExit("no class")

        def __str__(self) -> str:
            raise GeneratorExit

    try:
        raise Nasty
    except BaseException as caught:
        text = error(caught)
    name = f"{test_an_exception_that_raises_when_it_is_looked_at.__name__}.<locals>.Nasty"
    assert text.startswith(f"{name}: <{name} that can't be shown>\n")
    assert error(SpokenError()) == "SpokenError: spoken"
    try:
        raise NotedError("there")
    except NotedError as noted:
        text = error(noted)
    assert text == "NotedError: there\n[its traceback can't be shown]"


def test_a_value_that_raises_when_it_is_looked_at() -> None:
    class Nasty(dict[str, int], metaclass=Meta):
        def items(self) -> Any:
            raise GeneratorExit

        __repr__ = items

    assert str(result(Nasty(a=1))).endswith("Nasty that can't be shown>")
