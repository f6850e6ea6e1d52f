"""A clock for the service alone, by libfaketime: it can be stepped while the service runs."""

import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from tests.acceptance.process import wait_for
from tests.faults.evidence import SECOND, read_runs
from tests.faults.lab import Lab, write_file


class Clock:
    """The wall clock that processes with `environ` see; their timers go on as they are."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "clock"
        self._library = _library()
        self.set(0)

    @property
    def environ(self) -> Mapping[str, str]:
        """What a process needs in its environment to have this clock."""
        return {
            "LD_PRELOAD": self._library,
            "FAKETIME_TIMESTAMP_FILE": str(self._path),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
            # Each look at the clock would wait for a lock that processes share.
            "FAKETIME_DISABLE_SHM": "1",
        }

    def set(self, seconds: int) -> None:
        """Make it so many seconds ahead of the true time."""
        write_file(self._path, f"{seconds:+d}\n")

    def step(self, lab: Lab, seconds: int) -> tuple[int, int]:
        """Step it; the moments by it just before and just after."""
        before = lab.now()
        lab.ahead += seconds * SECOND
        self.set(lab.ahead // SECOND)
        return before, lab.now()


def sweep() -> None:
    """Remove what libfaketime kept in memory for processes that are gone."""
    for path in Path("/dev/shm").glob("*faketime_*"):
        pid = path.name.rpartition("_")[2]
        if pid.isdigit() and not Path(f"/proc/{pid}").exists():
            path.unlink(missing_ok=True)


def noticed(lab: Lab, moment: int) -> float:
    """Wait until a fire later than a moment has run; how long that took."""
    began = time.monotonic()
    wait_for(
        "the step is noticed",
        lambda: any(run.fire and run.fire > moment for run in read_runs(lab.evidence)),
        seconds=60,
    )
    return time.monotonic() - began


def _library() -> str:
    """The path of the library, which the program `faketime` knows."""
    found = subprocess.run(
        ["faketime", "-m", "2026-01-01", "printenv", "LD_PRELOAD"], capture_output=True, text=True
    )
    assert found.returncode == 0, "install it: apt-get install faketime"
    return found.stdout.strip()
