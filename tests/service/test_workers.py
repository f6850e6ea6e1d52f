"""What the service tells of workers and queues, and what every page is told of them."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from taskservice.domain.placement import Placement
from taskservice.service import Service
from taskservice.service.workers import Workers
from taskservice.storage import owners, workers
from taskservice.storage.database import Connection, Database
from taskservice.storage.executions import ExecutionRow
from taskservice.storage.owners import QUEUE
from taskservice.storage.workers import Worker
from tests.service.test_metrics import scraped
from tests.storage.samples import NOW, later, make_execution, make_state, record, save

ON_CELERY = Placement(executor="celery", queue="default", has_broker=True)


@pytest.fixture
async def still(make_service: Callable[..., Service]) -> Service:
    """A service that is not started: on SQLite one that runs is alone, and buries all others."""
    made = make_service()
    await save(made.database, make_state("hourly"))
    return made


async def begin(database: Database, owner: str, **more: Any) -> None:
    """Have an owner listed, as it lists itself."""
    listed = Worker(name=f"host:7:{owner}", **more)

    async def work(connection: Connection) -> None:
        await owners.register(connection, owner, listed.name, 30)
        await workers.register(connection, owner, listed)

    await database.write(work)


def queued(execution_id: str, queue: str, at: datetime = NOW) -> ExecutionRow:
    return make_execution(
        execution_id, "hourly", status="queued", owner=QUEUE, queue=queue, queued_at=at
    )


async def test_workers_and_queues_are_told(still: Service) -> None:
    database = still.database
    await begin(database, "s", kind="service")
    serves = ("reports", "other", "reports")
    await begin(database, "w", kind="worker", queues=serves, concurrency=2)
    runs = make_execution("e1", "hourly", owner="w", queue="reports", worker="host:7:w")
    await record(database, runs, queued("e2", "reports"), queued("e3", "mail", later(1)))
    told = await Workers(database, ON_CELERY).report()
    own, worker = told.workers
    assert (own.kind, own.state, own.queues, own.concurrency) == ("service", "alive", None, None)
    assert (worker.name, worker.host, worker.kind) == ("host:7:w", "host", "worker")
    assert (worker.queues, worker.concurrency) == (serves, 2)
    assert (worker.running_count, [one.id for one in worker.running]) == (1, ["e1"])
    assert [(one.name, one.workers, one.waiting, one.oldest) for one in told.queues] == [
        ("default", 0, 0, None), ("mail", 0, 1, later(1)), ("reports", 1, 1, NOW),
    ]  # fmt: skip
    assert [one.name for one in told.queues if one.is_unserved] == ["mail"]
    # And in numbers.
    found = await scraped(still)
    assert (found["taskservice_queued/mail"], found["taskservice_queued/reports"]) == (1, 1)
    assert found["taskservice_oldest_queued_seconds/mail"] > 0
    assert found["taskservice_workers/worker/alive"] == 1
    assert found["taskservice_workers/service/alive"] == 1


async def test_what_pages_tell_is_seen_once_in_a_while(still: Service) -> None:
    database = still.database
    every, seldom = (Workers(database, Placement(), look_seconds=seconds) for seconds in (0, 3600))
    for one in (every, seldom):
        await one.look()
        assert (one.unserved, one.matter) == ([], False)
    await record(database, queued("e", "mail"))
    for one in (every, seldom):
        await one.look()
    assert (every.unserved, seldom.unserved) == (["mail"], [])
    await begin(database, "w", kind="worker", queues=("mail",), concurrency=1)
    await every.look()
    assert (every.unserved, every.matter) == ([], True)
    assert Workers(database, ON_CELERY).matter


async def test_pages_do_without_what_the_database_does_not_tell() -> None:
    gone = Database("mysql+asyncmy://nobody@127.0.0.1:1/gone")
    seen = Workers(gone, ON_CELERY)
    await seen.look()
    assert seen.unserved == ()
    await gone.close()


async def test_a_service_that_stopped_is_dead_at_once(make_service: Callable[..., Service]) -> None:
    first = make_service()
    await first.start()
    await first.stop()
    second = make_service()
    await second.start()
    states = [one.state for one in (await second.workers.report()).workers]
    assert states == ["alive", "dead"]
