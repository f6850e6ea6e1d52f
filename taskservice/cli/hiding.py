"""Taking the service's own variables out of its environment, once the settings are read."""

import ctypes
import os
import posix
from pathlib import Path

from taskservice.settings import PREFIX

# Where the environment begins that the process was started with: proc(5), field 50 of `stat`,
# which is counted here from what comes after the command's name, field 2.
_ENV_START = 50 - 3


def hide_variables(proc: Path = Path("/proc/self")) -> None:
    """Remove every variable `TASKSERVICE_*` from this process's environment.

    What the service starts, and what runs on its threads, then finds none in `os.environ`, nor in
    the block that Linux shows in `/proc/PID/environ`. It is no wall: the settings stay in memory.
    """
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        del os.environ[name]
    # The interpreter has a copy of its own, of how they were when it began.
    first: dict[bytes, bytes] = posix.environ
    for given in [given for given in first if given.startswith(PREFIX.encode())]:
        del first[given]
    try:
        block = (proc / "environ").read_bytes()
        stat = (proc / "stat").read_text("utf-8", "replace")
        start = int(stat.rpartition(")")[2].split()[_ENV_START])
    except (OSError, ValueError, IndexError):
        return  # another system, which has no such place
    if not start:
        return  # the kernel doesn't say where
    at = 0
    for entry in block.split(b"\0"):
        # Nothing points there any more since the variable was removed.
        if entry.startswith(PREFIX.encode()):
            ctypes.memset(start + at, 0, len(entry))
        at += len(entry) + 1
