"""A service in this process, over a folder and an empty database."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from taskservice.service import Service
from taskservice.settings import Settings
from taskservice.sync.folder.watch import Hint
from taskservice.sync.syncer import SyncOptions

AT_ONCE = SyncOptions(settle=timedelta(0))
"""For a sync to which a declaration that is gone counts at once."""


async def until(condition: Callable[[], Awaitable[object]], seconds: float = 15) -> None:
    """Wait, at most so long, until `condition` gives something true."""
    async with asyncio.timeout(seconds):
        while True:
            if await condition():
                return
            await asyncio.sleep(0.05)


async def unwatched(_root: Path, stop: asyncio.Event) -> AsyncIterator[Hint]:
    """A watch that sees nothing."""
    await stop.wait()
    if not stop.is_set():
        yield None


@pytest.fixture
def database_url(empty_url: str) -> str:
    """A database whose tables are there: making them is not what these tests are about."""
    return empty_url


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The tasks folder."""
    made = tmp_path / "tasks.d"
    made.mkdir()
    return made


@pytest.fixture
async def make_service(database_url: str, folder: Path) -> AsyncIterator[Callable[..., Service]]:
    """Makes services with some settings; what was started is stopped at the end."""
    made = []

    def make(*, syncing: SyncOptions | None = None, **settings: Any) -> Service:
        usual = Settings(database_url=database_url, tasks_dir=folder)
        made.append(Service(replace(usual, **settings), syncing=syncing))
        return made[-1]

    yield make
    for service in made:
        await service.stop()


@pytest.fixture
def syncing() -> SyncOptions:
    """How `service` syncs: as usual."""
    return SyncOptions()


@pytest.fixture
async def service(make_service: Callable[..., Service], syncing: SyncOptions) -> Service:
    """One that runs, with the usual settings."""
    made = make_service(syncing=syncing)
    await made.start()
    return made
