"""The commit at HEAD, and which declarations of the tasks folder it has."""

import functools
import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from taskservice.domain.overlay import digest
from taskservice.sync.gitrepo.git import SECONDS, GitError
from taskservice.sync.gitrepo.revisions import read_blobs, task_files
from taskservice.sync.gitrepo.work_tree import WorkTree, find_work_tree
from taskservice.sync.text.reader import read_file

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """A commit, with the names that git gives the task files it has, by path from the folder.

    Without a `tree` it can't say more of a file than whether it is the same, byte by byte.
    """

    commit: str
    blobs: Mapping[str, str]
    root: str = ""
    tree: WorkTree | None = None
    _declared: dict[str, Mapping[str, str]] = field(default_factory=dict)

    def look_up(self, changed: Iterable[tuple[str, tuple[str, ...]]]) -> None:
        """Find out what the commit declares in files of these paths and `blob_names`. Blocks."""
        wanted = {
            blob: path
            for path, names in changed
            if (blob := self._blob(path)) and blob not in names and blob not in self._declared
        }
        if not wanted or self.tree is None:
            return
        try:
            with self.tree.objects(self.commit) as objects:
                texts = read_blobs(objects, list(wanted)) if objects else {}
        except GitError as error:
            _warn(self.root, str(error))
            return
        for blob, data in texts.items():
            tasks = read_file(wanted[blob], data).tasks
            self._declared[blob] = {task.task_id: digest(task.fields) for task in tasks}

    def revision_of(
        self, path: str, names: tuple[str, ...], task_id: str, digest: str
    ) -> str | None:
        """The commit, if it declares this task as a file of these `blob_names` does; else None."""
        blob = self._blob(path)
        if blob is None:
            return None
        same = blob in names or self._declared.get(blob, {}).get(task_id) == digest
        return self.commit if same else None

    def has_file(self, path: str) -> bool:
        """Whether the commit has a file at this path."""
        return self._blob(path) is not None

    def _blob(self, path: str) -> str | None:
        """What git calls a file, as far as it has it; of a link, what that leads to."""
        if path in self.blobs or not self.root:
            return self.blobs.get(path)
        real = os.path.relpath(os.path.realpath(f"{self.root}/{path}"), self.root)
        return self.blobs.get(real)


def find_head(root: Path, known: Head | None = None) -> Head | None:
    """The commit at HEAD of the work tree that a folder stands in; `known` is the last one found.

    None if it stands in none, if there is no commit yet, or if git is missing or refuses: that is
    logged, each once. Blocks for up to 15 seconds.
    """
    real = os.path.realpath(root)
    try:
        tree = find_work_tree(root)
        commit = tree.revision() if tree else None
        if tree is None or commit is None:
            return None
        if known and (known.commit, known.tree) == (commit, tree):
            return known
        with tree.objects(commit) as objects:
            blobs = task_files(objects, tree.prefix)[0] if objects else {}
        return Head(commit=commit, blobs=blobs, root=real, tree=tree)
    except GitError as error:
        _warn(real, str(error))
        return None


def head_revision(root: Path, *, user: int | None = None, seconds: float = SECONDS) -> str | None:
    """The commit of HEAD in the git work tree that `root` stands in, or stood in.

    None if it stands in none, if there is no commit yet, or if git is missing or refuses, or the
    repository is another user's (`user` as in `find_work_tree`): that is logged, each once. Blocks
    for up to `seconds`.
    """
    try:
        tree = find_work_tree(root, user=user)
        return tree.revision(seconds=seconds) if tree else None
    except GitError as error:
        _warn(os.path.realpath(root), str(error))
        return None


def blob_names(data: bytes) -> tuple[str, ...]:
    """What git calls a file of these bytes: as it stands, and with line ends as git keeps them.

    These are the names in a repository of SHA-1, as git-hash-object(1) makes them.
    """
    texts = (data, data.replace(b"\r\n", b"\n")) if b"\r\n" in data else (data,)
    return tuple(
        hashlib.sha1(b"blob %d\0" % len(text) + text, usedforsecurity=False).hexdigest()
        for text in texts
    )


@functools.lru_cache(maxsize=100)
def _warn(folder: str, reason: str) -> None:
    log.warning("revision_unknown", folder=folder, reason=reason)
