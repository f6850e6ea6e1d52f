"""`taskservice worker` as a process that faults are done to, with all that it starts."""

import os
import re
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.acceptance.process import wait_for
from tests.faults.service import ROOT, START_LIMIT
from tests.processes import Group, stands_still

WORKER = (sys.executable, "-m", "taskservice", "worker")

# Whatever a function runs in then says which process answers for it.
_HOME = ("sh", "-c", 'FAULTS_HOME=$$ exec "$@"', "sh")

GONE_LIMIT = 15.0
"""What a worker that was killed had started ends by itself: at once, on a machine at rest."""


class Worker:
    """A worker that can be started once: another start is another worker.

    `within` is a command that runs another one, for instance in another network.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        environ: Mapping[str, str],
        *,
        log: Path,
        command: Sequence[str] = WORKER,
        within: Sequence[str] = (),
    ) -> None:
        self.log = log
        self._command = [*within, *_HOME, *command, *arguments]
        self._environ = environ
        self._group: Group | None = None

    def launch(self) -> None:
        """Start, and wait for nothing."""
        assert self._group is None
        self._group = Group(self._command, log=self.log, environ=self._environ, folder=ROOT)

    def start(self) -> None:
        """Start and wait until it serves."""
        self.launch()
        self.wait_until_ready()

    def wait_until_ready(self) -> None:
        """Wait until it says so itself."""
        wait_for("the worker serves its queues", self._serves, seconds=START_LIMIT)

    @property
    def group(self) -> Group:
        """Its process, which was started."""
        assert self._group is not None, "start() comes first"
        return self._group

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.group.pid

    @property
    def alive(self) -> bool:
        """Whether it was started and has not ended."""
        return self._group is not None and self._group.alive

    @property
    def name(self) -> str:
        """The name under which it is known to the service."""
        found = re.search(r"worker (\S+) serves", self.log.read_text(errors="replace"))
        assert found is not None, "it does not serve yet"
        return found[1]

    def descendants(self) -> list[int]:
        """All that it started and what those started, in whatever group."""
        return descendants(self.pid)

    def kill(self) -> None:
        """`kill -9`; what it started must end by itself."""
        left = self.descendants()
        self.group.kill()
        wait_for(
            "what a worker started ends with it",
            lambda: not any(Path(f"/proc/{pid}").exists() for pid in left),
            seconds=GONE_LIMIT,
        )

    def terminate(self, seconds: float = 60.0) -> int:
        """SIGTERM; the exit status."""
        return self.group.terminate(seconds)

    def freeze(self) -> None:
        """Stop it with all that it started, as when its machine is suspended."""
        self.group.freeze()
        still: set[int] = set()
        # What was being started meanwhile is found by another look.
        while fresh := set(self.descendants()) - still:
            for pid in fresh:
                _send(pid, signal.SIGSTOP)
                stands_still(pid)
            still |= fresh

    def thaw(self) -> None:
        """Let all of it go on."""
        for pid in self.descendants():
            _send(pid, signal.SIGCONT)
        self.group.thaw()

    def end(self) -> None:
        """Kill it, in whatever state it is."""
        if self.alive:
            self.thaw()
            self.group.kill()

    def _serves(self) -> bool:
        if not self.alive:
            told = self.log.read_text(errors="replace")[-3000:]
            raise AssertionError(f"the worker ended:\n{told}")
        return " serves " in self.log.read_text(errors="replace")


def descendants(pid: int) -> list[int]:
    """The processes below a process, as far down as it goes (proc(5))."""
    found = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = [int(child) for child in path.read_text().split()]
        except OSError:
            continue  # it has just ended
        for child in children:
            found += [child, *descendants(child)]
    return found


def _send(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass
