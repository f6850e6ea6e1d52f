import asyncio
import contextlib
import contextvars
import json
import math
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from taskservice import Execution
from taskservice.engine import process
from taskservice.engine.executor import Call, CallResult, Handle
from taskservice.engine.owner import seconds_now
from taskservice.engine.process import ProcessExecutor
from taskservice.engine.worker import Order, decode, encode

WORK = "tests.engine.sample_tasks.work"
PATTERNS = (f"{WORK}.*",)
EXECUTION = Execution(
    id="e1", task_id="t1", scheduled_time=None, attempt=2, triggered_by="schedule"
)


def call(name: str, **func_args: object) -> Call:
    return Call(execution=EXECUTION, func_path=f"{WORK}.{name}", func_args=func_args, function=None)


class Running:
    """A call that was started, and its outcome when it comes."""

    def __init__(self, executor: ProcessExecutor, wanted: Call) -> None:
        self.outcomes: list[CallResult] = []
        self._done = asyncio.Event()
        self.output = wanted.output
        self.handle: Handle = executor.start(wanted, self._take)

    def _take(self, outcome: CallResult) -> None:
        self.outcomes.append(outcome)
        self._done.set()

    async def outcome(self) -> CallResult:
        await asyncio.wait_for(self._done.wait(), 30)
        await asyncio.sleep(0)
        assert len(self.outcomes) == 1
        return self.outcomes[0]


@pytest.fixture
async def executor() -> AsyncIterator[ProcessExecutor]:
    executor = ProcessExecutor(PATTERNS)
    yield executor
    await executor.close()


async def run(executor: ProcessExecutor, name: str, **func_args: object) -> tuple[CallResult, str]:
    running = Running(executor, call(name, **func_args))
    return await running.outcome(), running.output.text()


async def until(condition: Callable[[], object]) -> None:
    await asyncio.to_thread(wait_until, condition)


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


@pytest.mark.parametrize(
    ("name", "func_args", "result"),
    [
        ("add", {"a": 1, "b": 2}, 3),
        ("add_later", {"a": 1, "b": 2}, 3),
        ("add_decorated", {"a": 1, "b": 2}, 3),
        ("add_partial", {"a": 2}, 42),
        ("who", {}, ["e1", "t1", 2]),
        ("who_later", {}, ["e1", "t1", 2]),
        ("today", {}, "2026-11-24"),
        ("interrupt_self", {}, "went on"),
        ("leave_a_thread", {}, "returned"),
        ("close_descriptors", {}, "returned"),
        ("fork_twin", {}, "returned"),
    ],
)
async def test_returned(
    executor: ProcessExecutor, name: str, func_args: dict[str, object], result: object
) -> None:
    outcome, output = await run(executor, name, **func_args)
    assert (outcome.kind, outcome.error, output) == ("returned", None, "")
    assert json.loads(outcome.result or "") == result


async def test_a_result_that_can_not_be_pickled(executor: ProcessExecutor) -> None:
    outcome, _ = await run(executor, "lock")
    assert outcome.kind == "returned" and "_thread.lock" in (outcome.result or "")


@pytest.mark.parametrize(
    ("name", "func_args", "error"),
    [
        ("fail", {"message": "no"}, "ValueError: no"),
        ("fail_later", {"message": "no"}, "ValueError: no"),
        ("leave", {"status": 3}, "SystemExit: 3"),
        ("leave_later", {"status": 3}, "SystemExit: 3"),
    ],
)
async def test_raised(
    executor: ProcessExecutor, name: str, func_args: dict[str, object], error: str
) -> None:
    outcome, _ = await run(executor, name, **func_args)
    assert (outcome.kind, outcome.result) == ("raised", None)
    lines = (outcome.error or "").splitlines()
    assert lines[:2] == [error, "Traceback (most recent call last):"]
    # It begins with the user's own function.
    assert lines[2].endswith(f"in {name}") and "work.py" in lines[2]


async def test_the_worker_checks_the_patterns_itself(executor: ProcessExecutor) -> None:
    wanted = Call(execution=EXECUTION, func_path="os.getpid", func_args={}, function=None)
    outcome = await Running(executor, wanted).outcome()
    assert outcome.kind == "raised"
    assert "not among the functions that tasks may call" in (outcome.error or "")


@pytest.mark.parametrize(
    ("name", "func_args", "error"),
    [
        ("abort", {}, "by signal 6 (SIGABRT)"),
        ("segfault", {}, "by signal 11 (SIGSEGV)"),
        ("kill_self", {}, "by signal 15 (SIGTERM)"),
        ("exit_at_once", {"status": 0}, "with exit status 0"),
        ("exit_at_once", {"status": 3}, "with exit status 3"),
    ],
)
async def test_died(
    executor: ProcessExecutor, name: str, func_args: dict[str, object], error: str
) -> None:
    outcome, _ = await run(executor, name, **func_args)
    assert outcome == CallResult(kind="died", error=f"the worker process ended {error}")
    # The crash stayed there.
    assert (await run(executor, "add", a=1))[0].result == "2"


async def test_what_was_printed_before_a_crash_is_kept(executor: ProcessExecutor) -> None:
    _, output = await run(executor, "abort")
    assert output.startswith("before\nFatal Python error: Aborted")


async def test_output_of_prints_and_logs(executor: ProcessExecutor) -> None:
    _, output = await run(executor, "talk")
    assert output == "printed\ncomplained\nINFO tests.work: noted 1\n"


async def test_output_of_a_program(executor: ProcessExecutor) -> None:
    assert (await run(executor, "run_program"))[1] == "from a program\n"


async def test_output_is_cut(executor: ProcessExecutor) -> None:
    outcome, output = await run(executor, "shout", size=10_000_000)
    assert outcome.kind == "returned"
    assert output.startswith("x" * 16_384 + "\n[9737856 bytes left out]\n" + "x" * 245_760)
    assert (await run(executor, "shout", size=262_144))[1] == "x" * 262_144


async def test_output_is_read_at_a_pace(executor: ProcessExecutor) -> None:
    began = time.monotonic()
    outcome, _ = await run(executor, "shout", size=24 * 1024 * 1024)
    assert outcome.kind == "returned"
    # At 32 MiB a second at most: read as it comes it takes a fraction of that.
    assert time.monotonic() - began > 0.7


async def test_stdout_closed_by_the_function(executor: ProcessExecutor) -> None:
    outcome, output = await run(executor, "close_stdout")
    assert outcome.result == '"returned"'
    assert output == "WARNING tests.work: still logged\n"


@pytest.mark.parametrize("header", [-1, 3, 2**30])
async def test_a_function_that_answers_nonsense(executor: ProcessExecutor, header: int) -> None:
    outcome, _ = await run(executor, "answer_nonsense", header=header)
    story = "the worker process gave an answer that makes no sense"
    assert outcome == CallResult(kind="died", error=story)


@pytest.mark.parametrize("name", ["forever", "hold_interpreter"])
async def test_stop_ends_a_hog_and_others_are_not_delayed(
    executor: ProcessExecutor, name: str
) -> None:
    hog = Running(executor, call(name))
    assert (await run(executor, "add", a=1))[0].result == "2"
    assert hog.outcomes == []
    hog.handle.stop()
    assert await hog.outcome() == CallResult(kind="stopped")
    hog.handle.stop()


async def test_stop_ends_what_the_function_started_too(
    executor: ProcessExecutor, tmp_path: Path
) -> None:
    noted = tmp_path / "pid"
    running = Running(executor, call("start_child_and_sleep", path=str(noted)))
    await until(lambda: noted.exists() and noted.read_text())
    child = int(noted.read_text())
    assert alive(child)
    running.handle.stop()
    assert await running.outcome() == CallResult(kind="stopped")
    await until(lambda: not alive(child))


async def test_what_the_function_started_ends_with_it(executor: ProcessExecutor) -> None:
    outcome, _ = await run(executor, "start_child_and_return")
    child = int(outcome.result or "")
    await until(lambda: not alive(child))
    outcome, output = await run(executor, "start_child_and_abort")
    child = int(output.split("\n")[0])
    await until(lambda: not alive(child))


async def test_the_output_held_open_by_another_process_holds_nothing_up(
    executor: ProcessExecutor,
) -> None:
    outcome, _ = await run(executor, "hand_output_on")
    child = int(outcome.result or "")
    assert not alive(child)


@pytest.mark.parametrize("how", ["session", "daemon", "bomb"])
@pytest.mark.parametrize("end", ["returned", "stopped", "died"])
async def test_what_hides_from_the_worker_ends_with_it(
    executor: ProcessExecutor, tmp_path: Path, how: str, end: str
) -> None:
    noted = tmp_path / "pids"
    running = Running(executor, call("leave_hidden", path=str(noted), how=how, end=end))
    await until(lambda: noted.exists() and len(noted.read_text().split()) >= 3)
    if end == "stopped":
        running.handle.stop()
    assert (await running.outcome()).kind == end
    # Nothing is left when the outcome comes.
    assert [pid for pid in map(int, noted.read_text().split()) if alive(pid)] == []


async def test_stop_at_once(executor: ProcessExecutor) -> None:
    running = Running(executor, call("forever"))
    running.handle.stop()
    assert await running.outcome() == CallResult(kind="stopped")


async def test_output_is_there_while_it_runs(executor: ProcessExecutor, tmp_path: Path) -> None:
    (tmp_path / "slow_tasks.py").write_text(
        "import time\ndef slow():\n    print('so far')\n    time.sleep(600)\n"
    )
    sys.path.insert(0, str(tmp_path))
    try:
        slow = ProcessExecutor(["slow_tasks.*"])
        wanted = Call(execution=EXECUTION, func_path="slow_tasks:slow", func_args={}, function=None)
        running = Running(slow, wanted)
        await until(lambda: running.output.text() == "so far\n")
        await slow.close()
        assert await running.outcome() == CallResult(kind="stopped")
    finally:
        sys.path.remove(str(tmp_path))


async def test_the_limit_and_the_order_of_those_that_wait(tmp_path: Path) -> None:
    executor = ProcessExecutor(PATTERNS, limit=1)
    first = Running(executor, call("touch_and_sleep", path=str(tmp_path / "first")))
    dropped = Running(executor, call("touch_and_sleep", path=str(tmp_path / "dropped")))
    second = Running(executor, call("touch_and_sleep", path=str(tmp_path / "second")))
    third = Running(executor, call("add", a=1))
    await until((tmp_path / "first").exists)
    dropped.handle.stop()
    assert await dropped.outcome() == CallResult(kind="stopped")
    assert not (tmp_path / "second").exists()
    first.handle.stop()
    assert await first.outcome() == CallResult(kind="stopped")
    await until((tmp_path / "second").exists)
    assert third.outcomes == []
    second.handle.stop()
    assert (await third.outcome()).result == "2"
    assert not (tmp_path / "dropped").exists()
    await executor.close()


async def test_what_waits_has_not_begun(tmp_path: Path) -> None:
    executor = ProcessExecutor(PATTERNS, limit=1)
    story: list[str] = []
    first = Running(executor, call("touch_and_sleep", path=str(tmp_path / "first")))
    done = asyncio.Event()

    def take(outcome: CallResult) -> None:
        story.append(outcome.kind)
        done.set()

    executor.start(call("add", a=1), take, lambda: story.append("began"))
    await until((tmp_path / "first").exists)
    assert (executor.waiting, story) == (1, [])
    first.handle.stop()
    await asyncio.wait_for(done.wait(), 30)
    assert (executor.waiting, story) == (0, ["began", "returned"])
    await executor.close()


async def test_an_import_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "hanging.py").write_text("import time\ntime.sleep(600)\ndef f(): pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    executor = ProcessExecutor(["hanging.*"], import_seconds=0.5)
    story: list[object] = []
    done = asyncio.Event()

    def take(outcome: CallResult) -> None:
        story.append(outcome)
        done.set()

    wanted = Call(execution=EXECUTION, func_path="hanging.f", func_args={}, function=None)
    executor.start(wanted, take, lambda: story.append("began"))
    await asyncio.wait_for(done.wait(), 30)
    error = "'hanging.f' can't be called: the import of its module took over 0.5 s"
    assert story == [CallResult(kind="raised", error=error)]
    await executor.close()


async def test_close_kills_and_drops(tmp_path: Path) -> None:
    executor = ProcessExecutor(PATTERNS, limit=1)
    running = Running(executor, call("touch_and_sleep", path=str(tmp_path / "pid")))
    waiting = Running(executor, call("add", a=1))
    await until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())
    pid = int((tmp_path / "pid").read_text())
    await executor.close()
    assert not alive(pid)
    assert running.outcomes == waiting.outcomes == [CallResult(kind="stopped")]
    with pytest.raises(RuntimeError, match="closed"):
        executor.start(call("add", a=1), lambda _: None)


async def test_a_callback_that_raises_is_logged(
    executor: ProcessExecutor, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(outcome: CallResult) -> None:
        raise ValueError("not today")

    executor.start(call("add", a=1), refuse)
    await until(lambda: caplog.records)
    assert "outcome_not_taken: execution=e1" in caplog.text


async def test_a_worker_that_can_not_be_started() -> None:
    def fail(_: object) -> int:
        raise OSError("too many of everything")

    executor = ProcessExecutor(PATTERNS, fork=fail)
    before = descriptors()
    outcome, _ = await run(executor, "add", a=1)
    assert outcome.kind == "died"
    assert outcome.error == "the worker process could not be started: too many of everything"
    assert descriptors() <= before
    await executor.close()


async def test_the_fork_server_killed(executor: ProcessExecutor, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    running = [
        Running(executor, call("wait_for_gate", path=str(tmp_path / name), gate=str(gate)))
        for name in ("let go", "stopped")
    ]
    noted = [tmp_path / name for name in ("let go", "stopped")]
    await until(lambda: all(each.exists() and each.read_text() for each in noted))
    pid = int(noted[1].read_text())
    os.kill(server_of(pid), signal.SIGKILL)
    # The next one gets a new fork server, and those that run go on.
    assert (await run(executor, "add", a=1))[0].result == "2"
    running[1].handle.stop()
    assert await running[1].outcome() == CallResult(kind="stopped")
    assert not alive(pid)
    gate.touch()
    assert await running[0].outcome() == CallResult(kind="returned", result='"through"')


async def test_the_fork_server_killed_while_it_was_asked(
    executor: ProcessExecutor, tmp_path: Path
) -> None:
    noted = tmp_path / "pid"
    first = Running(executor, call("touch_and_sleep", path=str(noted)))
    await until(lambda: noted.exists() and noted.read_text())
    server = server_of(int(noted.read_text()))
    os.kill(server, signal.SIGSTOP)
    before = descriptors()
    asked = Running(executor, call("add", a=1))
    await until(lambda: descriptors() > before)
    os.kill(server, signal.SIGKILL)
    assert (await asked.outcome()).result == "2"
    assert first.outcomes == []


async def test_a_supervisor_killed(executor: ProcessExecutor, tmp_path: Path) -> None:
    noted = tmp_path / "pid"
    running = Running(executor, call("touch_and_sleep", path=str(noted)))
    await until(lambda: noted.exists() and noted.read_text())
    pid = int(noted.read_text())
    os.kill(parent_of(pid), signal.SIGKILL)
    outcome = await running.outcome()
    assert outcome.error == "the supervisor of the worker process was killed"
    await until(lambda: not alive(pid))


def server_of(worker: int) -> int:
    """The fork server, whose child is the worker's supervisor."""
    return parent_of(parent_of(worker))


def parent_of(pid: int) -> int:
    found = re.search(r"^PPid:\s+(\d+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1])


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


async def test_many_runs_leave_nothing_behind(executor: ProcessExecutor) -> None:
    await run(executor, "add", a=0)
    before = descriptors()
    names = ["add", "abort", "forever"]
    running = [
        Running(executor, call(names[i % 3], **({"a": i} if i % 3 == 0 else {}))) for i in range(48)
    ]
    for i, each in enumerate(running):
        if i % 3 == 2:
            each.handle.stop()
    kinds = [(await each.outcome()).kind for each in running]
    assert kinds == ["returned", "died", "stopped"] * 16
    await until(lambda: descriptors() <= before and zombies() == [])


def zombies() -> list[int]:
    """The processes below this one that nobody has waited for."""
    parents: dict[int, int] = {}
    dead: list[int] = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
            parents[int(folder.name)] = int(parent)
            dead += [int(folder.name)] * (state == "Z")

    def below(pid: int) -> bool:
        return pid == os.getpid() or (pid in parents and below(parents[pid]))

    return [pid for pid in dead if below(pid)]


@pytest.mark.parametrize("name", ["touch_and_sleep", "touch_and_hold"])
def test_the_worker_ends_when_the_service_is_killed(name: str, tmp_path: Path) -> None:
    (tmp_path / "orphans.py").write_text(
        "from tests.engine.sample_tasks import work\n"
        "def touch_and_sleep(path):\n    work.start_child_and_sleep(path)\n"
        "def touch_and_hold(path):\n"
        "    import os\n    open(path, 'w').write(str(os.getpid()))\n    work.hold_interpreter()\n"
    )
    program = f"""
import asyncio
from taskservice import Execution
from taskservice.engine.executor import Call
from taskservice.engine.process import ProcessExecutor

async def main():
    execution = Execution(
        id="e", task_id="t", scheduled_time=None, attempt=1, triggered_by="schedule"
    )
    call = Call(
        execution=execution, func_path="orphans.{name}", function=None,
        func_args={{"path": {str(tmp_path / "pid")!r}}},
    )
    ProcessExecutor(["orphans.*"]).start(call, print)
    await asyncio.sleep(600)

asyncio.run(main())
"""
    path = os.pathsep.join([str(tmp_path), os.getcwd()])
    service = subprocess.Popen(
        [sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": path}
    )
    try:
        noted = tmp_path / "pid"
        wait_until(lambda: noted.exists() and noted.read_text())
        pid = int(noted.read_text())
        assert alive(pid)
    finally:
        service.kill()
        service.wait()
    wait_until(lambda: not alive(pid))


def wait_until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


# The worker's side, in this process.


def perform(
    name: str,
    began: Callable[[], None] = lambda: None,
    begin_before: float = math.inf,
    **func_args: Any,
) -> CallResult:
    order = Order(
        execution=EXECUTION, func_path=f"{WORK}.{name}", func_args=func_args, patterns=PATTERNS,
        begin_before=begin_before,
    )  # fmt: skip
    return contextvars.copy_context().run(order.perform, began)


def test_perform() -> None:
    assert perform("add", a=1) == CallResult(kind="returned", result="2")
    assert perform("who_later") == CallResult(kind="returned", result='["e1", "t1", 2]')
    assert (perform("fail", message="no").error or "").startswith("ValueError: no\n")
    calls: list[str] = []
    assert perform("add", lambda: calls.append("began"), a=1).kind == "returned"
    late = perform("add", lambda: calls.append("never"), begin_before=seconds_now(), a=1)
    assert late.kind == "died" and "frozen for longer than its lease" in (late.error or "")
    assert perform("no_such", lambda: calls.append("never")).kind == "raised"
    assert calls == ["began"]


@pytest.mark.parametrize(
    "outcome",
    [CallResult(kind="returned", result='"é"'), CallResult(kind="raised", error="E: é\n")],
)
def test_a_message_tells_an_outcome(outcome: CallResult) -> None:
    assert decode(encode(outcome)) == outcome


@pytest.mark.parametrize(
    "message", [b"", b"\xff", b"{}", b'["returned", 1, null]', b'["stopped", null, "x"]']
)
def test_a_message_of_the_wrong_form(message: bytes) -> None:
    with pytest.raises(ValueError):
        decode(message)


def test_an_exit_by_a_signal_without_a_name() -> None:
    assert process.exit_in_words(-63) == "the worker process ended by signal 63"
