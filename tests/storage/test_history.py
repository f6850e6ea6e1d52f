"""What came of tasks: their last executions, how many there are in each status, ends of pauses."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from taskservice.domain.overlay import Override
from taskservice.storage import history
from taskservice.storage.database import Database
from taskservice.storage.history import TOGETHER, Past
from taskservice.storage.overrides import save_overrides
from tests.storage.samples import (
    NOW,
    is_sqlite,
    later,
    make_execution,
    make_state,
    record,
    save,
    statements,
)


async def latest(database: Database, ids: Sequence[str], each: int) -> dict[str, list[Past]]:
    async with database.read() as connection:
        return await connection.run_sync(history.latest, ids, each)


async def test_the_last_executions_of_each_task_come_oldest_first(database: Database) -> None:
    await save(database, make_state("a"), make_state("b"), make_state("c"))
    runs = [make_execution(f"a{n}", "a", start_time=later(n), status="failed") for n in range(5)]
    runs.append(make_execution("b0", "b", end_time=later(2.5), status="completed"))
    await record(database, *reversed(runs))
    found = await latest(database, ["a", "b", "c"], 3)
    assert [one.id for one in found["a"]] == ["a2", "a3", "a4"]
    assert found["b"] == [Past("b0", "b", "completed", NOW, later(2.5))]
    assert found["c"] == []


async def test_those_of_the_same_moment_have_an_order(database: Database) -> None:
    await save(database, make_state("a"))
    await record(database, *(make_execution(name, "a") for name in ("y", "z", "x")))
    assert [one.id for one in (await latest(database, ["a"], 2))["a"]] == ["y", "z"]


async def test_many_tasks_take_few_statements(database: Database) -> None:
    ids = [f"t{number}" for number in range(TOGETHER * 2 + 1)]
    await save(database, *map(make_state, ids))
    await record(database, *(make_execution(f"{name}-run", name) for name in ids))
    with statements(database, reads=True) as sent:
        found = await latest(database, ids, 20)
    assert len([one for one in sent if "task_execution_log" in one]) == 3
    assert all(len(found[name]) == 1 for name in ids)


async def test_no_more_is_read_of_a_long_log_than_is_shown(database: Database) -> None:
    await save(database, make_state("a"))
    await record(
        database, *(make_execution(f"{n:04}", "a", start_time=later(n)) for n in range(2000))
    )
    query = history.latest_of(1)
    async with database.read() as connection:
        explain = "EXPLAIN QUERY PLAN " if is_sqlite(database) else "EXPLAIN "
        rows = await connection.exec_driver_sql(
            explain + str(query).replace(":id0", "'a'").replace(":each", "20")
        )
        plan: Any = " ".join(str(row) for row in rows)
    assert "idx_task_start" in plan


async def test_the_states_are_counted_without_retired_tasks(database: Database) -> None:
    await save(
        database, make_state("a"), make_state("b"), make_state("c", status="failed"),
        make_state("d", status="paused", retired_at=NOW),
    )  # fmt: skip
    async with database.read() as connection:
        assert await connection.run_sync(history.states) == {"pending": 2, "failed": 1}


def override(field: str, until: datetime | None) -> Override:
    return Override(
        field=field, value=True, declared_when_set=False, set_at=NOW, set_by="ann", until=until
    )


async def test_the_ends_of_overrides_of_a_field(database: Database) -> None:
    await save(database, make_state("a"), make_state("b"), make_state("c"))
    given = {
        "a": (override("paused", later(60)), override("coalesce", later(30))),
        "b": (override("paused", None),),
        "c": (override("paused", later(90)),),
    }
    await database.write(lambda connection: save_overrides(connection, given))
    async with database.read() as connection:
        found = await connection.run_sync(history.ends, ["a", "b"], "paused")
    assert found == {"a": later(60)}
