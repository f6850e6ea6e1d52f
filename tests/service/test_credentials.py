"""Whose a token is: known a moment after it was made, and no longer once it is revoked."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from taskservice.domain.errors import Conflict, Unavailable
from taskservice.domain.sight import Sight
from taskservice.service import Credentials, now_utc
from taskservice.service.tokens import Tokens, check_digits, new_token
from taskservice.settings import ApiToken, Settings, hash_of
from taskservice.storage import events
from taskservice.storage.database import Database
from taskservice.storage.tables import api_token


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """The database, which is open."""
    made = Database(database_url)
    yield made
    await made.close()


ANN = ApiToken(name="ann", role="admin", token_hash=hash_of("s3cret"))


async def test_a_token_is_32_random_bytes_with_digits_that_check_them() -> None:
    tokens = {new_token() for _ in range(100)}
    assert len(tokens) == 100
    for one in tokens:
        assert one.isascii() and one[4:].isalnum()
        assert (one[:4], len(one)) == ("tsk_", 53)
        assert check_digits(one[4:47]) == one[47:]


async def test_a_token_is_known_at_once_and_until_it_is_revoked(database: Database) -> None:
    tokens, credentials = Tokens(Settings(), database), Credentials(Settings(), database)
    assert not credentials.exist
    made, text = await tokens.create("ci", "operator", by="ann")
    await credentials.freshen("no stored one")
    assert credentials.find(text) is None
    await credentials.freshen(text)
    found = credentials.find(text)
    assert found is not None
    assert (found.name, found.role, found.stored) == ("ci", "operator", made.id)
    assert text not in repr(found) and text not in repr(made)
    assert credentials.named("ci") is found
    assert credentials.holds(found) and credentials.exist and credentials.are_needed
    for wrong in (text[:-1], text.lower(), f"{text} ", "", "\udcff"):
        assert credentials.find(wrong) is None
    await tokens.revoke("ci", by="ann")
    await credentials.refresh(seconds=60)
    assert credentials.holds(found)
    await credentials.refresh()
    assert not credentials.holds(found) and not credentials.exist
    assert credentials.find(text) is credentials.named("ci") is None


async def test_one_with_tags_sees_by_them(database: Database) -> None:
    tokens, credentials = Tokens(Settings(), database), Credentials(Settings(), database)
    for name, tags in (("ci", ["a", "日报"]), ("ann", None)):
        _, text = await tokens.create(name, "operator", tags=tags, by="ann")
        await credentials.freshen(text)
        found = credentials.find(text)
        assert found is not None
        assert found.sight == Sight(None if tags is None else tuple(tags))


async def test_the_trail_tells_of_it_and_never_what_it_is(database: Database) -> None:
    tokens = Tokens(Settings(), database)
    end = now_utc() + timedelta(days=1)
    made, text = await tokens.create("ci", "operator", tags=["a"], expires_at=end, by="ann")
    with pytest.raises(Conflict):
        await tokens.create("ci", "admin", by="ann")
    await tokens.revoke("ci", by="bob")
    async with database.read() as connection:
        revoked, created = (await events.page(connection, limit=10)).items
    assert (created.event.action, created.event.by) == ("token_created", "ann")
    assert {one.field: one.new for one in created.event.changes} == {
        "name": "ci", "role": "operator", "tags": ["a"], "expires_at": end.isoformat()
    }  # fmt: skip
    assert (revoked.event.action, revoked.event.by) == ("token_revoked", "bob")
    told = repr((created, revoked))
    assert text not in told and made.token_hash.hex() not in told


async def test_one_whose_time_is_over_keeps_the_api_closed(database: Database) -> None:
    tokens, credentials = Tokens(Settings(), database), Credentials(Settings(), database)
    over = now_utc() - timedelta(milliseconds=1)
    _, text = await tokens.create("ci", "admin", expires_at=over, by="ann")
    await credentials.refresh()
    found = credentials.find(text)
    assert found is not None and found.is_over(now_utc())
    assert not credentials.holds(found) and credentials.are_needed


async def test_the_environments_go_first(database: Database, capsys: Any) -> None:
    settings = Settings(api_tokens=(ANN,))
    for taken, why in (("ann", "that of one in the environment"), ("file", "the service's own")):
        with pytest.raises(Conflict, match=f"the name '{taken}' is {why}"):
            await Tokens(settings, database).create(taken, "viewer", by="ann")
    _, text = await Tokens(Settings(), database).create("ann", "viewer", by="ann")
    credentials = Credentials(settings, database)
    await credentials.refresh()
    await credentials.refresh()
    assert credentials.find(text) is None
    found = credentials.named("ann")
    assert found is not None and found.role == "admin"
    assert capsys.readouterr().out.count("token_passed_over") == 1


async def test_one_that_can_not_be_read_is_good_for_nothing_and_counts(database: Database) -> None:
    tokens, credentials = Tokens(Settings(), database), Credentials(Settings(), database)
    _, text = await tokens.create("ci", "admin", by="ann")
    change = update(api_token).values(role="root")
    await database.write(lambda connection: connection.execute(change))
    await credentials.refresh()
    assert credentials.find(text) is None
    assert credentials.exist


async def test_its_use_is_noted(database: Database) -> None:
    tokens, credentials = Tokens(Settings(), database), Credentials(Settings(), database)
    _, text = await tokens.create("ci", "admin", by="ann")
    await credentials.refresh()
    found = credentials.find(text)
    assert found is not None
    before = now_utc()
    await credentials.save_uses()
    assert (await tokens.living())[0].last_used_at is None
    credentials.note_use(found)
    await credentials.save_uses()
    [noted] = await tokens.living()
    assert noted.last_used_at is not None and before <= noted.last_used_at <= now_utc()


async def test_without_the_database_a_stored_one_waits_and_others_are_good() -> None:
    database = Database("mysql+asyncmy://nobody@127.0.0.1:1/gone")
    credentials = Credentials(Settings(api_tokens=(ANN,)), database)
    await credentials.freshen("s3cret")
    assert credentials.find("s3cret") is not None
    with pytest.raises(Unavailable):
        await credentials.freshen(new_token())
    await database.close()
