"""Hints that something in the tasks folder may have changed.

Hints only: a burst of events is one hint, there may be one too many, and on a file system
without events (NFS) there are none. A rescan now and then finds what no hint told of.
"""

import asyncio
import os
import threading
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import structlog
import watchfiles

STEP_MS = 50
"""A burst is over when nothing came for this long."""

BURST_MS = 250
"""A longer burst is told of all the same."""

POLL_SECONDS = 1.0
"""How often the folder itself is looked at: it may have been replaced by another."""

RETRY_SECONDS = 30.0
"""How long after watching failed it is tried again, if the folder stays the same."""

log = structlog.get_logger()


async def watch(root: Path, stop: asyncio.Event) -> AsyncIterator[None]:
    """Yield whenever something at or below `root` may have changed, until `stop` is set.

    What happens between two steps of the caller is one hint. The folder may be missing, and
    may be replaced. Raises nothing: when watching fails that is logged, and tried again.
    """
    loop = asyncio.get_running_loop()
    changed, over, ended = asyncio.Event(), asyncio.Event(), threading.Event()

    def follow() -> None:
        try:
            # Events name the folder by its absolute path.
            _follow(Path(os.path.abspath(root)), ended, lambda: _soon(loop, changed))
        finally:
            _soon(loop, over)

    # A thread of its own: setting up the watch walks the whole folder.
    threading.Thread(target=follow, name="taskservice-watch", daemon=True).start()
    stopping = asyncio.create_task(stop.wait())
    stopping.add_done_callback(lambda _: changed.set())
    try:
        while await changed.wait() and not stop.is_set():
            changed.clear()
            yield
    finally:
        stopping.cancel()
        ended.set()
        await over.wait()


def _soon(loop: asyncio.AbstractEventLoop, event: asyncio.Event) -> None:
    try:
        loop.call_soon_threadsafe(event.set)
    except RuntimeError:
        pass  # the loop is closed: nobody waits any more


def _follow(root: Path, ended: threading.Event, tell: Callable[[], None]) -> None:
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
        tell()


def _events(
    root: Path, identity: tuple[int, int], ended: threading.Event, tell: Callable[[], None]
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
            tell()
        told = True
        # A folder made anew may get the number of the old one, so its end counts too.
        gone = (watchfiles.Change.deleted, str(root)) in changes
        if gone or _identity(root) != identity:
            return


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
