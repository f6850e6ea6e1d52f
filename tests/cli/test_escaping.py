"""What comes from outside is harmless wherever it is printed."""

import ast
import json
import re
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from taskservice.cli import escaping
from taskservice.cli.escaping import (
    begun,
    for_github,
    for_github_property,
    for_json,
    for_markdown,
    for_terminal,
    lines_for_terminal,
)

CLI = Path(escaping.__file__).parent
HARMFUL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
COMMAND = re.compile(r"^\s*::|#[#](\[|vso\[)", re.MULTILINE)
hostile = st.text(
    st.sampled_from("\x1b\x9b\u202e\n\r\t :#[vso`|\\*@<!-_]a早\ud800") | st.characters(),
    max_size=30,
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("每天　早上 👩‍👩‍👧 é", "每天　早上 👩‍👩‍👧 é"),
        ("a\x1b]8;;http://x\x1b\\b", "a\\x1b]8;;http://x\\x1b\\b"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("\x9b2J", "\\x9b2J"),
        ("a\nb\tc\r", "a\\nb\\tc\\r"),
        ("::error::x", "\\x3a:error::x"),
        (" \u3000::set-output name=a::b", " \u3000\\x3a:set-output name=a::b"),
        (
            "see ##[error]x ##vso[task.setvariable]",
            "see \\x23#[error]x \\x23#vso[task.setvariable]",
        ),
        ("a::b 12:30 # ## #[x]", "a::b 12:30 # ## #[x]"),
        ("\ud800", "\\ud800"),
    ],
)
def test_a_line_for_a_terminal(text: str, shown: str) -> None:
    assert for_terminal(text) == shown


def test_lines_for_a_terminal_keep_their_breaks_and_tabs() -> None:
    assert lines_for_terminal("a\tb\r\nc\x1b[2J\n\n  ::error::d\re\n") == (
        "a\tb\nc\\x1b[2J\n\n  \\x3a:error::d\\re\n"
    )


@given(hostile)
def test_nothing_that_is_printed_controls_a_terminal(text: str) -> None:
    line, lines = for_terminal(text), lines_for_terminal(text)
    assert not HARMFUL.search(line) and "\n" not in line and "\t" not in line
    assert not HARMFUL.search(lines)
    for shown in (line, lines):
        assert not COMMAND.search(shown)
        shown.encode()
    assert (for_terminal(line), lines_for_terminal(lines)) == (line, lines)


@given(st.lists(hostile, max_size=6))
def test_no_command_comes_about_where_two_pieces_meet(pieces: list[str]) -> None:
    shown, held = "", ""
    for piece in pieces:
        more = held + piece
        number = begun(more)
        held = more[len(more) - number :]
        shown += lines_for_terminal(more[: len(more) - number])
    assert not COMMAND.search(shown + lines_for_terminal(held))


@given(st.recursive(hostile.filter(lambda text: "\ud800" not in text), lambda each: st.lists(each)))
def test_json_says_the_same_and_controls_nothing(value: object) -> None:
    text = for_json(json.dumps(value, ensure_ascii=False, indent=2))
    assert json.loads(text) == value
    assert not HARMFUL.search(text) and not COMMAND.search(text)


@given(hostile)
@example("")
@example(" ")
def test_markdown_is_one_piece_of_code(text: str) -> None:
    made = for_markdown(text)
    fence = re.match("`+", made)
    assert fence and made.endswith(fence[0]) and "\n" not in made and not HARMFUL.search(made)
    inside = made[len(fence[0]) : -len(fence[0])]
    # Nothing between the ticks would be no code; blanks alone are shown as they are.
    assert inside.strip(" ") if text.strip(" ") or not text else inside
    assert len(fence[0]) not in {len(ticks) for ticks in re.findall("`+", inside)}
    # Each bar has one backslash before it, so that it ends no cell.
    assert all(len(slashes) % 2 for slashes in re.findall(r"(\\*)\|", inside))


def test_annotations_have_no_more_parts_than_they_should() -> None:
    assert for_github("100%\n::error::a") == "100%25\\n::error::a"
    assert for_github_property("a,line=1::b\r") == "a%2Cline=1%3A%3Ab\\r"


def test_a_long_text_takes_no_time() -> None:
    for text in (" " * 10**6, "\n" * 10**6, "#" * 10**6, ":" * 10**6, " :" * 500_000):
        lines_for_terminal(text)
        begun(text)


def test_all_that_commands_print_goes_through_one_place() -> None:
    """`output` escapes it; what prints by itself may forget to."""
    found = []
    for file in sorted(CLI.glob("*.py")):
        if file.name in ("output.py", "escaping.py"):
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                if called in ("click.echo", "click.secho", "click.style", "print", "Text"):
                    found.append(f"{file.name}: {called}")
    # Their texts are the project's own.
    assert found == [
        *("completion.py: click.echo", "schema.py: click.echo", "serve.py: print"),
        "work.py: print",
    ]
