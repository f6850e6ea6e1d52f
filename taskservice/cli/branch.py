"""Commits on a new branch of a git work tree, made beside its files and its index."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from taskservice.domain.errors import Conflict
from taskservice.sync.gitrepo.git import GitError, GitRefused, run_git
from taskservice.sync.gitrepo.work_tree import Objects, WorkTree, find_work_tree

GIT_SECONDS = 60.0
_LINE_ENDS = r"^core\.(autocrlf|eol)$"


class Branch:
    """A branch to be made from HEAD of the work tree that a folder stands in.

    Everything raises `Conflict`, which says what git said. To be used in a `with`.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        if not folder.is_dir():
            raise Conflict(f"no folder {str(folder)!r}: name the tasks folder with --folder")
        try:
            tree = find_work_tree(folder)
        except GitError as error:
            raise Conflict(str(error)) from None
        if tree is None:
            raise Conflict(f"{str(folder)!r} stands in no git repository")
        self._tree: WorkTree = tree
        self._within = ExitStack()
        if name.startswith("-") or self._ask("check-ref-format", self._ref) is None:
            raise Conflict(f"{name!r} can't be the name of a branch")
        if self._ask("show-ref", "--verify", "--quiet", self._ref) is not None:
            raise Conflict(f"there is a branch {name!r} already: choose another name, or delete it")

    def __enter__(self) -> Self:
        try:
            objects = self._within.enter_context(self._tree.objects(seconds=GIT_SECONDS))
        except GitError as error:
            raise Conflict(str(error)) from None
        if objects is None:
            raise Conflict(f"the repository in {self._tree.top} has no commit yet")
        self._objects: Objects = objects
        # As the repository keeps line ends; nothing else of its configuration counts.
        told = self._ask("config", "--null", "--get-regexp", _LINE_ENDS, as_user=True) or ""
        self._options = tuple(one.replace("\n", "=", 1) for one in told.split("\0") if "\n" in one)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._within.close()

    @property
    def _ref(self) -> str:
        return f"refs/heads/{self.name}"

    def commit(
        self,
        before: Mapping[str, str | None],
        contributions: Sequence[Mapping[str, Any]],
        *,
        domain: str,
    ) -> list[tuple[str, str]]:
        """A commit for each contribution of `POST /promotion`: its short id, and the author.

        `before` are the texts of the files by path; authors have a mail address at `domain`.
        """
        modes = {path: self._mode(path, text) for path, text in sorted(before.items())}
        committer = self._committer()
        made = []
        self._read("read-tree", self._objects.commit)
        parent = self._objects.commit
        for one in contributions:
            self._stage(one["files"], modes)
            tree = self._read("write-tree")
            author = {
                "GIT_AUTHOR_NAME": one["author"],
                "GIT_AUTHOR_EMAIL": f"{one['author']}@{domain}",
                "GIT_AUTHOR_DATE": one["set_at"],
            }
            parent = self._read(
                "commit-tree", tree, "-p", parent, "-F", "-",
                given=one["message"].encode(), variables=author | committer,
            )  # fmt: skip
            made.append((parent, one["author"]))
        # The empty old value: nobody must have made the branch meanwhile.
        update = ("update-ref", "-m", "taskservice promote", self._ref, parent, "")
        self._git(*update, variables=committer)
        return [(self._git("rev-parse", "--short", commit), person) for commit, person in made]

    def _committer(self) -> dict[str, str]:
        """Who commits, by the variables and the configuration of whoever runs this."""
        named = self._git("var", "GIT_COMMITTER_IDENT", as_user=True)
        name, _, rest = named.partition(" <")
        return {"GIT_COMMITTER_NAME": name, "GIT_COMMITTER_EMAIL": rest.partition(">")[0]}

    def _mode(self, path: str, before: str | None) -> str:
        """The mode of a file that is at HEAD what the service has."""
        full = self._tree.prefix + path
        listed = self._read("ls-tree", "-z", "--full-tree", self._objects.commit, "--", full)
        entries = [line.split(None, 3) for line in listed.split("\0") if line]
        if self._is_filtered(full):
            raise Conflict(
                f"{path} goes through a filter in this repository, which is not run here: commit "
                "it by hand, with --write"
            )
        if before is None:
            if entries:
                raise Conflict(f"{path} is in the repository already, but not in the service")
            return "100644"
        if not entries:
            raise Conflict(f"{path} is not in the repository at HEAD: commit it first")
        mode, kind, blob = entries[0][:3]
        if kind != "blob" or not mode.startswith("100"):
            raise Conflict(f"{path} is no regular file in the repository")
        if blob != self._blob(full, before, write=False):
            raise Conflict(
                f"{path} at HEAD is not the text that the service has: check out and pull what "
                "it has, or let it sync, then try again"
            )
        return mode

    def _is_filtered(self, path: str) -> bool:
        """Whether the repository keeps a file otherwise than it is, encrypted for example."""
        told = self._read("check-attr", "-z", "filter", "--", path)
        return told.split("\0")[2] not in ("unspecified", "unset")

    def _stage(self, files: Mapping[str, str | None], modes: Mapping[str, str]) -> None:
        lines = []
        for path, text in files.items():
            full = self._tree.prefix + path
            if text is None:
                lines.append(f"0 {'0' * len(self._objects.commit)}\t{full}\0")
            else:
                lines.append(f"{modes[path]} {self._blob(full, text, write=True)}\t{full}\0")
        self._read("update-index", "-z", "--index-info", given=os.fsencode("".join(lines)))

    def _blob(self, path: str, text: str, *, write: bool) -> str:
        """The id of the file's content, line ends as the repository keeps them."""
        writing = ("-w",) if write else ()
        return self._read("hash-object", *writing, "--stdin", "--path", path, given=text.encode())

    def _ask(self, *arguments: str, as_user: bool = False) -> str | None:
        """What a command says in the repository itself; None where it says no."""
        try:
            return self._git(*arguments, as_user=as_user)
        except _Refused:
            return None

    def _git(
        self,
        *arguments: str,
        as_user: bool = False,
        variables: Mapping[str, str] | None = None,
    ) -> str:
        with _complaint(arguments[0]):
            return _text(
                run_git(
                    *arguments, git_dir=self._tree.git_dir, work_tree=self._tree.top,
                    as_user=as_user, variables=variables, seconds=GIT_SECONDS,
                )
            )  # fmt: skip

    def _read(
        self, *arguments: str, given: bytes = b"", variables: Mapping[str, str] | None = None
    ) -> str:
        """What a command says among the objects alone, by none of the repository's programs."""
        with _complaint(arguments[0]):
            return _text(
                self._objects.git(
                    *arguments, given=given, variables=variables, options=self._options,
                    seconds=GIT_SECONDS,
                )
            )  # fmt: skip


class _Refused(Conflict):
    """What git would not do."""


@contextmanager
def _complaint(command: str) -> Iterator[None]:
    """Raise what git says as a conflict."""
    try:
        yield
    except GitRefused as error:
        raise _Refused(f"git {command}: {error}") from None
    except GitError as error:
        raise Conflict(f"git {command}: {error}") from None


def _text(told: bytes) -> str:
    return os.fsdecode(told).removesuffix("\n")
