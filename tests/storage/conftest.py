"""A database that is ready for queries."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pymysql
import pytest
from sqlalchemy.engine import make_url

from taskservice.storage.database import Database
from taskservice.storage.schema import prepare
from taskservice.storage.tables import metadata
from tests.conftest import wait_until_none
from tests.databases import MariaDB, open_files


@pytest.fixture(scope="session")
def mariadb_tables(mariadb_server: MariaDB) -> Iterator[str]:
    """The URL of one MariaDB database with its tables: making them anew takes long."""
    url = mariadb_server.create_database()
    asyncio.run(_prepared(url))
    yield url
    mariadb_server.drop_database(url)


@pytest.fixture(scope="session")
def sqlite_tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with its tables, to be copied."""
    path = tmp_path_factory.mktemp("sqlite") / "tables.db"
    asyncio.run(_prepared(f"sqlite+aiosqlite:///{path}"))
    return path


@pytest.fixture(params=["sqlite", "mariadb"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database whose tables are empty, on SQLite and on MariaDB.

    The test fails if it leaves a connection to it open.
    """
    if request.param == "sqlite":
        path = tmp_path / "taskservice.db"
        shutil.copy(request.getfixturevalue("sqlite_tables"), path)
        yield f"sqlite+aiosqlite:///{path}"
        wait_until_none(lambda: open_files(path))
        return
    server: MariaDB = request.getfixturevalue("mariadb_server")
    url = request.getfixturevalue("mariadb_tables")
    _empty(url)
    yield url
    wait_until_none(lambda: server.connections(url))


@pytest.fixture
async def database(empty_url: str) -> AsyncIterator[Database]:
    """A database with empty tables; the test fails if a connection isn't back when it ends."""
    made = Database(empty_url)
    yield made
    in_use = made.in_use
    await made.close()
    assert in_use == 0


async def _prepared(url: str) -> None:
    database = Database(url)
    await prepare(database)
    await database.close()


def _empty(url: str) -> None:
    parts = make_url(url)
    connection = pymysql.connect(
        host=parts.host, port=parts.port or 0, user=parts.username,
        password=parts.password or "", database=parts.database, autocommit=True,
    )  # fmt: skip
    with connection, connection.cursor() as cursor:
        for table in reversed(metadata.sorted_tables):
            cursor.execute(f"DELETE FROM {table.name}")
