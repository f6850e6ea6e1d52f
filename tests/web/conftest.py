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
from taskservice.web.app import create_app

BASE = "http://127.0.0.1:8000"


def client_of(app: Litestar) -> httpx.AsyncClient:
    """A client that calls the app without a network between them."""
    asgi: Any = app
    return httpx.AsyncClient(transport=httpx.ASGITransport(asgi), base_url=BASE)


class Serve(Protocol):
    """Runs the app with such settings, for as long as the context lasts."""

    def __call__(self, **settings: Any) -> AbstractAsyncContextManager[httpx.AsyncClient]: ...


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
    async def run(**more: Any) -> AsyncIterator[httpx.AsyncClient]:
        url = f"sqlite+aiosqlite:///{database}"
        settings = Settings(database_url=url, tasks_dir=tasks_dir, **more)
        service = Service(settings)
        await service.start()
        try:
            async with client_of(create_app(settings, service)) as http:
                yield http
        finally:
            await service.stop()

    return run


@pytest.fixture
async def client(serve: Serve) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an app without tokens."""
    async with serve() as http:
        yield http
