"""How values are shown to people and to programs."""

import os
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from taskservice.cli import output
from tests.cli.conftest import TOP, terminal

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "-"),
        ("", "-"),
        ("每天 [red]早上[/red] :smile:", "每天 [red]早上[/red] :smile:"),
        ("two\nlines\x1b[2J", "two\\nlines\\x1b[2J"),
        (True, "true"),
        ({"k": ["值", 1.5]}, '{"k": ["值", 1.5]}'),
        ([], "[]"),
        (0, "0"),
    ],
)
def test_a_cell_is_one_harmless_line(value: object, shown: str) -> None:
    assert output.cell(value) == shown


@pytest.mark.parametrize(
    ("time", "said"),
    [
        (None, "-"),
        ("2026-11-24T09:00:00Z", "in 0 s"),
        ("2026-11-24T09:00:59.4Z", "in 59 s"),
        ("2026-11-24T10:58:59Z", "in 119 min"),
        ("2026-11-24T08:59:00Z", "60 s ago"),
        ("2026-11-24T13:00:00+01:00", "in 3 h"),
        ("2026-11-21T08:00:00Z", "3 d ago"),
    ],
)
def test_relative_times(time: str | None, said: str) -> None:
    assert output.relative_time(time, NOW) == said


def python(code: str, **variables: str) -> str:
    """What a program prints into a pipe."""
    environ = {**os.environ, "PYTHONPATH": str(TOP), **variables}
    command = [sys.executable, "-c", code]
    return subprocess.run(
        command, env=environ, check=True, capture_output=True, text=True, timeout=30
    ).stdout


def on_terminal(code: str, **variables: str) -> str:
    """What a program prints on a terminal."""
    environ = {**os.environ, "PYTHONPATH": str(TOP), **variables}
    status, shown = terminal([sys.executable, "-c", code], environ)
    assert status == 0, shown
    return shown


TIMES = """
from taskservice.cli.output import local_time
print(local_time(None), local_time("2026-11-24T09:00:10.5Z"), local_time("2026-07-01T00:00:00Z"))
"""


def test_times_are_local_with_their_offset() -> None:
    assert python(TIMES, TZ="Europe/Berlin") == (
        "- 2026-11-24 10:00:10+01:00 2026-07-01 02:00:00+02:00\n"
    )
    late = (
        "from taskservice.cli.output import local_time\nprint(local_time('9999-12-31T23:59:59Z'))"
    )
    assert python(late, TZ="Europe/Berlin") == "9999-12-31T23:59:59Z\n"


TABLE = """
from rich.text import Text
from taskservice.cli.output import print_table
print_table(["ID", "TEXT"], [["a", "w" * 300], [Text("b", style="red"), None], ["[red]c", "值"]])
"""


def test_a_piped_table_is_plain_and_whole() -> None:
    assert [line.split() for line in python(TABLE).splitlines()] == [
        ["ID", "TEXT"],
        ["a", "w" * 300],
        ["b", "-"],
        ["[red]c", "值"],
    ]


def test_on_a_terminal_a_table_is_coloured_and_folded_never_cut() -> None:
    shown = on_terminal(TABLE)
    assert "\x1b[1m" in shown and "\x1b[31mb" in shown
    assert shown.count("w") == 300 and "…" not in shown
    assert "\x1b[31mb" not in on_terminal(TABLE, NO_COLOR="1")


BAR = """
from taskservice.cli.output import progress
with progress("Reading", 2) as done:
    done(1)
    done(1)
print("end")
"""


def test_progress_is_shown_on_a_terminal_only() -> None:
    assert python(BAR) == "end\n"
    assert "Reading" in on_terminal(BAR)


def test_json_is_indented_and_not_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_json({"name": "每天", "none": None})
    assert capsys.readouterr().out == '{\n  "name": "每天",\n  "none": null\n}\n'
