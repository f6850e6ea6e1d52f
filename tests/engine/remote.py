"""A remote executor with a folder for its broker, and a worker that takes from it."""

import asyncio
import os
from functools import partial
from pathlib import Path
from typing import Literal

from taskservice.domain.errors import Conflict
from taskservice.engine.engine import Engine
from taskservice.storage import owners
from taskservice.storage.database import Database


class FolderExecutor:
    """Sends each execution as a file; see `RemoteExecutor`."""

    finds_functions: Literal[True] = True
    survives: Literal[True] = True
    waiting = 0

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def send(self, execution_id: str, claimed_by: str) -> None:
        if not self._folder.is_dir():
            raise RuntimeError("the broker is gone")
        written = self._folder / f".{execution_id}"
        written.write_text(claimed_by)
        written.rename(self._folder / execution_id)

    async def close(self) -> None: ...


async def work(engine: Engine, database: Database, folder: Path) -> None:
    """Take what is sent, and follow what is asked of this owner, until cancelled."""
    while True:
        for name in sorted(os.listdir(folder)):
            if not name.startswith("."):
                taken = await engine.take(name, (folder / name).read_text())
                became = "taken" if taken else "passed"
                os.replace(folder / name, folder.parent / f"{became}-{name}")
        async with database.read() as connection:
            asked = await owners.notices(connection, engine.owner, scheduling=False)
        for notice in asked:
            try:
                await engine.cancel(notice.subject or "", by=notice.said_by)
            except Conflict:
                pass
        await database.write(partial(owners.done, notice_ids=[one.id for one in asked]))
        await asyncio.sleep(0.02)
