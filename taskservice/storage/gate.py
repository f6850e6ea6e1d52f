"""The one gate by which tasks change: each change is one call and one transaction.

Whoever changes tasks (somebody by the API, a file, or the service itself) says who it is and
decides over rows that are locked; the gate writes what was decided, tells other processes, and has
the scheduler of this one follow. That fires begin and end is no change of a task: the engine keeps
account of it.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, Protocol

import structlog

from taskservice.domain.errors import Unavailable
from taskservice.domain.state import FireDue, Resolution, TaskState
from taskservice.storage import deletion, executions, owners, tasks
from taskservice.storage.apply import apply
from taskservice.storage.database import Connection, Database
from taskservice.storage.shown import Shown, as_written
from taskservice.storage.tasks import StoredTask

AT_ONCE = 4
"""Changes that are under way together: so many connections of the pool they use at most."""

TURN_SECONDS = 5.0
"""How long a change waits for its turn: as long as for a connection."""

CLAIMS = 20
"""How often fires may come due anew between their claim and a change, a few milliseconds each."""

Via = Literal["api", "console", "file", "service"]

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """Who changes tasks (a name, `file` or `service`), by what way, and why."""

    by: str
    via: Via
    reason: str | None = None


FILE = Cause(by="file", via="file")


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What becomes of tasks.

    `resolutions` are written, with their declarations where `declare` says so; `retired` are the
    states of tasks whose declarations are gone; of `forgotten` tasks everything is deleted.
    `revisions` are the commits at which files declare tasks as they are stored; `unmarked` are
    tasks from which marks of deletion are taken that can't be read.
    """

    resolutions: Sequence[Resolution] = ()
    declare: bool = True
    retired: Sequence[TaskState] = ()
    forgotten: Sequence[str] = ()
    revisions: Mapping[str | None, Sequence[str]] = field(default_factory=dict)
    unmarked: Sequence[str] = ()


Decide = Callable[[Mapping[str, StoredTask], datetime], Awaitable[Decision]]
"""Decides over what is stored of tasks, by id, at a moment; perhaps more than once.

What it raises ends the transaction; after `FireDue` it is asked again, once the fires are claimed.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What a change came to: `changed` are the tasks that are otherwise than before.

    `unreturned` is as `executions.unreturned` tells it, `known` what was scheduled of the tasks
    when their rows were locked.
    """

    decision: Decision
    changed: Sequence[str]
    unreturned: Mapping[str, int]
    known: Any

    def shown(self, task_id: str) -> Shown:
        """A task as it is now, which the change has left there."""
        for made in self.decision.resolutions:
            if made.id == task_id and made.state:
                return as_written(made.state, made.declaration, self.unreturned.get(task_id, 0))
        raise KeyError(task_id)


class Scheduling(Protocol):
    """What the gate asks of the engine of this process, whether or not that one schedules."""

    owner: str
    leads: bool

    async def claim(self, task_ids: Sequence[str]) -> None:
        """Have the fires of these tasks claimed that are due; raises `Unavailable`."""

    def known(self, task_ids: Sequence[str]) -> Any:
        """What is scheduled of these tasks now, for `adopt`."""

    async def adopt(self, states: Sequence[TaskState], known: Any) -> None:
        """Schedule states that are committed; `known` is of when their rows were locked."""

    async def reconcile(self, task_ids: Sequence[str]) -> None:
        """Schedule what the table says of these tasks."""


class Gate:
    """Changes tasks; `changed` is called after each change that is committed and scheduled."""

    def __init__(
        self,
        database: Database,
        engine: Scheduling,
        *,
        changed: Callable[[Cause], None],
        at_once: int = AT_ONCE,
        turn_seconds: float = TURN_SECONDS,
    ) -> None:
        self._database = database
        self._engine = engine
        self._changed = changed
        self._turns = asyncio.Semaphore(at_once)
        self._turn_seconds = turn_seconds

    async def change(self, task_ids: Sequence[str], decide: Decide, *, cause: Cause) -> Written:
        """Lock tasks, and make of them what is decided.

        Raises what `decide` raises, `Unavailable`, and `Collision` where another process makes a
        task of the same id at this moment.
        """
        for _ in range(CLAIMS):
            try:
                async with self._turn():
                    written = await self._database.write(
                        lambda connection: self._write(connection, task_ids, decide, cause)
                    )
            except FireDue as due:
                await self._engine.claim(due.task_ids)
            else:
                await self._follow(written, cause)
                return written
        raise Unavailable("fires that are due can't be recorded")

    async def _write(
        self, connection: Connection, task_ids: Sequence[str], decide: Decide, cause: Cause
    ) -> Written:
        now = datetime.now(UTC)
        stored = await tasks.load(connection, task_ids, lock=True)
        known = self._engine.known(task_ids)
        decision = await decide(stored, now)
        changed = await apply(
            connection, decision.resolutions, now=now, declare=decision.declare,
            declared_by=None if cause.via == "file" else cause.by,
            overrides={task_id: one.overrides for task_id, one in stored.items()},
        )  # fmt: skip
        await tasks.save_states(connection, decision.retired)
        await tasks.forget(connection, decision.forgotten)
        await deletion.discard(connection, decision.forgotten, now=now)
        await deletion.unmark(connection, decision.unmarked)
        for revision, ids in decision.revisions.items():
            await tasks.save_revision(connection, ids, revision)
        changed += [*(one.id for one in decision.retired), *decision.forgotten, *decision.unmarked]
        if changed and not self._engine.leads:
            await owners.tell(connection, "changed", changed, by=self._engine.owner)
        live = [task_id for task_id, one in stored.items() if one.state]
        unreturned = await connection.run_sync(executions.unreturned, live)
        return Written(decision=decision, changed=changed, unreturned=unreturned, known=known)

    async def _follow(self, written: Written, cause: Cause) -> None:
        """Schedule what was written: a state that there is need not be read back."""
        decision, changed = written.decision, written.changed
        if not changed:
            return
        log.debug("tasks_changed", by=cause.by, via=cause.via, reason=cause.reason, tasks=changed)
        states = {one.id: one.state for one in decision.resolutions if one.state}
        states |= {one.id: one for one in decision.retired}
        await self._engine.adopt(
            [states[task_id] for task_id in changed if task_id in states], written.known
        )
        if others := [task_id for task_id in changed if task_id not in states]:
            await self._engine.reconcile(others)
        self._changed(cause)

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._turn_seconds):
                await self._turns.acquire()
        except TimeoutError:
            raise Unavailable("the database is too busy") from None
        try:
            yield
        finally:
            self._turns.release()
