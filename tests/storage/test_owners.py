"""Leases, the guard of what is written under them, and notices."""

import pytest
from sqlalchemy import text

from taskservice.storage import executions as log
from taskservice.storage import owners
from taskservice.storage.database import Database
from taskservice.storage.owners import LeaseLost, Notice, Owner
from tests.storage.samples import make_execution, make_state, record, save


async def known(database: Database) -> dict[str, Owner]:
    async with database.read() as connection:
        return await owners.owners(connection)


async def register(database: Database, owner: str, seconds: float = 60) -> None:
    await database.write(
        lambda connection: owners.register(connection, owner, f"{owner}:主机", seconds)
    )


async def test_an_owner_lives_by_the_databases_clock(database: Database) -> None:
    await register(database, "me")
    await register(database, "dead", -1)
    assert await known(database) == {
        "me": Owner(name="me:主机", expired=False),
        "dead": Owner(name="dead:主机", expired=True),
    }

    async def renew(owner: str, seconds: float) -> bool:
        return await database.write(
            lambda connection: owners.renew(connection, owner, "again", seconds)
        )

    assert [await renew("dead", 60), await renew("me", -1), await renew("x", 60)] == [
        True, True, False,
    ]  # fmt: skip
    assert await known(database) == {
        "me": Owner(name="again", expired=True),
        "dead": Owner(name="again", expired=False),
    }


async def test_a_lease_can_be_renewed_to_what_it_was(database: Database) -> None:
    """MySQL counts rows changed, unless told to count rows found: no lease may be lost by it."""
    await register(database, "me")
    statement = text("UPDATE task_owner SET lock_id = NULL WHERE id = 'me'")
    same = await database.write(lambda connection: connection.execute(statement))
    assert same.rowcount == 1


async def test_who_was_forgotten_may_not_write(database: Database) -> None:
    await register(database, "me")
    await database.write(lambda connection: connection.run_sync(log.lock_tasks, "me", []))

    async def forget(*, if_expired: bool) -> bool:
        return await database.write(
            lambda connection: owners.forget(connection, "me", if_expired=if_expired)
        )

    assert await forget(if_expired=True) is False
    await database.write(lambda connection: connection.run_sync(log.lock_tasks, "me", []))
    assert await forget(if_expired=False) is True
    with pytest.raises(LeaseLost, match="taken for dead"):
        await database.write(lambda connection: connection.run_sync(log.lock_tasks, "me", []))
    assert await known(database) == {}
    # One that nobody registered can be forgotten as well: its rows are closed then.
    assert await forget(if_expired=True) is True


async def test_rows_of_an_owner_that_nobody_registered_are_seen(database: Database) -> None:
    await save(database, make_state())
    await record(database, make_execution("1", owner="lost"))
    assert await known(database) == {"lost": Owner(name="unknown", expired=True)}


async def test_one_owner_at_a_time_holds_the_lock(database: Database) -> None:
    for owner in ("a", "b"):
        await register(database, owner)

    async def hold(owner: str, lock_id: int | None) -> dict[str, int | None]:
        await database.write(lambda connection: owners.set_lock(connection, owner, lock_id))
        return {key: one.lock_id for key, one in (await known(database)).items()}

    assert await hold("a", 7) == {"a": 7, "b": None}
    assert await hold("b", 8) == {"a": None, "b": 8}
    assert await hold("a", None) == {"a": None, "b": 8}
    assert await hold("b", None) == {"a": None, "b": None}


async def test_notices_reach_whom_they_are_for_until_they_are_done(database: Database) -> None:
    for owner in ("a", "b"):
        await register(database, owner)
    (for_b,) = await database.write(
        lambda connection: owners.tell(connection, "cancel", ["run"], by="ann", recipient="b")
    )
    changed = await database.write(
        lambda connection: owners.tell(connection, "changed", ["t1", "t2"], by="a")
    )

    async def asked(owner: str, *, scheduling: bool) -> list[Notice]:
        async with database.read() as connection:
            return await owners.notices(connection, owner, scheduling=scheduling)

    async def waits(notice: str) -> bool:
        async with database.read() as connection:
            return await owners.is_asked(connection, notice)

    cancel = Notice(id=for_b, recipient="b", kind="cancel", subject="run", said_by="ann")
    assert await asked("b", scheduling=False) == [cancel]
    assert await asked("a", scheduling=False) == []
    assert {one.subject for one in await asked("a", scheduling=True)} == {"t1", "t2"}
    await database.write(lambda connection: owners.done(connection, changed))
    assert [await waits(one) for one in (*changed, for_b)] == [False, False, True]
    # With its recipient a notice ends.
    await database.write(lambda connection: owners.forget(connection, "b", if_expired=False))
    assert not await waits(for_b)
