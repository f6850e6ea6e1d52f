"""A remote executor with a folder for its broker, and a worker that takes from it."""

import asyncio
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from taskservice.engine.engine import Engine


class FolderExecutor:
    """Sends each execution as a file; see `RemoteExecutor`."""

    finds_functions: Literal[True] = True
    survives: Literal[True] = True
    waiting = 0
    away: str | None = None

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def send(
        self, execution_id: str, queue: str, unsent: Callable[[str], None] | None = None
    ) -> None:
        if not self._folder.is_dir():
            if unsent:
                unsent("the broker is gone")
            return
        written = self._folder / f".{execution_id}"
        written.write_text(queue)
        written.rename(self._folder / execution_id)

    async def lengths(self, queues: Sequence[str]) -> Mapping[str, int] | None:
        if not self._folder.is_dir():
            return None
        waiting = [one for one in self._folder.iterdir() if not one.name.startswith(".")]
        found = Counter(one.read_text() for one in waiting)
        return {queue: found[queue] for queue in queues}

    async def check(self) -> None: ...

    async def close(self) -> None: ...


async def work(engine: Engine, folder: Path) -> None:
    """Take what is sent, until cancelled."""
    while True:
        for name in sorted(os.listdir(folder)):
            if not name.startswith("."):
                taken = await engine.take(name)
                became = "taken" if taken else "passed"
                os.replace(folder / name, folder.parent / f"{became}-{name}")
        await asyncio.sleep(0.02)
