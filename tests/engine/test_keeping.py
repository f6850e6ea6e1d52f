"""What executions print is in their rows while they run."""

from dataclasses import replace

import pytest

from taskservice.engine.keeping import Keeper
from taskservice.engine.local import LocalExecutor
from taskservice.engine.output import Output
from taskservice.engine.runner import Running
from taskservice.storage import executions as log
from taskservice.storage.executions import ExecutionRow
from tests.engine.harness import Bench, ago, resolution, until


async def outputs(bench: Bench) -> dict[str, str | None]:
    return {row.task_id: row.output for row in await bench.rows()}


@pytest.mark.parametrize("executor", ["local", "process"])
async def test_what_was_printed_is_in_the_row_while_it_runs(
    bench: Bench, executor: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_PASSWORD", "correct-horse")
    args = {"password": "${BENCH_PASSWORD}", "gate": bench.gate()}
    await bench.put(
        resolution("whole", "reveal_and_wait", executor=executor, func_args=args),
        resolution("parts", "reveal_parts", executor=executor, func_args=args),
    )
    engine = await bench.start()
    for task_id in ("whole", "parts"):
        await engine.trigger(task_id, None, by="ann")
    expected = {"whole": "the password is ***\n", "parts": "now "}

    async def are_kept() -> bool:
        return await outputs(bench) == expected

    await until(are_kept)
    bench.open_gate()
    await bench.ended("whole")
    await bench.ended("parts")
    assert await outputs(bench) == {"whole": "the password is ***\n", "parts": "now ***\n"}


async def begun(bench: Bench, *names: str) -> dict[str, Running]:
    """Executions that `me` runs since a minute, with their rows."""
    await bench.put(resolution("t", "say"))
    task = (await bench.state("t")).task
    rows = [
        ExecutionRow(id=name, task_id="t", start_time=ago(60), status="running", owner="me")
        for name in names
    ]
    await bench.database.write(lambda connection: connection.run_sync(log.add, rows))
    return {row.id: Running(row, task, LocalExecutor(), Output()) for row in rows}


async def kept(bench: Bench) -> dict[str, str | None]:
    return {row.id: row.output for row in await bench.rows()}


async def test_only_what_has_changed_is_written(bench: Bench) -> None:
    running = await begun(bench, "a", "b")
    keeper = Keeper(bench.database, "me", running)
    await keeper.keep()
    assert await kept(bench) == {"a": None, "b": None}
    running["a"].output.add(b"one")
    await keeper.keep()
    assert await kept(bench) == {"a": "one", "b": None}
    await bench.database.write(lambda one: one.run_sync(log.keep_output, "me", {"a": "other"}))
    running["b"].output.add(b"two")
    await keeper.keep()
    assert await kept(bench) == {"a": "other", "b": "two"}


async def test_what_has_ended_or_just_begun_is_left_to_its_end(bench: Bench) -> None:
    running = await begun(bench, "over", "new")
    new = running["new"].execution
    running["new"].execution = replace(new, start_time=ago(0))
    for one in running.values():
        one.output.add(b"said")
    running["over"].ended = running["over"].execution
    await Keeper(bench.database, "me", running).keep()
    assert await kept(bench) == {"over": None, "new": None}


async def test_a_row_that_is_anothers_by_now_is_left_as_it_is(bench: Bench) -> None:
    running = await begun(bench, "a")
    running["a"].output.add(b"said")
    await Keeper(bench.database, "other", running).keep()
    assert await kept(bench) == {"a": None}


async def test_long_outputs_take_turns(bench: Bench) -> None:
    running = await begun(bench, "a", "b", "c")
    keeper = Keeper(bench.database, "me", running, room=10)
    for turn in range(1, 7):
        for one in running.values():
            one.output.add(b"123456789"[:2])
        await keeper.keep()
        assert sum(one.kept_in == turn for one in running.values()) >= 1
    lengths = [len(text or "") for text in (await kept(bench)).values()]
    assert min(lengths) >= 8
