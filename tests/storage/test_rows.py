"""Ids, chunks, and the upsert that both databases speak."""

import uuid
from functools import partial

import pytest
from sqlalchemy import select, text

from taskservice.storage.database import Database
from taskservice.storage.dialects import upsert
from taskservice.storage.rows import CHUNK, chunks, new_id
from taskservice.storage.tables import service_state, task_owner
from tests.storage.samples import MANY, NOW, UGLY, later, statements


def test_a_new_id_is_unique_and_says_when_it_was_made() -> None:
    ids = [uuid.UUID(new_id()) for _ in range(1000)]
    assert len(set(ids)) == 1000
    assert {(made.version, made.variant) for made in ids} == {(7, uuid.RFC_4122)}
    assert uuid.UUID(new_id(1_700_000_000_123 * 1_000_000)).int >> 80 == 1_700_000_000_123


def test_ids_of_the_same_millisecond_are_ordered() -> None:
    for start in (1_700_000_000_123_000_000, 1_700_000_000_999_999_000):
        ids = [new_id(moment) for moment in range(start, start + 3000, 250)]
        assert ids == sorted(ids) and len(set(ids)) == 12


def test_ids_are_ordered_by_time() -> None:
    moments = range(0, 300_000_000, 1_000_000)
    made = [new_id(1_700_000_000_000_000_000 + moment) for moment in moments]
    assert made == sorted(made)


def test_chunks_hold_every_item_once_and_in_order() -> None:
    items = list(range(2 * CHUNK + 1))
    pieces = list(chunks(items))
    assert [len(piece) for piece in pieces] == [CHUNK, CHUNK, 1]
    assert [item for piece in pieces for item in piece] == items
    assert list(chunks([])) == []


async def values(database: Database) -> dict[str, object]:
    async with database.read() as connection:
        rows = await connection.execute(select(service_state.c.name, service_state.c.value))
        return {row.name: row.value for row in rows}


async def test_an_upsert_inserts_and_overwrites(database: Database) -> None:
    for value in ({"a": 1}, [UGLY, None, 1.5, 2**62], ""):
        rows = [{"name": "kept", "value": value}, {"name": f"new-{value}"[:50], "value": value}]
        await database.write(partial(upsert, table=service_state, rows=rows))
        assert (await values(database))["kept"] == value
    assert len(await values(database)) == 4


async def test_an_upsert_overwrites_only_the_columns_given(database: Database) -> None:
    first = {"id": "me", "name": "host", "lease_until": NOW}
    second = {"id": "me", "lease_until": later(1), "name": "other"}
    await database.write(lambda connection: upsert(connection, task_owner, [first]))
    await database.write(lambda connection: upsert(connection, task_owner, [second]))
    async with database.read() as connection:
        (row,) = (await connection.execute(select(task_owner))).all()
    assert (row.id, row.name, row.lease_until) == ("me", "other", later(1))


async def test_an_upsert_of_nothing_sends_nothing(database: Database) -> None:
    with statements(database) as sent:
        await database.write(lambda connection: upsert(connection, service_state, []))
    assert [statement for statement in sent if not statement.startswith("BEGIN")] == []


async def test_many_rows_are_a_few_statements(database: Database) -> None:
    for value in (1, 2):
        rows = [{"name": f"n{number}", "value": value} for number in range(MANY)]
        with statements(database) as sent:
            await database.write(partial(upsert, table=service_state, rows=rows))
        assert sum("INSERT" in statement for statement in sent) == 2
        assert await values(database) == {f"n{number}": value for number in range(MANY)}


@pytest.mark.parametrize("empty_url", ["mariadb"], indirect=True)
async def test_the_server_gets_many_rows_in_a_few_statements_too(database: Database) -> None:
    """The driver must not take the statement apart and send it row by row."""
    rows = [{"name": f"n{number}", "value": UGLY} for number in range(500)]
    count = text("SHOW SESSION STATUS LIKE 'Com_insert'")
    async with database.engine.begin() as connection:
        before = (await connection.execute(count)).one()[1]
        await upsert(connection, service_state, rows)
        after = (await connection.execute(count)).one()[1]
    assert int(after) - int(before) == 1
