"""Changes of tasks that share a transaction don't touch one another."""

import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from taskservice.domain.errors import Invalid, NotFound, PreconditionFailed, Unavailable
from taskservice.service import Precondition, Service, writing
from taskservice.storage.apply import apply
from taskservice.storage.database import Busy, Collision, CommitUnknown, Connection
from tests.storage.samples import statements, values

TASK = {
    "name": "t", "task_type": "t", "trigger_type": "interval", "trigger_args": {"hours": 1},
    "func_path": "taskservice.examples.simple_task", "func_args": {"message": "m"},
}  # fmt: skip


async def together(*asked: Awaitable[object]) -> list[Any]:
    """Their answers, or the errors that they raise."""
    return list(await asyncio.gather(*asked, return_exceptions=True))


async def create(service: Service, *task_ids: str, **fields: Any) -> list[Any]:
    created = (service.create({"id": key, **TASK, **fields}, by="me") for key in task_ids)
    return await together(*created)


async def descriptions(service: Service, *task_ids: str) -> list[str | None]:
    return [(await service.show(key)).description for key in task_ids]


async def change(service: Service, *task_ids: str, **more: Any) -> list[Any]:
    wanted = ({"description": f"{key} changed"} for key in task_ids)
    changed = (
        service.change(key, fields, by="me", **more)
        for key, fields in zip(task_ids, wanted, strict=True)
    )
    return await together(*changed)


async def test_changes_that_come_together_are_one_transaction(service: Service) -> None:
    await create(service, *"abc")
    with statements(service._database) as sent:
        await change(service, *"abc")
    assert len([one for one in sent if "INTO task_manage" in one]) == 1
    assert await descriptions(service, *"abc") == ["a changed", "b changed", "c changed"]


@pytest.mark.parametrize(
    ("kind", "statements_sent"),
    [
        # Each: lock and load the tasks, load what is declared, write the tasks; and
        ("create", 5),  # what is declared, and the rows of deleted tasks whose ids they take
        ("change", 4),  # what is declared
        ("override", 4),  # the overrides
    ],
)
async def test_a_batch_is_a_few_statements_and_nothing_is_read_back(
    service: Service, folder: Path, kind: str, statements_sent: int
) -> None:
    # Its function's module is known from then on: those that come next come together.
    await create(service, "first")
    if kind == "change":
        await create(service, *"abc")
    elif kind == "override":
        for key in "abc":
            (folder / f"{key}.yaml").write_text(json.dumps(TASK))
        await service.sync_now(prune=False, by="me")
    with (
        statements(service._database) as sent,
        statements(service._database, reads=True) as read,
    ):
        answers = await (create if kind == "create" else change)(service, *"abc")
    # The service looks by itself now and then, but never for tasks by their ids.
    tables = "task_manage", "task_declaration", "task_override"
    sent = [one for one in sent if re.search(f"(FROM|INTO) ({'|'.join(tables)})", one)]
    assert len([one for one in sent if "IN (" in one or "INTO" in one]) == statements_sent
    if not service._database.is_sqlite:  # where reads go by the same connections
        assert [one for one in read if "task_manage.id IN (" in one] == []
    # What is answered is what is stored, and what is scheduled.
    assert [*map(values, answers)] == [values(await service.show(key)) for key in "abc"]
    for answer in answers:
        assert service._engine._scheduler.next_fire(answer.id) == answer.next_run_time


async def test_tasks_that_are_asked_for_together_are_one_query(service: Service) -> None:
    await create(service, "a", "b")
    with statements(service._database, reads=True) as sent:
        found = await together(*map(service.show, ["a", "none", "b", "a"]))
    assert len([one for one in sent if "FROM task_manage" in one]) == 1
    assert isinstance(found[1], NotFound)
    assert [one.id for one in found if not isinstance(one, BaseException)] == ["a", "b", "a"]


async def test_one_that_can_t_be_made_harms_no_other(service: Service) -> None:
    await create(service, *"abc")
    a, b, gone, c = await together(
        service.change("a", {"description": "a changed"}, by="me"),
        service.change("b", {"name": ""}, by="me"),
        service.change("gone", {"description": "changed"}, by="me"),
        service.change(
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
        service.change("a", {"description": "d"}, by="me"),
        service.change("a", {"name": "n"}, by="you"),
        service.set_paused("a", True, by="me"),
    )
    task = (await service.get("a")).state.task
    assert (task.description, task.name, task.paused) == ("d", "n", True)


async def test_a_one_that_becomes_true_is_declared(service: Service) -> None:
    await create(service, "a")
    for value in (1, True):
        await service.change("a", {"func_args": {"message": value}}, by="me")
    await service.change("a", {"description": "d"}, by="me")
    assert (await service.get("a")).state.task.func_args["message"] is True


async def test_an_id_is_given_once(service: Service) -> None:
    outcomes = await create(service, "a", "a")
    # Whichever of the two comes first has it.
    assert sorted(type(one).__name__ for one in outcomes) == ["Conflict", "Shown"]


@pytest.mark.parametrize("error", [Collision, Busy])
async def test_what_the_database_refuses_of_one_harms_no_other(
    service: Service, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    await create(service, *"abc")

    async def refuse(connection: Connection, resolutions: Any, **more: Any) -> None:
        await apply(connection, resolutions, **more)
        if "b" in [one.id for one in resolutions]:
            raise error("no")

    monkeypatch.setattr(writing, "apply", refuse)
    a, b, c = await change(service, *"abc")
    assert isinstance(b, error)
    assert not isinstance(a, BaseException) and not isinstance(c, BaseException)
    assert await descriptions(service, *"abc") == ["a changed", None, "c changed"]


@pytest.mark.parametrize("error", [CommitUnknown, Unavailable])
async def test_an_outage_is_told_to_all_and_nothing_is_tried_again(
    service: Service, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    await create(service, *"ab")
    calls = 0

    async def fail(*_: Any, **__: Any) -> None:
        nonlocal calls
        calls += 1
        raise error("gone")

    monkeypatch.setattr(service._database, "write", fail)
    assert [type(one) for one in await change(service, *"ab")] == [error, error]
    assert calls == 1


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
    await with_module.change("a", {"func_path": "imported_late.call", "func_args": {}}, by="me")
    assert "imported_late" not in sys.modules
    with pytest.raises(Invalid, match="no_such"):
        await with_module.change("a", {"func_path": "imported_late.no_such"}, by="me")
    with pytest.raises(Invalid, match="is not of the form"):
        await with_module.change("a", {"func_path": "call"}, by="me")


async def test_a_standby_tells_who_schedules(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    await create(service, *"ab")
    monkeypatch.setattr(service._engine, "leads", False)
    with statements(service._database) as sent:
        await change(service, *"ab")
    assert len([one for one in sent if "INTO task_notice" in one]) == 1
