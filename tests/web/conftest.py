"""The app over the real service, on SQLite in a folder of its own."""

import shutil
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

import httpx
import pytest
from litestar import Litestar

from taskservice.service import Service
from taskservice.settings import Settings
from taskservice.sync.syncer import SyncOptions
from taskservice.web.app import create_app

BASE = "http://127.0.0.1:8000"


class Client(httpx.AsyncClient):
    """A client that calls an app without a network between them."""

    def __init__(self, app: Litestar) -> None:
        self.app = app
        asgi: Any = app
        super().__init__(transport=httpx.ASGITransport(asgi), base_url=BASE)

    @property
    def service(self) -> Service:
        """The service behind the app."""
        service: Service = self.app.state.service
        return service


class Serve(Protocol):
    """Runs the app with such settings, for as long as the context lasts."""

    def __call__(
        self, syncing: SyncOptions | None = None, **settings: Any
    ) -> AbstractAsyncContextManager[Client]: ...


@pytest.fixture
def tasks_dir(tmp_path: Path) -> Path:
    """The empty folder of task files."""
    folder = tmp_path / "tasks.d"
    folder.mkdir()
    return folder


@pytest.fixture
def serve(tmp_path: Path, tasks_dir: Path, sqlite_tables: Path) -> Serve:
    """What runs the app."""
    database = shutil.copy(sqlite_tables, tmp_path / "taskservice.db")

    @asynccontextmanager
    async def run(syncing: SyncOptions | None = None, **more: Any) -> AsyncIterator[Client]:
        url = f"sqlite+aiosqlite:///{database}"
        settings = Settings(database_url=url, tasks_dir=tasks_dir, **more)
        service = Service(settings, syncing=syncing)
        await service.start()
        try:
            async with Client(create_app(settings, service)) as http:
                yield http
        finally:
            await service.stop()

    return run


@pytest.fixture
async def client(serve: Serve) -> AsyncIterator[Client]:
    """A client of an app without tokens."""
    async with serve() as http:
        yield http


@pytest.fixture
async def without_database(tasks_dir: Path) -> AsyncIterator[Client]:
    """A client of an app whose database can't be reached."""
    url = "mysql+asyncmy://nobody@127.0.0.1:1/gone"
    settings = Settings(database_url=url, tasks_dir=tasks_dir)
    service = Service(settings)
    async with Client(create_app(settings, service)) as http:
        yield http
    await service.database.close()
