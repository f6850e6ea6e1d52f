"""The audit trail in the database: written in order, read page by page, deleted by age."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import taskservice
from taskservice.domain.redaction import HIDDEN
from taskservice.domain.sight import Sight
from taskservice.domain.trail import ACTIONS, Change, Event
from taskservice.storage import events
from taskservice.storage.database import Database
from taskservice.storage.events import EventPage
from taskservice.storage.paging import COUNTED
from tests.storage.samples import (
    MANY,
    NOW,
    UGLY,
    is_sqlite,
    later,
    make_state,
    save,
    statements,
)


def event(task_id: str | None = "t", **fields: Any) -> Event:
    given: dict[str, Any] = {"action": "changed", "by": "ann", "via": "api", **fields}
    return Event(task_id=task_id, **given)


async def record(database: Database, *several: Event, at: datetime = NOW) -> None:
    await database.write(lambda connection: connection.run_sync(events.record, several, at))


async def page(database: Database, *, limit: int = 50, **filters: Any) -> EventPage:
    async with database.read() as connection:
        return await events.page(connection, limit=limit, **filters)


def told(found: EventPage) -> list[Event]:
    return [one.event for one in found.items]


async def test_an_event_is_read_as_it_was_written(database: Database) -> None:
    whole = event(
        by="Ann 中文", via="file", reason=UGLY.replace("\0", ""),
        changes=(
            Change("func_args.a", None, {"b": [1, 1.5, True, None, UGLY]}),
            Change("trigger", {"trigger_type": "cron", "trigger_args": {"hour": 1}}, "x"),
        ),
        path="a/b.yaml", line=7, revision="0" * 40, author="Ann Other",
    )  # fmt: skip
    bare = event(None, action="synced")
    await record(database, whole, bare)
    found = await page(database)
    assert told(found) == [bare, whole]
    assert (found.total, found.more) == (2, False)
    assert {one.at for one in found.items} == {NOW}
    assert all(len(one.id) == 36 for one in found.items)


async def test_no_secret_is_written(database: Database) -> None:
    await record(database, event(changes=(Change("func_args.token", None, "s3cret"),)))
    await record(database, event(by="x" * 200, author="y" * 300, path="z" * 600), at=later(1))
    long, short = told(await page(database))
    assert short.changes == (Change("func_args.token", None, HIDDEN),)
    assert [len(one or "") for one in (long.by, long.author, long.path)] == [100, 200, 500]


async def test_the_newest_come_first_in_the_order_in_which_they_were_made(
    database: Database,
) -> None:
    for second in (0, 2, 1):
        several = [event(f"t{second}{number:04}") for number in range(MANY)]
        await record(database, *several, at=later(second))
    found = await page(database, limit=3 * MANY)
    ids = [one.task_id for one in told(found)]
    assert ids == sorted(ids, key=str, reverse=True)


async def test_pages(database: Database) -> None:
    await record(database, *(event(f"t{number}") for number in range(5)))

    def numbers(found: EventPage) -> str:
        return "".join((one.task_id or "")[1:] for one in told(found))

    first = await page(database, limit=2)
    assert (numbers(first), first.total, first.more) == ("43", 5, False)
    second = await page(database, limit=2, offset=2)
    assert (numbers(second), second.total, second.more) == ("21", 5, False)
    after = await page(database, limit=2, before=first.items[-1].id)
    assert (numbers(after), after.total, after.more) == ("21", 5, True)
    last = await page(database, limit=2, before=after.items[-1].id)
    assert (numbers(last), last.more) == ("0", False)
    beyond = await page(database, limit=2, offset=6)
    assert (numbers(beyond), beyond.total) == ("", 5)


@pytest.mark.parametrize("empty_url", ["sqlite"], indirect=True)
async def test_a_long_trail_is_counted_so_far(database: Database) -> None:
    await record(database, *(event() for _ in range(COUNTED + 1)))
    found = await page(database, limit=2)
    assert (found.total, found.more) == (COUNTED, True)


async def test_filters(database: Database) -> None:
    await record(database, event("a", action="created"), at=later(1))
    await record(database, event("a", action="paused", by="bob"), at=later(2))
    await record(database, event("b", action="paused"), at=later(3))
    await record(database, event(None, action="signed_in"), at=later(4))

    async def found(**filters: Any) -> list[tuple[str | None, str]]:
        return [(one.task_id, one.action) for one in told(await page(database, **filters))]

    assert await found(task_id="a") == [("a", "paused"), ("a", "created")]
    assert await found(task_id="A") == []
    assert await found(by="ann", action="paused") == [("b", "paused")]
    assert await found(since=later(2), until=later(3)) == [("b", "paused"), ("a", "paused")]
    assert await found(since=later(3.1)) == [(None, "signed_in")]
    assert await found(until=later(1), task_id="a") == [("a", "created")]
    assert await found(until=datetime.fromisoformat("1969-01-01T00:00:00Z")) == []


async def test_whoever_is_narrowed_sees_what_is_of_their_tasks(database: Database) -> None:
    await save(database, make_state("a", tags=("red", "x")), make_state("b", tags=("blue",)))
    await record(database, *(event(one) for one in ("a", "b", "gone", None)))
    found = await page(database, sight=Sight(("red", "green")))
    assert ([one.task_id for one in told(found)], found.total) == (["a"], 1)
    assert told(await page(database, sight=Sight(("red",)), task_id="b")) == []


async def test_the_old_ones_are_deleted_a_batch_at_a_time(database: Database) -> None:
    await record(database, *(event("old") for _ in range(5)))
    await record(database, event("new"), at=later(1))
    assert await delete(database, later(0.5), 3) == 3
    assert [one.task_id for one in told(await page(database))] == ["new", "old", "old"]
    assert await delete(database, later(0.5), 3) == 2
    assert await delete(database, later(0.5), 3) == 0
    assert await delete(database, later(2), 10) == 1


async def delete(database: Database, moment: datetime, limit: int) -> int:
    return await database.write(
        lambda connection: events.delete_before(connection, moment, limit=limit)
    )


@pytest.mark.parametrize(
    ("filters", "index"),
    [
        ({"task_id": "t1"}, "idx_event_task"),
        ({"by": "ann1"}, "idx_event_by"),
        ({"action": "paused"}, "idx_event_action"),
        ({"task_id": "t1", "since": NOW, "until": NOW}, "idx_event_task"),
        ({}, None),
    ],
)
async def test_pages_go_through_an_index(
    database: Database, filters: dict[str, Any], index: str | None
) -> None:
    several = [event(f"t{n % 50}", by=f"ann{n % 50}", action=ACTIONS[n % 20]) for n in range(2000)]
    await record(database, *several)
    with statements(database, reads=True) as sent:
        await page(database, limit=20, **filters)
    query = next(one for one in sent if one.startswith("SELECT"))
    async with database.read() as connection:
        explain = "EXPLAIN QUERY PLAN " if is_sqlite(database) else "EXPLAIN "
        values = _values(filters)
        rows = await connection.exec_driver_sql(explain + query, values)
        plan = " ".join(str(row) for row in rows)
    assert "filesort" not in plan and "TEMP B-TREE" not in plan
    assert index is None or index in plan


def _values(filters: dict[str, Any]) -> Any:
    """What the statement for such filters is sent with."""
    given: Sequence[Any] = [
        value for key, value in filters.items() if key in ("task_id", "by", "action")
    ]
    moments = []
    if "since" in filters:
        text = NOW.replace(tzinfo=None).isoformat(" ", "microseconds")
        end = NOW + timedelta(minutes=1)
        begin, until = (f"{int(one.timestamp() * 1000):012x}" for one in (NOW, end))
        moments = [f"{begin[:8]}-{begin[8:]}", text, f"{until[:8]}-{until[8:]}", text]
    return (*given, *moments, 20, 20)


async def test_what_can_t_be_read_counts_as_not_given(database: Database) -> None:
    await record(database, event(changes=(Change("name", 1, 2),)))
    await database.write(
        lambda connection: connection.exec_driver_sql(
            "UPDATE task_event SET changes = '[1, {\"old\": 2}]'"
        )
    )
    [one] = told(await page(database))
    assert one.changes == (Change("None", 2, None),)
    await database.write(
        lambda connection: connection.exec_driver_sql("UPDATE task_event SET changes = '3'")
    )
    [one] = told(await page(database))
    assert one.changes == ()


def test_nothing_else_writes_the_trail() -> None:
    """Nor is there anything that changes an event, or deletes one but by its age."""
    package = Path(taskservice.__file__).parent
    using = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if re.search(r"\btask_event\b", path.read_text("utf-8"))
    }
    migration = "storage/migrations/versions/0011_trail.py"
    assert using == {"storage/tables.py", "storage/events.py", migration}
    source = (package / "storage/events.py").read_text("utf-8")
    assert "update(" not in source
    assert source.count("delete(task_event)") == 1
