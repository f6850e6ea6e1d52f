"""Functions whose code changes while the service runs."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from taskservice.service import Service
from taskservice.storage.executions import ExecutionRow
from taskservice.storage.shown import Filter
from tests.service.conftest import until

TASK = {"name": "t", "task_type": "t", "trigger_type": "interval", "trigger_args": {"hours": 1}}


def write(modules: Path, text: str) -> None:
    """Save a module; its time of change is another one each time, as with an editor."""
    file = modules / "jobs.py"
    before = file.stat().st_mtime if file.exists() else 0
    file.write_text(text)
    os.utime(file, (before + 2, before + 2) if before else None)


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    made = tmp_path / "modules"
    made.mkdir()
    monkeypatch.syspath_prepend(made)
    write(made, "def run(): return 'old'\n")
    return made


@pytest.fixture
async def running(make_service: Callable[..., Service], modules: Path) -> AsyncIterator[Service]:
    """A service with a task for each executor."""
    made = make_service(functions=("jobs.*",))
    await made.start()
    for executor in ("local", "process"):
        fields = {**TASK, "id": executor, "executor": executor, "func_path": "jobs.run"}
        await made.changes.create(fields, by="me")
    yield made
    sys.modules.pop("jobs", None)


async def run(service: Service, task_id: str) -> ExecutionRow:
    """The execution of a run by hand, when it has ended."""
    begun = await service.executions.trigger(task_id, None, by="me")

    async def has_ended() -> bool:
        return (await service.executions.get(task_id, begun.id)).status != "running"

    await until(has_ended)
    return await service.executions.get(task_id, begun.id)


async def is_told(service: Service) -> bool:
    [found] = await service.functions.catalogue()
    return found.changed_on_disk


async def test_it_is_told_who_runs_old_code(running: Service, modules: Path) -> None:
    for task_id in ("local", "process"):
        done = await run(running, task_id)
        assert (done.result, done.output) == ('"old"', "")
    assert not await is_told(running)
    assert not await running.functions.runs_old_code("jobs.run", "local")
    write(modules, "def run(): return 'new'\n")
    await until(lambda: is_told(running))
    assert await running.functions.runs_old_code("jobs.run", None)
    assert not await running.functions.runs_old_code("jobs.run", "process")
    assert not await running.functions.runs_old_code("no such path", "local")
    done = await run(running, "local")
    assert done.result == '"old"'
    note, _, rest = (done.output or "").partition("\n")
    assert note.startswith("taskservice: the code of jobs.run has changed on disk since it was")
    assert rest == ""
    done = await run(running, "process")
    assert (done.result, done.output) == ('"new"', "")
    # Back again, it is what runs.
    write(modules, "def run(): return 'old'\n")

    async def is_the_same() -> bool:
        return not await is_told(running)

    await until(is_the_same)
    assert (await run(running, "local")).output == ""


async def test_a_run_right_after_an_edit_is_noted(running: Service, modules: Path) -> None:
    await run(running, "local")
    write(modules, "def run(): return 'new'\n")

    async def is_noted() -> bool:
        return "has changed on disk" in ((await run(running, "local")).output or "")

    await until(is_noted)


async def test_a_worker_takes_the_last_of_two_edits_in_one_second(
    running: Service, modules: Path
) -> None:
    file = modules / "jobs.py"
    moment = file.stat().st_mtime + 60  # a fresh one for as long as the test lasts
    for result in ("one", "two", "six"):
        file.write_text(f"def run(): return '{result}'\n")
        os.utime(file, (moment, moment))
        assert (await run(running, "process")).result == f'"{result}"'


async def test_a_transaction_waits_for_no_import(
    make_service: Callable[..., Service], modules: Path, folder: Path
) -> None:
    """A declaration changes under an override that names a function nobody has imported yet."""
    gate = modules / "gate"
    write(modules, "def run(): ...\n")
    (modules / "jobs_slow.py").write_text(
        f"import os, time\nwhile not os.path.exists({str(gate)!r}): time.sleep(0.01)\n"
        "def run(): ...\n"
    )
    fields: dict[str, Any] = {**TASK, "func_path": "jobs.run"}

    def declare(**more: str) -> None:
        text = "".join(f"{name}: {value}\n" for name, value in {**fields, **more}.items())
        (folder / "a.yaml").write_text(text)

    declare()
    settings = {"functions": ("jobs.*", "jobs_slow.*")}
    first = make_service(**settings)
    await first.start()

    async def is_live() -> bool:
        return "a" in {
            one.id for one in (await first.tasks.find(Filter(), sort="id", page=1, size=9))[0]
        }

    await until(is_live)
    gate.touch()
    await first.changes.change("a", {"func_path": "jobs_slow.run"}, by="me")
    await first.stop()
    gate.unlink()
    service = make_service(**settings)
    await service.start()
    declare(description="changed")

    async def is_pending() -> bool:
        errors = (await service.syncs.report())["errors"]
        return ["is still being imported" in one["reason"] for one in errors] == [True]

    await until(is_pending)
    # Nothing is locked meanwhile.
    async with asyncio.timeout(10):
        await service.changes.create({**fields, "id": "other"}, by="me")
        # It can be paused, and changed, whatever its function does.
        await service.changes.set_paused("a", True, by="me")
        await service.changes.change("a", {"name": "renamed"}, by="me")
    assert await is_pending()
    gate.touch()

    async def is_taken() -> bool:
        return (await service.tasks.get("a")).state.task.description == "changed"

    await until(is_taken)
    assert (await service.tasks.get("a")).state.task.func_path == "jobs_slow.run"


async def test_what_was_refused_is_taken_when_its_code_is_mended(
    make_service: Callable[..., Service], modules: Path, folder: Path
) -> None:
    fields: dict[str, Any] = {**TASK, "func_path": "jobs.later", "func_args": {"a": 1}}
    (folder / "a.yaml").write_text("".join(f"{name}: {fields[name]}\n" for name in fields))
    service = make_service(functions=("jobs.*",))
    await service.start()

    async def reasons() -> list[str]:
        return [error["reason"] for error in (await service.syncs.report())["errors"]]

    async def is_refused() -> bool:
        return any("has no 'later'" in one for one in await reasons())

    await until(is_refused)
    write(modules, "def later(b): ...\n")

    async def is_refused_anew() -> bool:
        return any("needs this argument" in one for one in await reasons())

    await until(is_refused_anew)
    write(modules, "def later(a) ...\n")

    async def is_broken() -> bool:
        return any("jobs.py:1: SyntaxError" in one for one in await reasons())

    await until(is_broken)
    write(modules, "def later(a): ...\n")

    async def is_taken() -> bool:
        return not await reasons() and (await service.tasks.get("a")).state.task.name == "t"

    await until(is_taken)
