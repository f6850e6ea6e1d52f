"""How commands show what they found: tables for people, JSON for programs."""

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import rich_click as click

from taskservice.cli.escaping import for_json, for_terminal, lines_for_terminal

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

NONE = "-"
"""What stands in a table where there is nothing."""

_UNLIMITED = 100_000
_ROOMY = 120
_SPANS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def output_option(
    command: Callable[..., Any],
    *,
    told: str = "Tables for people, or the API's JSON for programs.  [table]",
) -> Callable[..., Any]:
    """Give a command `--output table|json`, passed as `output`; `--help` tells `told` of it."""
    option = click.option(
        "-o",
        "--output",
        type=click.Choice(["table", "json"]),
        default="table",
        help=told,
    )
    return option(command)


class Styled(NamedTuple):
    """A piece of a line in a colour, where there is a terminal."""

    text: str
    colour: str | None = None
    bold: bool | None = None


def say(*parts: str | Styled, err: bool = False, nl: bool = True) -> None:
    """Print a line, whatever it is made of; to standard error if `err`."""
    click.echo("".join(map(_harmless, parts)), err=err, nl=nl)


def say_lines(text: str, *, err: bool = False, nl: bool = True) -> None:
    """Print several lines: line breaks and tabs stay, nothing else that controls a terminal."""
    click.echo(lines_for_terminal(text), err=err, nl=nl)


def say_as_made(text: str) -> None:
    """Print what a function of `escaping` has made."""
    click.echo(text)


def say_exactly(
    text: str, style: Callable[[int, str], Styled] = lambda _, line: Styled(line)
) -> None:
    """Print what a program is to read as it is: a file, a diff.

    On a terminal it is as harmless as all else; there `style` is asked for each line, by its
    number from 0.
    """
    if not sys.stdout.isatty():
        click.echo(text, nl=False)
        return
    for number, line in enumerate(text.removesuffix("\n").split("\n")):
        say(style(number, line))


def _harmless(part: str | Styled) -> str:
    if isinstance(part, str):
        return for_terminal(part)
    text = for_terminal(part.text)
    return text if "NO_COLOR" in os.environ else click.style(text, fg=part.colour, bold=part.bold)


def styled(text: str, style: str = "") -> "Text":
    """A piece of a line for `console` and `print_table`, in a style of rich's."""
    from rich.text import Text

    return Text(for_terminal(text), style=style)


def say_fact(name: str, told: "str | Text") -> None:
    """Print a line of a name and what there is to tell under it, folded where it is too long."""
    console().print(styled(name), styled(told) if isinstance(told, str) else told, sep="")


def print_json(value: object) -> None:
    """The API's answer as it is, indented."""
    click.echo(for_json(json.dumps(value, ensure_ascii=False, indent=2)))


def console() -> "Console":
    """Standard output: coloured on a terminal, and as wide as it takes where it is none."""
    from rich.console import Console

    return Console(
        width=None if sys.stdout.isatty() else _UNLIMITED,
        highlight=False,
        markup=False,
        emoji=False,
        soft_wrap=False,
    )


def is_narrow() -> bool:
    """Whether standard output is a terminal with little room for a table."""
    return console().width < _ROOMY


def print_table(
    headings: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    whole: Sequence[str] = (),
    roomy: Sequence[str] = (),
) -> None:
    """A table of values, each shown as `cell` does; what `styled` made stays as it is.

    A cell that is too wide for the terminal is folded, never cut, and in the columns `whole`
    last of all; the columns `roomy` are left out where there is little room.
    """
    from rich.table import Table
    from rich.text import Text

    shown = console()
    left_out = roomy if shown.width < _ROOMY else ()
    columns = [number for number, heading in enumerate(headings) if heading not in left_out]
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for number in columns:
        heading = headings[number]
        made.add_column(heading, overflow="fold", no_wrap=heading in whole)
    for row in rows:
        values = (row[number] for number in columns)
        made.add_row(*(each if isinstance(each, Text) else Text(cell(each)) for each in values))
    if shown.is_terminal:
        shown.print(made)
        return
    with shown.capture() as captured:
        shown.print(made)
    for line in captured.get().splitlines():
        click.echo(line.rstrip())


def cell(value: object) -> str:
    """A value on one line, without what would control the terminal."""
    if value is None or value == "":
        return NONE
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return for_terminal(text)


def local_time(text: str | None) -> str:
    """A time of the API in this machine's zone, to the second and with its offset."""
    if text is None:
        return NONE
    moment = datetime.fromisoformat(text)
    try:
        return moment.astimezone().isoformat(" ", "seconds")
    except OverflowError:  # at the end of the year 9999, east of here
        return text


def relative_time(text: str | None, now: datetime | None = None) -> str:
    """How far a time of the API is from now: `in 5 min`, `36 h ago`."""
    if text is None:
        return NONE
    seconds = (datetime.fromisoformat(text) - (now or datetime.now(UTC))).total_seconds()
    size = abs(seconds)
    # Not below two of a unit: 119 min tell more than 1 h.
    unit, name = next((span for span in _SPANS if size >= 2 * span[0]), (1, "s"))
    amount = f"{round(size / unit)} {name}"
    return f"in {amount}" if seconds >= 0 else f"{amount} ago"


@contextmanager
def progress(what: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
    """A bar on standard error while something long is under way, on a terminal only.

    Gives a function that takes how many more are done; `total` None is not known.
    """
    if not sys.stderr.isatty():
        yield lambda more: None
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(escape(for_terminal(what)), total=total)
        yield lambda more: bar.advance(task, more)
