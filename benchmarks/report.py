"""The table: what was measured beside what, and which bounds were met."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.cases import growth
from benchmarks.stats import UNITS, median

HEADER = ("row", "ours", "beside", "ratio", "at least", "aim", "met")

Collected = Mapping[str, Sequence[float]]
"""The samples of all rounds by their keys."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """What is asked of the medians: of our figure, or of its ratio to the peer's."""

    text: str
    holds: Callable[[float, float | None], bool]


def times_at_least(factor: float) -> Bound:
    """Our figure is so many times the peer's, or more."""
    return Bound(
        text=f"≥ {factor:g} ×", holds=lambda ours, ratio: ratio is not None and ratio >= factor
    )


def times_at_most(factor: float) -> Bound:
    """Our figure is so many times the peer's, or less."""
    return Bound(
        text=f"≤ {_factor(factor)} ×",
        holds=lambda ours, ratio: ratio is not None and ratio <= factor,
    )


def under(limit: float, text: str) -> Bound:
    """Our figure is below a limit, in the row's base unit; `text` shows it."""
    return Bound(text=f"< {text}", holds=lambda ours, ratio: ours < limit)


def _factor(factor: float) -> str:
    return f"1/{1 / factor:.0f}" if factor < 1 else f"{factor:g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row of the table.

    `name` selects it; `ours` and `peer` are the keys of the samples it shows, `beside` says what
    the peer is. A row without bounds is told for comparison only.
    """

    name: str
    title: str
    unit: str
    ours: str
    beside: str = ""
    peer: str | None = None
    least: Bound | None = None
    aim: Bound | None = None


def cells(row: Row, collected: Collected, tasks: int) -> tuple[str, ...] | None:
    """The texts of a row, in the order of `HEADER`; None where a figure is missing.

    `tasks` is how many there were where the issue has 10,000.
    """
    ours, peer = collected.get(row.ours, ()), collected.get(row.peer or "", ())
    if not ours or (row.peer and not peer):
        return None
    # Rounds are pairs: what disturbed the machine in one disturbed both.
    ratios = [
        one / other if other else float("inf") for one, other in zip(ours, peer, strict=False)
    ]
    ratio = median(ratios) if ratios else None
    return (
        row.title.format(tasks=f"{tasks:,}"),
        _spread(ours, row.unit),
        f"{row.beside}: {_spread(peer, row.unit)}" if peer else row.beside,
        _spread(ratios, "times") if ratios else "",
        row.least.text if row.least else "",
        row.aim.text if row.aim else "",
        _met(row, median(ours), ratio),
    )


def _met(row: Row, ours: float, ratio: float | None) -> str:
    for bound, word in ((row.aim, "aim"), (row.least, "at least")):
        if bound and bound.holds(ours, ratio):
            return word
    return "no" if row.aim or row.least else ""


def _spread(values: Sequence[float], unit: str) -> str:
    """The median, and in brackets the lowest and highest of several rounds."""
    show = UNITS[unit]
    text = show(median(values))
    return text if len(values) == 1 else f"{text} ({show(min(values))} to {show(max(values))})"


Lines = Sequence[tuple[str, ...]]
"""The texts of a table, row by row."""


def growth_lines(collected: Collected, sizes: Sequence[int]) -> Lines:
    """The second table: its header, and a row for each measure; empty where it was not asked."""
    lines = [("growth", *(f"{size:,} tasks" for size in sizes))]
    for key, (title, unit) in growth.MEASURES.items():
        found = [collected.get(f"{growth.PREFIX}{size}.{key}", ()) for size in sizes]
        if any(found):
            lines.append((title, *(_spread(values, unit) if values else "" for values in found)))
    return lines if len(lines) > 1 else []


def print_growth(console: Console, lines: Lines) -> None:
    """Show the second table on a terminal."""
    if lines:
        table = Table(*lines[0], show_lines=True)
        for line in lines[1:]:
            table.add_row(*line)
        console.print(table)


def print_table(console: Console, rows: Lines) -> None:
    """Show the rows on a terminal."""
    if not rows:
        return
    table = Table(*HEADER, show_lines=True)
    colours = {"aim": "green", "at least": "yellow", "no": "red"}
    for row in rows:
        colour = colours.get(row[-1], "")
        table.add_row(*row[:-1], f"[{colour}]{row[-1]}[/]" if colour else row[-1])
    console.print(table)


def markdown(rows: Lines, growing: Lines, machine: Mapping[str, str], how: str) -> str:
    """The tables and the machine as Markdown; `how` says how it was measured."""
    lines = [f"Measured {how} on:", ""]
    lines += [f"- {name}: {value}" for name, value in machine.items()]
    for header, body in ((HEADER, rows), (growing[0] if growing else (), growing[1:])):
        if body:
            lines += ["", _line(header), _line(["---"] * len(header)), *map(_line, body)]
    return "\n".join([*lines, ""])


BEGIN = "<!-- measured -->"
END = "<!-- /measured -->"


def write_markdown(path: Path, text: str) -> None:
    """Put the text into a file: between its marks if it has them, else as the whole of it."""
    old = path.read_text(encoding="utf-8") if path.exists() else ""
    head, mark, rest = old.partition(BEGIN)
    if mark:
        text = f"{head}{BEGIN}\n{text}{END}{rest.partition(END)[2]}"
    path.write_text(text, encoding="utf-8")


def _line(texts: Sequence[str]) -> str:
    return f"| {' | '.join(text.replace('|', '/') for text in texts)} |"
