"""Copies of the service that functions fork: they hold on to nothing that is the service's.

A function of the executor `local` runs on a thread of the service, so `os.fork`, and
multiprocessing where it forks, copy the whole service with its open files. Such a copy may live
for long, longer than the service: it must not keep the service's port, clients and database, and a
signal that is sent to it must not reach the service.
"""

import os
import signal
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from taskservice.storage.database import place_of

_SQLITE_ENDS = ("", "-wal", "-shm", "-journal", ".lock")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Owned:
    """How the service's own open files are known: by what they are connected to.

    `port` is where it listens; `database` the TCP port or Unix socket of the database's server, or
    the path of SQLite's file.
    """

    port: int
    database: int | str

    def has_file(self, path: str) -> bool:
        """Whether a file is the database's: SQLite's own, its journals, or the lock beside it."""
        return path in [f"{self.database}{end}" for end in _SQLITE_ENDS]

    def has_socket(self, descriptor: int) -> bool:
        """Whether a socket is the listener, one that it accepted, or goes to the database."""
        with socket.socket(fileno=os.dup(descriptor)) as one:
            peer = _peer(one)
            if one.family not in (socket.AF_INET, socket.AF_INET6):
                return peer == self.database
            # A function's own connection to the API has the port at its other end.
            return one.getsockname()[1] == self.port or bool(peer and peer[1] == self.database)


@contextmanager
def copies_let_go(
    listener: socket.socket, database_url: str, others: Callable[[], Iterable[int]]
) -> Iterator[None]:
    """While this lasts, copies of this process let go of what is the service's as they begin.

    `others` tells the descriptors that can't be known by what they are connected to.
    """
    owned = _Owned(port=listener.getsockname()[1], database=place_of(database_url))
    lasts = [True]
    os.register_at_fork(after_in_child=lambda: _let_go(owned, others) if lasts else None)
    try:
        yield
    finally:
        lasts.clear()


def _let_go(owned: _Owned, others: Callable[[], Iterable[int]]) -> None:
    # A signal's number is written to this descriptor, at whose other end the service reads.
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for descriptor in others():
        os.dup2(nothing, descriptor, inheritable=False)
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError):  # the listing's own descriptor is closed again
            descriptor = int(name)
            target = os.readlink(f"/proc/self/fd/{name}")
            found = (
                owned.has_socket(descriptor)
                if target.startswith("socket:")
                else owned.has_file(target)
            )
            if found:
                # Not closed: what still has the number must not come to mean another file.
                os.dup2(nothing, descriptor, inheritable=False)
    os.close(nothing)


def _peer(one: socket.socket) -> tuple[str, int] | str | None:
    with suppress(OSError):  # it listens, or is connected to nobody
        peer: tuple[str, int] | str = one.getpeername()
        return peer
    return None
