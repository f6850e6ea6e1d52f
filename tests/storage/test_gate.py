"""Every change of tasks is one transaction: locked, decided, written, told and followed."""

import ast
import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import taskservice
from taskservice.domain.errors import Conflict, Unavailable
from taskservice.domain.overlay import Declaration
from taskservice.domain.state import FireDue, TaskState, resolution, retire
from taskservice.domain.trail import FILE, Author, Cause, Event
from taskservice.storage import events, owners
from taskservice.storage import tasks as store
from taskservice.storage.database import Collision, Connection, Database
from taskservice.storage.decisions import Decision
from taskservice.storage.dialects.dialect import Limits
from taskservice.storage.gate import Gate
from taskservice.storage.tasks import StoredTask
from tests.storage.samples import MANY, statements

FIELDS: dict[str, Any] = {
    "name": "定时通知任务",
    "task_type": "notification",
    "trigger_type": "interval",
    "trigger_args": {"hours": 1},
    "func_path": "taskservice.examples.notification_task",
}
ANN = Cause(by="ann", via="api")

Stored = Mapping[str, StoredTask]


class Engine:
    """Notes what it is asked; `leads` says whether this process schedules."""

    def __init__(self, *, leads: bool = True) -> None:
        self.owner = "me"
        self.leads = leads
        self.asked: list[tuple[str, list[str]]] = []
        self.secrets: dict[str, str] = {}

    async def claim(self, task_ids: Sequence[str]) -> None:
        self.asked.append(("claim", list(task_ids)))

    def hiding(self, arguments: Iterable[object]) -> Callable[[str], str] | None:
        told = str(list(arguments))
        for placeholder, secret in self.secrets.items():
            if placeholder in told:
                return lambda text: text.replace(secret, "***")
        return None

    def known(self, task_ids: Sequence[str]) -> list[str]:
        return list(task_ids)

    async def adopt(self, states: Sequence[TaskState], known: list[str]) -> None:
        self.asked.append(("adopt", [one.id for one in states]))
        assert {one.id for one in states} <= set(known)

    async def reconcile(self, task_ids: Sequence[str]) -> None:
        self.asked.append(("reconcile", list(task_ids)))


@pytest.fixture
def causes() -> list[Cause]:
    """The causes of the changes that were told."""
    return []


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
def gate(database: Database, engine: Engine, causes: list[Cause]) -> Gate:
    return Gate(database, engine, changed=causes.append, at_once=2, turn_seconds=0.2)


def declaration(**fields: Any) -> Declaration:
    return Declaration(source="api", fields={**FIELDS, **fields})


async def create(gate: Gate, *task_ids: str, cause: Cause = ANN) -> None:
    """Make tasks as the API would."""

    async def decide(stored: Stored, now: datetime) -> Decision:
        assert not stored.keys() & set(task_ids)
        return Decision(
            resolutions=[
                resolution(one, declaration(), (), None, now=now, zone=UTC) for one in task_ids
            ]
        )

    await gate.change(task_ids, decide, cause=cause)


async def stored(database: Database, *task_ids: str) -> Stored:
    async with database.read() as connection:
        return await store.load(connection, task_ids)


async def test_what_is_decided_is_written_scheduled_and_told(
    database: Database, gate: Gate, engine: Engine, causes: list[Cause]
) -> None:
    await create(gate, "a", "b", "c")
    assert {one.declared_by for one in (await stored(database, *"abc")).values()} == {"ann"}

    async def decide(found: Stored, now: datetime) -> Decision:
        a, b = found["a"], found["b"].state
        assert b
        changed = resolution("a", declaration(name="new"), (), a.state, now=now, zone=UTC)
        return Decision(resolutions=[changed], retired=[retire(b, now)], forgotten=["c"])

    written = await gate.change(["a", "b", "c"], decide, cause=FILE)
    assert list(written.changed) == ["a", "b", "c"]
    assert (written.shown("a").name, written.shown("a").status) == ("new", "pending")
    found = await stored(database, *"abc")
    assert found["a"].state and found["a"].state.task.name == "new"
    assert found["a"].declared_by is None
    assert found["b"].state and found["b"].state.retired_at
    assert "c" not in found
    assert engine.asked == [("adopt", ["a", "b", "c"]), ("adopt", ["a", "b"]), ("reconcile", ["c"])]
    assert causes == [ANN, FILE]
    with pytest.raises(KeyError):
        written.shown("c")


async def test_what_stays_as_it_was_is_no_news(
    gate: Gate, engine: Engine, causes: list[Cause]
) -> None:
    await create(gate, "a")
    engine.asked.clear()

    async def decide(found: Stored, now: datetime) -> Decision:
        same = resolution("a", declaration(), (), found["a"].state, now=now, zone=UTC)
        return Decision(resolutions=[same], revisions={"commit": ["a"]})

    assert (await gate.change(["a"], decide, cause=FILE)).changed == []
    assert (engine.asked, causes) == ([], [ANN])


async def test_fires_that_are_due_are_claimed_first(
    database: Database, gate: Gate, engine: Engine
) -> None:
    async def decide(_found: Stored, now: datetime) -> Decision:
        if len(engine.asked) < 2:
            raise FireDue(["a"])
        return Decision(resolutions=[resolution("a", declaration(), (), None, now=now, zone=UTC)])

    await gate.change(["a"], decide, cause=ANN)
    assert [name for name, _ in engine.asked] == ["claim", "claim", "adopt"]

    async def due(_found: Stored, _now: datetime) -> Decision:
        raise FireDue(["a"])

    with pytest.raises(Unavailable, match="can't be recorded"):
        await gate.change(["a"], due, cause=ANN)


async def test_what_is_refused_changes_nothing(
    database: Database, gate: Gate, causes: list[Cause]
) -> None:
    async def decide(_found: Stored, _now: datetime) -> Decision:
        raise Conflict("no")

    with pytest.raises(Conflict):
        await gate.change(["a"], decide, cause=ANN)
    assert (await stored(database, "a"), causes) == ({}, [])


async def recorded(database: Database) -> list[tuple[str, str | None, str, str | None]]:
    """The trail, oldest first: what was done to which task, by whom, and why."""
    async with database.read() as connection:
        found = await events.page(connection, limit=10_000)
    told = [one.event for one in reversed(found.items)]
    return [(one.action, one.task_id, one.by, one.reason) for one in told]


async def test_the_trail_is_written_with_the_change(
    database: Database, gate: Gate, engine: Engine
) -> None:
    why = Cause(by="ann", via="api", reason="why")
    await create(gate, "a", "b", "c", cause=why)
    created = [("created", one, "ann", "why") for one in "abc"]
    assert await recorded(database) == created
    held = Event(action="synced", by="bob", via="api")

    async def decide(found: Stored, now: datetime) -> Decision:
        a, b = found["a"], found["b"].state
        assert b
        changed = resolution("a", declaration(name="new"), (), a.state, now=now, zone=UTC)
        return Decision(
            resolutions=[changed], retired=[retire(b, now)], forgotten=["c", "d"],
            authors={"b": Author("commit", "Ann Other")}, events=[held],
        )  # fmt: skip

    await gate.change(["a", "b", "c", "d"], decide, cause=FILE)
    assert (await recorded(database))[3:] == [
        ("synced", None, "bob", None), ("changed", "a", "file", None), 
        ("retired", "b", "file", None), ("pruned", "c", "file", None),
        ("pruned", "d", "file", None),
    ]  # fmt: skip
    async with database.read() as connection:
        [one] = (await events.page(connection, action="retired", limit=2)).items
    assert (one.event.revision, one.event.author) == ("commit", "Ann Other")

    async def fail(found: Stored, now: datetime) -> Decision:
        # Nothing of what the database refuses is told.
        made = resolution("a", declaration(), (), None, now=now, zone=UTC)
        return Decision(resolutions=[made])

    with pytest.raises(Collision):
        await gate.change(["a"], fail, cause=ANN)
    assert len(await recorded(database)) == 8


async def test_the_trail_of_many_is_written_at_once(database: Database, gate: Gate) -> None:
    ids = [f"t{number:04}" for number in range(MANY)]
    with statements(database) as sent:
        await create(gate, *ids)
    assert len([one for one in sent if "INTO task_event" in one]) == 2
    assert [one for _, one, _, _ in await recorded(database)] == ids


async def test_what_a_placeholder_stands_for_is_not_in_the_trail(
    database: Database, gate: Gate, engine: Engine
) -> None:
    engine.secrets = {"${PLACE}": "s3cret"}
    await create(gate, "a")

    async def decide(found: Stored, now: datetime) -> Decision:
        later = declaration(func_args={"x": "${PLACE}", "y": "my s3cret"}, name="s3cret")
        made = resolution("a", later, (), found["a"].state, now=now, zone=UTC)
        return Decision(resolutions=[made])

    await gate.change(["a"], decide, cause=Cause(by="ann", via="api", reason="it is s3cret"))
    async with database.read() as connection:
        [one] = (await events.page(connection, action="changed", limit=2)).items
    assert one.event.reason == "it is ***"
    assert [change.new for change in one.event.changes] == ["***", "${PLACE}", "my ***"]


async def test_who_does_not_schedule_tells_who_does(database: Database) -> None:
    await create(Gate(database, Engine(leads=False), changed=lambda _: None), "a", "b")
    async with database.read() as connection:
        notices = await owners.notices(connection, "other", scheduling=True)
    assert [(one.kind, one.subject, one.said_by) for one in notices] == [
        ("changed", "a", "me"), ("changed", "b", "me"),
    ]  # fmt: skip


async def test_changes_that_stand_still_hold_up_few(database: Database, gate: Gate) -> None:
    go = asyncio.Event()

    async def wait(_found: Stored, _now: datetime) -> Decision:
        await go.wait()
        return Decision()

    standing = [asyncio.create_task(gate.change([one], wait, cause=ANN)) for one in "ab"]
    await asyncio.sleep(0)
    with pytest.raises(Unavailable, match="too busy"):
        await create(gate, "c")
    go.set()
    await asyncio.gather(*standing)
    await create(gate, "c")
    assert await stored(database, "c")


async def test_marks_of_deletion_that_can_t_be_read_are_taken_away(
    database: Database, gate: Gate, engine: Engine
) -> None:
    await create(gate, "a", "b")
    written = "UPDATE task_manage SET deleted_at = '2026-03-04 05:06:07' WHERE id = 'b'"
    await database.write(lambda connection: connection.exec_driver_sql(written))

    async def decide(_found: Stored, _now: datetime) -> Decision:
        return Decision(unmarked=["a", "b"])

    await gate.change(["a", "b"], decide, cause=ANN)
    # One that can be read stays, and is not told of.
    assert [one.state is None for one in (await stored(database, *"ab")).values()] == [False, True]
    assert engine.asked[-1] == ("reconcile", ["a", "b"])


async def test_changes_that_wait_share_a_transaction_and_one_harms_no_other(
    database: Database, engine: Engine, causes: list[Cause]
) -> None:
    gate = Gate(database, engine, changed=causes.append, at_once=1)
    await create(gate, "there")
    go = asyncio.Event()

    async def wait(_found: Stored, _now: datetime) -> Decision:
        await go.wait()
        return Decision()

    async def refuse(_found: Stored, _now: datetime) -> Decision:
        raise Conflict("no")

    async def together(*asked: Coroutine[Any, Any, object]) -> list[object]:
        go.clear()
        changes = [gate.change(["first"], wait, cause=ANN), *asked]
        tasks = [asyncio.create_task(one) for one in changes]
        await asyncio.sleep(0)
        go.set()
        _, *outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        return outcomes

    engine.asked.clear()
    with statements(database) as sent:
        refused = gate.change(["b"], refuse, cause=ANN)
        outcomes = await together(create(gate, "a"), refused, create(gate, "c"))
    assert [type(one) for one in outcomes] == [type(None), Conflict, type(None)]
    assert len([one for one in sent if "INTO task_manage" in one]) == 1
    assert engine.asked == [("adopt", ["a", "c"])]

    async def again(_found: Stored, now: datetime) -> Decision:
        made = resolution("there", declaration(), (), None, now=now, zone=UTC)
        return Decision(resolutions=[made])

    collides = gate.change(["there"], again, cause=ANN)
    outcomes = await together(create(gate, "d"), collides, create(gate, "e"))
    assert [type(one) for one in outcomes] == [type(None), Collision, type(None)]
    assert (await stored(database, "a", "b", "c", "d", "e")).keys() == {"a", "c", "d", "e"}
    assert causes == [ANN] * 5


class Unscheduling(Engine):
    """Can't schedule anything."""

    async def adopt(self, states: Sequence[TaskState], known: list[str]) -> None:
        raise RuntimeError("not scheduled")


async def test_what_is_committed_is_not_decided_again(
    database: Database, causes: list[Cause]
) -> None:
    gate = Gate(database, Unscheduling(), changed=causes.append, at_once=1)
    # The later two share a transaction.
    creates = [asyncio.create_task(create(gate, one)) for one in "abc"]
    for outcome in await asyncio.gather(*creates, return_exceptions=True):
        assert isinstance(outcome, RuntimeError)
    assert (await stored(database, *"abc")).keys() == {"a", "b", "c"}


@pytest.mark.parametrize("empty_url", ["mariadb"], indirect=True)
async def test_a_row_that_is_locked_holds_up_no_other(empty_url: str, engine: Engine) -> None:
    database = Database(empty_url, limits=Limits(lock_seconds=1))
    gate = Gate(database, engine, changed=lambda _: None, at_once=2)
    await create(gate, "a", "b", "locked")
    held, go = asyncio.Event(), asyncio.Event()

    async def hold(connection: Connection) -> None:
        await store.load(connection, ["locked"], lock=True)
        held.set()
        await go.wait()

    async def nothing(_found: Stored, _now: datetime) -> Decision:
        return Decision()

    async def wait(_found: Stored, _now: datetime) -> Decision:
        await begin.wait()
        return Decision()

    begin = asyncio.Event()
    holding = asyncio.create_task(database.write(hold))
    await held.wait()
    first = [asyncio.create_task(gate.change([one], wait, cause=ANN)) for one in "xy"]
    locked, *others = [
        asyncio.create_task(gate.change([one], nothing, cause=ANN)) for one in ("locked", "a", "b")
    ]
    await asyncio.sleep(0)
    begin.set()
    await asyncio.gather(*first, *others)
    assert not locked.done()
    go.set()
    await asyncio.gather(holding, locked)
    await database.close()


# What writes the rows of tasks; and who may call it: the gate, and what it is made of.
WRITERS = {
    "apply": {"gate"},
    "add_states": {"apply"},
    "save_states": {"apply", "gate", "tasks"},
    "save_declarations": {"apply"},
    "save_overrides": {"apply"},
    "save_revision": {"gate"},
    "hide": {"apply", "deletion"},
    "discard": {"gate", "deletion"},
    "unmark": {"gate"},
}
PACKAGE = Path(taskservice.__file__).parent


def calls(source: str) -> list[str]:
    """The functions of those above that are called, or handed to somebody who calls them."""
    imported = {
        name.asname or name.name
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("taskservice")
        for name in node.names
    }
    found = []
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Attribute(value=ast.Name(id=name), attr=attr) if name in imported:
                found.append(attr)
            case ast.Name(id=name, ctx=ast.Load()):
                found.append(name)
    return [name for name in found if name in WRITERS]


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda one: str(one.name))
def test_the_rows_of_tasks_are_written_by_the_gate_alone(path: Path) -> None:
    room = path.parent.name
    for name in calls(path.read_text("utf-8")):
        assert room == "storage" and path.stem in WRITERS[name], f"{path}: {name}"


def test_the_gate_opens_one_transaction() -> None:
    source = (PACKAGE / "storage/gate.py").read_text("utf-8")
    opened = [
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Attribute) and node.attr == "write"
    ]
    assert len(opened) == 1
    assert calls("from taskservice.storage import deletion\nf(deletion.discard)") == ["discard"]
