"""What is wrong with task files, with the lines around it, as a compiler shows it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from taskservice.service import Service
from taskservice.web.schemas import SyncError

FILES = 50
FAULTS = 20
"""How many files are shown, and how many faults of each."""

AROUND = 2
"""Lines that are shown before and behind a faulty one."""

_WORD = re.compile(r"[\w.-]+|\s*\S")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of a file: `marked` is where a fault points at, with what is before and behind.

    `gap` says that lines are left out before it.
    """

    number: int
    before: str
    marked: str = ""
    behind: str = ""
    gap: bool = False
    faults: Sequence[SyncError] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFaults:
    """The faults of a file: beside its lines, or `loose` where there is no line for them."""

    path: str
    rows: Sequence[Row]
    loose: Sequence[SyncError]
    left_out: int


async def faults_of(
    service: Service, errors: Sequence[SyncError], *, with_lines: bool
) -> list[FileFaults]:
    """The faults by file, of the first files, `with_lines` of these."""
    by_path: dict[str, list[SyncError]] = {}
    for error in errors:
        by_path.setdefault(error.path or ".", []).append(error)
    shown = dict(sorted(by_path.items())[:FILES])
    wanted = {path: _around(found[:FAULTS]) for path, found in shown.items()}
    lines = await service.declarations.lines_of(wanted) if with_lines else {}
    return [_of_file(path, found, lines.get(path, {})) for path, found in shown.items()]


def _around(errors: Sequence[SyncError]) -> set[int]:
    """The lines that are wanted for faults."""
    return {
        number
        for error in errors
        if error.line
        for number in range(max(1, error.line - AROUND), error.line + AROUND + 1)
    }


def _of_file(path: str, errors: Sequence[SyncError], lines: Mapping[int, str]) -> FileFaults:
    told = errors[:FAULTS]
    by_line: dict[int, list[SyncError]] = {}
    for error in told:
        if error.line and lines:
            by_line.setdefault(error.line, []).append(error)
    rows: list[Row] = []
    for number in sorted({*lines, *by_line}):
        gap = bool(rows) and rows[-1].number + 1 < number
        rows.append(_row(number, lines.get(number, ""), by_line.get(number, ()), gap))
    return FileFaults(
        path=path,
        rows=rows,
        loose=[error for error in told if not (error.line and lines)],
        left_out=len(errors) - len(told),
    )


def _row(number: int, text: str, faults: Sequence[SyncError], gap: bool) -> Row:
    column = next((fault.column for fault in faults if fault.column), None)
    if column is None:
        return Row(number=number, before=text, faults=faults, gap=gap)
    begin = column - 1
    word = _WORD.match(text, begin)
    end = word.end() if word else begin
    return Row(
        number=number,
        before=text[:begin],
        marked=text[begin:end],
        behind=text[end:],
        faults=faults,
        gap=gap,
    )
