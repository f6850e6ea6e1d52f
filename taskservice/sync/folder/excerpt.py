"""Lines of task files, to be shown beside what is wrong with them."""

import os
from collections.abc import Collection, Mapping
from pathlib import Path

from taskservice.sync.folder.confined import content_of
from taskservice.sync.text.task_files import is_task_file

LONGEST = 400
"""Characters of a line that are told."""


def lines_of(root: Path, wanted: Mapping[str, Collection[int]]) -> dict[str, dict[int, str]]:
    """By path from `root`, the lines (from 1) that are wanted of files, as far as they are there.

    Only task files below `root` are read, not what links lead to elsewhere. Blocks.
    """
    # A root that is a link may be swapped meanwhile: read all of the same tree.
    top = os.path.realpath(root)
    return {path: _lines(top, path, set(numbers)) for path, numbers in wanted.items()}


def _lines(top: str, path: str, numbers: Collection[int]) -> dict[int, str]:
    try:
        data = content_of(top, path) if is_task_file(path) else ""
    except ValueError:  # a path that no file can have
        return {}
    if isinstance(data, str):
        return {}
    lines = data.decode(errors="replace").removesuffix("\n").split("\n")
    return {
        number: lines[number - 1].rstrip("\r")[:LONGEST]
        for number in sorted(numbers)
        if 1 <= number <= len(lines)
    }
