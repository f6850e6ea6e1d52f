"""What ran in a span of time, as the database counts it."""

from datetime import UTC, datetime, timedelta

import pytest

from taskservice.storage import timeline
from taskservice.storage.attempts import Attempt, attempts
from taskservice.storage.database import Database
from taskservice.storage.executions import ExecutionRow
from taskservice.storage.rows import new_id
from taskservice.storage.timeline import Count, TaskCount
from tests.storage.samples import make_state, record, save

ORIGIN = datetime(2026, 11, 24, 12, tzinfo=UTC)


def ran(task_id: str, seconds: float, status: str = "completed", attempt: int = 1) -> ExecutionRow:
    """An execution that began so many seconds after the origin."""
    start = ORIGIN + timedelta(seconds=seconds)
    return ExecutionRow(
        id=new_id(), task_id=task_id, start_time=start, status=status, attempt=attempt,
        end_time=None if status == "running" else start + timedelta(seconds=1),
    )  # fmt: skip


@pytest.fixture
async def logged(database: Database) -> Database:
    """A database with a log of three tasks."""
    await save(database, make_state("a", name="夜 A"), make_state("b", name="B%"), make_state("c"))
    await record(
        database,
        ran("a", -3600),
        ran("a", -3000, "running"),
        ran("a", 0),
        ran("a", 899.999999, "failed"),
        ran("a", 900),
        ran("b", 900),
        ran("b", 1000),
        ran("c", 95 * 900 + 1, "missed"),
    )
    return database


async def test_executions_are_counted_by_slot(logged: Database) -> None:
    async with logged.read() as connection:
        found = await connection.run_sync(timeline.by_slot, ORIGIN, ORIGIN, 900)
    assert set(found) == {
        Count(0, "completed", 1), Count(0, "failed", 1), Count(1, "completed", 3),
        Count(95, "missed", 1),
    }  # fmt: skip


async def test_executions_are_counted_by_task(logged: Database) -> None:
    async with logged.read() as connection:
        counts = await connection.run_sync(timeline.by_task, ORIGIN)
        slots = await connection.run_sync(
            timeline.by_task_and_slot, ["a", "c"], ORIGIN, ORIGIN, 900
        )
    assert counts == {"a": 3, "b": 2, "c": 1}
    assert set(slots) == {
        TaskCount("a", 0, "completed", 1), TaskCount("a", 0, "failed", 1),
        TaskCount("a", 1, "completed", 1), TaskCount("c", 95, "missed", 1),
    }  # fmt: skip


async def test_the_busiest_tasks_of_a_span(logged: Database) -> None:
    spans = [(ORIGIN + timedelta(seconds=900 * n), ORIGIN + timedelta(seconds=900 * (n + 1)))
             for n in (1, 0, 5)]  # fmt: skip
    async with logged.read() as connection:
        found = await connection.run_sync(timeline.busiest, spans)
        assert await connection.run_sync(timeline.busiest, []) == []
    assert found == [[("b", 2), ("a", 1)], [("a", 2)], []]


async def test_what_runs_since_long_ago_is_found_too(logged: Database) -> None:
    async with logged.read() as connection:
        found = await connection.run_sync(timeline.executions, ["a", "c"], ORIGIN)
    starts = sorted((one.start_time - ORIGIN).total_seconds() for one in found)
    assert starts == [-3000, 0, 899.999999, 900, 95 * 900 + 1]


async def test_the_newest_are_looked_at_where_there_are_many(logged: Database) -> None:
    async with logged.read() as connection:
        cut = await connection.run_sync(timeline.first_of_newest, ORIGIN, 2)
        assert await connection.run_sync(timeline.first_of_newest, ORIGIN, 6) is None
    assert cut == ORIGIN + timedelta(seconds=900)


async def test_names_are_searched(logged: Database) -> None:
    async with logged.read() as connection:
        assert set(await connection.run_sync(timeline.names, "")) == {"a", "b", "c"}
        assert await connection.run_sync(timeline.names, "夜") == {"a": "夜 A"}
        assert await connection.run_sync(timeline.names, "b%") == {"b": "B%"}


async def test_attempts_of_a_fire_come_in_their_order(database: Database) -> None:
    await save(database, make_state("a"))
    rows = [
        ExecutionRow(id=f"{number}", task_id="a", start_time=ORIGIN, status="failed",
                  scheduled_time=ORIGIN + timedelta(seconds=fire), attempt=number)
        for number, fire in ((2, 0), (1, 0), (3, 9))
    ]  # fmt: skip
    await record(database, *rows)
    async with database.read() as connection:
        found = await connection.run_sync(attempts, "a", ORIGIN)
    assert found == [Attempt("1", 1, "failed"), Attempt("2", 2, "failed")]
