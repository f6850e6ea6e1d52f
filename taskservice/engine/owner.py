"""Who executes: a process known to the database, with a lease that says it lives."""

import os
import socket
import time
from pathlib import Path


def seconds_now() -> float:
    """Seconds of a clock that nobody steps, and that goes on while the machine is suspended.

    clock_gettime(2); all processes of a machine have the same.
    """
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def process_name(pid: int | None = None) -> str:
    """A name that no other process has, here or elsewhere, now or later.

    Host, process id, and where Linux tells them the moment it began (proc(5), field 22 of
    `stat`), the boot and the namespace of its process ids.
    """
    pid = os.getpid() if pid is None else pid
    return f"{socket.gethostname()}:{pid}:{_began(pid)}:{_namespace()}"


def short_name(name: str) -> str:
    """The part of a process's name that people read: host and process id."""
    return ":".join(name.split(":")[:2])


def is_dead(name: str) -> bool:
    """Whether the process of this name is known to be gone; False where it can't be known."""
    try:
        host, pid, began, namespace = name.split(":", 3)
    except ValueError:
        return False
    if host != socket.gethostname() or namespace != _namespace() or not began:
        return False
    return _began(int(pid)) != began


def _began(pid: int) -> str:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    # The second field is the command in parentheses and may hold blanks.
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] in "ZX" else fields[19]


def _namespace() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}:{os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""
