"""Processes that are started here, watched from outside, and ended by their id."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks.errors import Failed

ROOT = Path(__file__).resolve().parent.parent
READY_SECONDS = 600.0  # a first start with 100,000 files is waited for, too
STOP_SECONDS = 20.0
_TICKS = os.sysconf("SC_CLK_TCK")


class Process:
    """A program in a process group of its own; use it as a context manager.

    What it prints goes into `log`, a file. `environ` is added to the environment, from which
    the variables of taskservice are taken out.
    """

    def __init__(
        self, arguments: Sequence[str], log: Path, environ: Mapping[str, str] | None = None
    ) -> None:
        self.log = log
        kept = {name: value for name, value in os.environ.items() if "TASKSERVICE" not in name}
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                arguments,
                cwd=ROOT,
                env={**kept, **(environ or {})},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()

    @property
    def pid(self) -> int:
        """The id of the process; the same is its group's."""
        return self._process.pid

    def wait_until(self, condition: Callable[[], bool], *, seconds: float = READY_SECONDS) -> float:
        """Wait until `condition` holds; the seconds it took. Raises `Failed`."""
        start = time.perf_counter()
        while not condition():
            if self._process.poll() is not None:
                raise Failed(f"{self._name} ended with {self._process.returncode}:\n{self.tail()}")
            if time.perf_counter() - start > seconds:
                raise Failed(f"{self._name} was not ready in {seconds} s:\n{self.tail()}")
            time.sleep(0.002)
        return time.perf_counter() - start

    def wait(self, seconds: float, *, status: int = 0) -> None:
        """Wait until the process has ended, with this status. Raises `Failed`."""
        try:
            ended = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Failed(f"{self._name} did not end in {seconds} s:\n{self.tail()}") from None
        if ended != status:
            raise Failed(f"{self._name} ended with {ended}:\n{self.tail()}")

    def terminate(self) -> None:
        """Ask the process to end, wait, and kill it if it does not."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                pass
        self.kill()

    def kill(self) -> None:
        """`kill -9` for the process and the children it left in its group."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self._process.wait()

    def processor_time(self) -> float:
        """Seconds of processor time that the process and its descendants have used so far."""
        return sum(map(_processor_time, self._family()))

    def whole_time(self) -> float:
        """The same with what left the group, and what has ended and was waited for by its parent.

        A process that was lost by its parent is not in it.
        """
        return _whole_time(self.pid)

    def resident(self) -> int:
        """Bytes of memory that the process and its descendants hold of their own."""
        return sum(map(resident, self._family()))

    def tail(self) -> str:
        """The last lines of what it printed."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-25:])

    @property
    def _name(self) -> str:
        arguments = self._process.args
        return " ".join(arguments) if isinstance(arguments, list) else str(arguments)

    def _family(self) -> list[int]:
        """The process and the descendants of its group: it has no other children."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and _group(int(entry.name)) == self.pid:
                found.append(int(entry.name))
        return found


def python(*arguments: str) -> list[str]:
    """The command line that runs a module with this interpreter."""
    return [sys.executable, "-m", *arguments]


def free_port() -> int:
    """A port of loopback on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def listens(port: int) -> bool:
    """Whether somebody listens on this port of loopback."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the third on; empty when the process is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return []
    return text.rpartition(")")[2].split()


def _group(pid: int) -> int | None:
    fields = _stat(pid)
    return int(fields[2]) if fields else None


def _processor_time(pid: int) -> float:
    fields = _stat(pid)
    return (int(fields[11]) + int(fields[12])) / _TICKS if fields else 0.0


def _whole_time(pid: int) -> float:
    fields = _stat(pid)
    if not fields:
        return 0.0
    # Of itself in both modes, then of the children that it has waited for.
    return sum(map(int, fields[11:15])) / _TICKS + sum(map(_whole_time, _children(pid)))


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for thread in Path(f"/proc/{pid}/task").glob("*"):
        try:
            found += map(int, (thread / "children").read_text().split())
        except OSError:
            continue
    return found


def resident(pid: int | str) -> int:
    """Bytes of a process's own memory: pages of files are shared with whoever maps them."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    for line in text.splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    return 0
