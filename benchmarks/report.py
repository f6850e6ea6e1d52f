"""The table: what was measured beside what, and which bounds were met."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

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


def cells(row: Row, collected: Collected) -> tuple[str, ...] | None:
    """The texts of a row, in the order of `HEADER`; None where our figure is missing."""
    ours, peer = collected.get(row.ours, ()), collected.get(row.peer or "", ())
    if not ours or (row.peer and not peer):
        return None
    # Rounds are pairs: what disturbed the machine in one disturbed both.
    ratios = [
        one / other if other else float("inf") for one, other in zip(ours, peer, strict=False)
    ]
    ratio = median(ratios) if ratios else None
    return (
        row.title,
        _spread(ours, row.unit),
        f"{row.beside}: {_spread(peer, row.unit)}" if peer else row.beside,
        _spread(ratios, "times") if ratios else "",
        row.least.text if row.least else "",
        row.aim.text if row.aim else "",
        _met(row, median(ours), ratio),
    )


def _met(row: Row, ours: float, ratio: float | None) -> str:
    if row.least is None or row.aim is None:
        return ""
    if row.aim.holds(ours, ratio):
        return "aim" if row.least.holds(ours, ratio) else "aim only"
    return "at least" if row.least.holds(ours, ratio) else "no"


def _spread(values: Sequence[float], unit: str) -> str:
    """The median, and in brackets the lowest and highest of several rounds."""
    show = UNITS[unit]
    text = show(median(values))
    return text if len(values) == 1 else f"{text} ({show(min(values))} to {show(max(values))})"


def print_table(console: Console, rows: Sequence[tuple[str, ...]]) -> None:
    """Show the rows on a terminal."""
    table = Table(*HEADER, show_lines=True)
    colours = {"aim": "green", "at least": "yellow", "no": "red"}
    for row in rows:
        colour = colours.get(row[-1], "")
        table.add_row(*row[:-1], f"[{colour}]{row[-1]}[/]" if colour else row[-1])
    console.print(table)


def markdown(rows: Sequence[tuple[str, ...]], machine: Mapping[str, str], how: str) -> str:
    """The table and the machine as Markdown; `how` says how it was measured."""
    lines = [f"Measured {how} on:", ""]
    lines += [f"- {name}: {value}" for name, value in machine.items()]
    lines += ["", _line(HEADER), _line(["---"] * len(HEADER)), *map(_line, rows), ""]
    return "\n".join(lines)


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
