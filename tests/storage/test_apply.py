"""What was resolved of tasks is written as it is, and nothing else is."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from taskservice.domain.overlay import DELETED, Declaration, Override
from taskservice.domain.state import Resolution, TaskState, resolution, retire
from taskservice.storage import executions as log
from taskservice.storage import tasks as store
from taskservice.storage.apply import apply
from taskservice.storage.database import Database
from taskservice.storage.executions import ExecutionRow
from tests.storage.samples import MANY, NOW, later, statements

FIELDS: dict[str, Any] = {
    "name": "定时通知任务",
    "task_type": "notification",
    "trigger_type": "interval",
    "trigger_args": {"hours": 1},
    "func_path": "taskservice.examples.notification_task",
}
FILE = Declaration(source="file", fields=FIELDS, path="notice.yaml", line=1)
PAST = Declaration(
    source="file",
    fields={**FIELDS, "trigger_type": "date", "trigger_args": {"run_date": "2026-01-01 00:00:00"}},
)
RENAMED = Override(
    field="name", value="Other", declared_when_set=FIELDS["name"], set_at=NOW, set_by="alice"
)
GONE = Override(field=DELETED, value=True, declared_when_set=False, set_at=NOW, set_by="alice")


def resolved(
    declaration: Declaration = FILE,
    *overrides: Override,
    previous: TaskState | None = None,
    task_id: str = "notice",
    now: datetime = NOW,
) -> Resolution:
    return resolution(task_id, declaration, overrides, previous, now=now, zone=UTC)


async def applied(database: Database, *resolutions: Resolution, **more: Any) -> Sequence[str]:
    return await database.write(lambda connection: apply(connection, resolutions, now=NOW, **more))


async def stored(database: Database, task_id: str = "notice") -> store.StoredTask | None:
    async with database.read() as connection:
        return (await store.load(connection, [task_id])).get(task_id)


async def logged(database: Database, task_id: str = "notice") -> list[ExecutionRow]:
    async with database.read() as connection:
        found, *_ = await log.page(
            connection, task_id, status=None, since=None, until=None, offset=0, limit=100
        )
    return found


async def test_a_new_task_is_written_whole(database: Database) -> None:
    new = resolved(FILE, RENAMED)
    assert await applied(database, new) == ["notice"]
    assert await stored(database) == store.StoredTask(
        state=new.state, declaration=FILE, declared_at=NOW, declared_by=None,
        overrides=(RENAMED,),
    )  # fmt: skip
    assert new.state is not None and new.state.task.name == "Other"


async def test_a_state_that_is_as_it_was_is_not_written(database: Database) -> None:
    first = resolved()
    await applied(database, first)
    moved = replace(FILE, path="elsewhere.yaml", line=9)
    again = resolved(moved, previous=first.state, now=later(60))
    with statements(database) as sent:
        assert await applied(database, again) == []
    assert not [statement for statement in sent if "INTO task_manage" in statement]
    found = await stored(database)
    assert found and (found.state, found.declaration) == (first.state, moved)


async def test_a_change_keeps_the_log(database: Database) -> None:
    first = resolved(PAST)
    await applied(database, first)
    second = resolved(FILE, previous=first.state, now=later(1))
    assert await applied(database, second) == ["notice"]
    found = await stored(database)
    assert found and found.state == second.state
    assert len(await logged(database)) == 1


async def test_a_deletion_keeps_declaration_and_override(database: Database) -> None:
    first = resolved(PAST)
    await applied(database, first)
    gone = resolved(PAST, GONE, previous=first.state)
    assert await applied(database, gone) == ["notice"]
    found = await stored(database)
    assert found and (found.state, found.overrides) == (None, (GONE,))
    assert await applied(database, resolved(PAST, GONE)) == []
    # Its log is kept for it to be restored, and nobody takes the row for a task.
    assert found.removed and found.removed.retired_at == NOW
    assert len(await logged(database)) == 1
    async with database.read() as connection:
        assert await store.states_of(connection, ["notice"]) == {}


async def test_overrides_that_ended_are_gone(database: Database) -> None:
    first = resolved(FILE, RENAMED)
    await applied(database, first)
    await applied(database, resolved(FILE, previous=first.state))
    found = await stored(database)
    assert found and found.overrides == ()
    assert found.state and found.state.task.name == FIELDS["name"]


@pytest.mark.parametrize(
    ("rewrite", "sent_of_them"),
    [
        (lambda a, b, c: (a, b, c), []),
        (lambda a, b, c: (a, replace(b, value="new"), c), ["INSERT"]),
        # To Python it is equal to what was; to whoever reads JSON it is not.
        (lambda a, b, c: (a, replace(b, value=True), c), ["INSERT"]),
        (lambda a, b, c: (a, c), ["DELETE", "INSERT"]),
        (lambda a, b, c: (), ["DELETE"]),
    ],
)
async def test_of_overrides_only_what_changed_is_sent(
    database: Database,
    rewrite: Callable[[Override, Override, Override], tuple[Override, ...]],
    sent_of_them: list[str],
) -> None:
    three = [replace(RENAMED, field=f"func_args.{name}", value=1) for name in "abc"]
    await applied(database, resolved(FILE, *three))
    known = await stored(database)
    assert known
    a, b, c = known.overrides
    wanted = rewrite(a, b, c)
    change = resolved(FILE, *wanted, previous=known.state)
    with statements(database) as sent:
        await applied(database, change, declare=False, overrides={"notice": known.overrides})
    assert [one.split()[0] for one in sent if "task_override" in one] == sent_of_them
    found = await stored(database)
    assert found and repr(found.overrides) == repr(wanted)


async def test_a_new_task_has_no_overrides_to_delete(database: Database) -> None:
    with statements(database) as sent:
        await applied(database, resolved(), overrides={"notice": ()})
    assert [one for one in sent if "task_override" in one] == []


async def test_a_declaration_is_written_only_where_it_was_made(database: Database) -> None:
    first = resolved()
    await applied(database, first, declared_by="alice")
    other = replace(FILE, path="other.yaml")
    await applied(database, resolved(other, RENAMED, previous=first.state), declare=False)
    found = await stored(database)
    assert found and (found.declaration, found.declared_by) == (FILE, "alice")
    assert found.overrides == (RENAMED,)


async def test_a_date_that_had_passed_is_recorded_once(database: Database) -> None:
    first = resolved(PAST)
    await applied(database, first, resolved(FILE, task_id="other"))
    assert first.state is not None
    # Its declaration went and came back: the log is there still.
    again = resolved(PAST, previous=retire(first.state, NOW))
    assert again.missed == first.missed
    await applied(database, again)
    (missed,) = await logged(database)
    assert await logged(database, "other") == []
    assert missed == ExecutionRow(
        id=missed.id, task_id="notice", scheduled_time=datetime(2026, 1, 1, tzinfo=UTC),
        start_time=NOW, end_time=NOW, status="missed",
        error="missed: its time had passed when it was declared", error_kind="missed",
    )  # fmt: skip


async def test_nothing_resolved_writes_nothing(database: Database) -> None:
    with statements(database) as sent:
        assert await applied(database) == []
    assert [statement for statement in sent if not statement.startswith("BEGIN")] == []


async def test_many_tasks_are_a_few_statements(database: Database) -> None:
    many = [resolved(PAST, RENAMED, task_id=f"task-{number}") for number in range(MANY)]
    with statements(database) as sent:
        assert len(await applied(database, *many)) == MANY
    assert len(sent) < 25
    async with database.read() as connection:
        assert (await store.declared(connection)).keys() == {r.id for r in many}
        found = await connection.run_sync(
            log.recorded, [r.id for r in many], [many[0].missed or NOW]
        )
    assert len(found) == MANY
