"""Fixtures of the engine's tests: databases whose tables are made once, and emptied after use."""

import asyncio
import shutil
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import structlog
from sqlalchemy import NullPool, create_engine

from taskservice.storage.database import Database
from taskservice.storage.schema import prepare
from taskservice.storage.tables import metadata
from tests.conftest import wait_until_none
from tests.databases import MariaDB, open_files
from tests.engine.harness import Bench, driver_url
from tests.engine.modules_folder import ModulesFolder


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "taskservice.db"
    asyncio.run(_prepare(f"sqlite+aiosqlite:///{path}"))
    return path


@pytest.fixture(scope="session")
def mariadb_database(mariadb_server: MariaDB) -> str:
    url = mariadb_server.create_database()
    asyncio.run(_prepare(url))
    return url


@pytest.fixture
def mariadb_url(mariadb_server: MariaDB, mariadb_database: str) -> Iterator[str]:
    """The URL of an empty MariaDB database with its tables; it must be left without connections."""
    yield mariadb_database
    wait_until_none(lambda: mariadb_server.connections(mariadb_database))
    engine = create_engine(driver_url(mariadb_database), poolclass=NullPool)
    with engine.begin() as connection:
        for table in reversed(metadata.sorted_tables):
            connection.execute(table.delete())


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModulesFolder]:
    """An empty folder of modules in front of `sys.path`."""
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    yield ModulesFolder(tmp_path)
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.fixture(params=["sqlite", "mariadb"])
def engine_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty database with its tables, on SQLite and on MariaDB."""
    if request.param == "mariadb":
        yield request.getfixturevalue("mariadb_url")
        return
    path = tmp_path / "taskservice.db"
    shutil.copy(request.getfixturevalue("sqlite_template"), path)
    yield f"sqlite+aiosqlite:///{path}"
    wait_until_none(lambda: open_files(path))


@pytest.fixture
def plain_logs() -> Iterator[None]:
    """Tracebacks without the values of variables, which take seconds to write."""
    before = structlog.get_config()
    plain = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[structlog.processors.add_log_level, plain])
    yield
    structlog.configure(**before)


@pytest.fixture
async def bench(engine_url: str, tmp_path: Path, plain_logs: None) -> AsyncIterator[Bench]:
    """A bench on each database; what was started on it is stopped."""
    folder = tmp_path / "evidence"
    folder.mkdir()
    bench = Bench(engine_url, folder)
    try:
        yield bench
    finally:
        await bench.close()


async def _prepare(url: str) -> None:
    database = Database(url)
    try:
        await prepare(database)
    finally:
        await database.close()
