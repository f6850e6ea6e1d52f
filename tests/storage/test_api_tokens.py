"""Stored tokens, as their rows have them."""

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from taskservice.domain.errors import Conflict, NotFound
from taskservice.storage.api_tokens import StoredToken, add, living, note_use, revoke
from taskservice.storage.database import Database
from taskservice.storage.tables import api_token

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)


def token(name: str, **more: Any) -> StoredToken:
    usual = {
        "id": f"id-{name}", "tags": None, "role": "viewer", "token_hash": name.encode() * 2,
        "created_at": NOW, "created_by": "ann",
    }  # fmt: skip
    return StoredToken(name=name, **{**usual, **more})


async def keep(database: Database, *tokens: StoredToken) -> None:
    for one in tokens:
        await database.write(partial(add, token=one))


async def names(database: Database) -> list[str]:
    async with database.read() as connection:
        return [one.name for one in await living(connection)]


async def test_what_is_kept_is_told_by_name(database: Database) -> None:
    full = token("b", tags=("report", "日报"), role="admin", expires_at=NOW + timedelta(days=1))
    await keep(database, full, token("a"), token("B"))
    async with database.read() as connection:
        assert await living(connection) == [token("B"), token("a"), full]


async def test_a_name_stands_once_until_it_is_revoked_or_over(database: Database) -> None:
    await keep(database, token("a"), token("over", expires_at=NOW))
    with pytest.raises(Conflict, match="there is a token 'a' already"):
        await keep(database, token("a", id="another"))
    await database.write(lambda connection: revoke(connection, "a", NOW))
    assert await names(database) == ["over"]
    for name in ("a", "nobody"):
        with pytest.raises(NotFound):
            await database.write(partial(revoke, name=name, now=NOW))
    again = [token(name, id=name, token_hash=name.encode()) for name in ("a", "over")]
    await keep(database, *again)
    async with database.read() as connection:
        assert await living(connection) == again


async def test_its_use_is_noted_once_a_minute(database: Database) -> None:
    await keep(database, token("a"), token("b"))

    async def used(seconds: int, *ids: str) -> list[datetime | None]:
        moment = NOW + timedelta(seconds=seconds)
        await database.write(lambda connection: note_use(connection, ids, moment))
        async with database.read() as connection:
            return [one.last_used_at for one in await living(connection)]

    assert await used(0, "id-a") == [NOW, None]
    later = NOW + timedelta(seconds=59)
    assert await used(59, "id-a", "id-b", "gone") == [NOW, later]
    assert await used(60, "id-a") == [NOW + timedelta(seconds=60), later]


async def test_a_row_that_can_not_be_read_gives_no_role(database: Database) -> None:
    await keep(database, token("a"), token("b"), token("c"), token("d", tags=("x",)))

    async def damage(connection: Any) -> None:
        for name, values in (
            ("a", {"token_hash": "no hexadecimal digits"}),
            ("b", {"tags": "report"}),
            ("c", {"tags": []}),
            ("d", {"tags": ["x", 1]}),
        ):
            await connection.execute(
                update(api_token).where(api_token.c.name == name).values(**values)
            )

    await database.write(damage)
    async with database.read() as connection:
        assert [one.role for one in await living(connection)] == [""] * 4


async def test_there_is_an_end_to_their_number(database: Database) -> None:
    rows = [
        {
            "id": str(number), "name": str(number), "token_hash": f"hash {number}",
            "role": "viewer", "created_at": NOW, "created_by": "ann", "lives": True,
        }
        for number in range(10_000)
    ]  # fmt: skip
    await database.write(lambda connection: connection.execute(insert(api_token), rows))
    with pytest.raises(Conflict, match="there are 10,000 tokens already"):
        await keep(database, token("a"))
    await database.write(lambda connection: revoke(connection, "77", NOW))
    await keep(database, token("a"))
    async with database.read() as connection:
        query = select(api_token.c.revoked_at).where(api_token.c.lives.is_(None))
        assert (await connection.execute(query)).scalars().all() == [NOW]
