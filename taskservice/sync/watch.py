"""Hints that something in the tasks folder may have changed.

Hints only: a burst of events is one hint, there may be one too many, and on a file system
without events (NFS) there are none. A rescan now and then finds what no hint told of.
"""

import asyncio
import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path

import structlog
import watchfiles

STEP_MS = 10
"""A burst is over when nothing came for this long."""

BURST_MS = 250
"""A longer burst is told of all the same."""

POLL_SECONDS = 1.0
"""How often the folder itself is looked at: it may have been replaced by another."""

MOST_PATHS = 100
"""More are no longer told one by one; of very many, some may have been lost."""

RETRY_SECONDS = 30.0
"""How long after watching failed it is tried again, if the folder stays the same."""

log = structlog.get_logger()


Hint = frozenset[str] | None
"""The paths, from the folder, of what may have changed; None: it may be anything."""


async def watch(root: Path, stop: asyncio.Event) -> AsyncIterator[Hint]:
    """Yield whenever something at or below `root` may have changed, until `stop` is set.

    What happens between two steps of the caller is one hint; a long list is told as None. The
    folder may be missing, and may be replaced. Raises nothing: when watching fails that is
    logged, and tried again.
    """
    loop = asyncio.get_running_loop()
    changed, over, ended = asyncio.Event(), asyncio.Event(), threading.Event()
    gathered: list[Hint] = []

    def note(hint: Hint) -> None:
        gathered.append(hint)
        changed.set()

    def follow() -> None:
        try:
            # Events name the folder by its absolute path.
            _follow(Path(os.path.abspath(root)), ended, lambda hint: _soon(loop, note, hint))
        finally:
            _soon(loop, over.set)

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


def _soon(loop: asyncio.AbstractEventLoop, call: Callable[..., None], *arguments: Hint) -> None:
    try:
        loop.call_soon_threadsafe(call, *arguments)
    except RuntimeError:
        pass  # the loop is closed: nobody waits any more


def _follow(root: Path, ended: threading.Event, tell: Callable[[Hint], None]) -> None:
    logged = ""
    while not ended.is_set():
        identity = _identity(root)
        try:
            if identity is None:
                raise FileNotFoundError(f"there is no folder {root}")
            _events(root, identity, ended, tell)
            logged = ""
        except Exception as error:  # what its Rust half raises is written nowhere
            if str(error) != logged:
                logged = str(error)
                log.warning("watch_failed", folder=str(root), error=logged)
            _await_other(root, identity, ended)
        tell(None)


def _events(
    root: Path, identity: tuple[int, int], ended: threading.Event, tell: Callable[[Hint], None]
) -> None:
    """Tell of events until `ended`, or until the folder is another than `identity`."""
    told = False
    for changes in watchfiles.watch(
        root,
        watch_filter=None,
        step=STEP_MS,
        debounce=BURST_MS,
        rust_timeout=int(POLL_SECONDS * 1000),
        yield_on_timeout=True,
        stop_event=ended,
        raise_interrupt=False,
        ignore_permission_denied=True,
    ):
        # The first time tells of what changed before the watch stood.
        if changes or not told:
            tell(_paths(root, changes) if told else None)
        told = True
        # A folder made anew may get the number of the old one, so its end counts too.
        gone = (watchfiles.Change.deleted, str(root)) in changes
        if gone or _identity(root) != identity:
            return


def _paths(root: Path, changes: Iterable[tuple[watchfiles.Change, str]]) -> Hint:
    above = f"{root}/"
    paths = {path for _, path in changes}
    if not all(path.startswith(above) for path in paths):
        return None  # the folder itself
    return frozenset(path.removeprefix(above) for path in paths)


def _await_other(root: Path, identity: tuple[int, int] | None, ended: threading.Event) -> None:
    """Wait until the folder is another than `identity`, or it is time to try again."""
    again = time.monotonic() + RETRY_SECONDS
    while not ended.wait(POLL_SECONDS):
        if _identity(root) != identity or time.monotonic() >= again:
            return


def _identity(root: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(root)
    except OSError:
        return None
    return found.st_dev, found.st_ino
