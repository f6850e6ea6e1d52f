"""Programs that tests start beside the service: each with all its children a group of its own.

A group ends with the test process, however that ends: the kernel kills it then. So a program must
be started by a thread that lives as long as it is needed.
"""

import os
import random
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.acceptance.process import Child, wait_for

GUARD = ("setpriv", "--pdeathsig", "KILL")
"""Has the kernel kill what it runs when the thread that started it is gone."""


class Group:
    """A program that was started, and what it started itself, but for what left the group."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        log: Path,
        environ: Mapping[str, str] | None = None,
        folder: Path | None = None,
    ) -> None:
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [*GUARD, *command],
                cwd=folder,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The process id of the program, and the id of its group."""
        return self.process.pid

    @property
    def alive(self) -> bool:
        """Whether the program has not ended."""
        return self.process.poll() is None

    def send(self, number: int) -> None:
        """A signal to the whole group."""
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            pass

    def freeze(self) -> None:
        """SIGSTOP; returns when it stands still."""
        self.send(signal.SIGSTOP)
        stands_still(self.pid)

    def thaw(self) -> None:
        """SIGCONT."""
        self.send(signal.SIGCONT)

    def kill(self) -> None:
        """`kill -9`, frozen or not; returns when the program is gone."""
        # Once the program has been waited for, its id may be another's.
        if self.alive:
            self.send(signal.SIGKILL)
            self.process.wait(10)

    def terminate(self, seconds: float) -> int:
        """SIGTERM to the program alone; the exit status. Killed if it takes longer."""
        self.process.terminate()
        try:
            return self.process.wait(seconds)
        finally:
            self.kill()


def freeze(process: Child) -> None:
    """SIGSTOP to one process; returns when it stands still."""
    process.send_signal(signal.SIGSTOP)
    stands_still(process.pid)


def stands_still(pid: int) -> None:
    """Wait until a process that was sent SIGSTOP does nothing any more."""
    wait_for("every thread stands still", lambda: _threads_that_go(pid) == [])


def _threads_that_go(pid: int) -> list[str]:
    """The states of threads that are not stopped (proc(5), behind the name in parentheses).

    One that has ended does nothing either, though its parent, being stopped, has not heard of it.
    """
    try:
        stats = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/stat")]
    except OSError:
        return ["gone meanwhile: another look tells"]
    states = [text.rpartition(")")[2].split()[0] for text in stats]
    return [state for state in states if state not in "TtZX"]


def steady_port() -> int:
    """A free port of those that the system gives to nobody by itself.

    While a killed server is down, its port could otherwise become the near end of somebody's
    connection.
    """
    chosen = random.SystemRandom()
    while True:
        port = chosen.randrange(15_000, 30_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
