"""Fires as the called functions saw them: noted in a mapped file, read by whoever measures.

A note is two numbers in memory: it costs the process that is measured less than a microsecond,
and nothing of it is lost when that process is killed.
"""

import itertools
import mmap
import os
import struct
import time
from array import array
from dataclasses import dataclass
from functools import cache
from pathlib import Path

VARIABLE = "BENCHMARKS_RECORD"
"""The environment variable that names the file to those who write."""

SHARED_VARIABLE = "BENCHMARKS_SHARED_RECORD"
"""The same for those that many processes write."""

SLOTS = 4_000_000
_SLOT = struct.Struct("=dd")


class Writer:
    """Notes fires in a file: one writer a file, any number of threads."""

    def __init__(self, path: Path) -> None:
        with path.open("w+b") as file:
            os.truncate(file.fileno(), SLOTS * _SLOT.size)  # sparse: it takes what is noted
            self._map = mmap.mmap(file.fileno(), 0)
        self._next = itertools.count()

    def note(self, scheduled: float, called: float) -> None:
        """Note a fire by its two moments, in seconds since 1970."""
        # The counter hands each number to one thread only.
        _SLOT.pack_into(self._map, next(self._next) * _SLOT.size, scheduled, called)


def from_environment() -> Writer | None:
    """The writer that the environment asks for, if it does."""
    path = os.environ.get(VARIABLE)
    return Writer(Path(path)) if path else None


def note_shared(scheduled: float, called: float) -> None:
    """Note a fire at the end of the file that the environment names, as any process may.

    Its readers are those of a `Writer`'s file.
    """
    # Opened once a process. The kernel lets nobody in between two appended notes.
    os.write(_shared(os.environ[SHARED_VARIABLE]), _SLOT.pack(scheduled, called))


@cache
def _shared(path: str) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fire:
    """One call: when it was due and when the function was entered, in seconds since 1970."""

    scheduled: float
    called: float

    @property
    def lateness(self) -> float:
        """Seconds."""
        return self.called - self.scheduled


def read(path: Path) -> list[Fire]:
    """All fires that were noted in a file; none where there is no file yet."""
    numbers = array("d")
    try:
        with path.open("rb") as file:
            while piece := file.read(1 << 20):
                numbers.frombytes(piece)
                if not numbers[-2]:
                    break
    except FileNotFoundError:
        return []
    pairs = zip(numbers[::2], numbers[1::2], strict=True)
    return [Fire(scheduled=due, called=at) for due, at in itertools.takewhile(any, pairs)]


def now() -> float:
    """The clock of all notes."""
    return time.time()
