"""What is seen of the tables by whoever is narrowed to tags."""

from itertools import combinations

from taskservice.domain.overlay import DELETED, Declaration, Override
from taskservice.domain.sight import ALL, Sight
from taskservice.storage import history, shown, timeline, workers
from taskservice.storage import overrides as overrides_store
from taskservice.storage import tasks as store
from taskservice.storage.database import Connection, Database
from taskservice.storage.owners import QUEUE
from taskservice.storage.shown import Filter
from tests.storage.samples import NOW, later, make_execution, make_state, record, save

TAGS = (
    "a", "A", "aa", "b", "日报", 'x"a', 'x,"a', '"a"', "a\\", '\\"a', "[a", 'a",', "%", "_", "é",
    "e\u0301", "null", "a'", ":seen0", "😀",
)  # fmt: skip
"""What could be taken for one another, by a database or by whoever quotes them."""

OURS = Sight(("ours", "日报"))


async def test_a_query_sees_what_bears_one_of_the_tags_and_nothing_else(database: Database) -> None:
    lists = [(), *((one,) for one in TAGS), *combinations(TAGS, 2)]
    states = [make_state(f"t{number:03}", tags=tags) for number, tags in enumerate(lists)]
    await save(database, *states)
    for tags in [*((one,) for one in TAGS), ("a", "日报"), ("none",)]:
        sight = Sight(tags)
        wanted = [state.id for state in states if sight.sees(state.task.tags)]
        async with database.read() as connection:
            several = (Filter(sight=sight), *([Filter(tag=tags[0])] if len(tags) == 1 else []))
            for asked in several:
                found = await connection.run_sync(shown.find, asked, sort="id", offset=0, limit=999)
                assert [task.id for task in found] == wanted, tags
            total = await connection.run_sync(shown.count, Filter(sight=sight))
            assert total == len(wanted)
            ids = [state.id for state in states]
            assert await store.seen(connection, ids, sight) == set(wanted)
            assert await store.ids_seen(connection, sight) == set(wanted)


async def logged(database: Database) -> None:
    """Two tasks that are ours, two of others, with what ran, runs and waits of each."""
    await save(
        database,
        make_state("ours", name="Ours", tags=("ours",), queue="q", executor="celery"),
        make_state("both", tags=("theirs", "日报"), drift="conflict", status="failed"),
        make_state("theirs", tags=("theirs",), queue="their-q", executor="celery"),
        make_state("none", tags=(), drift="overridden"),
        make_state("gone", tags=("ours",), retired_at=NOW),
        make_state("their-gone", tags=("theirs",), retired_at=NOW),
    )
    for number, task_id in enumerate(("ours", "both", "theirs", "none")):
        queue = {"queue": "q", "owner": QUEUE, "queued_at": NOW, "status": "queued"}
        await record(
            database,
            make_execution(f"{task_id}-ran", task_id, start_time=later(number)),
            make_execution(f"{task_id}-waits", task_id, start_time=later(9), **queue),
        )


async def test_lists_and_counts_are_of_what_is_seen(database: Database) -> None:
    await logged(database)
    async with database.read() as connection:
        run = connection.run_sync
        found = await run(
            shown.find, Filter(sight=OURS, tag="theirs"), sort="name", offset=0, limit=9
        )
        assert [task.id for task in found] == ["both"]
        assert await run(history.states, OURS) == {"pending": 1, "failed": 1}
        assert await run(history.states, ALL) == {"pending": 3, "failed": 1}
        assert await store.drift_counts(connection, OURS) == {
            "in_sync": 1, "overridden": 0, "conflict": 1
        }  # fmt: skip
        assert [one.state.id for one in await store.retired(connection, OURS)] == ["gone"]
        assert (await run(timeline.names, "", OURS)).keys() == {"ours", "both"}
        assert (await run(timeline.names, "our", OURS)).keys() == {"ours"}
        assert (await run(timeline.by_task, NOW, OURS)).keys() == {"ours", "both"}


async def test_executions_are_of_what_is_seen(database: Database) -> None:
    await logged(database)
    async with database.read() as connection:

        def slots(some: object, sight: Sight) -> int:
            counted = timeline.by_slot(some, NOW, NOW, 900, sight=sight)  # type: ignore[arg-type]
            return sum(one.number for one in counted)

        run = connection.run_sync
        assert await run(slots, OURS) == 4 and await run(slots, ALL) == 8
        [busy] = await run(lambda some: timeline.busiest(some, [(NOW, later(99))], sight=OURS))
        assert busy == [("both", 2), ("ours", 2)]
        running = await run(lambda some: workers.running(some, ["me"], each=9, sight=OURS))
        assert running["me"].count == 2
        assert [one.task_id for one in running["me"].first] == ["ours", "both"]
        waiting = await run(lambda some: workers.waiting(some, sight=OURS))
        assert waiting["q"].count == 2
        named = await run(
            lambda some: workers.named(some, executor="local", queue="d", limit=9, sight=OURS)
        )
        assert named == ["q"]


async def test_a_deleted_task_is_seen_by_what_it_would_bear(database: Database) -> None:
    declared = {"name": "x", "tags": ["theirs"]}
    values = {"ours": ["ours"], "theirs": ["theirs"], "none": None, "odd": 7}

    async def work(connection: Connection) -> None:
        for task_id, tags in values.items():
            place = Declaration(source="file", fields=declared)
            overrides = [
                Override(field=DELETED, value=True, declared_when_set=None, set_at=NOW, set_by="x"),
                Override(field="tags", value=tags, declared_when_set=None, set_at=NOW, set_by="x"),
            ]
            await store.save_declarations(connection, {task_id: place}, now=NOW, by=None)
            await overrides_store.save_overrides(connection, {task_id: overrides})

    await database.write(work)
    async with database.read() as connection:
        assert await store.seen(connection, [*values, "nobody"], OURS) == {"ours"}
        assert await store.seen(connection, ["nobody"], ALL) == {"nobody"}
