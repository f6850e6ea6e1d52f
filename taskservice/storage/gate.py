"""The one gate by which tasks change: each change is one call, written in one transaction.

Whoever changes tasks (somebody by the API, a file, or the service itself) says who it is and
decides over rows that are locked; the gate writes what was decided, tells other processes, and has
the scheduler of this one follow. That fires begin and end is no change of a task: the engine keeps
account of it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

import structlog

from taskservice.domain.errors import Unavailable, no_task, out_of_sight
from taskservice.domain.redaction import Hiding
from taskservice.domain.sight import Sight
from taskservice.domain.state import FireDue, Resolution, TaskState
from taskservice.domain.trail import Cause
from taskservice.storage import deletion, events, executions, owners, tasks, telling
from taskservice.storage.apply import apply
from taskservice.storage.batcher import AT_ONCE, TURN_SECONDS, Batcher, Request
from taskservice.storage.database import Connection, Database
from taskservice.storage.decisions import Decide, Decision
from taskservice.storage.shown import Shown, as_written
from taskservice.storage.tasks import StoredTask

CLAIMS = 20
"""How often fires may come due anew between their claim and a change, a few milliseconds each."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Change:
    """A change that somebody asks for."""

    task_ids: Sequence[str]
    decide: Decide
    cause: Cause


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What a change came to: `changed` are the tasks that are otherwise than before.

    `unreturned` is as `executions.unreturned` tells it, of a change by API or console.
    """

    decision: Decision
    changed: Sequence[str]
    unreturned: Mapping[str, int]

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

    def hiding(self, arguments: Iterable[object]) -> Hiding | None:
        """What takes out of texts what the placeholders in arguments stand for; None: nothing."""

    def known(self, task_ids: Sequence[str]) -> Any:
        """What is scheduled of these tasks now, for `adopt`."""

    async def adopt(self, states: Sequence[TaskState], known: Any) -> None:
        """Schedule states that are committed; `known` is of when their rows were locked."""

    async def reconcile(self, task_ids: Sequence[str]) -> None:
        """Schedule what the table says of these tasks."""


class Gate:
    """Changes tasks; `changed` is called after each change that is committed and scheduled.

    Changes of one task that wait for their turn share a transaction; one that can't be made harms
    no other. At most `at_once` of these are under way.
    """

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
        self._batcher = Batcher[_Change, Written](
            self._answer, key=lambda one: one.task_ids[0],
            at_once=at_once, turn_seconds=turn_seconds,
        )  # fmt: skip

    async def change(self, task_ids: Sequence[str], decide: Decide, *, cause: Cause) -> Written:
        """Lock tasks, and make of them what is decided.

        Raises what `decide` raises, `Unavailable`, and `Collision` where another process makes a
        task of the same id at this moment.
        """
        change = _Change(task_ids=task_ids, decide=decide, cause=cause)
        for _ in range(CLAIMS):
            try:
                if len(task_ids) == 1:
                    return await self._batcher.ask(change)
                [outcome] = await self._make([change])
                if isinstance(outcome, Written):
                    return outcome
                raise outcome
            except FireDue as due:
                await self._engine.claim(due.task_ids)
        raise Unavailable("fires that are due can't be recorded")

    async def _answer(self, requests: Sequence[Request[_Change, Written]]) -> None:
        outcomes = await self._make([one.asked for one in requests])
        for request, outcome in zip(requests, outcomes, strict=True):
            if isinstance(outcome, Written):
                request.fulfil(outcome)
            else:
                request.refuse(outcome)

    async def _make(self, changes: Sequence[_Change]) -> list[Written | Exception]:
        """Make changes of different tasks in one transaction; of each what came of it.

        It raises what the transaction does, and nothing once that is committed.
        """
        outcomes, known = await self._database.write(
            lambda connection: self._write(connection, changes),
            tries=None if len(changes) == 1 else 1,
        )
        try:
            await self._follow(changes, outcomes, known)
        except Exception as error:
            # They are committed, and not to be decided again.
            return [error if isinstance(one, Written) else one for one in outcomes]
        return outcomes

    async def _write(
        self, connection: Connection, changes: Sequence[_Change]
    ) -> tuple[list[Written | Exception], Any]:
        now = datetime.now(UTC)
        ids = [task_id for change in changes for task_id in change.task_ids]
        stored = await tasks.load(connection, ids, lock=True)
        known = self._engine.known(ids)
        outcomes = [await _decided(change, stored, now) for change in changes]
        # Of a task at fault all is written anew.
        sound = [one for one in ids if one not in stored or not stored[one].faults]
        overrides = {one: stored[one].overrides if one in stored else () for one in sound}
        declared: dict[tuple[str | None, bool], list[Resolution]] = {}
        decisions: list[Decision] = []
        for change, outcome in zip(changes, outcomes, strict=True):
            if isinstance(outcome, Decision):
                by = None if change.cause.via == "file" else change.cause.by
                declared.setdefault((by, outcome.declare), []).extend(outcome.resolutions)
                decisions.append(outcome)
        changed: set[str] = set()
        for (by, declare), resolutions in declared.items():
            changed.update(
                await apply(
                    connection, resolutions, now=now, declare=declare,
                    declared_by=by, overrides=overrides,
                )
            )  # fmt: skip
        repaired: list[str] = []
        for decision in decisions:
            await tasks.save_states(connection, decision.retired)
            await tasks.forget(connection, decision.forgotten)
            await deletion.discard(connection, decision.forgotten, now=now)
            repaired += await deletion.unmark(connection, decision.unmarked)
            for revision, several in decision.revisions.items():
                await tasks.save_revision(connection, several, revision)
            changed.update(one.id for one in decision.retired)
            changed.update(decision.forgotten, decision.unmarked)
        await self._record(connection, changes, outcomes, stored, repaired, now)
        if changed and not self._engine.leads:
            await owners.tell(connection, "changed", sorted(changed), by=self._engine.owner)
        # Nobody is shown what files and the service itself change, which may be many tasks.
        shown = [
            task_id
            for change in changes if change.cause.via in ("api", "console")
            for task_id in change.task_ids if task_id in stored and stored[task_id].state
        ]  # fmt: skip
        unreturned = await connection.run_sync(executions.unreturned, shown)
        return [
            Written(
                decision=outcome,
                changed=[task_id for task_id in _task_ids(outcome) if task_id in changed],
                unreturned=unreturned,
            )
            if isinstance(outcome, Decision)
            else outcome
            for outcome in outcomes
        ], known  # fmt: skip

    async def _record(
        self,
        connection: Connection,
        changes: Sequence[_Change],
        outcomes: Sequence[Decision | Exception],
        stored: Mapping[str, StoredTask],
        repaired: Sequence[str],
        now: datetime,
    ) -> None:
        """Write the trail of what was decided: all of it, in one go."""
        made = [
            (change.cause, outcome)
            for change, outcome in zip(changes, outcomes, strict=True)
            if isinstance(outcome, Decision)
        ]
        rows = await telling.rows(made, stored, repaired, now=now, hiding=self._engine.hiding)
        await connection.run_sync(events.add_rows, rows)

    async def _follow(
        self, changes: Sequence[_Change], outcomes: Sequence[Written | Exception], known: Any
    ) -> None:
        """Schedule what was written, and tell: a state that there is need not be read back."""
        written = [
            (change.cause, one)
            for change, one in zip(changes, outcomes, strict=True)
            if isinstance(one, Written) and one.changed
        ]
        states: dict[str, TaskState] = {}
        changed: list[str] = []
        for _, one in written:
            states |= {made.id: made.state for made in one.decision.resolutions if made.state}
            states |= {state.id: state for state in one.decision.retired}
            changed += one.changed
        if here := [states[task_id] for task_id in changed if task_id in states]:
            await self._engine.adopt(here, known)
        if gone := [task_id for task_id in changed if task_id not in states]:
            await self._engine.reconcile(gone)
        for cause, one in written:
            log.debug(
                "tasks_changed", by=cause.by, via=cause.via, reason=cause.reason, tasks=one.changed
            )
            self._changed(cause)


async def _decided(
    change: _Change, stored: Mapping[str, StoredTask], now: datetime
) -> Decision | Exception:
    try:
        _refuse_unseen(change, stored)
        decision = await change.decide(stored, now)
        _refuse_to_hide(change.cause.sight, decision)
        return decision
    except Exception as error:
        return error


def _refuse_unseen(change: _Change, stored: Mapping[str, StoredTask]) -> None:
    """Raise `NotFound` where one of the tasks is out of sight to whoever changes it."""
    sight = change.cause.sight
    if sight.is_narrowed:
        for task_id in change.task_ids:
            if task_id in stored and not sight.sees(stored[task_id].tags):
                raise no_task(task_id)


def _refuse_to_hide(sight: Sight, decision: Decision) -> None:
    """Raise `Forbidden` where a task would get out of sight to whoever changes it."""
    for made in decision.resolutions:
        if made.state and not sight.sees(made.state.task.tags):
            raise out_of_sight(sight.tags or ())


def _task_ids(decision: Decision) -> list[str]:
    """The tasks of which a decision makes something."""
    resolved = [one.id for one in decision.resolutions]
    retired = [one.id for one in decision.retired]
    return [*resolved, *retired, *decision.forgotten, *decision.unmarked]
