"""What subscribers are told of tasks, executions and syncs, and what it costs."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, update

from taskservice.domain.errors import TooManyRequests, Unavailable
from taskservice.service import Event, Service
from taskservice.service.events import WAITING, Subscription
from taskservice.service.moments import now_utc
from taskservice.service.watching import GAP_SECONDS, Watcher
from taskservice.storage.database import Database
from taskservice.storage.deletion import discard
from taskservice.storage.executions import ExecutionRow
from taskservice.storage.owners import QUEUE
from taskservice.storage.shown import Shown
from taskservice.storage.tables import task_execution_log
from tests.service.conftest import until
from tests.storage.samples import later, statements, values

HOURLY = {
    "id": "hourly", "name": "t", "task_type": "t", "trigger_type": "interval",
    "trigger_args": {"hours": 1}, "func_path": "taskservice.examples.simple_task",
    "func_args": {"message": "m"},
}  # fmt: skip
FILE = """\
name: declared
task_type: t
trigger_type: interval
trigger_args: {hours: 1}
func_path: taskservice.examples.simple_task
func_args: {message: m}
description: "%s"
"""


async def told(
    subscription: Subscription, wanted: Callable[[Event], object], seconds: float = 15
) -> list[Event]:
    """The events up to the first one that is wanted."""
    events: list[Event] = []
    async with asyncio.timeout(seconds):
        while True:
            came = await subscription.next(seconds)
            assert came is not None
            events += came
            if any(map(wanted, came)):
                return events


def named(name: str, task_id: str | None = None) -> Callable[[Event], bool]:
    return lambda event: event.name == name and task_id in (None, event.task_id)


def task_in(event: Event) -> Shown:
    assert isinstance(event.data, Shown)
    return event.data


def execution_in(event: Event) -> ExecutionRow:
    assert isinstance(event.data, ExecutionRow)
    return event.data


def report_in(event: Event) -> Mapping[str, Any]:
    assert isinstance(event.data, Mapping)
    return event.data


def ended(event: Event) -> bool:
    return event.name == "execution" and execution_in(event).status != "running"


async def test_what_the_api_does_is_told_as_the_api_shows_it(service: Service) -> None:
    with closing(await service.watcher.subscribe(None)) as subscription:
        made = await service.changes.create(HOURLY, by="ann")
        [first] = await told(subscription, named("task"))
        assert (first.name, first.task_id) == ("task", "hourly")
        assert values(task_in(first)) == values(made)

        paused = await service.changes.set_paused("hourly", True, by="ann")
        [second] = await told(subscription, named("task"))
        assert values(task_in(second)) == values(paused)
        assert first.id != second.id

        await service.changes.delete("hourly", by="ann")
        [third] = await told(subscription, named("task-gone"))
        assert (third.name, third.task_id, third.data) == ("task-gone", "hourly", {"id": "hourly"})


async def test_an_execution_is_told_with_its_task_when_it_begins_and_when_it_ends(
    make_service: Callable[..., Service], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "watched_work.py").write_text(
        "import pathlib, time\n"
        "def wait(path):\n"
        "    while not pathlib.Path(path).exists():\n"
        "        time.sleep(0.01)\n"
        "    return 'done'\n"
    )
    service = make_service(functions=("watched_work.*",))
    await service.start()
    go = tmp_path / "go"
    task = {**HOURLY, "func_path": "watched_work.wait", "func_args": {"path": str(go)}}
    await service.changes.create(task, by="ann")
    with closing(await service.watcher.subscribe(None)) as subscription:
        asked = await service.executions.trigger("hourly", None, by="ann")
        events = await told(subscription, named("task"))
        assert [event.name for event in events] == ["execution", "task"]
        assert (execution_in(events[0]).id, execution_in(events[0]).status) == (asked.id, "running")
        assert task_in(events[1]).status == "running"

        go.touch()
        events = await told(subscription, named("task"))
        assert [event.name for event in events] == ["execution", "task"]
        end = execution_in(events[0])
        assert (end.id, end.status, end.result) == (asked.id, "completed", '"done"')
        assert end.output is None
        assert task_in(events[1]).status == "pending"
        found, *_ = await service.executions.page(
            "hourly", status=None, since=None, until=None, page=1, size=1
        )
        assert found == [end]


async def test_a_short_one_may_be_told_only_once_and_nothing_is_told_twice(
    service: Service,
) -> None:
    await service.changes.create(HOURLY, by="ann")
    await service.changes.create({**HOURLY, "id": "other"}, by="ann")
    with closing(await service.watcher.subscribe(None)) as subscription:
        asked = await service.executions.trigger("hourly", None, by="ann")
        events = await told(subscription, ended)
        # Whatever else there is to tell comes before this.
        last = await service.executions.trigger("other", None, by="ann")
        events += await told(subscription, lambda one: ended(one) and one.task_id == "other")
        runs = [execution_in(event) for event in events if event.name == "execution"]
        for wanted in (asked.id, last.id):
            states = [one.status for one in runs if one.id == wanted]
            assert states in (["completed"], ["running", "completed"])


async def test_one_may_listen_to_a_single_task(service: Service) -> None:
    await service.changes.create(HOURLY, by="ann")
    with closing(await service.watcher.subscribe("hourly")) as subscription:
        await service.changes.create({**HOURLY, "id": "other"}, by="ann")
        await service.executions.trigger("other", None, by="ann")
        await service.changes.change("hourly", {"description": "new"}, by="ann")
        await told(subscription, named("task", "hourly"))
        await service.changes.delete("other", by="ann")
        await service.changes.delete("hourly", by="ann")
        events = await told(subscription, named("task-gone"))
        assert {event.task_id for event in events} == {"hourly"}


async def test_syncs_are_told_when_they_come_to_something_else(
    service: Service, folder: Path
) -> None:
    with closing(await service.watcher.subscribe(None)) as subscription:
        (folder / "declared.yaml").write_text(FILE % "one")
        events = await told(subscription, named("sync"))
        assert {event.name for event in events} == {"task", "sync"}
        report = next(report_in(event) for event in events if event.name == "sync")
        assert report == {**await service.syncs.report(), "synced_at": report["synced_at"]}

        # A conflict leaves the definition as it was, and update_time with it.
        await service.changes.change("declared", {"description": "by hand"}, by="ann")
        (folder / "declared.yaml").write_text(FILE % "two")
        events += await told(
            subscription, lambda one: one.name == "task" and task_in(one).drift == "conflict"
        )

        # A sync that finds nothing new is no news, unlike one that finds a fault.
        await service.syncs.sync(prune=False, by="ann")
        (folder / "broken.yaml").write_text("name: [\n")
        events += await told(
            subscription, lambda one: one.name == "sync" and report_in(one)["errors"]
        )
        reports = [{**report_in(one), "synced_at": None} for one in events if one.name == "sync"]
        assert len(reports) > 1
        assert [one for one, next_one in pairwise(reports) if one == next_one] == []


@asynccontextmanager
async def watcher_of(service: Service, **more: Any) -> AsyncIterator[Watcher]:
    """A watcher beside that of the service, with other limits."""
    watcher = Watcher(service.database, service.syncs.report, **more)
    yield watcher
    await watcher.stop()


async def test_too_much_for_one_look_is_a_reset(service: Service) -> None:
    await service.changes.create(HOURLY, by="ann")
    async with watcher_of(service, most=3, reset_seconds=0.1) as watcher:
        all_of_it, filtered = await watcher.subscribe(None), await watcher.subscribe("another")
        rows = [
            {"id": f"e{number}", "task_id": "hourly", "start_time": moment, "end_time": moment,
             "status": "completed"}
            for number, moment in enumerate([now_utc()] * 4)
        ]  # fmt: skip
        await service.database.write(
            lambda connection: connection.execute(insert(task_execution_log), rows)
        )
        assert [one.name for one in await told(all_of_it, lambda _: True)] == ["reset"]
        assert [one.name for one in await told(filtered, lambda _: True)] == ["reset"]
        # From there it goes on.
        await service.executions.trigger("hourly", None, by="ann")
        assert {one.name for one in await told(all_of_it, ended)} == {"execution", "task"}


async def test_what_a_worker_takes_and_ends_is_told(service: Service) -> None:
    """By its row alone: this process has no part in it."""
    await service.changes.create(HOURLY, by="ann")
    row = {
        "id": "e", "task_id": "hourly", "status": "queued", "start_time": later(-10),
        "queue": "reports", "queued_at": later(-10), "owner": QUEUE,
    }  # fmt: skip

    async def write(**values: Any) -> None:
        change = update(task_execution_log).where(task_execution_log.c.id == "e")
        await service.database.write(lambda connection: connection.execute(change.values(**values)))

    async with watcher_of(service) as watcher:
        subscription = await watcher.subscribe("hourly")
        await service.database.write(
            lambda connection: connection.execute(insert(task_execution_log), row)
        )
        told_of = [await told(subscription, named("execution"))]
        await write(status="running", worker="w:1", owner="w", start_time=later(0))
        told_of.append(await told(subscription, named("execution")))
        await write(status="completed", end_time=later(1), owner=None)
        told_of.append(await told(subscription, named("execution")))
    rows = [
        execution_in(event) for events in told_of for event in events if event.name == "execution"
    ]
    assert [(one.status, one.queue, one.worker) for one in rows] == [
        ("queued", "reports", None), ("running", "reports", "w:1"), ("completed", "reports", "w:1"),
    ]  # fmt: skip


async def test_more_that_is_open_than_one_look_tells_is_a_reset(service: Service) -> None:
    await service.changes.create(HOURLY, by="ann")
    async with watcher_of(service, most_open=0) as watcher:
        subscription = await watcher.subscribe(None)
        row = {"id": "e", "task_id": "hourly", "start_time": later(0), "status": "running"}
        await service.database.write(
            lambda connection: connection.execute(insert(task_execution_log), row)
        )
        assert [one.name for one in await told(subscription, lambda _: True)] == ["reset"]


async def test_one_who_does_not_read_is_reset_and_takes_little_room() -> None:
    left: list[Subscription] = []
    subscription = Subscription("t", left.append)
    for _ in range(3 * WAITING):
        subscription.tell([Event(name="task", task_id="t"), Event(name="task", task_id="u")])
    events = await subscription.next(1)
    assert events is not None
    assert events[0].name == "reset"
    assert len(events) <= WAITING
    assert await subscription.next(0) == []
    subscription.close()
    assert left == [subscription]


async def test_one_who_comes_back_is_told_that_something_was_missed(service: Service) -> None:
    with closing(await service.watcher.subscribe(None, again=True)) as subscription:
        assert [one.name for one in await told(subscription, lambda _: True)] == ["reset"]


async def test_nobody_listens_at_no_cost_and_many_at_that_of_one(service: Service) -> None:
    with statements(service.database, reads=True) as sent:

        def looks() -> int:
            return len([one for one in sent if "changed_at >=" in one])

        assert not service.watcher.watching
        several = await asyncio.gather(*(service.watcher.subscribe(None) for _ in range(20)))
        assert looks() == 1
        await service.changes.create(HOURLY, by="ann")
        for subscription in several:
            await told(subscription, named("task"))
        seen, since = looks(), asyncio.get_running_loop().time()
        await until(lambda: asyncio.sleep(0, looks() >= seen + 3))
        assert asyncio.get_running_loop().time() - since > 2 * GAP_SECONDS
        for subscription in several:
            subscription.close()
        await until(lambda: asyncio.sleep(0, not service.watcher.watching))
        seen = looks()
        # The service goes on writing, and nothing looks at it.
        await service.changes.change("hourly", {"description": "new"}, by="ann")
        assert looks() == seen
        # Who listens next is told what changes from then on.
        with closing(await service.watcher.subscribe(None)) as subscription:
            await service.changes.change("hourly", {"description": "newer"}, by="ann")
            [only] = await told(subscription, named("task"))
            assert task_in(only).description == "newer"


async def test_an_outage_is_waited_out_and_followed_by_a_reset(service: Service) -> None:
    broken, tries = True, 0

    async def report() -> Mapping[str, Any]:
        nonlocal tries
        tries += 1
        if broken:
            # As a query does whose server is gone, and as one does that is wrong.
            raise Unavailable("gone") if tries % 2 else ValueError("wrong")
        return await service.syncs.report()

    watcher = Watcher(service.database, report, outage_seconds=0.1)
    subscription = await watcher.subscribe(None)
    await until(lambda: asyncio.sleep(0, tries >= 4))
    assert await subscription.next(0) == []
    broken = False
    assert [one.name for one in await told(subscription, lambda _: True)] == ["reset"]
    await service.changes.create(HOURLY, by="ann")
    assert await told(subscription, named("task"))
    await watcher.stop()


async def test_the_end_of_the_service_is_the_end_of_listening(service: Service) -> None:
    with closing(await service.watcher.subscribe(None)) as subscription:
        reading = asyncio.create_task(subscription.next(60))
        await asyncio.sleep(0)
        await service.watcher.end()
        assert await asyncio.wait_for(reading, 5) is None
        assert await subscription.next(60) is None
        with pytest.raises(Unavailable, match="stopping"):
            await service.watcher.subscribe(None)
        await service.stop()


async def test_a_task_that_was_made_and_deleted_elsewhere_is_found(service: Service) -> None:
    """Nothing of this process says so: only what the table has."""
    await service.changes.create(HOURLY, by="ann")
    other = Database(service.settings.database_url)
    with closing(await service.watcher.subscribe(None)) as subscription:
        await other.write(lambda connection: discard(connection, ["hourly"], now=now_utc()))
        [gone] = await told(subscription, named("task-gone"))
        assert gone.task_id == "hourly"
    await other.close()


async def test_so_many_listen_and_no_more(service: Service) -> None:
    async with watcher_of(service, most_subscribers=2) as watcher:
        first, second = await watcher.subscribe(), await watcher.subscribe()
        with pytest.raises(TooManyRequests) as refused:
            await watcher.subscribe()
        assert refused.value.retry_after > 0
        first.close()
        with closing(await watcher.subscribe()):
            assert watcher.subscribers == 2
        second.close()
