"""One service for a module of tests, and the command that speaks to it."""

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.process import ServiceProcess
from tests.acceptance.warm import WarmService
from tests.commands import Result, bare_environ, run_here

TOP = Path(__file__).parents[2]
LIMIT = 60.0

NOTICE = """\
name: Notice
task_type: notification
trigger_type: interval
trigger_args: {hours: 1}
func_path: taskservice.examples.simple_task
func_args: {message: hello}
"""
"""The file of a task that fires hourly."""


def read_terminal(parent: int) -> bytes:
    """All that is shown on a terminal until its other end is closed."""
    shown = b""
    try:
        while more := os.read(parent, 4096):
            shown += more
    except OSError:  # Linux's way to say that it is closed
        pass
    return shown


def terminal(command: list[str], environ: Mapping[str, str], typed: str = "") -> tuple[int, str]:
    """Exit status of a command, and what it prints on a terminal that is 80 columns wide.

    `typed` is what somebody types there.
    """
    inherited = {name: value for name, value in environ.items() if name != "COLUMNS"}
    parent, child = pty.openpty()
    fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    with subprocess.Popen(
        command, env={**inherited, "TERM": "xterm"}, stdin=child, stdout=child, stderr=child
    ) as process:
        os.close(child)
        os.write(parent, typed.encode())
        shown = read_terminal(parent)
        os.close(parent)
    return process.returncode, shown.decode()


class Cli:
    """The command `taskservice`, as a user types it, with the service as its server."""

    def __init__(self, server: str) -> None:
        self.server = server

    def environ(self, **variables: str) -> Mapping[str, str]:
        """The environment of a command, with these variables and no others of the project."""
        own = {"PYTHONPATH": str(TOP), "TASKSERVICE_SERVER": self.server, **variables}
        return bare_environ(**own)

    def start(self, *arguments: str, **variables: str) -> subprocess.Popen[str]:
        """Start a command that the test ends, or that ends by itself."""
        return subprocess.Popen(
            [sys.executable, "-m", "taskservice", *arguments],
            env=self.environ(**variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, **variables: str) -> Result:
        """Run a command to its end, in this process."""
        return run_here(arguments, self.environ(**variables))

    def process(self, *arguments: str, **variables: str) -> Result:
        """Run a command to its end, in a process of its own."""
        with self.start(*arguments, **variables) as process:
            try:
                out, err = process.communicate(timeout=LIMIT)
            finally:
                process.kill()
        return Result(process.returncode, out, err)

    def on_terminal(self, *arguments: str, typed: str = "", **variables: str) -> tuple[int, str]:
        """Run a command to its end on a terminal; its status, and all that it shows."""
        command = [sys.executable, "-m", "taskservice", *arguments]
        return terminal(command, self.environ(**variables), typed)

    def ok(self, *arguments: str, **variables: str) -> str:
        """The output of a command that must succeed and complain of nothing."""
        found = self.run(*arguments, **variables)
        assert (found.status, found.err) == (0, ""), found
        return found.out


@pytest.fixture(scope="module")
def environ() -> Mapping[str, str]:
    """Settings of the module's service; a module may define its own."""
    return {}


@pytest.fixture(scope="module")
def service(
    tmp_path_factory: pytest.TempPathFactory, environ: Mapping[str, Any]
) -> Iterator[ServiceProcess]:
    """The module's service, on SQLite and an empty folder."""
    place = tmp_path_factory.mktemp("service")
    folder = place / "tasks.d"
    folder.mkdir()
    url = f"sqlite+aiosqlite:///{place / 'taskservice.db'}"
    with WarmService(url, folder, environ) as running:
        yield running


@pytest.fixture(scope="module")
def cli(service: ServiceProcess) -> Cli:
    """The command, with the module's service as its server."""
    return Cli(f"http://127.0.0.1:{service.port}")
