"""Changes of tasks, many of them at a time: none touches another."""

import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from taskservice.domain.errors import Invalid, NotFound, PreconditionFailed
from taskservice.service import Precondition, Service
from tests.storage.samples import statements, values

TASK = {
    "name": "t", "task_type": "t", "trigger_type": "interval", "trigger_args": {"hours": 1},
    "func_path": "taskservice.examples.simple_task", "func_args": {"message": "m"},
}  # fmt: skip


async def together(*asked: Awaitable[object]) -> list[Any]:
    """Their answers, or the errors that they raise."""
    return list(await asyncio.gather(*asked, return_exceptions=True))


async def create(service: Service, *task_ids: str, **fields: Any) -> list[Any]:
    created = (service.changes.create({"id": key, **TASK, **fields}, by="me") for key in task_ids)
    return await together(*created)


async def descriptions(service: Service, *task_ids: str) -> list[str | None]:
    return [(await service.tasks.show(key)).description for key in task_ids]


async def change(service: Service, *task_ids: str, **more: Any) -> list[Any]:
    wanted = ({"description": f"{key} changed"} for key in task_ids)
    changed = (
        service.changes.change(key, fields, by="me", **more)
        for key, fields in zip(task_ids, wanted, strict=True)
    )
    return await together(*changed)


@pytest.mark.parametrize(
    ("kind", "statements_sent"),
    [
        # Each: lock and load the task, load what is declared, write the task; and
        ("create", 5),  # what is declared, and the row of a deleted task whose id it takes
        ("change", 4),  # what is declared
        ("override", 4),  # the override
    ],
)
async def test_a_change_is_a_few_statements_and_nothing_is_read_back(
    service: Service, folder: Path, kind: str, statements_sent: int
) -> None:
    # Its function's module is known from then on.
    await create(service, "first")
    if kind == "change":
        await create(service, "a")
    elif kind == "override":
        (folder / "a.yaml").write_text(json.dumps(TASK))
        await service.syncs.sync(prune=False, by="me")
    with (
        statements(service.database) as sent,
        statements(service.database, reads=True) as read,
    ):
        [answer] = await (create if kind == "create" else change)(service, "a")
    tables = "task_manage", "task_declaration", "task_override"
    sent = [one for one in sent if re.search(f"(FROM|INTO) ({'|'.join(tables)})", one)]
    assert len([one for one in sent if "IN (" in one or "INTO" in one]) == statements_sent
    if not service.database.one_process:  # where reads go by the same connections
        assert [one for one in read if "task_manage.id IN (" in one] == []
    # What is answered is what is stored, and what is scheduled.
    assert values(answer) == values(await service.tasks.show("a"))
    fires = {one.state.id: one.state.next_run_time for one in service.engine.scheduled() or ()}
    assert fires["a"] == answer.next_run_time


async def test_one_that_can_t_be_made_harms_no_other(service: Service) -> None:
    await create(service, *"abc")
    a, b, gone, c = await together(
        service.changes.change("a", {"description": "a changed"}, by="me"),
        service.changes.change("b", {"name": ""}, by="me"),
        service.changes.change("gone", {"description": "changed"}, by="me"),
        service.changes.change(
            "c", {"description": "changed"}, by="me", precondition=Precondition(match=["other"])
        ),
    )
    assert not isinstance(a, BaseException) and a.description == "a changed"
    assert isinstance(b, Invalid) and isinstance(gone, NotFound)
    assert isinstance(c, PreconditionFailed)
    assert await descriptions(service, *"abc") == ["a changed", None, None]


async def test_changes_of_one_task_follow_one_another(service: Service) -> None:
    await create(service, "a")
    await asyncio.gather(
        service.changes.change("a", {"description": "d"}, by="me"),
        service.changes.change("a", {"name": "n"}, by="you"),
        service.changes.set_paused("a", True, by="me"),
    )
    task = (await service.tasks.get("a")).state.task
    assert (task.description, task.name, task.paused) == ("d", "n", True)


async def test_a_one_that_becomes_true_is_declared(service: Service) -> None:
    await create(service, "a")
    for value in (1, True):
        await service.changes.change("a", {"func_args": {"message": value}}, by="me")
    await service.changes.change("a", {"description": "d"}, by="me")
    assert (await service.tasks.get("a")).state.task.func_args["message"] is True


async def test_an_id_is_given_once(service: Service) -> None:
    outcomes = await create(service, "a", "a")
    # Whichever of the two comes first has it.
    assert sorted(type(one).__name__ for one in outcomes) == ["Conflict", "Shown"]


@pytest.fixture
async def with_module(
    make_service: Callable[..., Service], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Service]:
    """A service whose tasks may call a module of a user's."""
    (tmp_path / "imported_late.py").write_text("def call(): ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    made = make_service(functions=("taskservice.examples.*", "imported_late.*"))
    await made.start()
    yield made


async def test_a_module_is_imported_by_another_process(with_module: Service) -> None:
    await create(with_module, "a")
    await with_module.changes.change(
        "a", {"func_path": "imported_late.call", "func_args": {}}, by="me"
    )
    assert "imported_late" not in sys.modules
    with pytest.raises(Invalid, match="no_such"):
        await with_module.changes.change("a", {"func_path": "imported_late.no_such"}, by="me")
    with pytest.raises(Invalid, match="is not of the form"):
        await with_module.changes.change("a", {"func_path": "call"}, by="me")
