"""The change of one file as a unified diff, as `patch -p1` and `git apply` take it."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

_CONTEXT = 3
_MOST_EDITS = 1000

_LINE = re.compile("[^\n]*\n|[^\n]+")
_NO_NEWLINE = "\n\\ No newline at end of file\n"
_SPECIAL = re.compile(r'[\x00-\x1f\x7f"\\]')
_ESCAPES = {"\t": "\\t", "\n": "\\n", "\r": "\\r", '"': '\\"', "\\": "\\\\"}


@dataclass(frozen=True, slots=True)
class _Edit:
    """Lines `start` to `end` of the old text make way for lines `new` to `new_end` of the new."""

    start: int
    end: int
    new: int
    new_end: int


def unified_diff(path: str, before: str | None, after: str | None) -> str:
    """What makes `after` of `before`; None is no file, and the same text twice is no diff.

    `path` is relative to the folder in which the diff is to be applied.
    """
    if before == after:
        return ""
    old, new = _LINE.findall(before or ""), _LINE.findall(after or "")
    lines = [
        f"--- {'/dev/null' if before is None else _name(f'a/{path}')}\n",
        f"+++ {'/dev/null' if after is None else _name(f'b/{path}')}\n",
    ]
    for hunk in _hunks(_edits(old, new)):
        lines += _shown(hunk, old, new)
    return "".join(line if line.endswith("\n") else line + _NO_NEWLINE for line in lines)


def _edits(old: Sequence[str], new: Sequence[str]) -> list[_Edit]:
    """The fewest lines that go and come (E. Myers, 1986); beyond some, all that differ.

    difflib would be slow where many lines are the same, or not find the fewest.
    """
    shorter = min(len(old), len(new))
    head = next((at for at in range(shorter) if old[at] != new[at]), shorter)
    rest = shorter - head
    tail = next((at for at in range(rest) if old[-1 - at] != new[-1 - at]), rest)
    one, other = old[head : len(old) - tail], new[head : len(new) - tail]
    trace = _trace(one, other)
    if trace is None:
        return [_Edit(head, head + len(one), head, head + len(other))]
    edits: list[_Edit] = []
    x, y = len(one), len(other)
    for count in range(len(trace) - 1, 0, -1):
        diagonal = x - y
        comes, to_x = _begin(trace[count], diagonal, count)
        to_y = to_x - diagonal
        x, y = (to_x, to_y - 1) if comes else (to_x - 1, to_y)
        end, new_end = to_x + head, to_y + head
        if edits and (edits[-1].start, edits[-1].new) == (end, new_end):
            last = edits.pop()
            end, new_end = last.end, last.new_end
        edits.append(_Edit(x + head, end, y + head, new_end))
    return _slid(edits, old, new)


def _slid(edits: Sequence[_Edit], old: Sequence[str], new: Sequence[str]) -> list[_Edit]:
    """The edits, which come last to first, in their order, each as far down as it can be.

    Where like blocks follow one another, this names the one that goes or comes as a person would.
    """
    slid: list[_Edit] = []
    limit = len(old)
    for edit in edits:
        start, end, begin, until = edit.start, edit.end, edit.new, edit.new_end
        lines, first, last = (old, start, end) if begin == until else (new, begin, until)
        by = 0
        if start == end or begin == until:
            while end + by < limit and lines[first + by] == lines[last + by]:
                by += 1
        slid.append(_Edit(start + by, end + by, begin + by, until + by))
        limit = start + by
    return slid[::-1]


def _trace(one: Sequence[str], other: Sequence[str]) -> list[dict[int, int]] | None:
    """How far each diagonal reached before 0, 1, 2 … edits; None: it takes too many."""
    reach = {1: 0}
    trace: list[dict[int, int]] = []
    for count in range(_MOST_EDITS):
        trace.append(dict(reach))
        for diagonal in range(-count, count + 1, 2):
            _, x = _begin(reach, diagonal, count)
            while x < len(one) and x - diagonal < len(other) and one[x] == other[x - diagonal]:
                x += 1
            reach[diagonal] = x
            if x >= len(one) and x - diagonal >= len(other):
                return trace
    return None


def _begin(reach: Mapping[int, int], diagonal: int, count: int) -> tuple[bool, int]:
    """With one more edit, onto a diagonal: whether a line comes or goes, and where that leads."""
    if diagonal == -count or (diagonal != count and reach[diagonal - 1] < reach[diagonal + 1]):
        return True, reach[diagonal + 1]
    return False, reach[diagonal - 1] + 1


def _hunks(edits: Sequence[_Edit]) -> Iterator[list[_Edit]]:
    """The edits whose surroundings meet, together."""
    hunk: list[_Edit] = []
    for edit in edits:
        if hunk and edit.start - hunk[-1].end > 2 * _CONTEXT:
            yield hunk
            hunk = []
        hunk.append(edit)
    yield hunk


def _shown(hunk: Sequence[_Edit], old: Sequence[str], new: Sequence[str]) -> list[str]:
    start = max(hunk[0].start - _CONTEXT, 0)
    end = min(hunk[-1].end + _CONTEXT, len(old))
    begin = hunk[0].new - (hunk[0].start - start)
    until = hunk[-1].new_end + (end - hunk[-1].end)
    lines = [f"@@ -{_range(start, end)} +{_range(begin, until)} @@\n"]
    for edit in hunk:
        lines += [f" {line}" for line in old[start : edit.start]]
        lines += [f"-{line}" for line in old[edit.start : edit.end]]
        lines += [f"+{line}" for line in new[edit.new : edit.new_end]]
        start = edit.end
    return lines + [f" {line}" for line in old[start:end]]


def _range(start: int, end: int) -> str:
    """Lines as a hunk's header counts them: from 1, an empty range by the line before it."""
    if end - start == 1:
        return str(end)
    return f"{start + 1 if end > start else start},{end - start}"


def _name(path: str) -> str:
    """A file's name as a diff has it: quoted if it must be, a tab behind one that has a space."""
    if _SPECIAL.search(path):
        return '"' + _SPECIAL.sub(lambda found: _escaped(found[0]), path) + '"'
    return f"{path}\t" if " " in path else path


def _escaped(character: str) -> str:
    return _ESCAPES.get(character) or f"\\{ord(character):03o}"
