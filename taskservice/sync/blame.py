"""Where the fields of a task stand in its file, and who wrote those lines when."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from taskservice.domain.overlay import digest
from taskservice.sync.git import run_git
from taskservice.sync.reader import AuthoredTask, read_file
from taskservice.sync.taken import content_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Author:
    """Who committed a line as it is, and when; `commit` is its full name."""

    commit: str
    name: str
    date: datetime


def authored_in(root: Path, path: str, task_id: str, fields: object) -> AuthoredTask | None:
    """The task as the file at `path` below `root` has it; None unless it says just `fields`.

    Blocks.
    """
    data = content_of(str(root / path))
    tasks = () if isinstance(data, str) else read_file(path, data).tasks
    found = next((task for task in tasks if task.task_id == task_id), None)
    return found if found and digest(found.fields) == digest(fields) else None


def authors_of(root: Path, path: str, lines: Iterable[int]) -> dict[int, Author]:
    """Who wrote these lines (from 1) of a file, as far as git knows and they are committed.

    The rules of `git blame` hold: git-blame(1). Blocks for up to 5 seconds.
    """
    wanted = sorted(set(lines))
    if not wanted:
        return {}
    file = Path(os.path.realpath(root / path))
    ranges = [part for line in wanted for part in ("-L", f"{line},{line}")]
    told = run_git(file.parent, "blame", "--line-porcelain", *ranges, "--", file.name)
    return dict(_read_blame(told.decode(errors="replace"))) if told else {}


def _read_blame(text: str) -> Iterable[tuple[int, Author]]:
    commit, line = "", 0
    facts: dict[str, str] = {}
    for one in text.split("\n")[:-1]:
        if one.startswith("\t"):  # the line itself: all that is known of it has been told
            if commit.strip("0"):
                when = datetime.fromtimestamp(int(facts["author-time"]), UTC)
                yield line, Author(commit=commit, name=facts["author"], date=when)
            facts = {}
        elif not facts:
            commit, _, number = one.split(" ")[:3]
            line, facts = int(number), {"commit": commit}
        else:
            name, _, value = one.partition(" ")
            facts[name] = value
