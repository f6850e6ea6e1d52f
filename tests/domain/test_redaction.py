"""What looks like a secret is not told, nor what is too large."""

import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskservice.domain.redaction import CUT, HIDDEN, LONGEST, LONGEST_ALL, looks_secret, redacted
from taskservice.domain.trail import Change, Event


def event(*changes: Change, reason: str | None = None) -> Event:
    return Event(action="changed", task_id="t", by="ann", via="api", reason=reason, changes=changes)


def told(field: str, value: Any, **more: Any) -> Any:
    """A value as it is told as the new one of a field."""
    [change] = redacted(event(Change(field, None, value)), **more).changes
    assert (change.field, change.old) == (field, None)
    return change.new


@pytest.mark.parametrize(
    "name",
    [
        *("password", "func_args.DB_PASSWORD", "passwd", "client-secret", "Token", "api_key"),
        *("apiKey", "func_args.api-key", "credentials", "PRIVATE_KEY", "Authorization"),
        "passphrase",
    ],
)
def test_names_of_secrets(name: str) -> None:
    assert looks_secret(name)
    assert told(name, "hunter2") == told(name, 4711) == told(name, 1.5) == HIDDEN
    assert told(name, ["a", {"b": "c"}]) == [HIDDEN, {"b": HIDDEN}]
    assert told("func_args.deep", {"x": [{name: "hunter2"}]}) == {"x": [{name: HIDDEN}]}
    # That there is none may be told.
    assert [told(name, one) for one in (None, True, "")] == [None, True, ""]


@pytest.mark.parametrize("name", ["name", "description", "func_args.keyboard", "tags", "pass"])
def test_other_names(name: str) -> None:
    assert not looks_secret(name)
    assert told(name, "hunter2") == "hunter2"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("mysql://ann:s3cret@db/reports", "mysql://ann:***@db/reports"),
        ("redis://:s3c@ret@db and https://a.b/c", "redis://:***@db and https://a.b/c"),
        ("https://a.b:80/c?d=e@f", "https://a.b:80/c?d=e@f"),
        ("https://a.b/c?token=s3cret&d=e", "https://a.b/c?token=***&d=e"),
        ("PASSWORD='x' API_KEY=s3cret; y=1", "PASSWORD='x' API_KEY=***; y=1"),
        ("a tsk_0123456789abcdefgh b", "a *** b"),
        ("ghp_0123456789abcdefghij", "***"),
        ("glpat-0123456789abcdefghij", "***"),
        ("global-configuration-of-reports", "global-configuration-of-reports"),
        ("AKIA0123456789ABCDEF", "***"),
        ("sk-0123456789abcdefghijABCDEFGHIJKLMN", "***"),
        ("sk-sales-report-weekly", "sk-sales-report-weekly"),
        ("Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.abc", "Bearer ***"),
        ("x\n-----BEGIN RSA PRIVATE KEY-----\nMIIE", "x\n***"),
        ("中文 \ud800", "中文 ?"),
    ],
)
def test_texts_that_have_secrets(text: str, shown: str) -> None:
    assert told("description", text) == shown
    assert told("func_args.a", {"b": [text]}) == {"b": [shown]}
    assert redacted(event(reason=text)).reason == shown


@pytest.mark.parametrize(
    ("text", "secret", "plain"),
    [
        ("${DB_PASSWORD}", "${DB_PASSWORD}", "${DB_PASSWORD}"),
        ("${DB_PASSWORD:-hunter2}", "${DB_PASSWORD:-***}", "${DB_PASSWORD:-***}"),
        ("${DB_PASSWORD:-}", "${DB_PASSWORD:-}", "${DB_PASSWORD:-}"),
        ("Bearer ${A}!", "***${A}***", "Bearer ${A}!"),
        ("${A:-b}${DOLLAR:-$}", "${A:-***}***", "${A:-b}${DOLLAR:-$}"),
        ("x ${A:-b} ${TOKEN:-c}", "***${A:-***}***${TOKEN:-***}", "x ${A:-b} ${TOKEN:-***}"),
        ("${", "***", "${"),
    ],
)
def test_placeholders_stay_as_they_stand(text: str, secret: str, plain: str) -> None:
    assert told("func_args.password", text) == secret
    assert told("func_args.a", text) == plain


def test_the_caller_hides_more_of_each_text() -> None:
    def hiding(text: str) -> str:
        return text.replace("s3cret", HIDDEN)

    assert told("func_args.a", ["s3cret", {"b": "a s3cret"}], hiding=hiding) == [
        HIDDEN, {"b": f"a {HIDDEN}"},
    ]  # fmt: skip
    assert redacted(event(reason="for s3cret"), hiding).reason == f"for {HIDDEN}"
    # Before anything is cut: no half of a secret is left.
    long = "x" * (LONGEST - 3) + "s3cret"
    assert "s3c" not in told("func_args.a", long, hiding=hiding)


def test_what_json_does_not_have_is_told_as_text() -> None:
    moment = datetime(2026, 1, 2, tzinfo=UTC)
    assert told("func_args.a", [moment, object(), (1, 2)]) == [moment.isoformat(), CUT, [1, 2]]
    assert told("func_args.a", {1: 2}) == {"1": 2}


@pytest.mark.parametrize(
    "value",
    [
        "x" * 5000,
        "中" * 5000,
        "x" * 1_000_000,
        ["x" * 100] * 100,
        {f"k{n}": "x" * 100 for n in range(100)},
        [list(range(100))] * 10_000,
        {"k" * 1000: "x" * 5000},
        ["x" * 70_000, "y"],
        {f"k{n}": n for n in range(100_000)},
        {"a": "x" * 70_000, "b": 1},
    ],
)
def test_what_is_large_is_cut(value: Any) -> None:
    shown = told("func_args.a", value)
    assert isinstance(shown, str)
    assert shown.endswith(CUT)
    assert LONGEST - 10 < len(shown.encode()) < LONGEST + 10


def test_a_long_name_is_cut() -> None:
    [change] = redacted(event(Change("func_args." + "k" * 1000, 1, 2))).changes
    assert re.fullmatch(r"func_args\.k+…", change.field)
    assert len(change.field) == 300
    assert len(redacted(event(reason="x" * 2000)).reason or "") == 1000


def test_many_changes_are_counted() -> None:
    many = [Change(f"func_args.k{n}", "x" * 1000, "y" * 1000) for n in range(1000)]
    told = redacted(event(*many)).changes
    assert 25 < len(told) < 40
    assert told[-1] == Change(CUT, None, f"and {1000 - len(told) + 1} more")
    assert len(json.dumps(told)) < LONGEST_ALL + 1000


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text("abc :/"),
    lambda inner: st.lists(inner) | st.dictionaries(st.text("abc"), inner),
    max_leaves=20,
)


@given(plain)
def test_what_is_no_secret_is_told_as_it_is(value: Any) -> None:
    assert told("func_args.a", value) == value


@given(plain, st.text())
def test_what_was_redacted_stays_as_it_is(value: Any, text: str) -> None:
    once = redacted(event(Change("func_args.token", text, value), reason=text))
    assert redacted(once) == once
