import asyncio
import math
import os
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import pytest

from taskservice.domain.errors import Conflict
from taskservice.domain.task import Task
from taskservice.engine.counts import Counts
from taskservice.engine.engine import Engine
from taskservice.engine.executor import Call, Executor, Handle
from taskservice.engine.functions import Functions
from taskservice.engine.local import LocalExecutor
from taskservice.engine.process import ProcessExecutor
from taskservice.engine.runner import Runner
from taskservice.storage import executions as log
from taskservice.storage.executions import ExecutionRow
from taskservice.storage.shown import shown
from tests.engine.harness import PATTERNS, TASKS, Bench, every, resolution, until
from tests.engine.sample_tasks.engine_tasks import wait


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def late(rows: list[ExecutionRow]) -> float:
    """The seconds by which the latest of these fires was late."""
    return max(
        (row.start_time - row.scheduled_time).total_seconds() for row in rows if row.scheduled_time
    )


async def test_slow_blocking_and_crashing_functions_delay_no_other(bench: Bench) -> None:
    threads = [f"thread {number}" for number in range(20)]
    waiting = [*threads, "blocking coroutine", "coroutine"]
    await bench.put(
        *(bench.noting(task_id, "wait_for") for task_id in threads),
        bench.noting("blocking coroutine", "block_for"),
        bench.noting("coroutine", "suspend"),
        bench.noting("hog", "hog", executor="process"),
        resolution("crash", "abort", executor="process"),
        resolution("ticking", "say", **every(0.2), max_instances=50),
        resolution("ticking too", "say_later", **every(0.2), max_instances=50),
    )
    engine = await bench.start()
    begun = {
        task_id: await engine.trigger(task_id, None, by="ann")
        for task_id in (*waiting, "hog", "crash")
    }
    await bench.running(*waiting, "hog")
    (crashed,) = await bench.ended("crash")
    assert crashed.status == "failed"
    assert crashed.error is not None
    assert crashed.error.startswith("interrupted: ")
    assert "SIGABRT" in crashed.error
    before = datetime.now(UTC)
    for task_id in ("ticking", "ticking too"):
        count = len(await bench.rows(task_id))
        rows = await bench.ended(task_id, count + 5)
        assert {row.status for row in rows if row.start_time > before} == {"completed"}
        assert late(rows) < 1
    assert len(await bench.rows(status="running")) >= len(waiting) + 1

    for task_id in ("hog", "coroutine"):
        await engine.cancel(begun[task_id].id, by="bob")
        (row,) = await bench.ended(task_id)
        assert (row.status, row.error) == ("cancelled", "cancelled: by bob")
    bench.open_gate()
    for task_id in (*threads, "blocking coroutine"):
        (row,) = await bench.ended(task_id)
        assert (row.id, row.status, row.result) == (begun[task_id].id, "completed", '"through"')


KINDS = ("thread", "blocking", "coroutine", "process")


async def put_each_kind(bench: Bench, **fields: object) -> None:
    """Store a task of each kind, which runs until it is stopped or let go."""
    await bench.put(
        bench.noting("thread", "wait_for", **fields),
        bench.noting("blocking", "block_for", **fields),
        bench.noting("coroutine", "suspend", **fields),
        bench.noting("process", "sleep_in_process", executor="process", **fields),
    )


async def check_instances(bench: Bench, engine: Engine, ended: dict[str, ExecutionRow]) -> None:
    """Check that each kind gives its instance back when its function has really ended."""

    async def owner(kind: str) -> str | None:
        return (await bench.row(ended[kind].id)).owner

    async def coroutine_and_process_have_ended() -> bool:
        return await owner("coroutine") is None and await owner("process") is None

    await until(coroutine_and_process_have_ended)
    assert len(bench.evidence("coroutine")) == 2
    assert not alive(int(bench.evidence("process")[0]))

    for kind in ("thread", "blocking"):
        assert await owner(kind) == engine.owner
        how = "cancelled" if ended[kind].status == "cancelled" else "timed-out"
        story = f"all 1 instances were busy; 1 {how} execution has not returned"
        with pytest.raises(Conflict, match=f"^{story}$"):
            await engine.trigger(kind, None, by="ann")
    async with bench.database.read() as connection:
        told = await connection.run_sync(log.unreturned, KINDS)
        tasks = await connection.run_sync(shown, KINDS)
    assert told == {"thread": 1, "blocking": 1}
    assert {kind: task.unreturned for kind, task in tasks.items()} == {
        "coroutine": 0, "process": 0, **told
    }  # fmt: skip
    bench.open_gate()

    async def threads_have_returned() -> bool:
        return await owner("thread") is None and await owner("blocking") is None

    await until(threads_have_returned)
    for kind in ("thread", "blocking"):
        await engine.trigger(kind, None, by="ann")
        rows = await bench.ended(kind, 2)
        # What the function returned at last changed nothing of what the row said.
        assert rows[0] == replace(ended[kind], owner=None)
        assert rows[1].status == "completed"


async def test_a_timeout_of_each_kind(bench: Bench) -> None:
    await put_each_kind(bench, timeout=1.5)
    engine = await bench.start()
    begun = {kind: await engine.trigger(kind, None, by="ann") for kind in KINDS}
    await bench.running(*KINDS)
    ended = {kind: (await bench.ended(kind))[0] for kind in KINDS}
    for kind, row in ended.items():
        assert (row.id, row.status, row.error) == (
            begun[kind].id,
            "failed",
            "timed out: after 1.5 s",
        )
        assert row.end_time is not None
        # From the call, which comes a little after the claim.
        assert 1.5 <= (row.end_time - row.start_time).total_seconds() < 10
    assert {(await bench.state(kind)).status for kind in KINDS} == {"failed"}
    for kind in KINDS:
        await bench.set_task(kind, timeout=None, etag="another")
    await check_instances(bench, engine, ended)


async def test_a_cancel_of_each_kind(bench: Bench) -> None:
    await put_each_kind(bench)
    engine = await bench.start()
    begun = {kind: await engine.trigger(kind, None, by="ann") for kind in KINDS}
    await bench.running(*KINDS)
    await asyncio.gather(*(engine.cancel(begun[kind].id, by="bob") for kind in KINDS))
    ended = {kind: (await bench.rows(kind))[0] for kind in KINDS}
    for kind, row in ended.items():
        assert (row.id, row.status, row.error) == (
            begun[kind].id,
            "cancelled",
            "cancelled: by bob",
        )
    assert {(await bench.state(kind)).status for kind in KINDS} == {"pending"}
    for kind in KINDS:
        with pytest.raises(Conflict):
            await engine.cancel(begun[kind].id, by="bob")
    await check_instances(bench, engine, ended)


async def test_fires_find_no_instance_while_a_stopped_thread_goes_on(bench: Bench) -> None:
    await bench.put(bench.noting("a", "wait_for", timeout=0.3, **every(0.5)))
    await bench.start()
    stories = ["skipped: all 1 instances were busy; 1 timed-out execution has not returned"]

    async def told() -> bool:
        return stories[0] in [row.error for row in await bench.rows("a")]

    await until(told)
    assert [row.status for row in await bench.rows("a")].count("failed") == 1
    bench.open_gate()

    async def free_again() -> bool:
        return (await bench.rows("a"))[-1].status == "completed"

    await until(free_again)


async def test_secrets_are_filled_in_and_shown_nowhere(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "correct horse"
    monkeypatch.setenv("ENGINE_TEST_PASSWORD", secret)
    given = {"password": "${ENGINE_TEST_PASSWORD}"}
    ids = ("local", "process", "failing", "slow", "lacking")
    await bench.put(
        resolution("local", "reveal", func_args=given),
        resolution("process", "reveal", func_args=given, executor="process"),
        resolution("failing", "reveal_and_fail", func_args=given),
        resolution("slow", "reveal_and_wait", func_args={**given, "gate": bench.gate()}),
        resolution("lacking", "reveal", func_args={"password": "${ENGINE_TEST_NO_SUCH}"}),
    )
    engine = await bench.start()
    begun = {task_id: await engine.trigger(task_id, None, by="ann") for task_id in ids}
    await until(lambda: engine.output_of(begun["slow"].id) == "the password is ***\n")
    bench.open_gate()
    rows = {task_id: (await bench.ended(task_id))[0] for task_id in ids}
    assert secret not in str(rows)
    for task_id in ("local", "process", "slow"):
        row = rows[task_id]
        assert (row.status, row.result) == ("completed", '"<***>"')
        assert row.output == "the password is ***\n"
    assert (rows["failing"].error or "").startswith("raised: ValueError: wrong password ***")
    assert rows["lacking"].status == "failed"
    assert "ENGINE_TEST_NO_SUCH" in (rows["lacking"].error or "")
    assert (await bench.state("local")).task.func_args == given
    assert engine.output_of(begun["slow"].id) is None


async def test_a_retry_uses_the_variables_that_the_task_has_by_then(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENGINE_TEST_PASSWORD", "correct horse")
    own = {"password": "${ENGINE_TEST_PASSWORD}"}
    retries = {"max": 1, "delay": 0.5}
    await bench.put(resolution("a", "reveal_and_fail", func_args=own, retries=retries))
    engine = await bench.start()
    await engine.trigger("a", {"password": "${ENGINE_TEST_PASSWORD}!"}, by="ann")
    await bench.ended("a")
    await bench.change("a", "reveal_and_fail", func_args={"password": "x"}, retries=retries)
    first, second = await bench.ended("a", 2)
    assert (first.error or "").startswith("raised: ValueError: wrong password ***!")
    assert (second.attempt, second.error) == (
        2,
        "raised: func_args.password: a run by hand may use only the variables that the task's own "
        "arguments have: none, not ENGINE_TEST_PASSWORD",
    )


async def test_a_function_that_cannot_be_called_fails_with_the_reason(bench: Bench) -> None:
    await bench.put(
        resolution("no such", "missing"),
        resolution("no module", "say", func_path="tests.engine.sample_tasks.missing.say"),
        resolution("not allowed", "say", func_path="os.getcwd"),
        resolution("arguments", "say", func_args={"message": "x", "more": 1}),
        resolution("there", "say"),
    )
    engine = await bench.start()
    for task_id in ("no such", "no module", "not allowed", "arguments", "there"):
        await engine.trigger(task_id, None, by="ann")
        (row,) = await bench.ended(task_id)
        assert row.owner is None
        if task_id == "there":
            assert row.status == "completed"
        else:
            assert row.status == "failed"
            assert (row.error or "").startswith("raised: ")


# The runner by itself.


class Runs:
    """A runner on given executors, with the ends it tells."""

    def __init__(
        self,
        executors: dict[str, Executor],
        default: str = "local",
        functions: Functions | None = None,
    ) -> None:
        self.ends: list[ExecutionRow] = []
        self.releases: list[str] = []
        self.runner = Runner(
            functions or Functions(PATTERNS),
            executors,
            default_executor=default,
            counts=Counts(),
            begin_before=lambda: math.inf,
            begun=lambda *_: None,
            end=self.ends.append,
            release=self.releases.append,
        )

    def start(
        self, function: str, timeout: float | None = None, id: str = "e", **func_args: object
    ) -> ExecutionRow:
        execution = ExecutionRow(
            id=id, task_id="t", start_time=datetime.now(UTC), status="running", owner="me"
        )
        task = Task(
            name="t",
            task_type="test",
            trigger_type="interval",
            func_path=f"{TASKS}.{function}",
            func_args=func_args,
            timeout=timeout,
        )
        self.runner.start(execution, task)
        return execution


class FullExecutor:
    """An executor that the system gives no thread to."""

    finds_functions = False
    survives: Literal[False] = False
    waiting = 0

    def start(self, call: Call, done: object, began: object = None) -> Handle:
        raise RuntimeError("can't start new thread")

    async def close(self) -> None:
        pass


@pytest.mark.parametrize(
    ("default", "error"),
    [
        ("elsewhere", "interrupted: there is no executor 'elsewhere' in this process"),
        ("full", "interrupted: the executor 'full' could not start it: can't start new thread"),
    ],
)
async def test_an_executor_that_cannot_start_it_ends_an_execution(default: str, error: str) -> None:
    runs = Runs({"full": FullExecutor()}, default)
    runs.start("say")
    await asyncio.wait_for(runs.runner.idle(), 10)
    (end,) = runs.ends
    assert (end.status, end.error, end.owner) == ("failed", error, None)
    # Its function is known by now: it is called at once.
    runs.start("say")
    assert len(runs.ends) == 2


@pytest.mark.parametrize("executor", ["local", "process"])
async def test_a_timeout_counts_from_the_call(executor: str, tmp_path: Path) -> None:
    one_place: Executor = (
        LocalExecutor(limit=1) if executor == "local" else ProcessExecutor(PATTERNS, limit=1)
    )
    runs = Runs({executor: one_place}, executor)
    gate, first, second = (tmp_path / name for name in ("gate", "first", "second"))
    never = tmp_path / "never"
    began = time.monotonic()
    runs.start("wait_for", path=str(first), gate=str(gate))
    runs.start("wait_for", timeout=0.5, id="waiting", path=str(second), gate=str(never))
    await until(first.exists)
    await until(lambda: runs.runner.waiting() == {executor: 1})
    await until(lambda: time.monotonic() - began > 1)
    assert runs.ends == []
    gate.touch()
    await until(lambda: len(runs.ends) == 2)
    assert runs.runner.waiting() == {executor: 0}
    assert [(end.id, end.error) for end in runs.ends] == [
        ("e", None),
        ("waiting", "timed out: after 0.5 s"),
    ]
    # It was called: only a call is timed out.
    assert second.exists()
    # A process is killed, and a thread goes on.
    assert executor == "process" or runs.runner.unreturned() == 1
    never.touch()
    await asyncio.wait_for(runs.runner.idle(), 10)
    assert runs.runner.unreturned() == 0
    await one_place.close()


async def test_an_import_that_takes_long_is_cancelled(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    local = LocalExecutor(idle=1)

    class Slow(Functions):
        def resolve(self, func_path: str) -> Callable[..., object]:
            wait(str(gate))
            return wait

    runs = Runs({"local": local}, functions=Slow(PATTERNS))
    runs.start("say", timeout=0.01)
    assert runs.runner.cancel("e", "ann") is not None
    (end,) = runs.ends
    assert (end.owner, runs.releases) == ("me", [])
    assert end.error == "cancelled: by ann"
    assert runs.runner.cancel("e", "bob") is None
    gate.touch()
    await asyncio.wait_for(runs.runner.idle(), 10)
    assert (len(runs.ends), runs.releases) == (1, ["e"])
    await local.close()
