"""Between the service and a worker: a process that lets nothing of the worker outlive it.

It is forked by the fork server, and forks the worker. What the worker starts it can't lose, for it
is the subreaper (prctl(2)) of all of that: a process whose parent ends becomes its child, whatever
session or group that made for itself. It runs nothing of a user's, so it is there at once when the
worker ends, and when the service lets go of the lifeline: to stop the worker, or because it died.
"""

import contextlib
import ctypes
import multiprocessing.forkserver
import os
import select
import signal
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

_SET_PARENT_DEATH_SIGNAL = 1
_SET_CHILD_SUBREAPER = 36
_IGNORED = (signal.SIGINT, signal.SIGTERM)


def supervise(
    work: Callable[[], object], *, lifeline: int, status: int, others: Iterable[int]
) -> None:  # pragma: no cover: runs in supervisors only
    """Fork a process that does `work`, and stay until it and all that it started are gone.

    To `status` go its process id and, in the end, its exit code. It is killed when the other end of
    `lifeline` is closed. `others` are descriptors that only the worker is to have. Does not return
    in the worker.
    """
    os.setsid()
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)
    _prctl(_SET_CHILD_SUBREAPER, 1)
    woken, wakes = os.pipe()
    os.set_blocking(wakes, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wakes)
    supervisor = os.getpid()
    worker = os.fork()
    if worker == 0:
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            for descriptor in (lifeline, status, woken, wakes):
                os.close(descriptor)
            os.setsid()
            _prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)
            if os.getppid() == supervisor:
                work()
            code = 0
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(code)
    for descriptor in others:
        os.close(descriptor)
    with contextlib.suppress(BrokenPipeError):  # the service died: the lifeline says so too
        multiprocessing.forkserver.write_signed(status, worker)
    sources = select.poll()  # unlike select, it takes descriptors of any number
    for descriptor in (lifeline, woken):
        sources.register(descriptor, select.POLLIN)
    ended: dict[int, int] = {}
    while worker not in ended:
        ready = dict(sources.poll())
        if lifeline in ready:
            break
        os.read(woken, 4096)
        _take_ended(ended)
    _end_all(ended)
    if worker in ended:
        with contextlib.suppress(BrokenPipeError):
            multiprocessing.forkserver.write_signed(status, ended[worker])


def _end_all(ended: dict[int, int]) -> None:  # pragma: no cover: runs in supervisors only
    """Kill all children, and those that become children by that, until none is left."""
    while _take_ended(ended):
        children, killed = _children(), False
        for pid in children:
            # What became another user's program is not ours to kill, nor to wait for.
            with contextlib.suppress(PermissionError):
                os.kill(pid, signal.SIGKILL)
                killed = True
        if killed:
            pid, status = os.waitpid(-1, 0)
            ended[pid] = os.waitstatus_to_exitcode(status)
        elif children:
            return


def _take_ended(ended: dict[int, int]) -> bool:  # pragma: no cover: runs in supervisors only
    """Note the exit codes of children that have ended; whether there are others."""
    try:
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return True
            ended[pid] = os.waitstatus_to_exitcode(status)
    except ChildProcessError:
        return False


def _children() -> list[int]:  # pragma: no cover: runs in supervisors only
    own = os.getpid()
    with contextlib.suppress(OSError):  # a kernel may be made without this file
        return [int(pid) for pid in Path(f"/proc/{own}/task/{own}/children").read_text().split()]
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            # The second field is the command in parentheses and may hold blanks.
            if (folder / "stat").read_text().rpartition(")")[2].split()[1] == str(own):
                found.append(int(folder.name))
    return found


def _prctl(option: int, value: int) -> None:  # pragma: no cover: runs in supervisors only
    ctypes.CDLL(None).prctl(option, value, 0, 0, 0)
