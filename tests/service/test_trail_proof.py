"""Nothing about a task changes without its event in the audit trail, and no event tells of nothing.

Generated actions are done to a service, and the tables are read before and after each. What is
otherwise must be in the trail, field by field; and the events alone, done to what stood there
before, must give what stands there after. `TRAIL_ACTIONS=5000` does as many.
"""

import asyncio
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from taskservice.domain.errors import TaskserviceError
from taskservice.domain.overlay import DEFAULTS, DELETED, digest, flatten, same
from taskservice.domain.task import FIELDS as TASK_FIELDS
from taskservice.domain.task import UNSET
from taskservice.domain.trail import Change, Event
from taskservice.service import Service
from taskservice.service.housekeeping import Housekeeping
from taskservice.settings import Settings
from taskservice.storage import events as trail
from taskservice.storage.tables import (
    task_declaration,
    task_execution_log,
    task_manage,
    task_override,
)
from taskservice.sync.syncer import SyncOptions
from tests.service.conftest import until, unwatched

IDS = ("a", "b", "c")
LENGTH = 25
EXAMPLES = max(int(os.environ.get("TRAIL_ACTIONS", "200")) // LENGTH, 1)

BARE: dict[str, Any] = {
    "name": "n", "task_type": "t", "trigger_type": "interval", "trigger_args": {"hours": 1},
    "func_path": "taskservice.examples_shell.run_command", "func_args": {"command": "m"},
}  # fmt: skip

VALUES: dict[str, st.SearchStrategy[Any]] = {
    "name": st.sampled_from(["n", "other"]),
    "description": st.sampled_from([None, "x", "中文"]),
    "tags": st.sampled_from([[], ["a"], ["b", "a"]]),
    "paused": st.booleans(),
    "timeout": st.sampled_from([None, 5, 5.5]),
    "misfire_grace_time": st.sampled_from([None, 60, 3600]),
    "retries": st.sampled_from([None, {"max": 3}, {"max": 3, "delay": 10}]),
    "trigger_args": st.sampled_from([{"hours": 1}, {"hours": 2}, {"minutes": 60}]),
    "func_args": st.sampled_from(
        [{"command": "m"}, {"command": "o"}, {"command": "m", "stdin": "x"}, {"command": "${HOME}"}]
    ),
}
FIELDS = st.fixed_dictionaries({}, optional=VALUES)

REASONS = st.sampled_from([None, None, "INC-42"])
ENDS = st.sampled_from([None, None, "soon", "2h"])
ids = st.sampled_from(IDS)


def action(name: str, *given: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.tuples(st.just(name), ids, *given)


ACTIONS = st.one_of(
    action("create", FIELDS),
    action("write", FIELDS, st.sampled_from(["{id}.yaml", "more/{id}.yaml"])),
    action("write", FIELDS, st.just("{id}.yaml")),
    action("remove"),
    action("prune"),
    action("change", FIELDS, REASONS, ENDS),
    action("change", FIELDS, REASONS, ENDS),
    action("pause", REASONS, ENDS),
    action("resume", REASONS, ENDS),
    action("revert", st.sampled_from([None, *VALUES, "func_args.command", "trigger"])),
    action("keep", st.sampled_from([*VALUES, "func_args.command", "trigger"])),
    action("delete", REASONS, ENDS),
    action("restore"),
    action("trigger"),
    action("wait"),
)


@dataclass(slots=True)
class Stand:
    """What there is of a task: its effective and its declared fields, and what else is told."""

    effective: dict[str, Any] = field(default_factory=dict)
    declared: dict[str, Any] = field(default_factory=dict)
    ends: dict[str, str] = field(default_factory=dict)
    path: str | None = None
    retired: bool = False
    deleted: bool = False
    overridden: frozenset[str] = frozenset()


def _value(fields: Mapping[str, Any], name: str) -> Any:
    value = fields.get(name, DEFAULTS.get(name, UNSET))
    # A key that is null can't be told from one that is absent.
    return UNSET if value is None and name.startswith("func_args.") else value


@dataclass(slots=True)
class Snapshot:
    """The tasks that the tables have, what their overrides say beside it, and the trail."""

    tasks: dict[str, Stand]
    overrides: dict[str, str]
    trail: list[Event]
    runs: set[str]


async def look(service: Service) -> Snapshot:
    """What the tables say, all of one moment."""
    async with service.database.snapshot() as connection:
        rows = {row.id: row for row in await connection.execute(select(task_manage))}
        said = {row.task_id: row for row in await connection.execute(select(task_declaration))}
        overrides: dict[str, list[Any]] = {}
        for row in await connection.execute(select(task_override).order_by(task_override.c.field)):
            overrides.setdefault(row.task_id, []).append(row)
        found = await trail.page(connection, limit=100_000)
        log = task_execution_log.c
        # Further attempts are nobody's action.
        by_hand = select(log.id).where(log.triggered_by == "cid", log.attempt == 1)
        runs = {row.id for row in await connection.execute(by_hand)}
    tasks = {}
    for task_id, row in said.items():
        several = overrides.get(task_id, [])
        stand = Stand(
            declared=flatten(row.fields),
            ends={one.field: one.until_time.isoformat() for one in several if one.until_time},
            path=row.path,
            deleted=any(one.field == DELETED for one in several),
            overridden=frozenset(one.field for one in several),
        )
        task = rows.get(task_id)
        if task is not None and task.deleted_at is None:
            stand.effective = flatten({name: getattr(task, name) for name in TASK_FIELDS})
            stand.retired = task.retired_at is not None
        tasks[task_id] = stand
    kept = {
        task_id: digest([list(one) for one in several]) for task_id, several in overrides.items()
    }
    return Snapshot(tasks, kept, [one.event for one in reversed(found.items)], runs)


EFFECTIVE = {
    "created", "changed", "overridden", "reverted", "expired", "paused", "resumed", "adopted",
}  # fmt: skip
DECLARED = {"created", "changed", "adopted", "declared"}


def after(before: Mapping[str, Stand], events: Sequence[Event]) -> dict[str, Stand]:
    """What events make of what there was."""
    tasks = deepcopy(dict(before))
    for event in events:
        task_id = event.task_id or ""
        fields = [change.field for change in event.changes]
        if event.action == "pruned" or (event.action == "deleted" and "deleted" not in fields):
            del tasks[task_id]
            continue
        if event.action == "created":
            assert task_id not in tasks
            tasks[task_id] = Stand(path=event.path)
        stand = tasks[task_id]
        for change in event.changes:
            _apply(stand, event, change)
    return tasks


def _apply(stand: Stand, event: Event, change: Change) -> None:
    name = change.field
    if name.startswith("until."):
        assert stand.ends.pop(name.removeprefix("until."), None) == change.old
        if change.new is not None:
            stand.ends[name.removeprefix("until.")] = change.new
    elif name == "deleted":
        assert stand.deleted is (change.old is True)
        stand.deleted = change.new is True
    elif name == "retired_at":
        assert stand.retired is (change.old is not None)
        stand.retired = change.new is not None
    elif name == "declared_in":
        assert stand.path == change.old
        stand.path = change.new
    else:
        # Of a task that is deleted, it is what it will be once it is restored.
        follows = event.action == "declared" and stand.deleted and name not in stand.overridden
        if event.action in EFFECTIVE or follows:
            stand.effective[name] = change.new
        if event.action in DECLARED:
            stand.declared[name] = change.new


def differences(one: Stand, other: Stand) -> list[str]:
    """In what a task stands otherwise than its events say."""
    wrong = []
    if not other.deleted:
        wrong += _differences(one.effective, other.effective)
    # Whether the API's own task was paused by an override or in its declaration, no event says.
    unknown = {"paused"} if other.path is None else set()
    wrong += [name for name in _differences(one.declared, other.declared) if name not in unknown]
    if (one.ends, one.path, one.retired, one.deleted) != (
        other.ends, other.path, other.retired, other.deleted,
    ):  # fmt: skip
        wrong.append(f"{one} {other}")
    return wrong


def _differences(some: Mapping[str, Any], others: Mapping[str, Any]) -> list[str]:
    return [
        name
        for name in some.keys() | others.keys()
        if not same(name, _value(some, name), _value(others, name))
    ]


class World:
    """A service over a folder, to which actions are done; what it refuses is no matter here."""

    def __init__(self, service: Service, folder: Path) -> None:
        self.service = service
        self.folder = folder

    async def do(self, name: str, *given: Any) -> None:
        try:
            await getattr(self, name)(*given)
        except TaskserviceError:
            pass

    async def create(self, task_id: str, fields: dict[str, Any]) -> None:
        await self.service.changes.create({**BARE, **fields, "id": task_id}, by="ann")

    async def write(self, task_id: str, fields: dict[str, Any], form: str) -> None:
        await self.remove(task_id, sync=False)
        path = self.folder / form.format(id=task_id)
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.safe_dump({**BARE, **fields}))
        await self.sync()

    async def remove(self, task_id: str, *, sync: bool = True) -> None:
        for path in self.folder.rglob(f"{task_id}.yaml"):
            path.unlink()
        if sync:
            await self.sync()

    async def sync(self) -> None:
        await self.service.syncs.sync(prune=False, by="me")

    async def prune(self, _task_id: str) -> None:
        service = self.service
        if not (await service.syncs.report())["retired"]:
            return
        keeping = Housekeeping(
            service.database, service.engine, service.gate, service.changes,
            replace(service.settings, prune_grace=0), housekeeping_seconds=0.01,
        )  # fmt: skip
        stop = asyncio.Event()
        running = asyncio.create_task(keeping.run(stop))

        async def pruned() -> bool:
            return not (await service.syncs.report())["retired"]

        await until(pruned)
        stop.set()
        await running

    async def change(
        self, task_id: str, fields: dict[str, Any], reason: str | None, end: str | None
    ) -> None:
        await self.service.changes.change(task_id, fields, by="bob", reason=reason, until=_end(end))

    async def pause(self, task_id: str, reason: str | None, end: str | None) -> None:
        await self.service.changes.set_paused(
            task_id, True, by="bob", via="console", reason=reason, until=_end(end)
        )

    async def resume(self, task_id: str, reason: str | None, end: str | None) -> None:
        await self.service.changes.set_paused(
            task_id, False, by="bob", reason=reason, until=_end(end)
        )

    async def revert(self, task_id: str, name: str | None) -> None:
        await self.service.changes.revert(task_id, name, by="bob")

    async def keep(self, task_id: str, name: str) -> None:
        await self.service.changes.keep(task_id, name, by="bob")

    async def delete(self, task_id: str, reason: str | None, end: str | None) -> None:
        await self.service.changes.delete(task_id, by="bob", reason=reason, until=_end(end))

    async def restore(self, task_id: str) -> None:
        await self.service.changes.restore(task_id, by="bob")

    async def trigger(self, task_id: str) -> None:
        await self.service.executions.trigger(task_id, None, by="cid", reason="by hand")

    async def wait(self, _task_id: str) -> None:
        """Until what ends soon has ended."""
        now = datetime.now(UTC)
        ends = [
            end
            for stand in (await look(self.service)).tasks.values()
            for end in map(datetime.fromisoformat, stand.ends.values())
            if end < now + timedelta(seconds=1)
        ]
        if ends:
            await asyncio.sleep(max((max(ends) - now).total_seconds(), 0))
            await self.service.changes.expire()


def _end(end: str | None) -> str | None:
    soon = datetime.now(UTC) + timedelta(milliseconds=60)
    return soon.isoformat() if end == "soon" else end


async def check(tables: Path, actions: Sequence[tuple[Any, ...]]) -> set[str]:
    """Do the actions, and compare after each; the actions that the trail has at the end."""
    with tempfile.TemporaryDirectory() as top:
        folder = Path(top) / "tasks.d"
        folder.mkdir()
        database = Path(top) / "taskservice.db"
        shutil.copy(tables, database)
        service = Service(
            Settings(
                database_url=f"sqlite+aiosqlite:///{database}", tasks_dir=folder,
                functions=("taskservice.examples_shell.*",),
            ),
            syncing=SyncOptions(watch=unwatched, settle=timedelta(0), rescan_seconds=3600),
        )  # fmt: skip
        await service.start()
        try:
            world = World(service, folder)
            before = await look(service)
            for one in actions:
                await world.do(*one)
                now = await look(service)
                new = now.trail[len(before.trail) :]
                assert now.trail[: len(before.trail)] == before.trail
                _compare(before, now, new)
                before = now
        finally:
            await service.stop()
    return {event.action for event in before.trail}


def _compare(before: Snapshot, now: Snapshot, told: Sequence[Event]) -> None:
    new = [event for event in told if event.action != "triggered"]
    _compare_runs(before, now, told)
    expected = after(before.tasks, new)
    assert expected.keys() == now.tasks.keys()
    for task_id, stand in now.tasks.items():
        assert differences(expected[task_id], stand) == [], (before.tasks.get(task_id), new, stand)
        # Of one that is deleted, only its events say what it was.
        stand.effective = stand.effective or expected[task_id].effective
    for task_id in expected.keys() | before.tasks.keys():
        is_told = any(event.task_id == task_id for event in new)
        was, is_now = before.tasks.get(task_id), now.tasks.get(task_id)
        same_rows = before.overrides.get(task_id) == now.overrides.get(task_id)
        is_same = was is not None and is_now is not None and not differences(was, is_now)
        assert is_told == (not (is_same and same_rows)), (task_id, new)


def _compare_runs(before: Snapshot, now: Snapshot, told: Sequence[Event]) -> None:
    """What was run by hand is told, each once."""
    begun = [event.changes[0].new for event in told if event.action == "triggered"]
    assert sorted(begun) == sorted(now.runs - before.runs)


@settings(max_examples=EXAMPLES, phases=[Phase.generate], database=None)
@given(st.lists(ACTIONS, min_size=LENGTH, max_size=LENGTH))
def test_what_the_trail_tells_is_what_happened(
    sqlite_tables: Path, actions: list[tuple[Any, ...]]
) -> None:
    asyncio.run(check(sqlite_tables, actions))


def test_each_action_can_be_seen(sqlite_tables: Path) -> None:
    one, path = {"description": "x"}, "{id}.yaml"
    actions: list[tuple[Any, ...]] = [
        ("create", "a", {"timeout": 5}),
        ("change", "a", {"timeout": 6}, None, None),
        ("write", "a", {"timeout": 7}, path),
        ("change", "a", one, "INC-42", "soon"),
        ("wait", "a"),
        ("change", "a", one, None, None),
        ("write", "a", {"description": "y", "timeout": 7}, path),
        ("keep", "a", "description"),
        ("revert", "a", "description"),
        ("pause", "a", None, "2h"),
        ("resume", "a", None, None),
        ("delete", "a", None, None),
        ("restore", "a"),
        ("trigger", "a"),
        ("remove", "a"),
        ("write", "a", {}, path),
        ("remove", "a"),
        ("prune", "a"),
    ]
    assert asyncio.run(check(sqlite_tables, actions)) == {
        "created", "changed", "overridden", "reverted", "expired", "paused", "resumed", "deleted",
        "restored", "retired", "returned", "pruned", "adopted", "declared", "triggered",
    }  # fmt: skip
