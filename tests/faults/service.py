"""The service as a process that faults are done to: killed, frozen, planted with bugs, starved."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.acceptance.process import ServiceProcess, wait_for
from tests.databases import MariaDB
from tests.processes import freeze, steady_port

ROOT = Path(__file__).parents[2]
START_LIMIT = 90.0
"""A start takes a second or two; on a busy machine, and with a clock of its own, many more."""

COMMAND = (sys.executable, "-m", "taskservice", "run")


class Service(ServiceProcess):
    """`taskservice run`, or another command that runs it, with its log in a file.

    `prepare` is called in the new process before the command begins. `ready_seconds` are those
    that each start took until the service said that it is ready.
    """

    def __init__(
        self,
        database_url: str,
        folder: Path,
        environ: Mapping[str, str],
        *,
        log: Path,
        command: Sequence[str] = COMMAND,
        prepare: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(database_url, folder, environ)
        self.log = log
        self.ready_seconds: list[float] = []
        self._command, self._prepare = command, prepare
        self.port = steady_port()
        self._environ["TASKSERVICE_PORT"] = str(self.port)
        self.http.base_url = f"http://127.0.0.1:{self.port}"

    def launch(self) -> None:
        """Start, and wait for nothing."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=ROOT,
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=self._prepare,
            )

    def start(self) -> None:
        """Start and wait until it is ready."""
        began = time.monotonic()
        self.launch()
        self.wait_until_ready()
        self.ready_seconds.append(time.monotonic() - began)

    def wait_until_ready(self) -> None:
        """Wait until it says so itself."""
        wait_for("the service is ready", self._is_ready, seconds=START_LIMIT)

    @property
    def pid(self) -> int:
        """The process id of the last start."""
        return self.process.pid

    @property
    def alive(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def freeze(self) -> None:
        """SIGSTOP; returns when it stands still."""
        freeze(self.process)

    def thaw(self) -> None:
        """SIGCONT."""
        self.process.send_signal(signal.SIGCONT)

    def threads(self) -> int:
        """How many threads it has."""
        return self._status("Threads")

    def memory(self) -> int:
        """Its resident memory in MiB."""
        return self._status("VmRSS") // 1024

    def open_files(self) -> int:
        """How many files and sockets it has open."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def _status(self, name: str) -> int:
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            key, _, value = line.partition(":")
            if key == name:
                return int(value.split()[0])
        raise AssertionError(f"no {name} in /proc/{self.pid}/status")


class Server(MariaDB):
    """A private MariaDB that keeps its port over a restart, and can be frozen."""

    def __init__(self, *, within: Sequence[str] = ()) -> None:
        super().__init__(within=within)
        self.port = steady_port()

    def freeze(self) -> None:
        """SIGSTOP: it holds its connections and answers nothing; returns when it stands still."""
        assert self._process is not None
        freeze(self._process)

    def thaw(self) -> None:
        """SIGCONT."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """Ends it, frozen or not."""
        if self._process is not None:
            self.thaw()
        super().stop()
