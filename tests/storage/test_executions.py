"""Queries on executions: one at a time, fifteen hundred at a time, and text of every kind."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from sqlalchemy import event, select, text

from taskservice.storage import deletion, owners
from taskservice.storage import executions as log
from taskservice.storage import tasks as store
from taskservice.storage.database import LIMITS, Collision, Connection, Database
from taskservice.storage.executions import ExecutionRow, Progress, Retry, TaskRow
from taskservice.storage.owners import LeaseLost
from taskservice.storage.paging import COUNTED
from taskservice.storage.tables import task_execution_log, task_manage, task_retry
from tests.databases import MYSQL
from tests.storage.samples import (
    MANY,
    NOW,
    UGLY,
    is_sqlite,
    later,
    make_execution,
    make_state,
    record,
    save,
    statements,
)

LIMIT = 64 * 1024
MOST_OUTPUT = 4 * 1024 * 1024


async def held(database: Database, owner: str = "me") -> dict[str, ExecutionRow]:
    async with database.read() as connection:
        return await connection.run_sync(log.owned, owner)


async def register(database: Database, owner: str) -> None:
    await database.write(lambda connection: owners.register(connection, owner, owner, 60))


async def shown(database: Database, execution_id: str) -> ExecutionRow:
    async with database.read() as connection:
        found = await log.one(connection, "notice", execution_id)
    assert found is not None
    return found


async def finish(database: Database, *ended: ExecutionRow) -> None:
    await database.write(lambda connection: connection.run_sync(log.finish, ended))


async def ids(database: Database, column: Any = task_execution_log.c.id) -> list[str]:
    async with database.read() as connection:
        return sorted((await connection.execute(select(column))).scalars())


async def test_every_field_of_a_running_execution_comes_back(database: Database) -> None:
    await save(database, make_state())
    full = make_execution(
        "Full", scheduled_time=later(0.000001), attempt=3, triggered_by="爱丽丝", folded=9,
        func_args={"message": UGLY, "empty": {}, "none": None}, recovered=True,
    )  # fmt: skip
    bare = make_execution("bare", func_args=None)
    empty = make_execution("empty", func_args={})
    await record(database, full, bare, empty)
    assert await held(database) == {"Full": full, "bare": bare, "empty": empty}
    # Asked for alone, an execution comes with its output instead of what only the engine needs.
    assert await shown(database, "Full") == replace(full, recovered=False)


async def test_an_execution_that_never_ran_keeps_its_end(database: Database) -> None:
    await save(database, make_state())
    missed = make_execution(
        "1", scheduled_time=NOW, end_time=later(0.000001), status="missed", owner=None,
        error=f"missed: {UGLY}", error_kind="missed",
    )  # fmt: skip
    await record(database, missed)
    assert await shown(database, "1") == missed


TEXTS = (UGLY, UGLY * 500, "", "null", "{}", '"', "\\", "%", "\x00", "\x00" * 100, "😀", " ", None)


async def test_an_end_keeps_text_of_every_kind(database: Database) -> None:
    await save(database, make_state())
    running = [make_execution(str(number)) for number in range(len(TEXTS))]
    await record(database, *running)
    ended = [
        replace(
            execution, status="failed", end_time=later(number + 0.000001), result=said,
            error=TEXTS[number - 1], output=TEXTS[number - 2], owner="me" if number % 2 else None,
        )
        for number, (execution, said) in enumerate(zip(running, TEXTS, strict=True))
    ]  # fmt: skip
    await finish(database, *ended)
    assert [await shown(database, execution.id) for execution in ended] == ended


words = some.none() | some.text(some.characters(codec="utf-8"), max_size=100)


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(result=words, error=words, output=words)
async def test_an_end_keeps_any_text(
    database: Database, result: str | None, error: str | None, output: str | None
) -> None:
    ended = make_execution(
        "1", end_time=NOW, status="completed", result=result, error=error, output=output
    )
    await save(database, make_state())
    await database.write(lambda connection: deletion.discard(connection, ["notice"], now=NOW))
    await save(database, make_state())
    await record(database, make_execution("1"))
    await finish(database, ended)
    assert await shown(database, "1") == ended


@pytest.mark.parametrize("letter", ["x", "\x01", "中", "'"])
async def test_ends_with_the_longest_output_fit(database: Database, letter: str) -> None:
    await save(database, make_state())
    output = letter * (LIMIT // len(letter.encode()))
    running = [make_execution(str(number)) for number in range(40)]
    await record(database, *running)
    ended = [
        replace(execution, status="completed", end_time=NOW, output=output, owner=None)
        for execution in running
    ]
    await finish(database, *ended)
    assert [await shown(database, execution.id) for execution in ended] == ended


@pytest.mark.parametrize("letter", ["\x00", "\\", "\ufffd"])
async def test_the_longest_output_that_can_be_set_fits(database: Database, letter: str) -> None:
    await save(database, make_state())
    output = letter * MOST_OUTPUT
    await record(database, *(make_execution(key) for key in "ab"))
    await database.write(
        lambda connection: connection.run_sync(log.keep_output, "me", {"a": output})
    )
    ended = make_execution("b", status="completed", end_time=NOW, output=output, owner=None)
    await finish(database, ended)
    assert (await shown(database, "a")).output == (await shown(database, "b")).output == output


async def test_output_is_kept_of_what_an_owner_runs(database: Database) -> None:
    await save(database, make_state())
    await record(
        database,
        make_execution("mine"),
        make_execution("others", owner="other"),
        make_execution("over", status="failed", end_time=NOW),
        make_execution("closed", status="failed", end_time=NOW, owner=None),
    )
    said = dict.fromkeys(("mine", "others", "over", "closed", "gone"), UGLY)
    await database.write(lambda connection: connection.run_sync(log.keep_output, "me", said))
    outputs = {key: (await shown(database, key)).output for key in said if key != "gone"}
    assert outputs == {"mine": UGLY, "others": None, "over": None, "closed": None}


async def test_an_end_without_output_leaves_what_was_written(database: Database) -> None:
    await save(database, make_state())
    await record(database, make_execution("a"), make_execution("b"))
    said = {"a": "so far", "b": "so far"}
    await database.write(lambda connection: connection.run_sync(log.keep_output, "me", said))
    dead = make_execution("a", status="failed", end_time=NOW, owner=None, error="interrupted: x")
    await finish(database, dead, replace(dead, id="b", output=""))
    assert (await shown(database, "a")).output == "so far"
    assert (await shown(database, "b")).output == ""


async def test_output_waits_for_nobody(database: Database) -> None:
    if is_sqlite(database):
        return  # there all writers wait in turn
    await save(database, make_state())
    await record(database, make_execution("a"), make_execution("b"))
    locked, done = asyncio.Event(), asyncio.Event()

    async def hold(connection: Connection) -> None:
        await connection.execute(
            select(task_execution_log.c.id).where(task_execution_log.c.id == "a").with_for_update()
        )
        locked.set()
        await done.wait()

    holding = asyncio.create_task(database.write(hold))
    await locked.wait()
    try:
        said = {"a": "x", "b": "y"}
        async with asyncio.timeout(LIMITS.lock_seconds - 1):
            await database.write(lambda one: one.run_sync(log.keep_output, "me", said), tries=1)
    finally:
        done.set()
        await holding
    assert [(await shown(database, key)).output for key in "ab"] == [None, "y"]


async def test_an_end_touches_no_other_row(database: Database) -> None:
    await save(database, make_state())
    a, b, big = make_execution("a"), make_execution("b"), make_execution("A")
    await record(database, a, b, big)
    ended = a.ended("failed", NOW, "raised", "x", owner=None)
    await finish(database, ended, make_execution("absent", status="failed"))
    assert await held(database) == {"b": b, "A": big}
    assert await shown(database, "a") == ended


async def test_an_end_of_nothing_sends_nothing(database: Database) -> None:
    async def work(connection: Connection) -> None:
        await connection.run_sync(log.finish, [])
        await connection.run_sync(log.advance, [])
        await connection.run_sync(log.add, [])
        await connection.run_sync(log.release, "me", [])
        await connection.run_sync(log.save_retries, {})
        await connection.run_sync(log.drop_retries, [])
        assert await connection.run_sync(log.open_rows, []) == {}
        assert await connection.run_sync(log.recorded, [], []) == set()

    with statements(database) as sent:
        await database.write(work)
    assert [statement for statement in sent if not statement.startswith("BEGIN")] == []


async def test_a_fire_has_one_row_per_attempt(database: Database) -> None:
    await save(database, make_state(), make_state("other"))
    fire = make_execution("1", scheduled_time=NOW)
    await record(database, fire)
    with pytest.raises(Collision):
        await record(database, make_execution("new"), replace(fire, id="2"))
    assert await ids(database) == ["1"]
    await record(
        database,
        replace(fire, id="3", attempt=2),
        replace(fire, id="4", task_id="other"),
        replace(fire, id="5", scheduled_time=later(0.000001)),
        make_execution("6"),
        make_execution("7"),
    )
    assert await ids(database) == ["1", "3", "4", "5", "6", "7"]


# MySQL, from 9.6 on, passes over the foreign key where the unique one has a null.
@pytest.mark.xfail(bool(MYSQL), reason="a fault of MySQL 9.7")
async def test_an_execution_needs_its_task(database: Database) -> None:
    with pytest.raises(Collision):
        await record(database, make_execution("1", "absent"))


async def test_fires_with_a_row_are_known(database: Database) -> None:
    await save(database, make_state("a"), make_state("b"))
    fires = [later(0.5 + number) for number in range(MANY)]
    await record(
        database,
        *(make_execution(f"a{n}", "a", scheduled_time=fire) for n, fire in enumerate(fires)),
        make_execution("again", "a", scheduled_time=fires[7], attempt=2),
        make_execution("b", "b", scheduled_time=fires[3]),
        make_execution("by hand", "a"),
    )
    async with database.read() as connection:
        one = await connection.run_sync(log.recorded, ["a"], [fires[7], later(0)])
        assert one == {("a", fires[7], 1), ("a", fires[7], 2)}
        crowd = [*(f"no-{number}" for number in range(MANY)), "a", "b"]
        found = await connection.run_sync(log.recorded, crowd, fires)
    assert found == {("a", fire, 1) for fire in fires} | {("a", fires[7], 2), ("b", fires[3], 1)}


async def test_a_claim_sees_the_rows_of_its_tasks(database: Database) -> None:
    await save(
        database,
        make_state("a", paused=True, etag="1", status="paused", next_run_time=None),
        make_state("b", retired_at=NOW, last_outcome="failed"),
        make_state("c"),
    )
    await register(database, "me")
    found = await database.write(
        lambda connection: connection.run_sync(log.lock_tasks, "me", {"b", "a", "x"})
    )
    assert found == {
        "a": TaskRow(
            id="a", etag="1", next_run_time=None, paused=True, retired=False, status="paused",
            last_outcome=None,
        ),
        "b": TaskRow(
            id="b", etag="etag", next_run_time=NOW, paused=False, retired=True, status="pending",
            last_outcome="failed",
        ),
    }  # fmt: skip


async def test_who_was_taken_for_dead_sees_no_rows(database: Database) -> None:
    await save(database, make_state("a"))
    await register(database, "other")
    with pytest.raises(LeaseLost):
        await database.write(lambda connection: connection.run_sync(log.lock_tasks, "me", ["a"]))


async def test_of_many_claims_at_once_none_is_lost(database: Database) -> None:
    """Each reads and then writes: without the lock, some would overwrite others."""
    await save(database, make_state(next_run_time=NOW))
    await register(database, "me")

    async def step(connection: Connection) -> None:
        row = (await connection.run_sync(log.lock_tasks, "me", ["notice"]))["notice"]
        assert row.next_run_time is not None
        progress = Progress(
            id="notice", next_run_time=row.next_run_time + timedelta(seconds=1),
            status="pending", last_outcome=None,
        )  # fmt: skip
        await connection.run_sync(log.advance, [progress])

    await asyncio.gather(*(database.write(step) for _ in range(25)))
    async with database.read() as connection:
        assert (await store.states_of(connection, ["notice"]))["notice"].next_run_time == later(25)


async def test_instances_are_occupied_until_they_are_released(database: Database) -> None:
    await save(database, make_state("a"), make_state("b"), make_state("c"))
    await record(
        database,
        make_execution("1", "a"),
        make_execution("2", "a", status="failed", owner="other"),
        make_execution("3", "a", status="completed", owner=None),
        make_execution("4", "b", status="cancelled"),
        make_execution("5", "c", status="completed", owner=None),
    )
    async with database.read() as connection:
        found = await connection.run_sync(log.open_rows, {"a", "b", "c"})
        assert {key: (e.task_id, e.status, e.owner) for key, e in found.items()} == {
            "1": ("a", "running", "me"),
            "2": ("a", "failed", "other"),
            "4": ("b", "cancelled", "me"),
        }
        assert (await connection.run_sync(log.open_rows, ["b"])).keys() == {"4"}
    everything = ["1", "2", "4", "absent"]
    await database.write(lambda connection: connection.run_sync(log.release, "me", everything))
    assert (await held(database)).keys() == {"1"}, "what still runs is not released"
    assert (await held(database, "other")).keys() == {"2"}


async def test_many_executions_are_a_few_statements(database: Database) -> None:
    numbers = range(MANY)
    await save(database, *(make_state(f"task-{number}") for number in numbers))
    await register(database, "me")
    running = [
        make_execution(f"e{number}", f"task-{number}", scheduled_time=later(number))
        for number in numbers
    ]
    ended = [replace(e, status="failed", end_time=NOW, error=UGLY, func_args=None) for e in running]
    tasks = [execution.task_id for execution in running]
    keys = [execution.id for execution in running]
    progress = [
        Progress(id=task_id, next_run_time=later(n), status="failed", last_outcome="failed")
        for n, task_id in enumerate(tasks)
    ]

    async def work(connection: Connection) -> None:
        assert (await connection.run_sync(log.lock_tasks, "me", tasks)).keys() == set(tasks)
        await connection.run_sync(log.add, running)
        held = await connection.run_sync(log.open_rows, tasks)
        assert held == {e.id: e for e in running}
        await connection.run_sync(log.finish, ended)
        assert await connection.run_sync(log.owned, "me") == {e.id: e for e in ended}
        await connection.run_sync(log.release, "me", keys)
        assert await connection.run_sync(log.owned, "me") == {}
        await connection.run_sync(log.advance, progress)
        await connection.run_sync(log.save_retries, dict.fromkeys(keys, NOW))
        await connection.run_sync(log.drop_retries, keys[1:])

    with statements(database) as sent:
        await database.write(work)
    assert len(sent) < 30
    assert await ids(database, task_retry.c.execution_id) == ["e0"]
    async with database.read() as connection:
        states = await store.states_of(connection, tasks)
    assert {(s.status, s.last_outcome, s.update_time) for s in states.values()} == {
        ("failed", "failed", NOW)
    }
    assert [states[task_id].next_run_time for task_id in tasks] == [later(n) for n in numbers]


@pytest.mark.parametrize("empty_url", ["mariadb"], indirect=True)
async def test_the_server_gets_many_rows_in_a_few_statements_too(database: Database) -> None:
    """The driver must not take a statement of many rows apart."""
    await save(database, make_state())
    running = [make_execution(str(number), func_args={"n": number}) for number in range(500)]
    ended = [replace(execution, status="completed", end_time=NOW) for execution in running]
    before = after = 0

    async def work(connection: Connection) -> None:
        nonlocal before, after
        before = await questions(connection)
        await connection.run_sync(log.add, running)
        await connection.run_sync(log.finish, ended)
        after = await questions(connection)

    await database.write(work)
    assert after - before == 3


async def questions(connection: Connection) -> int:
    answer = await connection.execute(text("SHOW SESSION STATUS LIKE 'Questions'"))
    return int(answer.one()[1])


async def save_retries(database: Database, due: dict[str, datetime]) -> None:
    await database.write(lambda connection: connection.run_sync(log.save_retries, due))


async def test_retries_come_back_with_what_the_next_attempt_needs(database: Database) -> None:
    await save(database, make_state())
    failed = make_execution(
        "1", scheduled_time=NOW, status="failed", attempt=2, triggered_by="alice", owner=None,
        func_args={"a": UGLY}, recovered=True, end_time=later(1), error="raised: x",
        error_kind="raised", folded=3,
    )  # fmt: skip
    await record(database, failed, make_execution("2"), make_execution("3"))
    for due in (later(9), later(10.000001)):
        await save_retries(database, {"1": due, "2": NOW})
    await database.write(lambda connection: connection.run_sync(log.drop_retries, ["2", "absent"]))
    async with database.read() as connection:
        assert await connection.run_sync(log.retries) == [
            Retry(execution=failed, due=later(10.000001))
        ]
    await database.write(lambda connection: deletion.discard(connection, ["notice"], now=NOW))
    assert await ids(database, task_retry.c.execution_id) == []


async def test_an_error_of_an_older_version_has_its_kind(database: Database) -> None:
    """As one writes it that serves beside this one, after the upgrade."""
    await save(database, make_state())
    errors = {"1": "interrupted: its process a:1 died", "2": "raised: interrupted: no", "3": "boom"}
    ended = [make_execution(key, status="failed", error=error) for key, error in errors.items()]
    await record(database, *ended)
    await save_retries(database, dict.fromkeys(errors, NOW))
    async with database.read() as connection:
        waiting = await connection.run_sync(log.retries)
        mine = await connection.run_sync(log.owned, "me")
    kinds = {"1": "interrupted", "2": "raised", "3": None}
    assert {one.execution.id: one.execution.error_kind for one in waiting} == kinds
    assert {key: row.error_kind for key, row in mine.items()} == kinds


async def pages(database: Database, **more: Any) -> tuple[list[str], int]:
    wanted: dict[str, Any] = {
        "status": None, "since": None, "until": None, "offset": 0, "limit": 10, **more,
    }  # fmt: skip
    async with database.read() as connection:
        found, total, _ = await log.page(connection, "notice", **wanted)
    return [execution.id for execution in found], total


async def test_a_log_is_read_in_pages_newest_first(database: Database) -> None:
    await save(database, make_state(), make_state("other"))
    await record(
        database,
        make_execution("1", start_time=later(1), status="failed", owner=None),
        make_execution("3", start_time=later(2)),
        make_execution("2", start_time=later(2), status="failed"),
        make_execution("4", start_time=later(2.000001)),
        make_execution("5", "other", start_time=later(3)),
    )
    assert await pages(database) == (["4", "3", "2", "1"], 4)
    assert await pages(database, offset=1, limit=2) == (["3", "2"], 4)
    assert await pages(database, offset=9) == ([], 4)
    assert await pages(database, status="failed") == (["2", "1"], 2)
    assert await pages(database, status="missed") == ([], 0)
    assert await pages(database, since=later(2)) == (["4", "3", "2"], 3)
    assert await pages(database, until=later(2)) == (["3", "2", "1"], 3)
    assert await pages(database, since=later(2), until=later(2), status="failed") == (["2"], 1)


async def test_an_execution_is_found_under_its_own_task_only(database: Database) -> None:
    await save(database, make_state(), make_state("other"))
    await record(database, make_execution("a"))
    async with database.read() as connection:
        assert await log.one(connection, "notice", "a")
        assert await log.one(connection, "other", "a") is None
        assert await log.one(connection, "notice", "A") is None


async def test_a_log_goes_on_after_an_execution(database: Database) -> None:
    await save(database, make_state(), make_state("other"))
    moments = [1, 2, 2, 2, 3]
    rows = [
        make_execution(
            f"e{number}", start_time=later(seconds), owner=None,
            status="failed" if number % 2 else "completed",
        )
        for number, seconds in enumerate(moments)
    ]  # fmt: skip
    await record(database, *rows, make_execution("x", "other", start_time=later(2)))

    async def after(execution_id: str, **more: Any) -> tuple[list[str], int, bool]:
        wanted: dict[str, Any] = {
            "status": None, "since": None, "until": None, "offset": 0, "limit": 2, **more,
        }  # fmt: skip
        async with database.read() as connection:
            start = await log.start_of(connection, "notice", execution_id)
            assert start
            found, total, follows = await log.page(
                connection, "notice", before=start, before_id=execution_id, **wanted
            )
        return [one.id for one in found], total, follows

    assert await after("e4") == (["e3", "e2"], 5, True)
    assert await after("e2") == (["e1", "e0"], 5, False)
    assert await after("e0") == ([], 5, False)
    assert await after("e4", status="failed") == (["e3", "e1"], 2, False)
    async with database.read() as connection:
        assert await log.start_of(connection, "notice", "x") is None
        assert await log.start_of(connection, "notice", "none") is None


async def test_no_page_goes_through_the_whole_log(database: Database) -> None:
    await save(database, make_state(), *(make_state(f"t{number}") for number in range(10)))
    count = COUNTED + 50
    rows = [
        make_execution(
            f"e{number:06}", start_time=later(number), owner=None,
            status="failed" if number == 7 else "completed",
        )
        for number in range(count)
    ]  # fmt: skip
    await record(database, *rows)
    others = [make_execution(f"o{n}", f"t{n % 10}", owner=None) for n in range(2000)]
    await record(database, *others)
    wanted: list[dict[str, Any]] = [
        {"offset": 0},
        {"offset": 0, "status": "failed"},
        {"offset": 0, "since": later(5), "until": later(count - 5)},
        {"offset": 0, "before": later(9000), "before_id": "e009000"},
        {"offset": 0, "status": "failed", "before": later(9000), "before_id": "e009000"},
    ]
    usual: dict[str, Any] = {"status": None, "since": None, "until": None, "limit": 20}
    sent: list[tuple[str, Any]] = []
    found = []

    def note(_connection: Any, _cursor: Any, statement: str, values: Any, *_: Any) -> None:
        if statement.startswith("SELECT"):
            sent.append((statement, values))

    async with database.read() as connection:
        if not is_sqlite(database):
            (await connection.execute(text("ANALYZE TABLE task_execution_log"))).all()
        raw = connection.sync_connection
        event.listen(raw, "before_cursor_execute", note)
        for one in wanted:
            found.append(await log.page(connection, "notice", **{**usual, **one}))
        event.remove(raw, "before_cursor_execute", note)
        # MySQL 9 would draw a tree; to MariaDB it is a comment.
        table = "EXPLAIN /*!80000 FORMAT = TRADITIONAL */"
        word = "EXPLAIN QUERY PLAN" if is_sqlite(database) else table
        for statement, values in sent:
            rows_of_plan = await connection.exec_driver_sql(f"{word} {statement}", values)
            for row in rows_of_plan.mappings().all():
                told = str(dict(row))
                if is_sqlite(database):
                    # What is sorted at most is what began at the very same moment.
                    sorts = "B-TREE FOR ORDER BY" in told
                    assert not sorts, (statement, told)
                    assert "SCAN task_execution_log" not in told, (statement, told)
                elif row["table"] == "task_execution_log":
                    assert row["type"] in ("ref", "range"), (statement, told)
                    # A few may be sorted, where the planner knows that there are no more.
                    sorts = "filesort" in str(row["Extra"]) and int(row["rows"]) > 100
                    assert not sorts, (statement, told)
    assert [(one.total, one.more) for one in found] == [
        (COUNTED, True), (1, False), (COUNTED, True), (COUNTED, True), (1, False),
    ]  # fmt: skip
    assert [one.items[0].id for one in found if one.items] == [
        f"e{count - 1:06}", "e000007", f"e{count - 5:06}", "e008999", "e000007",
    ]  # fmt: skip


async def test_old_executions_are_deleted_in_batches(database: Database) -> None:
    await save(database, make_state())

    def old(execution_id: str, start: datetime, **more: Any) -> ExecutionRow:
        ended = {"status": "failed", "owner": None, "start_time": start, "end_time": NOW}
        return make_execution(execution_id, **{**ended, **more})

    await record(
        database,
        *(old(f"old-{number}", later(-MANY + number)) for number in range(MANY)),
        old("running", later(-1), status="running", owner="me", end_time=None),
        old("occupied", later(-1), owner="me"),
        old("ended later", later(-1), end_time=later(2)),
        old("new", later(1), end_time=later(1)),
    )

    async def delete(limit: int) -> int:
        return await database.write(
            lambda connection: log.delete_before(connection, later(1), limit=limit)
        )

    assert await delete(1) == 1
    assert "old-0" not in await ids(database)
    assert [await delete(MANY - 2), await delete(100), await delete(100)] == [MANY - 2, 1, 0]
    assert await ids(database) == ["ended later", "new", "occupied", "running"]


async def test_a_row_of_the_design_alone_can_be_read(database: Database) -> None:
    """Somebody may insert with the design's columns only: the others have defaults."""
    rows: Sequence[str] = (
        "INSERT INTO task_manage (id, name, task_type, trigger_type, func_path, create_time,"
        " update_time) VALUES ('old', 'n', 't', 'cron', 'a.b', '2026-01-01', '2026-01-01')",
        "INSERT INTO task_execution_log (id, task_id) VALUES ('1', 'old')",
    )
    if is_sqlite(database):
        rows = [row.replace("'2026-01-01'", "'2026-01-01 00:00:00'") for row in rows]
    async with database.engine.begin() as connection:
        for row in rows:
            await connection.execute(text(row))
    async with database.read() as connection:
        state = (await store.states_of(connection, ["old"]))["old"]
        execution = await log.one(connection, "old", "1")
        count = await connection.execute(select(task_manage.c.misfire_grace_time))
    assert (state.task.max_instances, state.task.tags, state.source) == (1, (), "api")
    assert state.task.func_args == state.task.trigger_args == {}
    assert execution and (execution.status, execution.attempt) == ("running", 1)
    assert count.scalar_one() == 3600
