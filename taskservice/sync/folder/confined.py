"""Files below a folder, opened so that nothing outside of it is read, whatever links there are.

A check of a path and its opening are two moments, and a link may come in between. Here the path
is opened first, as a handle that reads nothing (`O_PATH`, open(2)); then the kernel says where
the handle is (proc_pid_fd(5)), and only what is below the folder is opened for reading, by it.
"""

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from taskservice.sync.text.task_files import MAX_BYTES, too_large

LEADS_OUT = "is a link that leads out of the tasks folder, and is not followed"

Signature = tuple[int, ...]

_TRIES = 3
"""How often a file that changes while it is read is read again."""


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


def unfit(found: os.stat_result) -> str | None:
    """Why such a file is not even opened; None: it may be."""
    if stat.S_ISDIR(found.st_mode):
        return "is a folder, where a task file was expected"
    if not stat.S_ISREG(found.st_mode):
        return "is no regular file (a pipe, a socket or a device), and is not read"
    return too_large(found.st_size) if found.st_size > MAX_BYTES else None


def unreadable(error: OSError) -> str:
    """Why a file can't be read."""
    return f"can't be read: {error.strerror}"


def signature_of(found: os.stat_result) -> Signature:
    """What is another one once a file has changed, as far as its status tells."""
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def bytes_of(
    handle: int,
    signature: Signature,
    *,
    signature_of: Callable[[os.stat_result], Signature] = signature_of,
) -> bytes | None:
    """The bytes of the file that a handle of `located` is, as `read_bytes` has them."""
    found = os.fstat(handle)
    if signature_of(found) != signature:
        return None
    # One byte more than there should be: what has grown is another file by its signature.
    left = min(found.st_size, MAX_BYTES) + 1
    parts = []
    with reading(handle) as descriptor:
        while left and (part := os.read(descriptor, left)):
            parts.append(part)
            left -= len(part)
    return b"".join(parts) if signature_of(os.fstat(handle)) == signature else None


def read_bytes(
    root: str,
    path: str,
    signature: Signature,
    *,
    signature_of: Callable[[os.stat_result], Signature] = signature_of,
) -> bytes | None:
    """The bytes of a file below `root`; None if it isn't, or doesn't stay, what its signature says.

    Raises `LeadsOut` and `OSError`.
    """
    with located(root, path) as (handle, _):
        return bytes_of(handle, signature, signature_of=signature_of)


def content_of(
    root: str, path: str, *, read: Callable[[int, Signature], bytes | None] = bytes_of
) -> bytes | str:
    """The bytes of a file below `root` as it is now, or the reason why there are none. Blocks.

    `root` is absolute and without links; `read` is to do what `bytes_of` does.
    """
    for _ in range(_TRIES):
        try:
            with located(root, path) as (handle, _name):
                found = os.fstat(handle)
                if wrong := unfit(found):
                    return wrong
                data = read(handle, signature_of(found))
        except LeadsOut:
            return LEADS_OUT
        except OSError as error:
            return unreadable(error)
        if data is not None:
            return data
    return "changes while it is read; try again"
