"""Commits on a new branch of a git work tree, made beside its files and its index."""

import json
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from taskservice.cli.promoting import Promotions, Share, Step
from taskservice.domain.errors import Conflict
from taskservice.domain.overlay import DELETED
from taskservice.sync.git import environment

GIT_SECONDS = 60
_LONGEST_VALUE = 200


class Branch:
    """A branch to be made from HEAD of the work tree that a folder stands in.

    Everything raises `Conflict`, which says what git said.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        self._folder = folder
        if not folder.is_dir():
            raise Conflict(f"no folder {str(folder)!r}: name the tasks folder with --folder")
        self._top = self._git("rev-parse", "--show-toplevel")
        self._prefix = self._git("rev-parse", "--show-prefix")
        if self._ask("check-ref-format", "--branch", name) is None:
            raise Conflict(f"{name!r} can't be the name of a branch")
        if self._ask("show-ref", "--verify", "--quiet", self._ref) is not None:
            raise Conflict(f"there is a branch {name!r} already: choose another name, or delete it")
        head = self._ask("rev-parse", "--verify", "--quiet", "HEAD^{commit}")
        if head is None:
            raise Conflict(f"the repository in {self._top} has no commit yet")
        self._head = head

    @property
    def _ref(self) -> str:
        return f"refs/heads/{self.name}"

    def commit(self, promotions: Promotions, *, domain: str) -> list[tuple[str, str]]:
        """A commit for each person, with a mail address at `domain`: its short id, and who."""
        paths = {path for share in promotions.shares for path in share.files}
        modes = {path: self._mode(path, promotions.before[path]) for path in sorted(paths)}
        made = []
        with tempfile.TemporaryDirectory() as scratch:
            index = {"GIT_INDEX_FILE": f"{scratch}/index"}
            self._git("read-tree", self._head, variables=index)
            parent = self._head
            for share in promotions.shares:
                self._stage(share, modes, index)
                tree = self._git("write-tree", variables=index)
                parent = self._git(
                    "commit-tree", tree, "-p", parent, "-F", "-",
                    given=message(share).encode(), variables=_author(share, domain),
                )  # fmt: skip
                made.append((parent, share.person))
        # The empty old value: nobody must have made the branch meanwhile.
        self._git("update-ref", "-m", "taskservice promote", self._ref, parent, "")
        return [(self._git("rev-parse", "--short", commit), person) for commit, person in made]

    def _mode(self, path: str, before: bytes | None) -> str:
        """The mode of a file that is at HEAD what the service has."""
        listed = self._git("ls-tree", "-z", "--full-tree", "HEAD", "--", self._prefix + path)
        entries = [line.split(None, 3) for line in listed.split("\0") if line]
        if before is None:
            if entries:
                raise Conflict(f"{path} is in the repository already, but not in the service")
            return "100644"
        if not entries:
            raise Conflict(f"{path} is not in the repository at HEAD: commit it first")
        mode, kind, blob = entries[0][:3]
        if kind != "blob" or not mode.startswith("100"):
            raise Conflict(f"{path} is no regular file in the repository")
        if blob != self._blob(path, before, write=False):
            raise Conflict(
                f"{path} at HEAD is not the text that the service has: check out and pull what "
                "it has, or let it sync, then try again"
            )
        return mode

    def _stage(self, share: Share, modes: Mapping[str, str], index: Mapping[str, str]) -> None:
        lines = []
        for path, data in share.files.items():
            if data is None:
                lines.append(f"0 {'0' * len(self._head)}\t{self._prefix}{path}\0")
            else:
                blob = self._blob(path, data, write=True)
                lines.append(f"{modes[path]} {blob}\t{self._prefix}{path}\0")
        given = "".join(lines).encode()
        self._git("update-index", "-z", "--index-info", given=given, variables=index)

    def _blob(self, path: str, data: bytes, *, write: bool) -> str:
        """The id of the file's content, line ends as the repository keeps them."""
        writing = ("-w",) if write else ()
        return self._git("hash-object", *writing, "--stdin", "--path", path, given=data)

    def _ask(self, *arguments: str) -> str | None:
        """What a command says; None where it says no."""
        try:
            return self._git(*arguments)
        except _Refused:
            return None

    def _git(
        self, *arguments: str, given: bytes = b"", variables: Mapping[str, str] | None = None
    ) -> str:
        told = {"GIT_LITERAL_PATHSPECS": "1", **(variables or {})}
        try:
            done = subprocess.run(
                ["git", "-C", str(self._folder), *arguments],
                input=given, capture_output=True, check=False, env=environment() | told,
                timeout=GIT_SECONDS,
            )  # fmt: skip
        except FileNotFoundError:
            raise Conflict("git is not installed on this machine") from None
        except subprocess.TimeoutExpired:
            raise Conflict(f"git {arguments[0]} took longer than {GIT_SECONDS} s") from None
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip() or f"status {done.returncode}"
            raise _Refused(f"git {arguments[0]}: {said}")
        return done.stdout.decode(errors="surrogateescape").removesuffix("\n")


class _Refused(Conflict):
    """What git would not do."""


def _author(share: Share, domain: str) -> dict[str, str]:
    return {
        "GIT_AUTHOR_NAME": share.person,
        "GIT_AUTHOR_EMAIL": f"{share.person}@{domain}",
        "GIT_AUTHOR_DATE": share.at.isoformat(),
    }


def message(share: Share) -> str:
    """What a commit says: the tasks, each field old and new, why, and until when."""
    ids = sorted({step.task_id for step in share.steps})
    what = ids[0] if len(ids) == 1 else f"{len(ids)} tasks"
    return "\n".join([f"Promote overrides of {what}", "", *map(_told, share.steps), ""])


def _told(step: Step) -> str:
    if step.new is not None:
        return f"{step.task_id}: declared by API until now"
    lines = []
    for one in step.overrides:
        if one["field"] == DELETED:
            said = f"{step.task_id}: deleted"
        else:
            new = "absent" if one["absent"] else _shown(one["value"])
            said = f"{step.task_id}: {one['field']}: {_shown(one['declared'])} -> {new}"
        lines.append(said)
        if one["reason"]:
            lines.append(f"  reason: {one['reason']}")
        if one["until"]:
            lines.append(f"  until: {one['until']}")
    return "\n".join(lines)


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}…"
