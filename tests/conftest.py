"""Fixtures that every room's tests share."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest

from tests.databases import CLOSE_LIMIT, MariaDB, open_files

# A slow machine is no fault of the code: how long one example takes is not judged.
hypothesis.settings.register_profile("taskservice", deadline=None, print_blob=True)
hypothesis.settings.load_profile("taskservice")


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[MariaDB]:
    """The private MariaDB of this test run. A missing server is an error, never a skip."""
    with MariaDB() as server:
        yield server


@pytest.fixture(params=["sqlite", "mariadb"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a fresh, empty database, on SQLite and on MariaDB.

    The test fails if it leaves a connection to it open.
    """
    if request.param == "sqlite":
        path = tmp_path / "taskservice.db"
        yield f"sqlite+aiosqlite:///{path}"
        wait_until_none(lambda: open_files(path))
        return
    server: MariaDB = request.getfixturevalue("mariadb_server")
    url = server.create_database()
    yield url
    try:
        wait_until_none(lambda: server.connections(url))
    finally:
        server.drop_database(url)


def wait_until_none(still_open: Callable[[], object]) -> None:
    """Fails when `still_open` keeps naming something: closing takes a moment, a leak stays."""
    limit = time.monotonic() + CLOSE_LIMIT
    while left := still_open():
        assert time.monotonic() < limit, f"connections were left open: {left}"
        time.sleep(0.01)
