"""A database that is ready for queries."""

from collections.abc import AsyncIterator

import pytest

from taskservice.storage.database import Database


@pytest.fixture
async def database(empty_url: str) -> AsyncIterator[Database]:
    """A database with empty tables; the test fails if a connection isn't back when it ends."""
    made = Database(empty_url)
    yield made
    in_use = made.in_use
    await made.close()
    assert in_use == 0
