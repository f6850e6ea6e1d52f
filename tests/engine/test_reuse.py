"""A process of the executor that runs one execution after another."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from taskservice import Execution
from taskservice.engine.executor import Call, CallResult
from taskservice.engine.output import Output
from taskservice.engine.process import ProcessExecutor

WORK = "tests.engine.sample_tasks.work"
EXECUTION = Execution(
    id="e1", task_id="t1", scheduled_time=None, attempt=2, triggered_by="schedule"
)


@pytest.fixture
async def executor() -> AsyncIterator[ProcessExecutor]:
    executor = ProcessExecutor([f"{WORK}.*", "reused.*"], limit=1, reuse=1000)
    yield executor
    await executor.close()


async def run(
    executor: ProcessExecutor, path: str, func_args: dict[str, object] | None = None
) -> tuple[CallResult, str]:
    """How a call came out, and what it printed."""
    done: asyncio.Future[CallResult] = asyncio.get_running_loop().create_future()
    call = Call(
        execution=EXECUTION, func_path=path, func_args=func_args or {}, function=None,
        output=Output(),
    )  # fmt: skip
    executor.start(call, done.set_result)
    async with asyncio.timeout(30):
        return await done, call.output.text()


async def pid(executor: ProcessExecutor) -> int:
    result, _ = await run(executor, f"{WORK}.pid")
    return int(result.result or "")


async def test_one_process_runs_one_after_another(executor: ProcessExecutor) -> None:
    first = await pid(executor)
    assert first != os.getpid()
    for number in range(5):
        result, output = await run(executor, f"{WORK}.add", {"a": number})
        assert (result.result, output) == (str(number + 1), "")
        _, output = await run(executor, f"{WORK}.talk")
        assert output
        failed, _ = await run(executor, f"{WORK}.fail", {"message": f"no {number}"})
        assert (failed.error or "").startswith(f"ValueError: no {number}\n")
    assert await pid(executor) == first


@pytest.mark.parametrize(
    ("name", "func_args"),
    [
        ("abort", {}),
        ("kill_self", {}),
        ("exit_at_once", {"status": 3}),
        ("answer_nonsense", {"header": 5}),
        ("close_descriptors", {}),
        ("close_stdout", {}),
        ("leave_a_thread", {}),
        ("start_child_and_return", {}),
        ("fork_twin", {}),
    ],
)
async def test_what_harms_its_process_harms_no_other_execution(
    executor: ProcessExecutor, name: str, func_args: dict[str, object]
) -> None:
    await pid(executor)
    await run(executor, f"{WORK}.{name}", func_args)
    result, output = await run(executor, f"{WORK}.add", {"a": 1})
    assert (result.kind, result.result, output) == ("returned", "2", "")


async def test_what_was_started_ends_with_its_execution(executor: ProcessExecutor) -> None:
    first = await pid(executor)
    result, _ = await run(executor, f"{WORK}.start_child_and_return")
    child = json.loads(result.result or "")
    assert str(child) not in os.listdir("/proc")
    assert await pid(executor) != first


async def test_a_stop_ends_the_process_and_the_next_one_has_another(
    executor: ProcessExecutor,
) -> None:
    first = await pid(executor)
    done: asyncio.Future[CallResult] = asyncio.get_running_loop().create_future()
    call = Call(execution=EXECUTION, func_path=f"{WORK}.forever", func_args={}, function=None)
    handle = executor.start(call, done.set_result, lambda: handle.stop())
    async with asyncio.timeout(30):
        assert (await done).kind == "stopped"
    assert await pid(executor) != first


async def test_code_that_has_changed_is_taken(
    executor: ProcessExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    module = tmp_path / "reused.py"
    for word in ("one", "two", "three"):
        module.write_text(f"def say():\n    return {word!r}\n")
        results = [await run(executor, "reused.say") for _ in range(2)]
        assert [result.result for result, _ in results] == [json.dumps(word)] * 2


async def test_a_process_that_died_idle_costs_no_execution(executor: ProcessExecutor) -> None:
    first = await pid(executor)
    os.kill(first, 9)
    for _ in range(3):
        result, _ = await run(executor, f"{WORK}.add", {"a": 1})
        assert result.result == "2"
    assert await pid(executor) not in (first, os.getpid())
    assert sys.modules.get("reused") is None
