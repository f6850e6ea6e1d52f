"""The last commits of the work tree that the tasks folder stands in."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from taskservice.sync.gitrepo.git import GitError
from taskservice.sync.gitrepo.work_tree import Objects, find_work_tree

_NAME = re.compile(r"[0-9a-f]{40,64}")
_EPOCH = datetime.fromtimestamp(0, UTC)

# What anybody wrote there may be of any length; git cuts it, and fills up with spaces.
_FORMAT = "%H%x00%<(200,trunc)%an%x00%at%x00%<(300,trunc)%s"


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
    are passed over. Blocks for up to 15 seconds.
    """
    named = sorted({name for name in also if name and _NAME.fullmatch(name)})
    try:
        tree = find_work_tree(root)
        if tree is None:
            return []
        with tree.objects() as objects:
            if objects is None:
                return []
            try:
                return _log(objects, named, count)
            except GitError:
                return _log(objects, [], count) if named else []
    except GitError:
        return []


def _log(objects: Objects, named: list[str], count: int) -> list[Commit]:
    told = objects.git(
        "log", "--date-order", f"--max-count={count}", "-z", f"--format={_FORMAT}",
        objects.commit, *named, "--",
    )  # fmt: skip
    parts = (part.rstrip(" ") for part in told.decode(errors="replace").split("\0"))
    return [
        Commit(name=name, author=author, date=moment_of(date), subject=subject)
        for name, author, date, subject in zip(*[parts] * 4, strict=False)
    ]


def moment_of(seconds: str) -> datetime:
    """The moment that a commit names, in seconds since 1970; then, if it can't be one."""
    try:
        return datetime.fromtimestamp(int(seconds), UTC)
    except (ValueError, OverflowError, OSError):
        return _EPOCH
