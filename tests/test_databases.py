"""The databases that the other tests stand on."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from tests.databases import DatabaseServerError, MariaDB, new_server, open_files


async def ask(url: str, *statements: str) -> object:
    """Runs the statements in one transaction; the last one's first value."""
    engine = create_async_engine(url)
    try:
        async with engine.begin() as connection:
            for statement in statements:
                result = await connection.execute(text(statement))
            return result.scalar() if result.returns_rows else None
    finally:
        await engine.dispose()


async def test_each_database_answers_and_is_empty(database_url: str) -> None:
    made = await ask(
        database_url,
        "CREATE TABLE seen (number integer)",
        "INSERT INTO seen VALUES (7)",
        "SELECT number FROM seen",
    )
    assert made == 7


async def test_an_open_connection_is_seen(
    database_url: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    def open_now() -> int:
        if database_url.startswith("sqlite"):
            return len(open_files(tmp_path / "taskservice.db"))
        server: MariaDB = request.getfixturevalue("mariadb_server")
        return server.connections(database_url)

    assert open_now() == 0
    engine = create_async_engine(database_url)
    async with engine.connect() as connection:
        await connection.execute(text("SELECT 1"))
        assert open_now() == 1
    await engine.dispose()


@pytest.fixture
def own_server() -> Iterator[MariaDB]:
    with new_server() as server:
        yield server


async def test_what_was_committed_survives_a_kill(own_server: MariaDB) -> None:
    url = own_server.create_database()
    await ask(url, "CREATE TABLE seen (number integer)")
    await ask(url, "INSERT INTO seen VALUES (7)")
    own_server.kill()
    own_server.start()
    assert await ask(url, "SELECT number FROM seen") == 7


def test_a_missing_server_is_an_error_that_says_what_to_install(tmp_path: Path) -> None:
    server = MariaDB(str(tmp_path))
    with pytest.raises(DatabaseServerError, match="apt-get install mariadb-server-core"):
        server.__enter__()
    assert not server.folder.exists()
