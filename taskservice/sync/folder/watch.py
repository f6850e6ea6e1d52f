"""Hints that something in the tasks folder may have changed.

Hints only: a burst of events is one hint, there may be one too many, and on a file system
without events (NFS) there are none. A rescan now and then finds what no hint told of.
"""

import asyncio
import os
import stat
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable, Set
from dataclasses import dataclass
from pathlib import Path

import structlog
import watchfiles

from taskservice.sync.folder.listing import list_files
from taskservice.sync.text.task_files import passed_over

STEP_MS = 10
"""A burst is over when nothing came for this long."""

BURST_MS = 250
"""A longer burst is told of all the same."""

POLL_SECONDS = 1.0
"""How often the folder itself is looked at: it may have been replaced by another."""

MOST_PATHS = 100
"""More are no longer told one by one; of very many, some may have been lost."""

RETRY_SECONDS = 30.0
"""The longest time after which watching is tried again once it failed, if the folder stays."""

FIRST_RETRY_SECONDS = 0.1
"""The shortest; it grows twofold while watching goes on failing."""

STANDS_SECONDS = 10.0
"""A watch that stood for so long did not fail at once."""

NAME_RETRY_SECONDS = 0.5
"""The longest time where it is only a name that could not be told."""

LONGEST_LOGGED = 1000
"""Characters of an error that are logged."""

_OF_GIT = (".git", ".git/logs")
_UNTOLD_NAME = "Unable to decode path"  # what its Rust half says of one that is not UTF-8

log = structlog.get_logger()

Changes = Set[tuple[watchfiles.Change, str]]

Hint = frozenset[str] | None
"""The paths, from the folder, of what may have changed; None: it may be anything."""


async def watch(
    root: Path,
    stop: asyncio.Event,
    *,
    poll_seconds: float = POLL_SECONDS,
    retry_seconds: float = RETRY_SECONDS,
    events: Callable[..., Iterable[Changes]] = watchfiles.watch,
) -> AsyncIterator[Hint]:
    """Yield whenever something at or below `root` may have changed, until `stop` is set.

    What happens between two steps of the caller is one hint; a long list is told as None. The
    folder may be missing, and may be replaced. Links that lead out of it are not followed. Raises
    nothing: when watching fails, over a name that is not UTF-8 too, that is logged, told as None,
    and watching is begun again, `retry_seconds` later at the latest. `events` tells of them as
    `watchfiles.watch` does.
    """
    loop = asyncio.get_running_loop()
    changed, over, ended = asyncio.Event(), asyncio.Event(), threading.Event()
    gathered: list[Hint] = []

    def note(hint: Hint) -> None:
        gathered.append(hint)
        changed.set()

    def follow() -> None:
        try:
            _Watcher(
                # Events name the folder by its absolute path.
                root=Path(os.path.abspath(root)),
                ended=ended,
                tell=lambda hint: call_soon(loop, note, hint),
                poll_seconds=poll_seconds,
                retry_seconds=retry_seconds,
                events=events,
            ).follow()
        finally:
            call_soon(loop, over.set)

    # A thread of its own: setting up the watch walks the whole folder.
    threading.Thread(target=follow, name="taskservice-watch", daemon=True).start()
    stopping = asyncio.create_task(stop.wait())
    stopping.add_done_callback(lambda _: changed.set())
    try:
        while await changed.wait() and not stop.is_set():
            changed.clear()
            hint = _together(gathered)
            gathered.clear()
            yield hint
    finally:
        stopping.cancel()
        ended.set()
        await over.wait()


def _together(hints: Iterable[Hint]) -> Hint:
    paths: set[str] = set()
    for hint in hints:
        if hint is None:
            return None
        paths |= hint
    return frozenset(paths) if len(paths) <= MOST_PATHS else None


def call_soon(loop: asyncio.AbstractEventLoop, call: Callable[..., None], *given: Hint) -> None:
    """Have a loop of another thread call a function, unless the loop is closed."""
    try:
        loop.call_soon_threadsafe(call, *given)
    except RuntimeError:
        pass  # the loop is closed: nobody waits any more


@dataclass(frozen=True, kw_only=True)
class _Watcher:
    """What `watch` does on a thread of its own, until `ended`."""

    root: Path
    ended: threading.Event
    tell: Callable[[Hint], None]
    poll_seconds: float
    retry_seconds: float
    events: Callable[..., Iterable[Changes]]

    def follow(self) -> None:
        logged, pause = "", FIRST_RETRY_SECONDS
        while not self.ended.is_set():
            identity, began = _identity(self.root), time.monotonic()
            try:
                if identity is None:
                    raise FileNotFoundError(f"there is no folder {self.root}")
                self._tell_of_events(identity)
                logged, pause = "", FIRST_RETRY_SECONDS
            except Exception as error:  # what its Rust half raises is written nowhere
                if str(error) != logged:
                    logged = str(error)
                    folder = str(self.root)
                    log.warning("watch_failed", folder=folder, error=logged[:LONGEST_LOGGED])
                if time.monotonic() - began > STANDS_SECONDS:
                    pause = FIRST_RETRY_SECONDS
                limit = self.retry_seconds
                if _UNTOLD_NAME in logged:
                    limit = min(limit, NAME_RETRY_SECONDS)
                pause = self.retry_seconds if identity is None else min(pause, limit)
                if identity is not None:
                    self.tell(None)
                self._await_other(identity, pause)
                pause = min(2 * pause, limit)
            self.tell(None)

    def _tell_of_events(self, identity: tuple[int, int]) -> None:
        """Tell of events until `ended`, or until other folders are to be watched than now.

        They are, where the folder is another than `identity`, too.
        """
        told = False
        folders = _folders(self.root)
        for changes in self.events(
            *sorted(folders),
            watch_filter=None,
            step=STEP_MS,
            debounce=BURST_MS,
            rust_timeout=int(self.poll_seconds * 1000),
            yield_on_timeout=True,
            stop_event=self.ended,
            raise_interrupt=False,
            recursive=False,
            ignore_permission_denied=True,
        ):
            # The first time tells of what changed before the watch stood.
            if changes or not told:
                self.tell(_paths(self.root, changes) if told else None)
            if not told and _folders(self.root) != folders:
                return
            told = True
            # A folder made anew may get the number of the old one, so its end counts too.
            gone = (watchfiles.Change.deleted, str(self.root)) in changes
            if gone or _identity(self.root) != identity:
                return
            if any(_rearranges(change, path, folders) for change, path in changes):
                return

    def _await_other(self, identity: tuple[int, int] | None, seconds: float) -> None:
        """Wait until the folder is another than `identity`, or for so long."""
        again = time.monotonic() + seconds
        while not self.ended.wait(min(self.poll_seconds, max(again - time.monotonic(), 0.01))):
            if _identity(self.root) != identity or time.monotonic() >= again:
                return


def _folders(root: Path) -> frozenset[str]:
    """The folders in which something may change that matters, each by its absolute path.

    They are watched one by one: watched with all that is below it, a folder is watched with all
    that its links lead to.
    """
    below = list_files(os.path.realpath(root)).folders
    # A commit changes no file, but where the tasks are declared.
    below |= {name for name in _OF_GIT if os.path.isdir(root / name)}
    return frozenset(str(root / name) for name in below | {""})


def _rearranges(change: watchfiles.Change, path: str, folders: Set[str]) -> bool:
    """Whether other folders may have to be watched since."""
    if path in folders:
        return change == watchfiles.Change.deleted
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        return False
    return stat.S_ISLNK(mode) or (stat.S_ISDIR(mode) and not passed_over(os.path.basename(path)))


def _paths(root: Path, changes: Changes) -> Hint:
    above = f"{root}/"
    paths = {path for _, path in changes}
    if not all(path.startswith(above) for path in paths):
        return None  # the folder itself
    return frozenset(path.removeprefix(above) for path in paths)


def _identity(root: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(root)
    except OSError:
        return None
    return found.st_dev, found.st_ino
