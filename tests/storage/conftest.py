"""A database that is ready for queries."""

from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from taskservice.storage.database import Database
from tests.databases import MariaDB


@pytest.fixture
async def database(empty_url: str) -> AsyncIterator[Database]:
    """A database with empty tables; the test fails if a connection isn't back when it ends."""
    made = Database(empty_url)
    yield made
    in_use = made.in_use
    await made.close()
    assert in_use == 0


@pytest.fixture
def new_database(mariadb_server: MariaDB) -> Iterator[Callable[[], str]]:
    """Gives the URL of a new, empty database on MariaDB at each call."""
    urls: list[str] = []

    def create() -> str:
        urls.append(mariadb_server.create_database())
        return urls[-1]

    yield create
    for url in urls:
        mariadb_server.drop_database(url)
