"""Lists of tasks: what a filter finds, in which order, and what is read to be shown."""

from dataclasses import replace
from itertools import chain
from typing import Any

from sqlalchemy import Connection as SyncConnection
from sqlalchemy import event, text

from taskservice.domain.overlay import Declaration
from taskservice.domain.task import Retries
from taskservice.storage import tasks as store
from taskservice.storage.database import Connection, Database
from taskservice.storage.shown import SORTABLE, Filter, Shown, as_written, count, find, shown
from tests.storage.samples import FULL, MANY, NOW, UGLY, is_sqlite, later, make_state, save, values

OTHER = replace(FULL, id="other", retired_at=None)


async def listed(database: Database, sort: str = "id", **wanted: Any) -> list[str]:
    async with database.read() as connection:
        found = await connection.run_sync(find, Filter(**wanted), sort=sort, offset=0, limit=100)
        total = await connection.run_sync(count, Filter(**wanted))
    assert total == len(found)
    return [task.id for task in found]


async def test_tasks_are_shown_as_they_are_stored(database: Database) -> None:
    state = make_state(
        "a", description=UGLY, func_args={"b": 1.0, "a": [None, "中文"]}, tags=("日报",),
        retries=Retries(max=3), timeout=1.5, paused=True, retired_at=later(1),
        queue="reports.eu-1",
    )  # fmt: skip
    place = Declaration(source="file", fields={}, path="报表/reports.yaml", line=3, revision="abc")
    await save(database, state, make_state("b"))
    await database.write(
        lambda connection: store.save_declarations(connection, {"a": place}, now=NOW, by=None)
    )
    async with database.read() as connection:
        found = await connection.run_sync(shown, ["b", "A", "a"])
        assert await connection.run_sync(shown, []) == {}
    assert found.keys() == {"a", "b"}
    task = state.task
    expected = Shown(
        id="a", name=task.name, task_type=task.task_type, status=state.status,
        trigger_type=task.trigger_type, trigger_args=found["a"].trigger_args,
        func_path=task.func_path, func_args='{"b":1.0,"a":[null,"中文"]}',
        next_run_time=state.next_run_time, max_instances=task.max_instances, description=UGLY,
        create_time=state.create_time, update_time=state.update_time, tags='["日报"]', paused=True,
        misfire_grace_time=task.misfire_grace_time, coalesce=task.coalesce, timeout=1.5,
        retries='{"max":3,"delay":0,"backoff":1}', recover=task.recover, executor=task.executor,
        queue=task.queue, notify=None,
        source=state.source, drift=state.drift, overridden=found["a"].overridden, etag=state.etag,
        retired_at=later(1), path="报表/reports.yaml", line=3, revision="abc",
    )  # fmt: skip
    assert values(found["a"]) == values(expected)
    if is_sqlite(database):
        assert found["a"] == expected
    assert (found["b"].path, found["b"].line, found["b"].revision) == (None, None, None)


async def test_what_was_written_is_shown_as_it_would_be_read(database: Database) -> None:
    place = Declaration(source="file", fields={}, path="报表/reports.yaml", line=3, revision="abc")
    nowhere = Declaration(source="api", fields={})
    written = {
        FULL.id: (FULL, place),
        "plain": (make_state("plain", source="api"), nowhere),
        "date": (
            make_state(
                "date", trigger_type="date", trigger_args={"run_date": "2027-01-01 00:00:00"},
                retries=Retries(max=1), next_run_time=None, status="failed",
            ),
            place,
        ),
    }  # fmt: skip
    await save(database, *(state for state, _ in written.values()))
    declarations = {task_id: declaration for task_id, (_, declaration) in written.items()}
    await database.write(
        lambda connection: store.save_declarations(connection, declarations, now=NOW, by=None)
    )
    async with database.read() as connection:
        found = await connection.run_sync(shown, written)
    for task_id, both in written.items():
        assert values(found[task_id]) == values(as_written(*both))


async def test_what_was_never_given_is_none(database: Database) -> None:
    async def insert(connection: Connection) -> None:
        columns = "id, name, task_type, trigger_type, func_path, create_time, update_time"
        values = "'a', 'n', 't', 'date', 'a.b', '2026-01-01 00:00:00', '2026-01-01 00:00:00'"
        await connection.execute(text(f"INSERT INTO task_manage ({columns}) VALUES ({values})"))

    await database.write(insert)
    async with database.read() as connection:
        found = (await connection.run_sync(shown, ["a"]))["a"]
    given = found.trigger_args, found.func_args, found.tags, found.retries, found.overridden
    assert given == (None,) * 5


ONE = make_state(
    "one", name="Daily 100%", description="a_b c\\d", func_path="jobs.daily:Run",
    tags=("日报", "x"), task_type="report", trigger_type="date", source="api", drift="conflict",
    status="failed",
)  # fmt: skip
TWO = make_state(
    "two_2", name="日报 'q' \"d\"", description="aXb c/d 100 😀", func_path="jobs.weekly.run",
    tags=("X", "50%", "a_b", 'q"t', "b\\s", "s/l"),
)  # fmt: skip


FOUND: list[tuple[dict[str, Any], list[str]]] = [
    ({}, ["one", "two_2"]),
    ({"status": "failed"}, ["one"]),
    ({"task_type": "report"}, ["one"]),
    ({"task_type": "Report"}, []),
    ({"task_type": "report "}, []),
    ({"trigger_type": "cron"}, ["two_2"]),
    ({"source": "api"}, ["one"]),
    ({"drift": "in_sync"}, ["two_2"]),
    ({"task_ids": ("two_2", "absent", "two_2")}, ["two_2"]),
    ({"task_ids": ("ONE",)}, []),
    ({"task_ids": ()}, []),
    ({"retired": True}, ["old"]),
    ({"status": "failed", "source": "api", "tag": "x", "q": "daily"}, ["one"]),
    ({"status": "failed", "source": "file"}, []),
    ({"tag": "日报"}, ["one"]),
    ({"tag": "x"}, ["one"]),
    ({"tag": "X"}, ["two_2"]),
    ({"tag": "50%"}, ["two_2"]),
    ({"tag": "5%"}, []),
    ({"tag": "%"}, []),
    ({"tag": "a_b"}, ["two_2"]),
    ({"tag": "_"}, []),
    ({"tag": 'q"t'}, ["two_2"]),
    ({"tag": 'X","50%'}, []),
    ({"tag": "b\\s"}, ["two_2"]),
    ({"tag": "s/l"}, ["two_2"]),
    ({"tag": ""}, []),
    ({"q": "dai"}, ["one"]),
    ({"q": "DAILY"}, ["one"]),
    ({"q": "日报"}, ["two_2"]),
    ({"q": "😀"}, ["two_2"]),
    ({"q": "jobs."}, ["one", "two_2"]),
    ({"q": "TWO_"}, ["two_2"]),
    ({"q": "0%"}, ["one"]),
    ({"q": "%"}, ["one"]),
    ({"q": "a_b"}, ["one"]),
    ({"q": "c\\d"}, ["one"]),
    ({"q": "c/d"}, ["two_2"]),
    ({"q": "'q'"}, ["two_2"]),
    ({"q": '"d"'}, ["two_2"]),
    ({"q": "' OR 1=1 -- "}, []),
    ({"q": ""}, ["one", "two_2"]),
]


async def test_a_filter_finds_what_it_names(database: Database) -> None:
    await save(database, ONE, TWO, make_state("old", retired_at=NOW, name="日报 daily 100%"))
    assert [(wanted, await listed(database, **wanted)) for wanted, _ in FOUND] == FOUND


async def test_a_list_of_many_ids_may_be_asked_for(database: Database) -> None:
    await save(database, ONE, TWO)
    ids = [f"absent-{number}" for number in range(10 * MANY)]
    assert await listed(database, task_ids=(*ids, "one")) == ["one"]


async def test_a_list_is_sorted_by_any_field_and_ties_by_id(database: Database) -> None:
    alike = [make_state(task_id) for task_id in ("c", "a", "b")]
    await save(database, *alike, OTHER)
    orders = {}
    for name in SORTABLE:
        orders[name] = await listed(database, name), await listed(database, f"-{name}")
    first, last = ["other", "a", "b", "c"], ["a", "b", "c", "other"]
    assert orders.pop("id") == (last, ["other", "c", "b", "a"])
    assert orders.pop("retired_at") == (last, last)
    assert [name for name, order in orders.items() if sorted(order) != [last, first]] == []


async def test_numbers_and_times_sort_by_size(database: Database) -> None:
    for task_id, number in (("a", 9), ("b", 10), ("c", 1)):
        await save(
            database,
            make_state(task_id, max_instances=number, timeout=number, next_run_time=later(number)),
        )
    for name in ("max_instances", "timeout", "next_run_time"):
        assert await listed(database, sort=name) == ["c", "a", "b"]
        assert await listed(database, sort=f"-{name}") == ["b", "a", "c"]


async def test_pages_are_disjoint_and_whole(database: Database) -> None:
    await save(database, *(make_state(f"t{number:02}") for number in range(25)))
    seen = []
    async with database.read() as connection:
        for offset in range(0, 40, 10):
            found = await connection.run_sync(find, Filter(), sort="-name", offset=offset, limit=10)
            seen.append([task.id for task in found])
        assert await connection.run_sync(count, Filter()) == 25
    assert [len(piece) for piece in seen] == [10, 10, 5, 0]
    assert list(chain(*seen)) == [f"t{number:02}" for number in range(25)]


async def test_a_search_takes_no_letter_for_another(database: Database) -> None:
    """Collations do: `é` for `e` and の for ノ, MariaDB's default any emoji for any other."""
    names = {"accent": "Résumé 2", "kana": "の会", "emoji": "🍣 sushi", "plain": "Resume 1"}
    await save(database, *(make_state(key, name=name) for key, name in names.items()))
    searches = {
        "resume": ["plain"], "RESUME 1": ["plain"], "me 1": ["plain"], "sumé": ["accent"],
        "の": ["kana"], "ノ": [], "🍣": ["emoji"], "🍺": [], "SUSHI": ["emoji"], "sushi ": [],
        "%": [],
    }  # fmt: skip
    for wanted, found in searches.items():
        assert await listed(database, q=wanted) == found, wanted


async def test_a_list_by_id_sorts_nothing(database: Database) -> None:
    await save(database, *(make_state(f"t{number:04}") for number in range(MANY)))
    sent: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, values: Any, *_: Any) -> None:
        if "piece" in statement:
            sent.append((statement, values))

    def explain(connection: SyncConnection) -> list[str]:
        event.listen(connection, "before_cursor_execute", note)
        found = find(connection, Filter(), sort="id", offset=MANY - 2, limit=2)
        event.remove(connection, "before_cursor_execute", note)
        assert [one.id for one in found] == [f"t{MANY - 2:04}", f"t{MANY - 1:04}"]
        [(statement, values)] = sent
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
        return [row.detail for row in plan]

    if is_sqlite(database):
        async with database.read() as connection:
            plan = await connection.run_sync(explain)
        # What is sorted is the piece, once it is cut.
        assert any("COVERING INDEX idx_retired_id" in step for step in plan), plan
