"""What a watcher sees of the database, and by which indexes."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, event, text, update

from taskservice.storage import changes, deletion, owners
from taskservice.storage import executions as log
from taskservice.storage.changes import Look
from taskservice.storage.database import Database
from taskservice.storage.executions import Progress
from taskservice.storage.key_values import set_value
from taskservice.storage.owners import QUEUE
from taskservice.storage.tables import task_manage
from tests.storage.samples import NOW, is_sqlite, later, make_execution, make_state, record, save

LONG_AGO = NOW - timedelta(days=1000)


async def look(database: Database, since: datetime = LONG_AGO) -> Look:
    async with database.read() as connection:
        return await connection.run_sync(changes.look, since)


async def test_executions_are_seen_until_they_end_and_after_they_began(
    database: Database,
) -> None:
    await save(database, make_state())
    await record(
        database,
        make_execution("old", start_time=later(-10), status="completed", owner=None),
        make_execution("old and running", start_time=later(-10)),
        make_execution("old and queued", start_time=later(-10), status="queued", owner=QUEUE),
        make_execution("new", start_time=later(0), status="failed", owner=None),
        make_execution("new and running", start_time=later(1)),
        # Its thread can't be stopped: it occupies an instance, and has ended.
        make_execution("ended", start_time=later(-10), status="failed"),
    )
    seen = await look(database, later(0))
    assert seen.open == {
        "old and running": "running", "old and queued": "queued", "new and running": "running",
    }  # fmt: skip
    assert seen.begun == {"new", "new and running"}
    async with database.read() as connection:
        ids = ["new and running", "old", "absent"]
        found = await connection.run_sync(log.shown, ids)
    assert [one.id for one in found] == ["old", "new and running"]


async def test_only_the_newest_are_seen(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await save(database, make_state())
    many = [
        make_execution(f"e{number}", start_time=later(number), status="completed", owner=None)
        for number in range(changes.NEWEST + 5)
    ]
    await record(database, *many)
    assert (await look(database)).begun == {one.id for one in many[5:]}


async def test_a_task_is_changed_by_what_is_written_of_it_and_not_by_its_executions(
    database: Database,
) -> None:
    await save(database, make_state("a"), make_state("b"))
    first = await look(database)
    assert (set(first.changed), first.tasks) == ({"a", "b"}, 2)

    ran = Progress(id="a", next_run_time=later(1), status="failed", last_outcome="failed")
    await database.write(lambda connection: connection.run_sync(log.advance, [ran]))
    assert (await look(database)).changed == first.changed

    # Its definition is as it was, and so is update_time: only its overrides changed.
    await save(database, make_state("b", drift="conflict", etag="another"))
    second = await look(database)
    assert second.changed["a"] == first.changed["a"]
    assert second.changed["b"] > first.changed["b"]
    assert (await look(database, second.changed["b"])).changed.keys() == {"b"}

    await database.write(lambda connection: deletion.discard(connection, ["a"], now=NOW))
    assert (await look(database)).tasks == 1
    async with database.read() as connection:
        assert await connection.run_sync(changes.task_ids) == {"b"}


async def test_a_task_of_before_is_there_though_nobody_knows_when_it_changed(
    database: Database,
) -> None:
    await save(database, make_state("a"))
    await database.write(
        lambda connection: connection.execute(update(task_manage).values(changed_at=None))
    )
    seen = await look(database)
    assert (seen.changed, seen.tasks) == ({}, 1)


async def test_reports_and_the_scheduler_are_compared(database: Database) -> None:
    empty = (await look(database)).about
    await database.write(lambda connection: set_value(connection, "report", {"n": 1}))
    one = (await look(database)).about
    await database.write(lambda connection: set_value(connection, "report", {"n": 2}))
    two = (await look(database)).about
    await database.write(lambda connection: owners.register(connection, "me", "here:1", 60))
    assert (await look(database)).about == two
    await database.write(lambda connection: owners.set_lock(connection, "me", 7))
    three = (await look(database)).about
    assert len({str(about) for about in (empty, one, two, three)}) == 4


async def test_no_look_goes_through_all_rows(database: Database) -> None:
    """But for counting tasks, and ids, which the smallest index has."""
    await save(database, *(make_state(f"t{number}") for number in range(50)))
    rows = [
        make_execution(
            f"e{number}", f"t{number % 50}", start_time=later(-number), status="completed",
            owner=None,
        )
        for number in range(5000)
    ]  # fmt: skip
    await record(database, *rows)
    plans: dict[str, list[Any]] = {}

    def explain(connection: Connection) -> None:
        sent: list[tuple[str, Any]] = []

        def note(_connection: Any, _cursor: Any, statement: str, values: Any, *_: Any) -> None:
            sent.append((statement, values))

        event.listen(connection, "before_cursor_execute", note)
        changes.look(connection, later(-5))
        log.shown(connection, ["e1", "e2"])
        event.remove(connection, "before_cursor_execute", note)
        # MySQL 9 would draw a tree; to MariaDB it is a comment.
        table = "EXPLAIN /*!80000 FORMAT = TRADITIONAL */"
        word = "EXPLAIN QUERY PLAN" if is_sqlite(database) else table
        for statement, values in sent:
            if "task_execution_log" in statement or "changed_at" in statement:
                found = connection.exec_driver_sql(f"{word} {statement}", values)
                plans[statement] = [dict(row._mapping) for row in found]

    # Of few rows that are nearly all wanted, all are read.
    old = text("UPDATE task_manage SET changed_at = '2020-01-01 00:00:00' WHERE id <> 't1'")
    await database.write(lambda connection: connection.execute(old))
    await database.write(lambda connection: connection.run_sync(analyze))
    async with database.read() as connection:
        await connection.run_sync(explain)
    assert len(plans) == 4
    for statement, plan in plans.items():
        assert is_indexed[is_sqlite(database)](plan), (statement, plan)


def analyze(connection: Connection) -> None:
    """Let MariaDB know how many rows there are."""
    if connection.dialect.name != "sqlite":
        connection.execute(text("ANALYZE TABLE task_execution_log, task_manage")).all()


is_indexed: dict[bool, Callable[[list[Any]], bool]] = {
    True: lambda plan: all(row["detail"].startswith("SEARCH") for row in plan),
    False: lambda plan: all(row["type"] in ("ref", "range", "const", "eq_ref") for row in plan),
}
