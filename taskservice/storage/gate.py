"""The one gate by which tasks change: each change is one call, written in one transaction.

Whoever changes tasks (somebody by the API, a file, or the service itself) says who it is and
decides over rows that are locked; the gate writes what was decided, tells other processes, and has
the scheduler of this one follow. That fires begin and end is no change of a task: the engine keeps
account of it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

import structlog

from taskservice.domain.errors import Unavailable, no_task, out_of_sight
from taskservice.domain.overlay import Declaration, Override
from taskservice.domain.redaction import Hiding
from taskservice.domain.sight import Sight
from taskservice.domain.state import FireDue, Resolution, TaskState
from taskservice.domain.trail import Author, Cause, Event, end_of, event_of, events_of, retirement
from taskservice.storage import deletion, events, executions, owners, tasks
from taskservice.storage.apply import apply
from taskservice.storage.batcher import AT_ONCE, TURN_SECONDS, Batcher, Request
from taskservice.storage.database import Connection, Database
from taskservice.storage.shown import Shown, as_written
from taskservice.storage.tasks import StoredTask

CLAIMS = 20
"""How often fires may come due anew between their claim and a change, a few milliseconds each."""

FEW = 200
"""How many fields are compared for the trail on the event loop: it takes a few milliseconds."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What becomes of tasks.

    `resolutions` are written, with their declarations where `declare` says so; `retired` are the
    states of tasks whose declarations are gone; of `forgotten` tasks everything is deleted.
    `revisions` are the commits at which files declare tasks as they are stored; `unmarked` are
    tasks from which marks of deletion are taken that can't be read. `authors` made the commits
    that are the cause, by task; `events` happen with it, beside what becomes of the tasks.
    """

    resolutions: Sequence[Resolution] = ()
    declare: bool = True
    retired: Sequence[TaskState] = ()
    forgotten: Sequence[str] = ()
    revisions: Mapping[str | None, Sequence[str]] = field(default_factory=dict)
    unmarked: Sequence[str] = ()
    authors: Mapping[str, Author] = field(default_factory=dict)
    events: Sequence[Event] = ()


Decide = Callable[[Mapping[str, StoredTask], datetime], Awaitable[Decision]]
"""Decides over what is stored of tasks, by id, at a moment; perhaps more than once.

What it raises ends the transaction; after `FireDue` it is asked again, once the fires are claimed.
"""


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

        def work() -> list[dict[str, Any]]:
            told: list[Event] = []
            hidings: dict[str, Hiding] = {}
            for cause, decision in made:
                told += _events(cause, decision, stored, repaired, now)
            for task_id, arguments in _arguments(made, stored).items():
                if hiding := self._engine.hiding(arguments):
                    hidings[task_id] = hiding
            return events.rows_of(told, now, hidings)

        fields = sum(_fields(decision) for _, decision in made)
        rows = await asyncio.to_thread(work) if fields > FEW else work()
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


def _events(
    cause: Cause,
    decision: Decision,
    stored: Mapping[str, StoredTask],
    repaired: Sequence[str],
    now: datetime,
) -> list[Event]:
    """What becomes of tasks by a decision, and what happens beside it."""
    found = list(decision.events)
    for made in decision.resolutions:
        declaration, overrides = _said(stored.get(made.id))
        author = decision.authors.get(made.id)
        found += events_of(made, declaration, overrides, cause, now=now, author=author)
    for state in decision.retired:
        author = decision.authors.get(state.id)
        found.append(retirement(state.id, stored[state.id].declaration, now, cause, author))
    found += [end_of(one, *_said(stored.get(one)), cause) for one in decision.forgotten]
    found += [
        event_of("restored", cause, task_id=one) for one in decision.unmarked if one in repaired
    ]
    return found


def _said(stored: StoredTask | None) -> tuple[Declaration | None, Sequence[Override]]:
    return (stored.declaration, stored.overrides) if stored else (None, ())


def _arguments(
    made: Iterable[tuple[Cause, Decision]], stored: Mapping[str, StoredTask]
) -> dict[str, list[object]]:
    """By task, all arguments that it has or had, in which placeholders may stand."""
    found: dict[str, list[object]] = {}
    for _, decision in made:
        said = [(one.id, one.declaration, one.overrides) for one in decision.resolutions]
        gone = [one for one in decision.forgotten if one in stored]
        for task_id in [one.id for one in decision.resolutions if one.id in stored] + gone:
            said.append((task_id, stored[task_id].declaration, stored[task_id].overrides))
        for task_id, declaration, overrides in said:
            several = found.setdefault(task_id, [])
            several.append(declaration.fields.get("func_args"))
            several += [one.value for one in overrides]
    return found


def _fields(decision: Decision) -> int:
    """About how many fields are to be compared."""
    return sum(
        len(one.declaration.fields) + len(one.declaration.fields.get("func_args") or ())
        for one in decision.resolutions
    ) + len(decision.forgotten)


def _task_ids(decision: Decision) -> list[str]:
    """The tasks of which a decision makes something."""
    resolved = [one.id for one in decision.resolutions]
    retired = [one.id for one in decision.retired]
    return [*resolved, *retired, *decision.forgotten, *decision.unmarked]
