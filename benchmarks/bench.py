"""What every part of a measurement gets: how long to measure, and where to put things."""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.databases import Database, Databases

Samples = Mapping[str, float]
"""Figures of one round by their keys: seconds, bytes, or counts a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """A run of benchmarks.

    `seconds` is how long a window of fires or requests is watched; `tasks` how many tasks there
    are where the table says 10,000; `sizes` are those of `growth`; `say` tells what goes on;
    `memory` is for what a later round may know of an earlier one.
    """

    databases: Databases
    folder: Path
    seconds: int
    tasks: int
    sizes: tuple[int, ...]
    say: Callable[[str], None]
    memory: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """An empty folder on the disk, removed at the end."""
        with tempfile.TemporaryDirectory(dir=self.folder) as name:
            yield Path(name)

    @contextmanager
    def place(self, kind: str) -> Iterator[tuple[Database, Path, Path]]:
        """A fresh database of a kind, an empty tasks folder, and a scratch folder."""
        with self.scratch() as scratch, self.databases.fresh(kind) as database:
            folder = scratch / "tasks.d"
            folder.mkdir()
            yield database, folder, scratch


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One side of a comparison: measures once, in a round of its own.

    `gives` are patterns of its samples' keys; `measure` raises `Missing` where a program lacks
    that it needs.
    """

    name: str
    gives: tuple[str, ...]
    measure: Callable[[Bench], Samples]
