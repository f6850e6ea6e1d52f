"""Services that start at once: forked from a process that has imported everything before.

Of a service's start nearly all is imports, more than a second of them; where the start itself is
not what a test is about, a fork does. The service is a process of its own as any other is, but
its coverage is not measured: such a service is killed at the end, and would not tell of it.
"""

import atexit
import functools
import importlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from multiprocessing.connection import Connection, Pipe
from pathlib import Path

from taskservice.cli import main
from tests.acceptance.process import Child, ServiceProcess, wait_for

TOP = Path(__file__).parents[2]


class WarmService(ServiceProcess):
    """A ServiceProcess that is forked."""

    def _launch(self, environ: Mapping[str, str]) -> Child:
        return Forked(_nursery(), environ)


class Forked:
    """A process forked in the nursery, with what is used of `subprocess.Popen`."""

    def __init__(self, nursery: Connection, environ: Mapping[str, str]) -> None:
        self._nursery = nursery
        nursery.send((dict(environ), os.getcwd()))
        self.pid: int = nursery.recv()
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """The exit status, once it has ended; less than 0 for a signal."""
        if self.returncode is None:
            self._nursery.send(self.pid)
            self.returncode = self._nursery.recv()
        return self.returncode

    def wait(self, timeout: float) -> int:
        """The exit status, when it has ended."""
        wait_for("the process ends", lambda: self.poll() is not None, seconds=timeout, every=0.01)
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        # Until it is polled nobody else gets its number.
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


@functools.cache
def _nursery() -> Connection:
    """The process that forks, one for each process that runs tests; it ends with this one."""
    ours, theirs = Pipe()
    unmeasured = {name: value for name, value in os.environ.items() if "COVERAGE" not in name}
    process = subprocess.Popen(
        [sys.executable, "-m", __name__, str(theirs.fileno())],
        cwd=TOP,
        env={**unmeasured, "PYTHONPATH": str(TOP)},
        pass_fds=[theirs.fileno()],
        stdin=subprocess.DEVNULL,
    )
    theirs.close()

    def end() -> None:
        ours.close()
        process.wait()

    atexit.register(end)
    return ours


def _fork_for(asked: Connection) -> None:
    """Fork a service for each environment that comes, and tell of those that have ended."""
    # The last two are those that a service imports only to make its tables.
    for name in (
        "taskservice.cli.serve",
        "alembic.command",
        "sqlalchemy.dialects.sqlite.aiosqlite",
    ):
        importlib.import_module(name)

    while True:
        try:
            order = asked.recv()
        except EOFError:
            return
        if isinstance(order, int):
            pid, status = os.waitpid(order, os.WNOHANG)
            asked.send(os.waitstatus_to_exitcode(status) if pid else None)
            continue
        if pid := os.fork():
            asked.send(pid)
            continue
        asked.close()
        environ, folder = order
        os.environ.clear()
        os.environ.update(environ)
        time.tzset()
        os.chdir(folder)
        sys.argv = ["taskservice", "run"]
        main()


if __name__ == "__main__":
    _fork_for(Connection(int(sys.argv[1])))
