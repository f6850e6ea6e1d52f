"""A database with engines on it, and what tests ask of them."""

import asyncio
import inspect
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import select, update
from sqlalchemy.engine import URL, make_url

from taskservice.domain import state
from taskservice.domain.overlay import Declaration
from taskservice.domain.state import FireDue, Resolution, TaskState, trigger_of
from taskservice.engine.engine import Engine
from taskservice.engine.executor import AnyExecutor
from taskservice.engine.functions import Functions
from taskservice.engine.local import LocalExecutor
from taskservice.engine.options import Options
from taskservice.engine.process import ProcessExecutor
from taskservice.storage import deletion
from taskservice.storage import tasks as store
from taskservice.storage.apply import apply
from taskservice.storage.database import Connection, Database
from taskservice.storage.executions import ExecutionRow
from taskservice.storage.rows import new_id
from taskservice.storage.schema import prepare
from taskservice.storage.tables import task_execution_log, task_manage
from taskservice.storage.workers import Worker

TASKS = "tests.engine.sample_tasks.engine_tasks"
PATTERNS = ("tests.engine.sample_tasks.*",)
ZONE = ZoneInfo("UTC")
Work = Callable[[Connection], Awaitable[Any]]
Write = Callable[[Work], Awaitable[Any]]
LIMIT = 20.0
FAR = 3600


async def until(condition: Callable[[], Any], limit: float = LIMIT) -> Any:
    """Wait until a condition, awaitable or not, gives something true; return that."""
    end = time.monotonic() + limit
    while True:
        found = condition()
        if inspect.isawaitable(found):
            found = await found
        if found:
            return found
        assert time.monotonic() < end, "the condition waited for did not come"
        await asyncio.sleep(0.01)


async def grows(number: Callable[[], int], *, by: int = 1, limit: float = LIMIT) -> None:
    """Wait until a number has grown by so many."""
    before = number()
    await until(lambda: number() >= before + by, limit)


def driver_url(url: str) -> URL:
    """The same database for a driver that blocks."""
    given = make_url(url)
    sqlite = given.get_backend_name() == "sqlite"
    return given.set(drivername="sqlite" if sqlite else "mysql+pymysql")


def ago(seconds: float) -> datetime:
    return datetime.now(UTC) - timedelta(seconds=seconds)


def every(seconds: float, **more: object) -> dict[str, Any]:
    return {"trigger_type": "interval", "trigger_args": {"seconds": seconds, **more}}


def once(when: datetime) -> dict[str, Any]:
    return {"trigger_type": "date", "trigger_args": {"run_date": when.isoformat()}}


def cron(**trigger_args: object) -> dict[str, Any]:
    return {"trigger_type": "cron", "trigger_args": trigger_args}


def resolution(
    task_id: str,
    function: str,
    *,
    now: datetime | None = None,
    previous: TaskState | None = None,
    **fields: Any,
) -> Resolution:
    """A task as the API would declare it at `now`; it fires in an hour if `fields` say nothing."""
    fields = {
        "name": task_id,
        "task_type": "test",
        "func_path": f"{TASKS}.{function}",
        **every(FAR),
        **fields,
    }
    declaration = Declaration(source="api", fields=fields)
    now = now or datetime.now(UTC)
    return state.resolution(task_id, declaration, (), previous, now=now, zone=ZONE)


def taking() -> Worker:
    """What a worker is listed as that takes from every queue."""
    return Worker(name=f"worker:{new_id()[-8:]}", kind="worker")


def make_engine(
    database: Database,
    *,
    processes: bool = True,
    options: Options | None = None,
    default_executor: str = "local",
    listed: Worker | None = None,
    start_timeout: float = 300,
    **executors: AnyExecutor,
) -> Engine:
    """An engine; of one that is not `listed` as a worker, and has a remote executor by default, all
    is sent to the queue `q`.
    """
    places: dict[str, AnyExecutor] = {"local": LocalExecutor(idle=1), **executors}
    if processes:
        places["process"] = ProcessExecutor(PATTERNS)
    return Engine(
        database,
        Functions(PATTERNS),
        places,
        default_executor=default_executor,
        zone=ZONE,
        queue_of=(lambda _task: "q" if default_executor == "remote" and not listed else None),
        listed=listed,
        start_timeout=start_timeout,
        options=options,
    )


def idle(engine: Engine) -> bool:
    """Whether no function runs in an engine, of an execution that ended before neither."""
    return not (engine.running or engine.unreturned)


class Meddled(Database):
    """A database whose transactions can be meddled with: held, refused, or their answers lost.

    `meddle` is called in the place of `write`, with what that really is.
    """

    meddle: Callable[[Write, Work], Awaitable[Any]] | None = None

    async def write(self, work: Work, *, tries: int | None = None) -> Any:
        """As `Database` has it."""

        async def write(work: Work) -> Any:
            return await super(Meddled, self).write(work, tries=tries)

        return await (self.meddle(write, work) if self.meddle else write(work))


class Bench:
    """A database, the engines that were started on it, and a folder for evidence."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self.folder = folder
        self.database = Meddled(url)
        self._engines: list[Engine] = []

    async def prepare(self) -> None:
        """Make the tables, where they are not there."""
        await prepare(self.database)

    async def close(self) -> None:
        self.open_gate()
        self.open_gate("2")
        for engine in self._engines:
            await engine.stop()
        await self.database.close()

    async def start(self, *, lead: bool = True, **more: Any) -> Engine:
        """Another engine on the database, as a start of the service would make it."""
        engine = make_engine(self.database, **more)
        self._engines.append(engine)
        await engine.start()
        if lead:
            await engine.lead()
        return engine

    async def stop(self, engine: Engine) -> None:
        self._engines.remove(engine)
        await engine.stop()

    async def put(self, *resolutions: Resolution) -> None:
        """Store tasks, and tell no engine of it."""
        now = datetime.now(UTC)

        async def work(connection: Connection) -> None:
            await apply(connection, resolutions, now=now, declared_by="tests")

        await self.database.write(work)

    async def change(self, task_id: str, function: str, **fields: Any) -> None:
        """Store another definition of a task, and tell no engine of it.

        A fire that is due at this moment must be claimed before, by an engine that runs.
        """

        async def changed() -> bool:
            previous = await self.state(task_id)
            try:
                later = resolution(task_id, function, previous=previous, **fields)
            except FireDue:
                return False
            await self.put(later)
            return True

        await until(changed)

    async def set_task(self, task_id: str, **columns: object) -> None:
        """Change columns of a task behind everybody's back."""
        statement = update(task_manage).where(task_manage.c.id == task_id).values(**columns)

        async def work(connection: Connection) -> None:
            await connection.execute(statement)

        await self.database.write(work)

    async def remove(self, *task_ids: str) -> None:
        async def work(connection: Connection) -> None:
            await deletion.discard(connection, task_ids, now=datetime.now(UTC))

        await self.database.write(work)

    async def hide(self, *task_ids: str) -> None:
        """Delete tasks so that they can be restored, with their logs."""
        now = datetime.now(UTC)
        await self.database.write(lambda connection: deletion.hide(connection, task_ids, now=now))

    async def state(self, task_id: str) -> TaskState:
        async with self.database.read() as connection:
            return (await store.states_of(connection, [task_id]))[task_id]

    async def rows(
        self, task_id: str | None = None, status: str | None = None
    ) -> list[ExecutionRow]:
        """The log, oldest first: of all tasks or of one, in every status or in one."""
        query = select(task_execution_log).order_by(
            task_execution_log.c.start_time, task_execution_log.c.id
        )
        if task_id is not None:
            query = query.where(task_execution_log.c.task_id == task_id)
        if status is not None:
            query = query.where(task_execution_log.c.status == status)
        async with self.database.read() as connection:
            found = [dict(row._mapping) for row in await connection.execute(query)]
        for one in found:
            del one["deadline"]
        return [ExecutionRow(**one) for one in found]

    async def row(self, execution_id: str) -> ExecutionRow:
        (found,) = [row for row in await self.rows() if row.id == execution_id]
        return found

    async def ended(self, task_id: str, count: int = 1) -> list[ExecutionRow]:
        """The executions of a task that have ended, once there are `count`."""
        ended: list[ExecutionRow] = []

        async def enough() -> bool:
            ended[:] = [row for row in await self.rows(task_id) if not row.is_open]
            return len(ended) >= count

        await until(enough)
        return ended

    async def running(self, *task_ids: str) -> None:
        """Wait until each of these tasks has left evidence that its function began."""
        await until(lambda: all(self.evidence(task_id) for task_id in task_ids))

    def gate(self, name: str = "") -> str:
        """The file that functions wait for."""
        return str(self.folder / f"gate{name}")

    def open_gate(self, name: str = "") -> None:
        """Let the functions go on that wait."""
        Path(self.gate(name)).touch()

    def path(self, task_id: str) -> str:
        """Where a task leaves its evidence."""
        return str(self.folder / task_id)

    def evidence(self, task_id: str) -> list[str]:
        """The executions that left a line in a task's file, as often as they did."""
        try:
            lines = Path(self.path(task_id)).read_text().splitlines()
        except FileNotFoundError:
            return []
        return [line.split()[0] for line in lines]

    def counter(self, *task_ids: str) -> Callable[[], int]:
        """A function that says how often these tasks have run."""
        return lambda: sum(len(self.evidence(task_id)) for task_id in task_ids)

    def noting(self, task_id: str, function: str = "note", **fields: Any) -> Resolution:
        """A task that leaves evidence; its other arguments are those that functions wait with."""
        func_args = {"path": self.path(task_id)}
        if function in ("wait_for", "block_for"):
            func_args["gate"] = self.gate()
        return resolution(task_id, function, func_args=func_args, **fields)


def contiguous(rows: Iterable[ExecutionRow], task: TaskState) -> None:
    """Check that every fire of a task from its first to its last row is counted in one row."""
    trigger = trigger_of(task.task, task.anchor, ZONE)
    counted = sorted(
        (row for row in rows if row.scheduled_time and row.attempt == 1),
        key=lambda row: row.scheduled_time or row.start_time,
    )
    fire = trigger.next_fire(task.anchor)
    for row in counted:
        for _ in range(row.folded):
            assert fire is not None
            fire = trigger.next_fire(fire)
        assert row.scheduled_time == fire, f"{task.id}: {row.scheduled_time} instead of {fire}"
        assert fire is not None
        fire = trigger.next_fire(fire)
    assert task.next_run_time == fire


def ran_at_most_once(rows: Iterable[ExecutionRow], evidence: Collection[str]) -> None:
    """Check that what ran has its row, ran once, and that no row stays open."""
    by_id = {row.id: row for row in rows}
    assert [key for key, count in Counter(evidence).items() if count > 1] == []
    assert set(evidence) - by_id.keys() == set()
    for row in by_id.values():
        assert row.status in ("completed", "failed", "skipped", "missed"), row
        assert row.owner is None, row
        assert row.status != "completed" or row.id in evidence, row
        assert row.status not in ("skipped", "missed") or row.id not in evidence, row
