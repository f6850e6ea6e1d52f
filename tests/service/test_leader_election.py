"""Which of several services schedules: the lock, who may take it away, and notices."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from taskservice.domain.errors import Conflict, Unavailable
from taskservice.domain.trail import Cause
from taskservice.service import Service
from taskservice.service.leader_election import LeaderElection, scheduler_name
from taskservice.service.notices import ask
from taskservice.settings import Settings
from taskservice.storage import events, owners
from taskservice.storage import executions as log
from taskservice.storage.database import Connection, Database
from taskservice.storage.schema import prepare
from tests.databases import MariaDB
from tests.service.conftest import until
from tests.storage.samples import statements

TASK = {
    "name": "t", "task_type": "t", "trigger_type": "interval", "trigger_args": {"hours": 1},
    "func_path": "taskservice.examples.simple_task", "func_args": {"message": "m"},
}  # fmt: skip


@pytest.fixture
async def database(mariadb_server: MariaDB) -> AsyncIterator[Database]:
    url = mariadb_server.create_database()
    made = Database(url)
    await prepare(made)
    yield made
    await made.close()
    mariadb_server.drop_database(url)


class Candidate:
    """A process that wants to schedule."""

    def __init__(
        self,
        database: Database,
        name: str,
        *,
        lease: float = 60,
        failures: Sequence[Exception] = (),
        **more: Any,
    ) -> None:
        self.name, self.lease = name, lease
        self.database = database
        self.leads = False
        self.failures = list(failures)
        self.leading = LeaderElection(
            database, name, lead=self._lead, follow=self._follow, handle=self._handle, **more
        )
        self.task: asyncio.Task[None] | None = None

    async def _lead(self) -> None:
        if self.failures:
            raise self.failures.pop()
        self.leads = True

    async def _follow(self) -> None:
        self.leads = False

    async def _handle(self, notices: list[owners.Notice]) -> None: ...

    async def start(self) -> None:
        await self.database.write(
            lambda connection: owners.register(connection, self.name, self.name, self.lease)
        )
        await self.leading.start()
        self.task = asyncio.create_task(self.leading.run())

    async def end(self) -> None:
        self.leading.stop()
        if self.task:
            await self.task


@pytest.fixture
async def candidate(database: Database) -> AsyncIterator[Callable[..., Awaitable[Candidate]]]:
    made: list[Candidate] = []

    async def make(name: str, **more: Any) -> Candidate:
        made.append(Candidate(database, name, **more))
        await made[-1].start()
        return made[-1]

    yield make
    for one in made:
        await one.end()


async def when(condition: Callable[[], object]) -> None:
    async def met() -> object:
        return condition()

    await until(met)


async def test_one_leads_and_the_next_one_does_when_it_ends(
    candidate: Callable[..., Awaitable[Candidate]],
) -> None:
    first, second = await candidate("first:1"), await candidate("second:2")
    assert (first.leads, second.leads) == (True, False)
    assert await scheduler(first) == "first:1"
    await first.end()
    assert not first.leads
    await when(lambda: second.leads)
    assert await scheduler(first) == "second:2"
    await second.end()
    assert await scheduler(first) is None


async def scheduler(candidate: Candidate) -> str | None:
    """Who schedules, as the database has it."""
    async with candidate.database.read() as connection:
        return await scheduler_name(connection)


async def test_who_loses_the_lock_follows_and_may_lead_again(
    candidate: Callable[..., Awaitable[Candidate]],
    database: Database,
) -> None:
    first = await candidate("first:1", look_seconds=0.1)
    lock_id = first.leading.lock_id
    await kill(database, lock_id)
    await when(lambda: first.leads and first.leading.lock_id not in (None, lock_id))


async def kill(database: Database, connection_id: int | None) -> None:
    async def work(connection: Connection) -> None:
        await connection.execute(text(f"KILL {connection_id}"))

    await database.write(work)


@pytest.mark.parametrize("whose", ["expired", "dead", "nobody's"])
async def test_the_lock_is_taken_away_from_who_cannot_give_it_back(
    candidate: Callable[..., Awaitable[Candidate]],
    database: Database,
    whose: str,
) -> None:
    stuck = database.scheduler_lock()
    assert await stuck.take(0)
    if whose != "nobody's":
        lease = -1 if whose == "expired" else 60

        async def keep(connection: Connection) -> None:
            await owners.register(connection, "stuck", f"{whose}:1", lease)
            await owners.set_lock(connection, "stuck", stuck.id)

        await database.write(keep)
    other = await candidate("other:2", strange_seconds=0.5, is_dead=lambda name: name == "dead:1")
    await when(lambda: other.leads)
    with pytest.raises(Unavailable):
        await stuck.is_held()


async def test_the_lock_is_taken_from_a_connection_of_its_own_that_was_cut(
    candidate: Callable[..., Awaitable[Candidate]], database: Database
) -> None:
    """Only the process knows of that: for the database the connection lives on."""
    cut = database.scheduler_lock()
    assert await cut.take(0)
    process = await candidate("process:1", strange_seconds=3600, look_seconds=0.1)
    assert not process.leads
    await database.write(lambda connection: owners.set_lock(connection, "process:1", cut.id))
    await when(lambda: process.leads)
    with pytest.raises(Unavailable):
        await cut.is_held()


async def test_the_lock_is_left_with_who_lives(
    candidate: Callable[..., Awaitable[Candidate]], database: Database
) -> None:
    first = await candidate("first:1")
    second = await candidate("second:2", strange_seconds=0, patience_seconds=0)
    with statements(database, reads=True, of_all=True) as sent:
        # Who wants the lock looks each time whether those live that hold it.
        await when(lambda: len([one for one in sent if "FROM task_owner" in one]) > 20)
    assert (first.leads, second.leads) == (True, False)


async def test_what_fails_while_leading_begins_is_tried_again(database: Database) -> None:
    failures = [ValueError("a mistake"), Unavailable("an outage")]
    one = Candidate(database, "one:1", failures=failures, look_seconds=0.05)
    with pytest.raises(Unavailable):
        await one.start()
    one.task = asyncio.create_task(one.leading.run())
    await when(lambda: one.leads)
    await one.end()


@pytest.fixture
async def pair(database: Database, folder: Path) -> AsyncIterator[tuple[Service, Service]]:
    """Two services on one database; the first one schedules."""
    url = database.url.render_as_string(hide_password=False)
    settings = Settings(
        database_url=url, tasks_dir=folder, functions=("taskservice.*",), shutdown_grace=0.1
    )
    made = [Service(settings) for _ in range(2)]
    for service in made:
        await service.start()
    yield made[0], made[1]
    for service in made:
        await service.stop()


async def test_a_change_through_another_is_scheduled(pair: tuple[Service, Service]) -> None:
    scheduler, other = pair
    assert await scheduler.ready() == {"database": "ok", "scheduler": "ok"}
    assert await other.ready() == {"database": "ok", "scheduler": "standby"}
    made = await other.changes.create({**TASK, "id": "t"}, by="ann")
    await when(lambda: fires(scheduler) == {"t": made.next_run_time})
    await other.changes.set_paused("t", True, by="ann")
    await when(lambda: fires(scheduler) == {})
    assert other.engine.scheduled() is None


def fires(service: Service) -> dict[str, Any]:
    """The next fires that a service has scheduled."""
    return {one.state.id: one.state.next_run_time for one in service.engine.scheduled() or ()}


async def test_of_many_that_make_a_task_of_one_id_one_does(pair: tuple[Service, Service]) -> None:
    async def create(number: int) -> str:
        fields = {**TASK, "id": "same", "name": f"by {number}"}
        try:
            made = await pair[number % 2].changes.create(fields, by=str(number))
        except Conflict:
            return ""
        return made.name

    names = await asyncio.gather(*(create(number) for number in range(12)))
    (made,) = filter(None, names)
    assert (await pair[0].tasks.get("same")).state.task.name == made


async def test_a_sync_through_another_is_done_by_who_schedules(
    pair: tuple[Service, Service], folder: Path
) -> None:
    scheduler, other = pair
    report = await other.syncs.sync(prune=False, by="ann")
    assert report == {**await scheduler.syncs.report(), "synced_at": report["synced_at"]}
    (folder / "a.yaml").write_text("name: [broken\n")
    report = await other.syncs.sync(prune=True, by="ann")
    assert [error["path"] for error in report["errors"]] == ["a.yaml"]
    async with scheduler.database.read() as connection:
        assert report["scheduler"] == await scheduler_name(connection)


async def test_a_cancel_reaches_the_process_that_runs_it(pair: tuple[Service, Service]) -> None:
    scheduler, other = pair
    sleeping = {"func_path": "taskservice.examples_shell.run_command", "executor": "process"}
    func_args = {"command": "sleep 60"}
    await scheduler.changes.create(
        {**TASK, **sleeping, "id": "t", "func_args": func_args, "max_instances": 2}, by="ann"
    )
    running = await other.executions.trigger("t", None, by="ann")
    ended = await scheduler.executions.cancel(
        "t", running.id, by="bob", via="console", reason="stuck"
    )
    assert (ended.status, ended.error) == ("cancelled", "cancelled: by bob")
    async with scheduler.database.read() as connection:
        [told] = (await events.page(connection, action="cancelled", limit=5)).items
    assert (told.event.by, told.event.via, told.event.reason) == ("bob", "console", "stuck")

    # One that its process knows nothing of any more.
    lost = replace(running, id="lost")
    await scheduler.database.write(lambda connection: connection.run_sync(log.add, [lost]))
    with pytest.raises(Conflict, match="does not run"):
        await scheduler.executions.cancel("t", "lost", by="bob")


async def test_who_does_not_answer_is_not_waited_for_for_ever(
    database: Database,
) -> None:
    with pytest.raises(Unavailable, match="does not answer"):
        cause = Cause(by="ann", via="api")
        await ask(database, "cancel", "run", cause, recipient="nobody", seconds=0.2)
    async with database.read() as connection:
        assert await owners.notices(connection, "nobody", scheduling=False) == []
