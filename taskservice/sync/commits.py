"""The last commits of the work tree that the tasks folder stands in."""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from taskservice.sync.git import run_git

_NAME = re.compile(r"[0-9a-f]{40,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """One commit: its full name, who wrote it when, and the first line of its message."""

    name: str
    author: str
    date: datetime
    subject: str


def last_commits(root: Path, *, also: Iterable[str | None] = (), count: int = 20) -> list[Commit]:
    """The last commits that lead to HEAD, newest first, or to any that is named in `also`.

    Empty where `root` stands in no work tree or git doesn't answer; names that git doesn't know
    are passed over. Blocks for up to 10 seconds.
    """
    folder = Path(os.path.realpath(root))
    named = sorted({name for name in also if name and _NAME.fullmatch(name)})
    command = (
        "log",
        "--date-order",
        f"--max-count={count}",
        "-z",
        "--format=%H%x00%an%x00%aI%x00%s",
    )
    told = run_git(folder, *command, "HEAD", *named, "--") if named else None
    if told is None:
        told = run_git(folder, *command, "HEAD", "--")
    parts = (told or b"").decode(errors="replace").split("\0")
    return [
        Commit(name=name, author=author, date=datetime.fromisoformat(date), subject=subject)
        for name, author, date, subject in zip(*[iter(parts)] * 4, strict=False)
    ]
