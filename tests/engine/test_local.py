import asyncio
import contextlib
import contextvars
import functools
import gc
import json
import logging
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from taskservice import Execution, current_execution
from taskservice.engine import coroutines, output
from taskservice.engine.executor import Call, CallResult, Handle
from taskservice.engine.local import LocalExecutor
from tests.engine.sample_tasks import work


def call(function: Callable[..., object], func_args: dict[str, object], id: str = "e1") -> Call:
    execution = Execution(
        id=id, task_id="t1", scheduled_time=None, attempt=2, triggered_by="schedule"
    )
    return Call(execution=execution, func_path="x.y", func_args=func_args, function=function)


class Running:
    """A call that was started, and its outcome when it comes."""

    def __init__(
        self, executor: LocalExecutor, function: Callable[..., object], **func_args: object
    ) -> None:
        self.outcomes: list[CallResult] = []
        self._done = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        wanted = call(function, func_args)
        self.output = wanted.output
        self.handle: Handle = executor.start(wanted, self._take)

    def _take(self, outcome: CallResult) -> None:
        assert asyncio.get_running_loop() is self._loop
        self.outcomes.append(outcome)
        self._done.set()

    async def outcome(self) -> CallResult:
        await asyncio.wait_for(self._done.wait(), 30)
        await asyncio.sleep(0)
        assert len(self.outcomes) == 1
        return self.outcomes[0]

    async def result(self) -> Any:
        outcome = await self.outcome()
        assert outcome.kind == "returned", outcome
        return json.loads(outcome.result or "")


@pytest.fixture
async def executor() -> AsyncIterator[LocalExecutor]:
    executor = LocalExecutor()
    yield executor
    await executor.close()
    assert executor.threads == 0


async def until(condition: Callable[[], object]) -> None:
    def wait() -> None:
        end = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < end
            time.sleep(0.001)

    await asyncio.to_thread(wait)


@pytest.mark.parametrize(
    ("function", "func_args", "result"),
    [
        (work.add, {"a": 1}, 2),
        (work.add_later, {"a": 1, "b": 2}, 3),
        (work.add_decorated, {"a": 1, "b": 2}, 3),
        (work.add_partial, {"a": 2}, 42),
        (work.instance, {"a": 2}, 2),
        (work.who, {}, ["e1", "t1", 2]),
        (work.who_later, {}, ["e1", "t1", 2]),
    ],
)
async def test_returned(
    executor: LocalExecutor,
    function: Callable[..., object],
    func_args: dict[str, object],
    result: object,
) -> None:
    assert await Running(executor, function, **func_args).result() == result
    with pytest.raises(LookupError):
        current_execution()


@pytest.mark.parametrize(
    ("function", "func_args", "error"),
    [
        (work.fail, {"message": "no"}, "ValueError: no"),
        (work.fail_later, {"message": "no"}, "ValueError: no"),
        (work.leave, {"status": 3}, "SystemExit: 3"),
        (work.leave_later, {"status": 3}, "SystemExit: 3"),
    ],
)
async def test_raised(
    executor: LocalExecutor,
    function: Callable[..., object],
    func_args: dict[str, object],
    error: str,
) -> None:
    outcome = await Running(executor, function, **func_args).outcome()
    assert outcome.kind == "raised"
    lines = (outcome.error or "").splitlines()
    assert lines[:2] == [error, "Traceback (most recent call last):"]
    # It begins with the user's own function.
    assert "work.py" in lines[2]
    assert await Running(executor, work.add_later, a=1, b=1).result() == 2


async def test_wrong_arguments_have_no_traceback_of_ours(executor: LocalExecutor) -> None:
    outcome = await Running(executor, work.add, c=1).outcome()
    assert outcome.error == "TypeError: add() got an unexpected keyword argument 'c'"


async def test_output_is_kept_apart(
    executor: LocalExecutor, capsys: pytest.CaptureFixture[str]
) -> None:
    def talk(name: str) -> None:
        print(name)

    async def talk_later(name: str) -> None:
        print(name)
        await asyncio.sleep(0)
        await asyncio.to_thread(print, name)

    output.install()
    try:
        first, second = (
            Running(executor, talk, name="a"),
            Running(executor, talk_later, name="b"),
        )
        await first.outcome()
        await second.outcome()
    finally:
        output.uninstall()
    assert (first.output.text(), second.output.text()) == ("a\n", "b\nb\n")
    assert capsys.readouterr().out == ""


async def test_context_variables_do_not_leak(executor: LocalExecutor) -> None:
    variable = contextvars.ContextVar("variable", default=0)

    def count() -> int:
        variable.set(variable.get() + 1)
        return variable.get()

    async def count_later() -> int:
        return count()

    for function in (count, count_later) * 2:
        assert await Running(executor, function).result() == 1


async def test_blocking_functions_get_a_thread_each(executor: LocalExecutor) -> None:
    meet = threading.Barrier(50)

    def block() -> None:
        meet.wait(30)

    async def block_loop() -> None:
        meet.wait(30)

    began = time.monotonic()
    running = [Running(executor, (block, block_loop)[i % 2]) for i in range(50)]
    assert [await each.result() for each in running] == [None] * 50
    # All 50 were in the barrier at once; that the machine is busy costs no more than this.
    assert time.monotonic() - began < 5
    assert executor.threads == 50


async def test_short_functions_share_few_threads() -> None:
    async def nothing() -> None: ...

    # To a machine that does other work meanwhile a call looks long: the calmest round counts.
    threads: list[int] = []
    while not threads or (threads[-1] >= 50 and len(threads) < 5):
        executor = LocalExecutor()
        running = [Running(executor, nothing) for _ in range(2_000)]
        for each in running:
            assert await each.result() is None
        threads.append(executor.threads)
        await executor.close()
    assert min(threads) < 50


async def test_the_limit_of_threads() -> None:
    executor = LocalExecutor(limit=2)
    event = threading.Event()
    running = [Running(executor, event.wait) for _ in range(5)]
    await until(lambda: executor.threads == 2)
    await asyncio.sleep(0.01)  # several looks later it is still two
    assert executor.threads == 2
    event.set()
    assert [await each.result() for each in running] == [True] * 5
    await executor.close()


async def test_idle_threads_end_and_come_back() -> None:
    executor = LocalExecutor(idle=0.01)
    assert await Running(executor, work.add_later, a=1, b=1).result() == 2
    await until(lambda: executor.threads == 0)
    assert await Running(executor, work.add_later, a=1, b=1).result() == 2
    await executor.close()


async def test_a_thread_that_can_not_be_started(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real = threading.Thread.start
    refused: list[threading.Thread] = []

    def start(thread: threading.Thread) -> None:
        if thread.name == "taskservice-local" and len(refused) < 2:
            refused.append(thread)
            raise RuntimeError("can't start new thread")
        real(thread)

    monkeypatch.setattr(threading.Thread, "start", start)
    executor = LocalExecutor()
    assert await Running(executor, work.add, a=1).result() == 2
    assert len(refused) == 2
    assert "thread_not_started: can't start new thread" in caplog.text
    await executor.close()
    assert executor.threads == 0


async def test_stop_cancels_a_coroutine(executor: LocalExecutor) -> None:
    began, cleaned = threading.Event(), threading.Event()

    async def wait() -> None:
        try:
            began.set()
            await asyncio.sleep(600)
        finally:
            cleaned.set()

    running = Running(executor, wait)
    await until(began.is_set)
    running.handle.stop()
    assert await running.outcome() == CallResult(kind="stopped")
    assert cleaned.is_set()
    running.handle.stop()
    assert await Running(executor, work.add_later, a=1, b=1).result() == 2


async def test_a_coroutine_that_ends_normally_all_the_same(executor: LocalExecutor) -> None:
    began = threading.Event()

    async def finish() -> str:
        with contextlib.suppress(asyncio.CancelledError):
            began.set()
            await asyncio.sleep(600)
        return "finished"

    running = Running(executor, finish)
    await until(began.is_set)
    running.handle.stop()
    assert await running.result() == "finished"


async def test_stop_before_the_coroutine_has_begun(executor: LocalExecutor) -> None:
    began, go = threading.Event(), threading.Event()

    def prepare() -> object:
        began.set()
        go.wait(30)
        return asyncio.sleep(600)

    running = Running(executor, prepare)
    await until(began.is_set)
    running.handle.stop()
    go.set()
    assert await running.outcome() == CallResult(kind="stopped")


async def test_a_coroutine_that_cancels_itself_has_raised(executor: LocalExecutor) -> None:
    async def give_up() -> None:
        raise asyncio.CancelledError

    outcome = await Running(executor, give_up).outcome()
    assert outcome.kind == "raised" and (outcome.error or "").startswith("CancelledError")


async def test_stop_does_nothing_to_a_plain_function(executor: LocalExecutor) -> None:
    began, go = threading.Event(), threading.Event()

    def block() -> str:
        began.set()
        go.wait(30)
        return "done"

    running = Running(executor, block)
    await until(began.is_set)
    running.handle.stop()
    await asyncio.sleep(0.01)
    assert running.outcomes == []
    go.set()
    assert await running.result() == "done"


async def test_stop_drops_what_waits() -> None:
    executor = LocalExecutor(limit=1)
    began, go = threading.Event(), threading.Event()
    called: list[str] = []

    def block() -> None:
        began.set()
        go.wait(30)

    first = Running(executor, block)
    await until(began.is_set)
    second = Running(executor, functools.partial(called.append, "second"))
    third = Running(executor, functools.partial(called.append, "third"))
    second.handle.stop()
    second.handle.stop()
    assert await second.outcome() == CallResult(kind="stopped")
    go.set()
    assert await first.result() is None
    assert await third.result() is None
    assert called == ["third"]
    await executor.close()


async def test_what_waits_has_not_begun() -> None:
    executor = LocalExecutor(limit=1)
    began, go = threading.Event(), threading.Event()
    story: list[str] = []

    def block() -> None:
        began.set()
        go.wait(30)

    first = Running(executor, block)
    await until(began.is_set)
    done = asyncio.Event()

    def take(outcome: CallResult) -> None:
        story.append(outcome.kind)
        done.set()

    executor.start(call(work.add, {"a": 1}), take, lambda: story.append("began"))
    dropped = executor.start(call(work.add, {"a": 1}), lambda _: None, lambda: story.append("no"))
    assert executor.waiting == 2
    dropped.stop()
    assert (executor.waiting, story) == (1, [])
    go.set()
    await asyncio.wait_for(done.wait(), 30)
    assert (executor.waiting, story) == (0, ["began", "returned"])
    assert await first.result() is None
    await executor.close()


async def test_close_drops_what_waits_and_leaves_what_runs() -> None:
    executor = LocalExecutor(limit=1)
    began, go = threading.Event(), threading.Event()

    def block() -> str:
        began.set()
        go.wait(30)
        return "done"

    running = Running(executor, block)
    await until(began.is_set)
    waiting = Running(executor, work.add, a=1)
    await executor.close()
    assert waiting.outcomes == [CallResult(kind="stopped")]
    with pytest.raises(RuntimeError, match="closed"):
        Running(executor, work.add, a=1)
    go.set()
    assert await running.result() == "done"
    await until(lambda: executor.threads == 0)
    await executor.close()


async def test_close_without_any_start() -> None:
    await LocalExecutor().close()


async def test_what_a_coroutine_leaves_behind_is_cancelled(executor: LocalExecutor) -> None:
    cancelled: list[str] = []

    async def background() -> None:
        try:
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            cancelled.append(current_execution().id)
            raise

    kept: list[object] = []

    async def leave_behind() -> None:
        kept.append(asyncio.create_task(background()))
        await asyncio.sleep(0)

    assert await Running(executor, leave_behind).result() is None
    assert cancelled == ["e1"]


async def test_what_does_not_let_itself_be_cancelled_holds_nothing_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    executor = LocalExecutor(leftover_seconds=0.01)
    # asyncio logs that such a task is destroyed while it waits.
    monkeypatch.setattr(logging.getLogger("asyncio"), "disabled", True)
    kept: list[object] = []

    async def stubborn() -> None:
        while True:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(600)

    async def leave_behind() -> None:
        kept.append(asyncio.create_task(stubborn()))
        await asyncio.sleep(0)

    assert await Running(executor, leave_behind).result() is None
    assert await Running(executor, work.add_later, a=1, b=1).result() == 2
    await executor.close()
    kept.clear()
    gc.collect()


async def test_a_coroutine_that_stops_its_loop(executor: LocalExecutor) -> None:
    async def stop_loop() -> None:
        asyncio.get_running_loop().stop()
        await asyncio.sleep(600)

    outcome = await Running(executor, stop_loop).outcome()
    assert (outcome.error or "").startswith("RuntimeError: Event loop stopped")
    assert await Running(executor, work.add_later, a=1, b=1).result() == 2


async def test_to_thread_in_a_coroutine(executor: LocalExecutor) -> None:
    async def threads() -> list[object]:
        daemon = await asyncio.to_thread(lambda: threading.current_thread().daemon)
        try:
            await asyncio.to_thread(work.fail, "there")
        except ValueError as error:
            return [daemon, str(error)]
        return []

    assert await Running(executor, threads).result() == [True, "there"]


def test_a_call_that_was_cancelled_before_its_thread_began(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    threads: list[threading.Thread] = []
    monkeypatch.setattr(threading.Thread, "start", lambda thread: threads.append(thread))
    called: list[int] = []
    future = coroutines.DaemonThreads().submit(called.append, 1)
    assert future.cancel()
    threads[0].run()
    assert called == []


async def test_a_callback_that_raises_is_logged_and_the_others_are_called(
    executor: LocalExecutor, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(outcome: CallResult) -> None:
        raise ValueError("not today")

    executor.start(call(work.add, {"a": 1}, id="e2"), refuse)
    assert await Running(executor, work.add, a=1).result() == 2
    assert "outcome_not_taken: execution=e2" in caplog.text


def test_the_service_gone_before_the_function_ended() -> None:
    began, go, ended = threading.Event(), threading.Event(), threading.Event()

    def block() -> None:
        began.set()
        go.wait(30)
        ended.set()

    executor = LocalExecutor(idle=0.01)
    outcomes: list[CallResult] = []

    async def service() -> None:
        executor.start(call(block, {}), outcomes.append)
        await until(began.is_set)

    asyncio.run(service())
    go.set()
    assert ended.wait(30)
    end = time.monotonic() + 30
    while executor.threads:
        assert time.monotonic() < end
        time.sleep(0.001)
    assert outcomes == []


def test_a_stuck_function_does_not_hold_the_interpreter() -> None:
    program = """
import asyncio, threading, time
from taskservice import Execution
from taskservice.engine.executor import Call
from taskservice.engine.local import LocalExecutor

async def stuck(): await asyncio.to_thread(time.sleep, 600)

async def main():
    execution = Execution(
        id="e", task_id="t", scheduled_time=None, attempt=1, triggered_by="schedule"
    )
    executor = LocalExecutor()
    for function, args in ((time.sleep, {}), (stuck, {})):
        function = function if function is stuck else (lambda: time.sleep(600))
        executor.start(
            Call(execution=execution, func_path="x.y", func_args=args, function=function), print
        )
    while threading.active_count() < 4:
        await asyncio.sleep(0.01)
    await executor.close()
    print("closed")

asyncio.run(main())
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert (done.stdout, done.stderr) == ("closed\n", "")
