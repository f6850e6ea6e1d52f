"""Queries on tasks, declarations and overrides: what goes in comes out, on every database."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from functools import partial

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from sqlalchemy import func, select, text

from taskservice.domain.overlay import DELETED, Declaration, Override, digest
from taskservice.domain.state import TaskState
from taskservice.domain.task import UNSET
from taskservice.storage import deletion
from taskservice.storage import tasks as store
from taskservice.storage.database import Connection, Database
from taskservice.storage.executions import Progress, advance
from taskservice.storage.key_values import get_value, set_value
from taskservice.storage.overrides import all_overrides, expired, overridden, save_overrides
from taskservice.storage.tables import task_manage
from taskservice.storage.tasks import StoredTask
from tests.storage.samples import FULL, MANY, NOW, UGLY, later, make_state, record, save, statements
from tests.storage.samples import make_execution as execution

BARE = make_state(
    "bare",
    description=None,
    trigger_args={},
    func_args={},
    misfire_grace_time=None,
    next_run_time=None,
    update_time=NOW.replace(microsecond=0),
)


async def load_state(database: Database, task_id: str) -> TaskState:
    async with database.read() as connection:
        return (await store.states_of(connection, [task_id]))[task_id]


async def listed(database: Database) -> list[str]:
    query = select(task_manage.c.id).order_by(task_manage.c.id)
    async with database.read() as connection:
        return list((await connection.execute(query)).scalars())


async def load_all(database: Database, *ids: str) -> dict[str, StoredTask]:
    async with database.read() as connection:
        return await store.load(connection, ids)


@pytest.mark.parametrize("state", [FULL, BARE], ids=["full", "bare"])
async def test_every_field_of_a_state_comes_back(database: Database, state: TaskState) -> None:
    await save(database, state)
    assert await load_state(database, state.id) == state


async def test_every_field_of_a_state_is_overwritten(database: Database) -> None:
    for state in (FULL, replace(BARE, id=FULL.id), FULL):
        await save(database, state)
        assert await load_state(database, FULL.id) == state


words = some.text(some.characters(codec="utf-8"), max_size=50)
json_values = some.recursive(
    some.none() | some.booleans() | some.integers(-(2**63), 2**63 - 1) | words
    | some.floats(allow_nan=False, allow_infinity=False),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(words, inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
moments = some.datetimes(datetime(1971, 1, 1), timezones=some.just(UTC))  # noqa: DTZ001


@settings(
    max_examples=50,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=some.data())
async def test_any_value_comes_back(database: Database, data: some.DataObject) -> None:
    state = make_state(
        name=data.draw(words, "name"),
        description=data.draw(words, "description"),
        func_args=data.draw(some.dictionaries(words, json_values, max_size=3), "func_args"),
        tags=tuple(data.draw(some.lists(words, max_size=3), "tags")),
        timeout=data.draw(some.none() | some.floats(0.001, 1e10), "timeout"),
        next_run_time=data.draw(moments, "next_run_time"),
        anchor=data.draw(moments, "anchor"),
    )
    await save(database, state)
    assert await load_state(database, state.id) == state


async def test_a_time_of_another_zone_is_stored_in_utc(database: Database) -> None:
    there = datetime(2026, 1, 1, 7, tzinfo=timezone(timedelta(hours=8)))
    await save(database, make_state(next_run_time=there))
    async with database.read() as connection:
        stored = await connection.execute(text("SELECT next_run_time FROM task_manage"))
        assert str(stored.scalar_one()).startswith("2025-12-31 23:00:00")
    assert (await load_state(database, "notice")).next_run_time == there


async def test_a_time_without_a_zone_is_refused(database: Database) -> None:
    naive = datetime(2026, 1, 1)  # noqa: DTZ001
    with pytest.raises(Exception, match="a time without a zone can't be stored: 2026-01-01"):
        await save(database, make_state(next_run_time=naive))


async def test_ids_that_differ_in_case_are_different_tasks(database: Database) -> None:
    await save(database, make_state("report", name="small"), make_state("Report", name="big"))
    assert await listed(database) == ["Report", "report"]
    assert (await load_state(database, "Report")).task.name == "big"
    await database.write(lambda connection: deletion.discard(connection, ["report"], now=NOW))
    assert await listed(database) == ["Report"]


async def test_json_is_stored_compact_and_readable(database: Database) -> None:
    await save(database, make_state(tags=("日报", 'a"b'), func_args={"文": "字"}))
    async with database.read() as connection:
        row = (await connection.execute(text("SELECT tags, func_args FROM task_manage"))).one()
    # MySQL puts spaces in between.
    assert [one.replace(" ", "") for one in row] == ['["日报","a\\"b"]', '{"文":"字"}']


async def test_an_advance_leaves_the_definition_and_its_time_alone(database: Database) -> None:
    await save(database, FULL, BARE)
    progress = [
        Progress(id=FULL.id, next_run_time=None, status="failed", last_outcome=None),
        Progress(id=BARE.id, next_run_time=later(9.5), status="running", last_outcome="failed"),
    ]
    await database.write(lambda connection: connection.run_sync(advance, progress))
    assert await load_state(database, FULL.id) == replace(
        FULL, next_run_time=None, status="failed", last_outcome=None
    )
    assert await load_state(database, BARE.id) == replace(
        BARE, next_run_time=later(9.5), status="running", last_outcome="failed"
    )


DECLARED = Declaration(
    source="file",
    fields={"name": UGLY, "func_args": {}, "tags": None, "misfire_grace_time": None, "n": 1.5},
    path="报表/reports.yaml",
    line=3,
    revision="abc",
    fingerprint="5ea1" * 8,
)
OVERRIDES = (
    Override(
        field=DELETED, value=True, declared_when_set=UNSET, set_at=NOW, set_by="alice",
        reason="离开 'til \"Monday\" 😀\n", until=later(60.000001),
    ),
    Override(field="description", value=None, declared_when_set="", set_at=NOW, set_by="b"),
    Override(field="func_args.A", value=UNSET, declared_when_set=None, set_at=NOW, set_by="b"),
    Override(field="func_args.a", value={"value": 1}, declared_when_set=UNSET, set_at=NOW,
             set_by="b"),
    Override(field="func_args.空", value=UGLY, declared_when_set={}, set_at=NOW, set_by="b"),
    Override(field="tags", value=[], declared_when_set=["x"], set_at=NOW, set_by="b"),
)  # fmt: skip


async def test_every_field_of_a_declaration_and_its_overrides_comes_back(
    database: Database,
) -> None:
    async def work(connection: Connection) -> None:
        declarations = {"file": DECLARED, "api": Declaration(source="api", fields={})}
        await store.save_declarations(connection, declarations, now=NOW, by=None)
        await save_overrides(connection, {"file": OVERRIDES, "api": ()})

    await database.write(work)
    found = await load_all(database, "file", "api", "absent")
    assert found == {
        "file": StoredTask(
            state=None, declaration=DECLARED, declared_at=NOW, declared_by=None,
            overrides=OVERRIDES,
        ),
        "api": StoredTask(
            state=None, declaration=Declaration(source="api", fields={}), declared_at=NOW,
            declared_by=None,
        ),
    }  # fmt: skip


async def test_a_declaration_is_overwritten_whole(database: Database) -> None:
    api = Declaration(source="api", fields={"name": "x"})
    for declaration, by in ((DECLARED, None), (api, "alice"), (DECLARED, None)):
        await database.write(
            partial(store.save_declarations, declarations={"a": declaration}, now=NOW, by=by)
        )
        stored = (await load_all(database, "a"))["a"]
        assert (stored.declaration, stored.declared_by) == (declaration, by)


async def test_overrides_are_replaced_as_a_set_and_task_by_task(database: Database) -> None:
    async def work(connection: Connection) -> None:
        await store.save_declarations(
            connection, dict.fromkeys(("a", "b"), DECLARED), now=NOW, by=None
        )
        await save_overrides(connection, {"a": OVERRIDES, "b": OVERRIDES[:2]})
        await save_overrides(connection, {"a": OVERRIDES[1:2]})

    await database.write(work)
    found = await load_all(database, "a", "b")
    assert found["a"].overrides == OVERRIDES[1:2]
    assert found["b"].overrides == OVERRIDES[:2]


async def test_what_planning_needs_of_declared_tasks(database: Database) -> None:
    async def work(connection: Connection) -> None:
        await store.save_states(connection, [make_state("live"), make_state("old", retired_at=NOW)])
        await store.save_declarations(
            connection, dict.fromkeys(("live", "old", "gone"), DECLARED), now=NOW, by=None
        )
        await save_overrides(connection, {"live": OVERRIDES[1:], "gone": OVERRIDES[:2]})

    await database.write(work)
    async with database.read() as connection:
        found = await store.declared(connection)
    assert {stored.digest for stored in found.values()} == {digest(DECLARED.fields)}
    assert {(stored.path, stored.line) for stored in found.values()} == {("报表/reports.yaml", 3)}
    assert {stored.fingerprint for stored in found.values()} == {DECLARED.fingerprint}
    assert {task_id: (s.retired_at, s.deleted) for task_id, s in found.items()} == {
        "live": (None, False), "old": (NOW, False), "gone": (None, True),
    }  # fmt: skip


async def test_declared_tasks_are_read_a_few_at_a_time(database: Database) -> None:
    async def work(connection: Connection) -> None:
        declared = dict.fromkeys(("B", "C", "a", "c"), DECLARED)
        declared["b"] = Declaration(source="api", fields={})
        await store.save_declarations(connection, declared, now=NOW, by=None)

    await database.write(work)
    async with database.read() as connection:
        whole = await store.declared(connection)
        for after, ids in (("", ["B", "C"]), ("C", ["a", "c"]), ("c", [])):
            found = await store.declared_after(connection, after, 2)
            assert found == {task_id: whole[task_id] for task_id in ids}


async def test_any_number_of_declared_tasks_is_asked_for(database: Database) -> None:
    ids = [f"task-{number}" for number in range(MANY)]

    async def work(connection: Connection) -> None:
        declared = {ids[0]: DECLARED, ids[-1]: DECLARED}
        await store.save_declarations(connection, declared, now=NOW, by=None)

    await database.write(work)
    async with database.read() as connection:
        with statements(database, reads=True) as sent:
            assert (await store.declared(connection, ids)).keys() == {ids[0], ids[-1]}
    assert sum(one.startswith("SELECT") for one in sent) == 2


async def test_overrides_run_out_and_retired_tasks_fall_due(database: Database) -> None:
    async def work(connection: Connection) -> None:
        await save_overrides(
            connection,
            {
                "a": [replace(OVERRIDES[1], until=later(0)), replace(OVERRIDES[2], until=NOW)],
                "b": [replace(OVERRIDES[1], until=later(0.000001))],
                "c": OVERRIDES[1:],
                # What is retired has nothing to return to.
                "w": [replace(OVERRIDES[1], until=NOW)],
            },
        )
        await store.save_states(
            connection,
            [make_state("x", retired_at=later(1)), make_state("w", retired_at=NOW), BARE],
        )

    await database.write(work)
    async with database.read() as connection:
        assert await expired(connection, NOW) == ["a"]
        assert sorted(await expired(connection, later(1))) == ["a", "b"]
        assert list(await all_overrides(connection)) == ["a", "b", "c", "w"]
        assert sorted(await overridden(connection)) == ["a", "b", "c", "w"]
        assert await store.retired_before(connection, NOW, limit=9) == ["w"]
        assert [item.state.id for item in await store.retired(connection)] == ["w", "x"]


async def test_a_removal_takes_the_log_along_and_leaves_the_declaration(
    database: Database,
) -> None:
    await save(database, make_state("a"), make_state("b"))
    await record(database, execution("1", "a"), execution("2", "a"), execution("3", "b"))

    async def work(connection: Connection) -> None:
        await store.save_declarations(connection, {"a": DECLARED}, now=NOW, by=None)
        await save_overrides(connection, {"a": OVERRIDES, "b": OVERRIDES})
        await deletion.discard(connection, ["a", "absent"], now=NOW)

    await database.write(work)
    async with database.read() as connection:
        left = await connection.execute(text("SELECT id FROM task_execution_log"))
        assert left.scalars().all() == ["3"]
    stored = (await load_all(database, "a"))["a"]
    assert (stored.state, stored.overrides) == (None, OVERRIDES)
    await database.write(lambda connection: store.forget(connection, ["a"]))
    assert await load_all(database, "a") == {}
    async with database.read() as connection:
        kept = await connection.execute(text("SELECT DISTINCT task_id FROM task_override"))
        assert kept.scalars().all() == ["b"]


async def test_tasks_are_listed_with_their_places(database: Database) -> None:
    await save(database, make_state("a"), make_state("b"))
    await database.write(
        lambda connection: store.save_declarations(connection, {"a": DECLARED}, now=NOW, by=None)
    )
    async with database.read() as connection:
        found = await connection.run_sync(store.listed, ["b", "A", "a"])
    assert found == {
        "a": store.Listed(state=make_state("a"), path="报表/reports.yaml", line=3, revision="abc"),
        "b": store.Listed(state=make_state("b")),
    }


async def test_drift_is_counted_of_declared_tasks_that_live(database: Database) -> None:
    await save(
        database,
        make_state("a"),
        make_state("b"),
        make_state("c", drift="conflict"),
        make_state("d", source="api", drift="overridden"),
        make_state("e", drift="overridden", retired_at=NOW),
    )
    async with database.read() as connection:
        counts = await store.drift_counts(connection)
    assert counts == {"in_sync": 2, "overridden": 0, "conflict": 1}


async def test_only_tasks_with_a_next_fire_are_scheduled(database: Database) -> None:
    await save(database, FULL, BARE)
    async with database.read() as connection:
        fires = await store.fires_known(connection, "", 10)
        assert fires == {FULL.id: (FULL.etag, FULL.next_run_time)}


async def test_fires_are_read_a_few_at_a_time(database: Database) -> None:
    await save(database, *(replace(FULL, id=task_id) for task_id in ("B", "C", "a", "c")))
    async with database.read() as connection:
        for after, ids in (("", ["B", "C"]), ("C", ["a", "c"]), ("c", [])):
            assert list(await store.fires_known(connection, after, 2)) == ids


async def test_what_the_service_remembers(database: Database) -> None:
    async with database.read() as connection:
        assert await get_value(connection, "sync") is None
    values: list[object] = [{"时": [1, None]}, [], 0, "x"]
    for value in values:
        await database.write(partial(set_value, name="sync", value=value))
        async with database.read() as connection:
            assert await get_value(connection, "sync") == value


async def test_many_tasks_are_a_few_statements(database: Database) -> None:
    ids = [f"task-{number}" for number in range(MANY)]
    overrides = {task_id: OVERRIDES[1:3] for task_id in ids}
    names = tuple(override.field for override in OVERRIDES[1:3])

    async def work(connection: Connection) -> None:
        await store.save_states(
            connection, [make_state(task_id, overridden=names) for task_id in ids]
        )
        declarations = dict.fromkeys(ids, DECLARED)
        await store.save_declarations(connection, declarations, now=NOW, by=None)
        await save_overrides(connection, overrides)
        found = await store.load(connection, ids, lock=True)
        assert found.keys() == set(ids)
        assert {stored.overrides for stored in found.values()} == {OVERRIDES[1:3]}

    with statements(database) as sent:
        await database.write(work)
    assert len(sent) < 25

    async def undo(connection: Connection) -> None:
        await deletion.discard(connection, ids, now=NOW)
        await store.forget(connection, ids)
        left = await connection.execute(select(func.count()).select_from(task_manage))
        assert left.scalar_one() == 0

    await database.write(undo)
    assert await load_all(database, *ids) == {}


async def test_nothing_asked_is_nothing_found(database: Database) -> None:
    async with database.read() as connection:
        assert await store.load(connection, []) == {}
        assert await store.states_of(connection, []) == {}
        assert await connection.run_sync(store.listed, []) == {}
        assert await connection.run_sync(store.listed, ["absent"]) == {}
    await database.write(lambda connection: deletion.discard(connection, [], now=NOW))
