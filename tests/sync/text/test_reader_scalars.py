"""What an unquoted scalar means: as YAML 1.1 says, but no dates, no octals, no base 60."""

import math

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from taskservice.sync.text.scalars import kind_of, quoted, resolve_plain


@pytest.mark.parametrize("text", ["true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON"])
def test_words_for_true(text: str) -> None:
    assert resolve_plain(text) is True


@pytest.mark.parametrize("text", ["false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF"])
def test_words_for_false(text: str) -> None:
    assert resolve_plain(text) is False


@pytest.mark.parametrize("text", ["", "~", "null", "Null", "NULL"])
def test_words_for_null(text: str) -> None:
    assert resolve_plain(text) is None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("7", 7),
        ("-7", -7),
        ("+7", 7),
        ("9223372036854775807", 2**63 - 1),
        ("-9223372036854775808", -(2**63)),
    ],
)
def test_integers(text: str, value: int) -> None:
    resolved = resolve_plain(text)
    assert type(resolved) is int
    assert resolved == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1.5", 1.5),
        ("-0.25", -0.25),
        ("1.", 1.0),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("1.5e+3", 1500.0),
        ("2E-2", 0.02),
        ("1.7976931348623157e308", 1.7976931348623157e308),
    ],
)
def test_floats(text: str, value: float) -> None:
    resolved = resolve_plain(text)
    assert type(resolved) is float
    assert resolved == value


@pytest.mark.parametrize(
    "text",
    [
        *["05", "010", "-05", "00", "05.5", "0x1F", "0o17", "0b11", "1_000", "1_0.5"],
        *["2026-11-24", "2026-11-24T07:00:00Z", "2026-11-24 07:00:00", "12:30", "1:30:00"],
        *["y", "n", "tRUE", "nil", "None", "e3", ".", "-", "+", "1e", "1.2.3", "٣", "=", "1 2"],
        *["inf", "nan", ".Nan", "12 ", "0 7 * * *"],
    ],
)
def test_everything_else_is_text(text: str) -> None:
    assert resolve_plain(text) == text


@pytest.mark.parametrize(
    "text", [".inf", "-.inf", "+.Inf", ".INF", ".nan", ".NaN", ".NAN", "1e999", "-1.5e400"]
)
def test_numbers_that_are_not_finite_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a finite number"):
        resolve_plain(text)


@pytest.mark.parametrize(
    "text", ["9223372036854775808", "-9223372036854775809", "1" + "0" * 100, "9" * 5000]
)
def test_integers_beyond_64_bits_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="64 bits"):
        resolve_plain(text)


def test_a_long_text_is_cut_in_a_reason() -> None:
    assert quoted("a" * 40) == repr("a" * 40)
    assert quoted("a" * 41) == repr("a" * 40 + "…")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        *[(None, "null"), (True, "a boolean"), (3, "a number"), (0.5, "a number")],
        *[("", "text"), ([], "a list"), ({}, "a mapping")],
    ],
)
def test_kinds_have_words(value: object, words: str) -> None:
    assert kind_of(value) == words


@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**63), 2**63 - 1))
def test_numbers_that_pyyaml_writes_come_back(value: float) -> None:
    written = yaml.safe_dump(value).split("\n")[0]
    resolved = resolve_plain(written)
    assert type(resolved) is type(value)
    assert resolved == value


@given(st.text(alphabet="0123456789+-._eEx:infaINFA~ ", max_size=12))
def test_a_number_is_finite_and_has_64_bits(text: str) -> None:
    try:
        value = resolve_plain(text)
    except ValueError:
        return
    if isinstance(value, int):
        assert -(2**63) <= value < 2**63
    elif isinstance(value, float):
        assert math.isfinite(value)
