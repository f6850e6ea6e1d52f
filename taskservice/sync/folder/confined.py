"""Files below a folder, opened so that nothing outside of it is read, whatever links there are.

A check of a path and its opening are two moments, and a link may come in between. Here the path
is opened first, as a handle that reads nothing (`O_PATH`, open(2)); then the kernel says where
the handle is (proc_pid_fd(5)), and only what is below the folder is opened for reading, by it.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

LEADS_OUT = "is a link that leads out of the tasks folder, and is not followed"


class LeadsOut(Exception):
    """What is at a path is not below the folder: a link on the way leads elsewhere."""


@contextmanager
def located(root: str, path: str) -> Iterator[tuple[int, str]]:
    """What `path` below `root` is, links followed: a handle to ask of, and its path from `root`.

    `root` is absolute and without links. Raises `LeadsOut`, and `OSError` where there is nothing.
    """
    name = f"{root}/{path}"
    try:
        handle = os.open(name, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        # Whether there is something outside is nobody's business.
        if not _is_below(root, os.path.realpath(name)):
            raise LeadsOut from None
        raise
    try:
        real = os.readlink(f"/proc/self/fd/{handle}")
        if not _is_below(root, real):
            if _is_below(root, os.path.realpath(name)):
                raise FileNotFoundError(f"{name} was replaced meanwhile")
            raise LeadsOut
        yield handle, real[len(root.rstrip("/")) + 1 :]
    finally:
        os.close(handle)


def _is_below(root: str, real: str) -> bool:
    return real == root or real.startswith(f"{root.rstrip('/')}/")


def status(root: str, path: str) -> os.stat_result:
    """The status of what is at `path` below `root`, links followed; raises as `located` does."""
    with located(root, path) as (handle, _):
        return os.fstat(handle)


@contextmanager
def reading(handle: int) -> Iterator[int]:
    """A descriptor to read what a handle of `located` is: a regular file or a folder.

    Anything else is refused with `OSError`, unopened: opening a pipe may wait, and opening a
    device may do anything.
    """
    mode = os.fstat(handle).st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise OSError(0, "is no regular file")
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    descriptor = os.open(f"/proc/self/fd/{handle}", flags)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
