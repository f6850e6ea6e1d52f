"""Tasks, values and origins in words."""

import re
from typing import Any

import pytest

from taskservice.cli import describe
from taskservice.cli.provenance import field_row, place_in_file

SET: dict[str, Any] = {
    "set_by": "ann",
    "set_at": "2026-11-24T09:00:00Z",
    "reason": None,
    "until": None,
    "declared": "hello",
}


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "null"),
        ("null", '"null"'),
        ("", '""'),
        ("3", '"3"'),
        (3, "3"),
        ("no", '"no"'),
        (False, "false"),
        (" a", '" a"'),
        ("a b", "a b"),
        ("每天\n", '"每天\\n"'),
        ({"a": [None]}, '{"a": [null]}'),
    ],
)
def test_a_value_is_told_from_text_that_looks_like_it(value: object, shown: str) -> None:
    assert describe.value(value) == shown


def test_a_trigger_is_one_line() -> None:
    arguments = {"crontab": "0 7 * * 1", "timezone": "Europe/Berlin", "jitter": 3}
    assert describe.trigger({"trigger_type": "cron", "trigger_args": arguments}) == (
        'cron crontab="0 7 * * 1" timezone=Europe/Berlin jitter=3'
    )


def test_an_execution_tells_its_attempt_and_how_long_it_took() -> None:
    row = {
        "id": "x",
        "start_time": "2026-11-24T09:00:00Z",
        "end_time": "2026-11-24T09:01:00.25Z",
        "status": "failed",
        "attempt": 2,
        "triggered_by": "schedule",
        "result": None,
        "error": "raised: no",
        "queue": None,
        "worker": None,
    }
    _, _, status, took, by, told = describe.execution_row(row)
    assert (str(status), took, by, told) == (
        *("failed", "60.2 s", "schedule, attempt 2", "raised: no"),
    )
    assert describe.took({**row, "end_time": None}) == "-"
    assert describe.took({**row, "queue": "reports"}) == "-"
    assert describe.took({**row, "queue": "reports", "worker": "w"}) == "60.2 s"


@pytest.mark.parametrize(
    ("origin", "told"),
    [
        ({"origin": "default"}, "default"),
        ({"origin": "file"}, "file"),
        ({"origin": "file", "path": "a.yaml", "line": 3, "revision": None}, "a.yaml:3"),
        (
            {
                "origin": "file",
                "path": "a.yaml",
                "line": 3,
                "revision": "0123456789abcdef",
                "author": "Ann",
                "date": "2026-11-24T09:00:00Z",
            },
            r"a.yaml:3 \(01234567\) by Ann, 2026-11-2\S+ \S+",
        ),
        ({"origin": "api", **SET, "declared": "hi"}, r"API: by ann, 2026-\S+ \S+ \(.+\)"),
        ({"origin": "api", **SET}, r"API: by ann, 2026-\S+ \S+ \(.+\); the file says hello"),
        (
            {"origin": "api", **SET, "until": "2026-11-24T09:00:00Z", "reason": "a\nb"},
            r"API: by ann, .+; until 2026-.+ \(.+\); reason: a\\nb; the file says hello",
        ),
        ({"origin": "api", **SET, "declared": None}, r"API: by ann, .+; the file says nothing"),
    ],
)
def test_where_a_field_comes_from(origin: dict[str, Any], told: str) -> None:
    field, value, shown = field_row({"field": "description", "value": "hi", **origin})
    assert (field, value) == ("description", "hi")
    assert re.fullmatch(told, str(shown))


def test_a_key_that_is_taken_away_has_no_value() -> None:
    row = field_row({"field": "func_args.x", "value": None, "absent": True, "origin": "api", **SET})
    assert row[1] == "(absent)"


def test_a_place_without_a_line() -> None:
    assert place_in_file({"path": "a.yaml", "line": None, "revision": None}) == "a.yaml"


def test_a_line_that_is_not_committed() -> None:
    place = {"path": "a.yaml", "line": 3, "revision": None, "uncommitted": True}
    assert place_in_file(place) == "a.yaml:3 (uncommitted)"
