"""Deleted tasks: hidden from everybody at once, their logs kept or deleted a batch at a time."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import func, select

from taskservice.domain.overlay import DELETED, Declaration, Override
from taskservice.domain.state import TaskState, resolution
from taskservice.storage import changes, deletion, history, shown, timeline
from taskservice.storage import executions as log
from taskservice.storage import tasks as store
from taskservice.storage.apply import apply
from taskservice.storage.attempts import attempts
from taskservice.storage.database import Connection, Database
from taskservice.storage.deletion import SHORT, Purge
from taskservice.storage.overrides import expired, save_overrides
from taskservice.storage.shown import Filter
from taskservice.storage.tables import task_execution_log, task_manage, task_retry
from taskservice.storage.totals import totals
from tests.storage.samples import NOW, later, make_execution, make_state, record, save

LONG = SHORT + 50
DECLARATION = Declaration(source="file", fields={}, path="a.yaml")


async def fill(database: Database, task_id: str, count: int = LONG) -> None:
    """Executions of a task, one a second, the last at `NOW`."""
    rows = [
        make_execution(
            f"{task_id}-{number}", task_id, scheduled_time=later(-number), owner=None,
            start_time=later(-number), end_time=later(-number), status="failed",
        )
        for number in range(count)
    ]  # fmt: skip
    await record(database, *rows)


async def discard(database: Database, *ids: str) -> None:
    await database.write(lambda connection: deletion.discard(connection, ids, now=later(5)))


async def hide(database: Database, *ids: str) -> None:
    await database.write(lambda connection: deletion.hide(connection, ids, now=later(5)))


async def rows_of(database: Database, task_id: str) -> int:
    query = select(func.count()).where(task_execution_log.c.task_id == task_id)
    async with database.read() as connection:
        return (await connection.execute(query)).scalar_one()


async def purge(database: Database, limit: int) -> list[bool]:
    """What each batch of the purges that wait said."""
    async with database.read() as connection:
        [wanted] = await deletion.purges(connection)
    said: list[bool] = []
    while not (said and said[-1]):
        done = await database.write(lambda some: deletion.purge(some, wanted, limit=limit))
        said.append(done)
    return said


async def everything(database: Database) -> dict[str, Any]:
    """What all the queries say that tell of tasks, or of the executions of several."""
    ids = ["gone", "stays"]

    def look(connection: Any) -> dict[str, Any]:
        everywhere = later(-9999)
        found: dict[str, Any] = {
            f"find {sort} {retired}": shown.find(
                connection, Filter(retired=retired), sort=sort, offset=0, limit=99
            )
            for sort in ("id", "name")
            for retired in (False, True)
        }
        spans = [(everywhere, later(9))]
        return found | {
            "count": [shown.count(connection, Filter(retired=one)) for one in (False, True)],
            "shown": shown.shown(connection, ids),
            "listed": store.listed(connection, ids),
            "states": history.states(connection),
            "latest": history.latest(connection, ids, 3)["stays"],
            "totals": totals(connection),
            "names": timeline.names(connection, ""),
            "by slot": timeline.by_slot(connection, everywhere, NOW, 900),
            "by task": timeline.by_task(connection, everywhere),
            "busiest": timeline.busiest(connection, spans),
            "executions": sorted(timeline.executions(connection, ids, later(-3))),
            "slots": timeline.by_task_and_slot(connection, ids, everywhere, NOW, 900),
            "attempts": attempts(connection, "gone", NOW),
            "waiting": log.retries(connection),
            "tasks": changes.look(connection, NOW).tasks,
            "ids": changes.task_ids(connection),
        }

    async with database.read() as connection:
        found = await connection.run_sync(look)
        found["states of"] = await store.states_of(connection, ids)
        found["retired"] = await store.retired(connection)
        found["pruned"] = await store.retired_before(connection, later(99), limit=9)
        found["drift"] = await store.drift_counts(connection)
        found["fires"] = await store.fires_known(connection, "", 99)
    return found


async def test_a_short_log_goes_with_its_task(database: Database) -> None:
    await save(database, make_state("gone"), make_state("stays"))
    await fill(database, "gone", SHORT)
    await fill(database, "stays", 3)
    await discard(database, "gone", "absent")
    assert (await rows_of(database, "gone"), await rows_of(database, "stays")) == (0, 3)
    async with database.read() as connection:
        assert list((await connection.execute(select(task_manage.c.id))).scalars()) == ["stays"]
        assert await deletion.purges(connection) == []


async def test_nobody_sees_a_deleted_task(database: Database) -> None:
    await save(database, make_state("stays"), make_state("left", retired_at=NOW))
    await fill(database, "stays", 3)
    before = await everything(database)
    await save(database, make_state("gone", status="running"))
    await fill(database, "gone")
    held = make_execution("held", "gone", start_time=later(1))
    await record(database, held)
    await database.write(
        lambda connection: connection.run_sync(log.save_retries, {"gone-1": later(9)})
    )
    assert await everything(database) != before

    await hide(database, "gone")
    assert await everything(database) == before
    # What it runs is still to end, and whoever reads the table sees that it does not fire.
    async with database.read() as connection:
        assert await connection.run_sync(log.owned, "me") == {"held": held}
        assert await connection.run_sync(lambda some: log.owned(some, "me", live=True)) == {}
        row = (await connection.execute(select(task_manage).filter_by(id="gone"))).one()
        assert (row.status, row.next_run_time, row.retired_at) == ("paused", None, later(5))
        assert (await connection.execute(select(task_retry))).all() == []

    await discard(database, "gone")
    assert await everything(database) == before
    assert await rows_of(database, "gone") == LONG


async def test_a_long_log_goes_a_batch_at_a_time_and_then_its_task(database: Database) -> None:
    await save(database, make_state("gone"), make_state("stays"))
    await fill(database, "gone")
    await fill(database, "stays", 3)
    await discard(database, "gone")
    assert await purge(database, 40) == [False, False, False, True]
    assert (await rows_of(database, "gone"), await rows_of(database, "stays")) == (0, 3)
    async with database.read() as connection:
        assert list((await connection.execute(select(task_manage.c.id))).scalars()) == ["stays"]


async def test_an_id_is_free_at_once_and_its_new_log_its_own(database: Database) -> None:
    await save(database, make_state("stays"))
    before = await everything(database)
    await save(database, make_state("gone"))
    await fill(database, "gone")
    await discard(database, "gone")

    again = make_state("gone", name="again", next_run_time=None)
    fresh = [
        # The clocks of two replicas: one says that it began before the other's last one.
        make_execution(f"new-{number}", "gone", scheduled_time=fire, start_time=later(1 + number))
        for number, fire in enumerate([NOW, later(-5)])
    ]

    async def work(connection: Connection) -> None:
        assert await store.add_states(connection, [again, make_state("new")]) == ["gone"]
        # The fires of the new task are none of the old one's, though they have the same times.
        await deletion.free_fires(connection, {"gone": later(-5)}, now=NOW)
        await connection.run_sync(log.add, fresh)

    await database.write(work)
    found = await everything(database)
    assert found["states of"]["gone"].task.name == "again"
    assert found["tasks"] == before["tasks"] + 2
    assert found["by task"] == {"gone": 2}
    assert found["by slot"] == [timeline.Count(0, "running", 2)]
    assert [one.id for one in found["executions"]] == ["new-0", "new-1"]
    assert found["busiest"] == [[("gone", 2)]]
    assert [one.id for one in found["attempts"]] == ["new-0"]
    async with database.read() as connection:
        latest = await connection.run_sync(history.latest, ["gone"], 9)
        assert [one.id for one in latest["gone"]] == ["new-0", "new-1"]
        begins = (await connection.run_sync(store.listed, ["gone"]))["gone"].log_begins
        assert begins == NOW + timedelta(microseconds=1)
        rows = await connection.run_sync(log.open_rows, ["gone"])
        assert rows.keys() == {"new-0", "new-1"}

    assert (await purge(database, 1000))[-1]
    assert await rows_of(database, "gone") == 2
    async with database.read() as connection:
        assert await deletion.purges(connection) == []
        assert "gone" in await store.states_of(connection, ["gone"])


async def test_a_purge_that_is_overtaken_leaves_the_rest_to_the_next(database: Database) -> None:
    await save(database, make_state("gone"))
    await fill(database, "gone")
    await discard(database, "gone")
    async with database.read() as connection:
        [first] = await deletion.purges(connection)
    await database.write(lambda connection: store.add_states(connection, [make_state("gone")]))
    await record(
        database,
        *(
            make_execution(f"new-{number}", "gone", start_time=later(number + 1), owner=None)
            for number in range(LONG)
        ),
    )
    await discard(database, "gone")
    assert await database.write(lambda some: deletion.purge(some, first, limit=9999))
    # The task of then is deleted as well, and its log is not yet.
    assert await rows_of(database, "gone") == LONG
    async with database.read() as connection:
        assert await deletion.purges(connection) == [
            Purge("gone", later(LONG) + timedelta(microseconds=1))
        ]


async def removed(database: Database, ids: Sequence[str]) -> dict[str, TaskState | None]:
    async with database.read() as connection:
        return {key: one.removed for key, one in (await store.load(connection, ids)).items()}


async def test_a_log_is_kept_for_what_can_be_restored(database: Database) -> None:
    state = make_state("a", last_outcome="failed")
    await save(database, state)
    await fill(database, "a")
    gone = Override(
        field=DELETED, value=True, declared_when_set=None, set_at=NOW, set_by="ann", until=later(9)
    )

    async def work(connection: Connection) -> None:
        await store.save_declarations(connection, {"a": DECLARATION}, now=NOW, by=None)
        await save_overrides(connection, {"a": [gone]})
        await deletion.hide(connection, ["a"], now=later(5))
        # Said again it is not deleted anew.
        await deletion.hide(connection, ["a"], now=later(7))

    await database.write(work)
    kept = (await removed(database, ["a"]))["a"]
    assert kept and (kept.retired_at, kept.last_outcome) == (later(5), "failed")
    async with database.read() as connection:
        # The end of its deletion is noticed, and that it was deleted does not hide its file's end.
        assert await expired(connection, later(9)) == ["a"]
        assert (await store.declared(connection))["a"].retired_at is None
        assert await deletion.deleted_before(connection, later(4), limit=9) == []
        assert await deletion.deleted_before(connection, later(5), limit=9) == ["a"]
        assert await deletion.purges(connection) == []
    assert await database.write(lambda some: deletion.hidden(some, ["a"], before=later(4))) == set()

    async def restore(connection: Connection) -> None:
        await store.save_states(connection, [make_state("a")])

    await database.write(restore)
    assert await rows_of(database, "a") == LONG
    assert await removed(database, ["a"]) == {"a": None}
    assert (await everything(database))["by task"] == {"a": LONG}


async def test_applying_a_new_task_clears_the_fires_of_the_one_before(database: Database) -> None:
    await save(database, make_state("a"))
    await fill(database, "a")
    passed = later(-2)
    await discard(database, "a")
    fields = {
        "name": "n", "task_type": "t", "func_path": "a.b", "trigger_type": "date",
        "trigger_args": {"run_date": passed.isoformat()},
    }  # fmt: skip
    declaration = Declaration(source="api", fields=fields)
    made = resolution("a", declaration, (), None, now=later(10), zone=UTC)
    assert made.missed == passed
    await database.write(lambda some: apply(some, [made], now=later(10)))

    async def fires() -> list[tuple[datetime, str]]:
        async with database.read() as connection:
            found = await connection.run_sync(timeline.executions, ["a"], later(-9999))
        return [(one.start_time, one.status) for one in found]

    assert await fires() == [(later(10), "missed")]
