"""A repository's copy on disk, and the checkout of one of its commits, swapped whole.

In the folder lie `clone.git`, the work trees of the last two commits, `commits/SHA`, and the
link `live` to one of them: renaming another link over it changes all files at once.
"""

import fcntl
import os
import secrets
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog

from taskservice.sync.gitrepo.git import END_SECONDS, GitError, GitTooMuch
from taskservice.sync.gitrepo.remote import FIRST_SECONDS, GIT_SECONDS, Remote
from taskservice.sync.gitrepo.signers import Signers
from taskservice.sync.text.task_files import as_utf8

SETTLED_AGE = 60
"""Files are dated back so far, in seconds: nobody need wait for them to be written to the end."""

NOWHERE = ".leads-out-of-the-repository"
"""Where links point that led out of the checkout; there is no such file."""

MOST_FILES = 100_000
"""How many files, folders and links a commit may have."""

MOST_BYTES = 1024 * 1024 * 1024
"""How much they may hold together."""

MOST_DEPTH = 100
"""How deep folders may lie in each other."""

_ENTRY_BYTES = 256

log = structlog.get_logger()


class _NotLive(Exception):
    """Why the commit that is wanted does not become live, in one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulled:
    """What a pull came to: the commit wanted (None: nothing was fetched), and the one live.

    `problem` says in one line why they differ, why nothing was fetched, or what the live one lacks.
    """

    wanted: str | None
    live: str | None
    problem: str | None


class Checkout:
    """Keeps the head of `branch` of the repository at `url` checked out in `folder`.

    `path` is the folder of task files in it; a commit without it is checked out all the same, for
    git keeps no empty folders. Submodules are not followed, and links that lead out of the
    checkout are cut. With a file of allowed `signers` only commits go live that are signed by one
    of them. Git may take `seconds` for all but the first fetch, and `end_seconds` to end; a commit
    has at most `most_files` and `most_bytes`. `pull` blocks: call it off the event loop.
    """

    def __init__(
        self,
        folder: Path,
        *,
        url: str,
        branch: str,
        path: str,
        signers: Path | None = None,
        seconds: float = GIT_SECONDS,
        first_seconds: float = FIRST_SECONDS,
        end_seconds: float = END_SECONDS,
        most_files: int = MOST_FILES,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        # What git notes of the work trees must hold wherever it is run.
        self._folder = Path(os.path.abspath(folder))
        self._clone = self._folder / "clone.git"
        self._commits = self._folder / "commits"
        self._live = self._folder / "live"
        self._branch = branch
        self._path = path
        self._signers = Signers(signers) if signers else None
        self._most_files = most_files
        self._most_bytes = most_bytes
        self._remote = Remote(
            self._clone, url, seconds=seconds, first_seconds=first_seconds, end_seconds=end_seconds
        )

    @property
    def root(self) -> Path:
        """The folder of task files of the commit that is live; who reads it resolves it once."""
        return self._live / self._path

    def live(self) -> str | None:
        """The commit whose files are used, or None."""
        try:
            tree = self._live.readlink()
        except OSError:
            return None
        return tree.name if self._live.is_dir() else None

    def end(self) -> None:
        """Have a pull that is under way fail soon, and any other until `begin`."""
        self._remote.end()

    def begin(self) -> None:
        """Let pulls be made again."""
        self._remote.begin()

    def pull(self, *, confirmed: bool = False, last: str | None = None) -> Pulled:
        """Fetch the branch, and make its head live if that can be; raises nothing.

        A head that does not follow on the live commit has to be `confirmed`; where none is live,
        `last` is the one that was, maybe elsewhere.
        """
        wanted, problem = None, None
        try:
            with self._alone():
                wanted = self._fetch()
                self._make_live(wanted, confirmed=confirmed, last=last)
                if not self.root.is_dir():
                    problem = f"commit {wanted[:12]} has no folder {self._path!r}"
        except (GitError, _NotLive) as error:
            problem = str(error)
        except OSError as error:
            problem = f"{error.filename or self._folder}: {error.strerror}"
        return Pulled(wanted=wanted, live=self.live(), problem=problem)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other processes out of the folder, which is made if there is none."""
        self._commits.mkdir(parents=True, exist_ok=True)
        with open(self._folder / "lock", "w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise _NotLive(f"another process is at work in {self._folder}") from None
            yield

    def _fetch(self) -> str:
        try:
            return self._remote.fetch(self._branch, first=self.live() is None)
        except GitError:
            self._remove_old_locks()
            self._remove_half_packs()
            raise

    def _remove_old_locks(self) -> None:
        """Remove what a git that was killed left behind: it would keep all others out."""
        for lock in (*self._clone.glob("*.lock"), *self._clone.glob("refs/**/*.lock")):
            if time.time() - lock.stat().st_mtime > FIRST_SECONDS:
                log.warning("lock_removed", path=str(lock))
                lock.unlink(missing_ok=True)

    def _remove_half_packs(self) -> None:
        """Remove what a fetch that failed had received: git keeps it for two weeks."""
        for half in self._clone.glob("objects/pack/tmp_*"):
            half.unlink(missing_ok=True)

    def _make_live(self, wanted: str, *, confirmed: bool, last: str | None) -> None:
        live = self.live()
        if live == wanted:
            return
        before = live or last
        if before and not confirmed and not self._follows(wanted, before):
            raise _NotLive(
                f"the branch was rewritten: {wanted[:12]} does not follow on {before[:12]}, "
                "which stays until somebody confirms with POST /sync?prune=true"
            )
        if self._signers and (refusal := self._signers.refusal(self._remote, wanted, before)):
            raise _NotLive(refusal)
        tree = self._commits / wanted
        if not tree.is_dir():
            self._check_out(wanted, tree)
        self._swap(tree)
        log.info("commit_live", commit=wanted, before=live)
        self._remove(tree for tree in self._commits.iterdir() if tree.name not in (wanted, live))

    def _follows(self, later: str, earlier: str) -> bool:
        return self._remote.says("merge-base", "--is-ancestor", earlier, later) is not None

    def _check_out(self, commit: str, tree: Path) -> None:
        """Make the work tree under another name: one that has its own is whole."""
        self._check_size(commit)
        self._remove(self._commits.glob(".*"))
        # A git that outlived its service may still be at work, under a name of its own.
        draft = self._commits / f".{commit}-{secrets.token_hex(4)}"
        self._remote.run("worktree", "add", "--quiet", "--detach", str(draft), commit)
        for link in settle(draft):
            log.warning("link_cut", commit=commit, path=link)
        draft.rename(tree)
        # `worktree move` does this too, but not where there are submodules.
        self._remote.says("worktree", "repair", str(tree))

    def _check_size(self, commit: str) -> None:
        """Raise `_NotLive` for a commit that is too large: a few bytes can unfold to anything."""
        limit = self._most_files * _ENTRY_BYTES
        try:
            told = self._remote.run("ls-tree", "-r", "-t", "-l", "-z", commit, limit=limit)
        except GitTooMuch:
            raise _NotLive(f"commit {commit[:12]} has too many files") from None
        entries = told.split(b"\0")[:-1]
        if len(entries) > self._most_files:
            raise _NotLive(
                f"commit {commit[:12]} has more than {self._most_files} files and folders"
            )
        if any(entry.count(b"/") > MOST_DEPTH for entry in entries):
            raise _NotLive(f"commit {commit[:12]} has folders more than {MOST_DEPTH} deep")
        sizes = (entry.partition(b"\t")[0].split()[3] for entry in entries)
        if sum(int(size) for size in sizes if size != b"-") > self._most_bytes:
            most = self._most_bytes
            raise _NotLive(
                f"the files of commit {commit[:12]} have more than {most} bytes together"
            )

    def _swap(self, tree: Path) -> None:
        draft = self._folder / "live.new"
        draft.unlink(missing_ok=True)
        draft.symlink_to(tree.relative_to(self._folder))
        draft.replace(self._live)

    def _remove(self, trees: Iterable[Path]) -> None:
        """Remove work trees; one that stays for once is no harm."""
        for tree in list(trees):
            self._remote.says("worktree", "remove", "--force", "--force", str(tree))
            shutil.rmtree(tree, ignore_errors=True)


def settle(tree: Path) -> list[str]:
    """Date back the files of a tree, and cut the links that lead out of it: their paths in it."""
    top = os.path.realpath(tree)
    moment = time.time() - SETTLED_AGE
    cut = []
    for folder, folders, files in os.walk(top):
        for name in (*folders, *files):
            path = os.path.join(folder, name)
            if not os.path.islink(path):
                os.utime(path, (moment, moment))
            elif not f"{os.path.realpath(path)}/".startswith(f"{top}/"):
                os.unlink(path)
                os.symlink(NOWHERE, path)
                cut.append(as_utf8(os.path.relpath(path, top)))
    return cut
