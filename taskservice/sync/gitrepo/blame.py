"""Who wrote the lines of a file, and when."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from taskservice.sync.gitrepo.commits import moment_of
from taskservice.sync.gitrepo.git import GitError, GitRefused
from taskservice.sync.gitrepo.work_tree import Objects, find_work_tree

_LONGEST_NAME = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Blame:
    """Who committed a line as it is, and when; `commit` is its full name."""

    commit: str
    name: str
    date: datetime


def blame_lines(root: Path, path: str, lines: Iterable[int]) -> dict[int, Blame | None]:
    """Who wrote these lines (from 1) of a file; None: the line is not committed as it is.

    Lines that git can say nothing of are left out: all of them where the file stands in another
    work tree than `root`, or in none. The rules of `git blame` hold: git-blame(1). Blocks for up
    to 15 seconds.
    """
    wanted = sorted(set(lines))
    file = Path(os.path.realpath(root / path))
    if not wanted:
        return {}
    try:
        tree = find_work_tree(root)
        if tree is None or not file.is_relative_to(tree.top) or _is_elsewhere(file, tree.top):
            return {}
        with tree.objects() as objects:
            if objects is None:  # there is none yet
                return dict.fromkeys(wanted)
            return _blamed(objects, file.relative_to(tree.top).as_posix(), wanted)
    except GitError:
        return {}


def _is_elsewhere(file: Path, top: Path) -> bool:
    """Whether a file below the top of a work tree stands in another one, as a submodule's do."""
    between = file.relative_to(top).parents
    return any(os.path.lexists(top / below / ".git") for below in between if below.name)


def _blamed(objects: Objects, path: str, lines: list[int]) -> dict[int, Blame | None]:
    ranges = [part for line in lines for part in ("-L", f"{line},{line}")]
    try:
        told = objects.git("blame", "--porcelain", "--no-textconv", *ranges, "--", path)
    except GitRefused:
        # It has no such file, or no such line any more.
        known = objects.git("ls-tree", "--full-tree", objects.commit, "--", path)
        return {} if known else dict.fromkeys(lines)
    return dict(_read_blame(told.decode(errors="replace")))


def _read_blame(text: str) -> Iterable[tuple[int, Blame | None]]:
    commit, line = "", 0
    known: dict[str, dict[str, str]] = {}  # what is told of a commit is told once
    for one in text.split("\n")[:-1]:
        if one.startswith("\t"):  # the line itself: all that is known of it has been told
            facts = known[commit]
            yield line, _blame_of(commit, facts) if commit.strip("0") else None
            commit = ""
        elif not commit:
            commit, _, number = one.split(" ")[:3]
            line = int(number)
            known.setdefault(commit, {})
        else:
            name, _, value = one.partition(" ")
            known[commit][name] = value


def _blame_of(commit: str, facts: dict[str, str]) -> Blame:
    name, seconds = facts.get("author", ""), facts.get("author-time", "")
    return Blame(commit=commit, name=name[:_LONGEST_NAME], date=moment_of(seconds))
