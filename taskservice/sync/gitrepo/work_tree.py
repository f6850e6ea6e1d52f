"""The git work tree that a folder stands in: where it is, and what its commits hold.

What fills a folder may be anybody's, and git would take a folder that looks like a repository for
one. So the repository is found here, by its `.git`, which git checks out of no commit, and it must
be the user's own. And all that reads commits does so in an empty repository that only borrows the
objects: not one line of the real one's configuration counts there.
"""

import os
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from taskservice.sync.gitrepo.git import OUTPUT_BYTES, SECONDS, GitError, GitRefused, run_git

_LINK = "gitdir: "
_LONGEST_LINK = 8192


@dataclass(frozen=True, slots=True, kw_only=True)
class Objects:
    """The objects of a repository, read from a commit of it.

    `folder` is an empty repository at that commit.
    """

    folder: Path
    commit: str
    work_tree: Path
    _variables: Mapping[str, str]

    def git(
        self,
        *arguments: str,
        given: bytes = b"",
        options: tuple[str, ...] = (),
        variables: Mapping[str, str] | None = None,
        seconds: float = SECONDS,
        limit: int = OUTPUT_BYTES,
    ) -> bytes:
        """What a command says, HEAD being the commit; see `run_git`. Raises `GitError`."""
        return run_git(
            *arguments, git_dir=self.folder, work_tree=self.work_tree, given=given,
            options=options, variables={**self._variables, **(variables or {})},
            seconds=seconds, limit=limit,
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkTree:
    """A work tree: its top folder, and the repository that it is one of.

    `prefix` is the path from the top of the folder that was asked about, with a slash at its end,
    or empty.
    """

    top: Path
    git_dir: Path
    prefix: str

    def revision(self, name: str = "HEAD", *, seconds: float = SECONDS) -> str | None:
        """The commit that a name stands for (gitrevisions(7)); None: there is none.

        Blocks; raises `GitError`.
        """
        found = self._look(name, seconds=seconds)
        return found[-1] if found else None

    @contextmanager
    def objects(self, name: str = "HEAD", *, seconds: float = SECONDS) -> Iterator[Objects | None]:
        """What commits hold, from the one on that a name stands for; None: there is none.

        Blocks; raises `GitError`.
        """
        found = self._look(name, seconds=seconds)
        if found is None:
            yield None
            return
        form, objects, shallow, commit = found
        with ExitStack() as stack:
            try:
                scratch = tempfile.TemporaryDirectory(prefix="taskservice-git-")
                folder = Path(stack.enter_context(scratch))
                _make_repository(folder, commit, form)
            except OSError as error:
                raise GitError(f"git has no room to work in: {error.strerror or error}") from None
            variables = {"GIT_OBJECT_DIRECTORY": objects, "GIT_SHALLOW_FILE": shallow}
            yield Objects(folder=folder, commit=commit, work_tree=self.top, _variables=variables)

    def _look(self, name: str, *, seconds: float) -> tuple[str, str, str, str] | None:
        """The form of a repository's names, where objects are and what it lacks, and a commit."""
        try:
            told = run_git(
                "rev-parse", "--path-format=absolute", "--show-object-format",
                "--git-path", "objects", "--git-path", "shallow",
                "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}",
                git_dir=self.git_dir, work_tree=self.top, seconds=seconds,
            )  # fmt: skip
        except GitRefused as refused:
            if refused.said:
                raise
            return None
        lines = os.fsdecode(told).split("\n")[:-1]
        if len(lines) != 4:
            raise GitError(f"git does not tell where the objects of {self.git_dir} are")
        form, objects, shallow, commit = lines
        return form, objects, shallow, commit


def _make_repository(folder: Path, commit: str, form: str) -> None:
    """Make an empty repository at this commit, whose objects have names of this form."""
    for name in ("objects", "refs"):
        (folder / name).mkdir()
    (folder / "HEAD").write_text(f"{commit}\n")
    (folder / "config").write_text(
        "[core]\n\trepositoryFormatVersion = 1\n\tbare = false\n"
        f"[extensions]\n\tobjectFormat = {form}\n"
    )


def find_work_tree(folder: Path, *, user: int | None = None) -> WorkTree | None:
    """The work tree that a folder stands in, or stood in; None: in none.

    Raises `GitError` where it is not `user`'s own, which is that of this process if not given,
    and git's `safe.directory` (git-config(1)) does not name it, and where its `.git` leads into
    itself. Blocks.
    """
    place = Path(os.path.realpath(folder))
    while not place.is_dir():
        place = place.parent
    for top in (place, *place.parents):
        git_dir = _git_dir(top)
        if git_dir is not None:
            _check_owner(top, git_dir, os.geteuid() if user is None else user)
            below = place.relative_to(top).as_posix()
            return WorkTree(top=top, git_dir=git_dir, prefix="" if below == "." else f"{below}/")
    return None


def _git_dir(top: Path) -> Path | None:
    """The repository that a folder's `.git` is or leads to; None: it is the top of no work tree."""
    entry = top / ".git"
    try:
        kind = os.lstat(entry).st_mode
        if stat.S_ISREG(kind):
            with entry.open("rb") as link:
                text = os.fsdecode(link.read(_LONGEST_LINK))
            if not text.startswith(_LINK):
                raise GitError(f"{entry} leads to no repository")
            entry = top / text.removeprefix(_LINK).rstrip("\r\n")
        found = Path(os.path.realpath(entry))
        if not (found / "HEAD").is_file():
            return None  # a folder that is only called so: git passes over it too
    except OSError as error:
        if isinstance(error, FileNotFoundError):
            return None
        raise GitError(f"{entry}: {error.strerror}") from None
    if not stat.S_ISDIR(kind) and found.is_relative_to(top):
        # Whoever fills the folder can have put it there.
        raise GitError(f"{top / '.git'} leads into the folder itself")
    return found


def _check_owner(top: Path, git_dir: Path, user: int) -> None:
    """Raise `GitError` unless a repository is a user's own, or one that git is told to trust."""
    own = {user}
    if user == 0 and (caller := os.environ.get("SUDO_UID", "")).isdecimal():
        own.add(int(caller))  # as git has it
    try:
        owners = {os.lstat(place).st_uid for place in (top, top / ".git", git_dir)}
    except OSError as error:
        raise GitError(f"{error.filename}: {error.strerror}") from None
    if owners <= own:
        return
    try:
        told = run_git(
            "config", "--null", "--type=path", "--get-all", "safe.directory",
            git_dir=Path("/dev/null"), as_user=True,
        )  # fmt: skip
    except GitRefused:
        told = b""
    trusted: list[str] = []
    for name in os.fsdecode(told).split("\0")[:-1]:
        trusted = [*trusted, name] if name else []
    if not any(_covers(name, top) for name in trusted):
        raise GitError(
            f"detected dubious ownership in repository at '{top}': it belongs to another user; "
            f"to trust it: git config --global --add safe.directory {top}"
        )


def _covers(name: str, top: Path) -> bool:
    """Whether a value of `safe.directory` stands for a folder."""
    if name == "*":
        return True
    if name.endswith("/*"):
        return top.is_relative_to(os.path.realpath(name[:-2]))
    return os.path.realpath(name) == str(top)
