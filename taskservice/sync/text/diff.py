"""The change of one file as a unified diff, as `patch -p1` and `git apply` take it."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from difflib import Match, SequenceMatcher

_MOST_PAIRS = 2_000_000
"""Lines of one text times lines of the other that are compared; beyond, all of them differ."""

_LINE = re.compile("[^\n]*\n|[^\n]+")
_NO_NEWLINE = "\n\\ No newline at end of file\n"
_SPECIAL = re.compile(r'[\x00-\x1f\x7f"\\]')
_ESCAPES = {"\t": "\\t", "\n": "\\n", "\r": "\\r", '"': '\\"', "\\": "\\\\"}


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
        *_hunks(old, new),
    ]
    return "".join(line if line.endswith("\n") else line + _NO_NEWLINE for line in lines)


def _hunks(old: Sequence[str], new: Sequence[str]) -> Iterator[str]:
    """The lines of all hunks."""
    for hunk in _Matcher(old, new).get_grouped_opcodes(3):
        (_, start, _, begin, _), (_, _, end, _, until) = hunk[0], hunk[-1]
        yield f"@@ -{_range(start, end)} +{_range(begin, until)} @@\n"
        for tag, start, end, begin, until in hunk:
            if tag == "equal":
                yield from (f" {line}" for line in old[start:end])
            else:
                yield from (f"-{line}" for line in old[start:end])
                yield from (f"+{line}" for line in new[begin:until])


class _Matcher(SequenceMatcher[str]):
    """difflib's, in time that grows with the texts alone.

    What both texts begin and end with, and the lines that stand once in both, are the same; only
    what is left between these is looked through, as far as `_MOST_PAIRS` of lines go.
    """

    def __init__(self, old: Sequence[str], new: Sequence[str]) -> None:
        super().__init__(None, old, new, autojunk=False)
        self._old, self._new = old, new

    def get_matching_blocks(self) -> list[Match]:
        blocks = [Match(0, 0, 0)]
        i = k = 0
        left = _MOST_PAIRS
        for j, m in self._anchors():
            pairs = (j - i) * (m - k)
            if 0 < pairs <= left:
                left -= pairs
                between = SequenceMatcher(None, self._old[i:j], self._new[k:m], autojunk=False)
                for a, b, size in between.get_matching_blocks()[:-1]:
                    self._add(blocks, Match(i + a, k + b, size))
            self._add(blocks, Match(j, m, int(j < len(self._old))))
            i, k = j + 1, m + 1
        return blocks

    def _anchors(self) -> Iterator[tuple[int, int]]:
        """Places of lines that are the same, in order; the last is that of the ends."""
        old, new = self._old, self._new
        shorter = min(len(old), len(new))
        head = next((at for at in range(shorter) if old[at] != new[at]), shorter)
        rest = shorter - head
        tail = next((at for at in range(rest) if old[-1 - at] != new[-1 - at]), rest)
        end, until = len(old) - tail, len(new) - tail
        yield from zip(range(head), range(head), strict=True)
        counts = Counter(old[head:end]), Counter(new[head:until])
        places = {new[at]: at for at in range(head, until) if counts[1][new[at]] == 1}
        last = -1
        for at in range(head, end):
            place = places.get(old[at], -1)
            if place > last and counts[0][old[at]] == 1:
                yield at, place
                last = place
        yield from zip(range(end, len(old) + 1), range(until, len(new) + 1), strict=True)

    def _add(self, blocks: list[Match], block: Match) -> None:
        """Append a block, as far as it is not part of the last one.

        Where only lines of one text are between, like ones may stand on both sides of these: then
        the last that they could be are taken, which of like blocks are those that a person means.
        """
        (a, b, size), (i, k, more) = blocks[-1], block
        while more and (
            (a + size == i and (b + size == k or self._new[b + size] == self._new[k]))
            or (b + size == k and self._old[a + size] == self._old[i])
        ):
            size, i, k, more = size + 1, i + 1, k + 1, more - 1
        blocks[-1] = Match(a, b, size)
        if more or not block.size:  # the end is told by a block of its own
            blocks.append(Match(i, k, more))


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
