"""Who executes, as it is listed; what runs where, and which queues there are."""

from datetime import timedelta
from typing import Any

from sqlalchemy import insert, update

from taskservice.domain.placement import CELERY
from taskservice.storage import owners, workers
from taskservice.storage.database import Connection, Database
from taskservice.storage.dialects import dialect_of
from taskservice.storage.owners import QUEUE
from taskservice.storage.tables import task_worker
from taskservice.storage.workers import Listed, Waiting, Worker
from tests.storage.samples import NOW, later, make_execution, make_state, record, save


async def begin(database: Database, owner: str, *, lease: float = 30, **more: Any) -> None:
    """Have an owner listed, by default a service, under a lease of so many seconds."""
    worker = Worker(name=f"host:{owner}:1", **{"kind": "service", **more})

    async def work(connection: Connection) -> None:
        await owners.register(connection, owner, worker.name, lease)
        await workers.register(connection, owner, worker)

    await database.write(work)


async def age(database: Database, owner: str, **seconds: float) -> None:
    """Have columns of a listed owner say that it was so many seconds ago."""

    async def work(connection: Connection) -> None:
        now = await dialect_of(connection).now(connection)
        ago = {name: now - timedelta(seconds=span) for name, span in seconds.items()}
        await connection.execute(update(task_worker).where(task_worker.c.id == owner).values(**ago))

    await database.write(work)


async def listed(database: Database, limit: int = 10) -> list[Listed]:
    async with database.read() as connection:
        return await workers.listed(connection, limit=limit)


async def test_the_living_are_listed_first_and_the_dead_for_a_minute(database: Database) -> None:
    await begin(database, "stopped", kind="worker", queues=("a", "b"), concurrency=4)
    await begin(database, "frozen", kind="worker", queues=("a",), concurrency=1, lease=-10)
    await begin(database, "service")
    for long_gone in ("long stopped", "long frozen"):
        await begin(database, long_gone, lease=-61)
    await database.write(lambda connection: workers.gone(connection, "stopped"))
    await age(database, "stopped", gone=59)
    await age(database, "long stopped", gone=61)
    found = await listed(database)
    assert [(one.id, one.is_alive) for one in found] == [
        ("service", True), ("frozen", False), ("stopped", False),
    ]  # fmt: skip
    stopped = found[-1]
    assert (stopped.name, stopped.kind, stopped.queues, stopped.concurrency) == (
        "host:stopped:1", "worker", ("a", "b"), 4,
    )  # fmt: skip
    assert stopped.heard - stopped.since < timedelta(seconds=20)
    # Where there are too many, it is the dead that are left out.
    assert [one.id for one in await listed(database, 1)] == ["service"]
    # Another start forgets those that are not listed any more.
    await begin(database, "another")
    async with database.read() as connection:
        rows = await connection.execute(task_worker.select().where(task_worker.c.gone.is_not(None)))
    assert [row.id for row in rows] == ["stopped"]


async def test_one_that_is_listed_and_owns_nothing_is_dead(database: Database) -> None:
    row = {"id": "x", "name": "n", "kind": "worker", "queues": None, "concurrency": None}

    async def work(connection: Connection) -> None:
        now = await dialect_of(connection).now(connection)
        await connection.execute(insert(task_worker).values(**row, since=now, heard=now))

    await database.write(work)
    (found,) = await listed(database)
    assert (found.is_alive, found.queues, found.name) == (False, None, "n")


async def test_what_runs_is_counted_and_the_first_are_told(database: Database) -> None:
    await save(database, make_state("a"), make_state("b"))
    await record(
        database,
        *(
            make_execution(f"e{n}", "ab"[n % 2], start_time=later(9 - n), owner="w")
            for n in range(5)
        ),
        make_execution("other", "a", owner="s"),
        make_execution("ended", "a", owner="w", status="failed"),
        make_execution("queued", "a", owner=QUEUE, status="queued", queue="q", queued_at=NOW),
    )  # fmt: skip
    async with database.read() as connection:
        found = await connection.run_sync(
            lambda some: workers.running(some, ["w", "s", "idle"], each=2)
        )
    assert {owner: some.count for owner, some in found.items()} == {"w": 5, "s": 1}
    assert [(one.id, one.task_id, one.start_time) for one in found["w"].first] == [
        ("e4", "a", later(5)), ("e3", "b", later(6)),
    ]  # fmt: skip


async def test_queues_are_those_that_tasks_name(database: Database) -> None:
    await save(
        database,
        make_state("a", executor="celery", queue="reports"),
        make_state("b", executor="local", queue="named"),
        make_state("c", executor="celery", queue="old", retired_at=NOW),
        make_state("d"),
    )

    async def named(executor: str) -> list[str]:
        async with database.read() as connection:
            return await connection.run_sync(
                lambda some: workers.named(some, executor=executor, queue="default", limit=10)
            )

    assert await named("local") == ["named", "reports"]
    assert await named(CELERY) == ["default", "named", "reports"]
    await save(database, make_state("e", executor="celery"))
    assert await named("process") == ["default", "named", "reports"]


async def test_what_waits_is_counted_by_queue(database: Database) -> None:
    await save(database, make_state("a"))
    await record(
        database,
        *(
            make_execution(name, "a", owner=QUEUE, status="queued", queue=name[0], queued_at=at)
            for name, at in (("q1", later(3)), ("q2", later(1)), ("r1", later(2)))
        ),
        make_execution("taken", "a", queue="q", queued_at=NOW, worker="w"),
    )
    async with database.read() as connection:
        assert await connection.run_sync(workers.waiting) == {
            "q": Waiting(count=2, oldest=later(1)), "r": Waiting(count=1, oldest=later(2)),
        }  # fmt: skip
