import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, Literal

import pytest
import structlog
from sqlalchemy import event

from taskservice.domain.errors import Unavailable
from taskservice.domain.run import KEPT_APART
from taskservice.engine.claims import Recorded
from taskservice.engine.engine import Engine
from taskservice.engine.local import LocalExecutor
from taskservice.engine.options import Options
from taskservice.engine.recorder import REFUSALS
from taskservice.storage import executions as log
from taskservice.storage.database import CommitUnknown
from taskservice.storage.executions import ExecutionRow
from tests.engine.harness import (
    FAR,
    LIMIT,
    Bench,
    Work,
    Write,
    ago,
    contiguous,
    every,
    idle,
    once,
    ran_at_most_once,
    resolution,
    until,
)


class Outage:
    """Makes transactions fail, as a database does that can't be reached."""

    def __init__(self, bench: Bench) -> None:
        self.is_on = True
        self.refused = 0
        bench.database.meddle = self._fail

    async def _fail(self, write: Write, work: Work) -> Any:
        if self.is_on:
            self.refused += 1
            raise Unavailable("the database does not answer")
        return await write(work)


def lose_answer(bench: Bench, which: Callable[[Recorded], object]) -> list[Recorded]:
    """Lose the answer to the first commit of which `which` says so; the list of those lost."""
    lost: list[Recorded] = []

    async def losing(write: Write, work: Work) -> Any:
        recorded = await write(work)
        if not lost and isinstance(recorded, Recorded) and which(recorded):
            lost.append(recorded)
            raise CommitUnknown("the database went away while it saved")
        return recorded

    bench.database.meddle = losing
    return lost


# Late fires.


async def test_late_fires_at_a_start(bench: Bench) -> None:
    long: dict[str, Any] = {"misfire_grace_time": None, "coalesce": False, "max_instances": 1000}
    await bench.put(
        resolution("folded", "say", now=ago(4.5 * 3600), **every(3600)),
        resolution("apart", "say", now=ago(3.5 * 3600), **every(3600), **long),
        resolution("busy", "say", now=ago(2.5 * 3600), **every(3600), **long | {
            "max_instances": 1,
        }),
        resolution("too late", "say", now=ago(3900), **every(3600), misfire_grace_time=60),
        resolution("in part", "say", now=ago(10 * 900), **every(900), coalesce=False,
                   misfire_grace_time=2000, max_instances=9),
        resolution("date", "say", now=ago(1800), **once(ago(600))),
        resolution("old date", "say", now=ago(9000), **once(ago(8000))),
        resolution("any date", "say", now=ago(9000), **once(ago(8000)), misfire_grace_time=None),
        resolution("many", "say", now=ago(1000), **every(1), **long),
    )  # fmt: skip
    engine = await bench.start()
    expected = {"apart": 3, "busy": 2, "in part": 10, "many": KEPT_APART}
    ids = ("folded", "too late", "date", "old date", "any date", *expected)
    rows = {task_id: await bench.ended(task_id, expected.get(task_id, 1)) for task_id in ids}
    await engine.drain(5)

    def told(task_id: str) -> list[tuple[str, int]]:
        ordered = sorted(rows[task_id], key=lambda row: row.scheduled_time or row.start_time)
        return [(row.status, row.folded) for row in ordered]

    assert told("folded") == [("completed", 3)]
    assert told("apart") == [("completed", 0)] * 3
    assert told("busy") == [("completed", 0), ("skipped", 0)]
    assert told("too late") == [("missed", 0)]
    assert told("in part") == [("missed", 0)] * 7 + [("completed", 0)] * 3
    assert told("date") == told("any date") == [("completed", 0)]
    assert told("old date") == [("missed", 0)]
    assert told("many")[0] == ("completed", 1000 - KEPT_APART)
    assert told("many")[1:KEPT_APART] == [("completed", 0)] * (KEPT_APART - 1)
    for task_id in ids:
        contiguous(await bench.rows(task_id), await bench.state(task_id))

    (missed,) = rows["too late"]
    assert missed.error is not None
    assert missed.error.startswith("missed: 300.")
    assert missed.error.endswith(" s late, and 60 s are allowed")
    assert (missed.end_time, missed.owner, missed.result) == (missed.start_time, None, None)
    assert {row.error for row in rows["busy"]} == {None, "skipped: all 1 instances were busy"}
    statuses = {task_id: (await bench.state(task_id)).status for task_id in ids}
    assert (statuses["too late"], statuses["old date"], statuses["date"]) == (
        "pending", "completed", "completed",
    )  # fmt: skip


async def test_fires_of_a_busy_task_are_skipped(bench: Bench) -> None:
    await bench.put(
        bench.noting("a", "wait_for", **every(0.2), max_instances=2),
        bench.noting("b", "wait_for", **every(0.2)),
    )
    engine = await bench.start()
    await bench.ended("a", 2)
    await bench.ended("b", 2)
    for task_id, instances in (("a", 2), ("b", 1)):
        rows = await bench.rows(task_id)
        assert len([row for row in rows if row.status == "running"]) == instances
        assert {row.error for row in rows if row.status == "skipped"} == {
            f"skipped: all {instances} instances were busy"
        }
        assert (await bench.state(task_id)).status == "running"
    bench.open_gate()
    await engine.drain(5)
    for task_id in "ab":
        rows = await bench.rows(task_id)
        contiguous(rows, await bench.state(task_id))
        ran_at_most_once(rows, bench.evidence(task_id))


async def test_a_fire_that_has_its_row_already_is_not_run_again(bench: Bench) -> None:
    fire = ago(60)
    await bench.put(
        bench.noting("a", now=ago(90), **once(fire)), bench.noting("b", now=ago(90), **once(fire))
    )
    known = ExecutionRow(
        id="known", task_id="a", scheduled_time=fire, start_time=fire, end_time=fire,
        status="completed",
    )  # fmt: skip
    await bench.database.write(lambda connection: connection.run_sync(log.add, [known]))
    await bench.start()
    await bench.ended("b")
    (row,) = await bench.rows("a")
    assert (row.id, bench.evidence("a")) == ("known", [])
    assert (await bench.state("a")).next_run_time is None


# Other attempts.


async def test_another_attempt_comes_after_its_delay(bench: Bench) -> None:
    retries = {"max": 3, "delay": 0.1, "backoff": 3, "max_delay": 0.5}
    fire = ago(-0.1)
    await bench.put(
        bench.noting("never", "note_and_fail", retries=retries, **once(fire)),
        resolution("at last", "fail_first", retries=retries, func_args={
            "path": bench.path("at last"), "times": 1,
        }),
        bench.noting("none", "note_and_fail"),
    )  # fmt: skip
    engine = await bench.start()
    given = {"times": 2}
    await engine.trigger("at last", given, by="ann")
    await engine.trigger("none", None, by="ann")
    rows = await bench.ended("never", 4)
    assert [(row.attempt, row.scheduled_time, row.status) for row in rows] == [
        (attempt, fire, "failed") for attempt in (1, 2, 3, 4)
    ]
    for before, after, delay in zip(rows, rows[1:], (0.1, 0.3, 0.5), strict=False):
        assert before.end_time is not None
        waited = (after.start_time - before.end_time).total_seconds()
        assert delay <= waited < delay + 1
    ended = await bench.ended("at last", 3)
    assert [(row.attempt, row.status, row.triggered_by) for row in ended] == [
        (1, "failed", "ann"), (2, "failed", "ann"), (3, "completed", "ann")
    ]  # fmt: skip
    assert {row.scheduled_time for row in ended} == {None}
    # What was given for this run holds for its other attempts.
    assert [row.func_args for row in ended] == [given] * 3
    statuses = {task_id: (await bench.state(task_id)).status for task_id in ("never", "at last")}
    assert statuses == {"never": "failed", "at last": "pending"}
    await engine.drain(5)
    assert [len(await bench.rows(task_id)) for task_id in ("never", "at last", "none")] == [4, 3, 1]
    async with bench.database.read() as connection:
        assert await connection.run_sync(log.retries) == []


async def test_other_attempts_survive_a_restart_and_a_pause_ends_them(bench: Bench) -> None:
    retries = {"max": 1, "delay": 0.7}
    await bench.put(
        *(
            bench.noting(task_id, "note_and_fail", retries=retries, **once(ago(-0.1)))
            for task_id in ("goes on", "paused", "deleted", "told")
        ),
        bench.noting("by hand", "note_and_fail", retries=retries),
    )
    engine = await bench.start()
    await engine.trigger("by hand", None, by="ann")
    for task_id in ("goes on", "paused", "deleted", "by hand", "told"):
        (row,) = await bench.ended(task_id)
        assert row.status == "failed"
    await bench.stop(engine)

    await bench.set_task("paused", paused=True)
    await bench.set_task("by hand", paused=True)
    await bench.remove("deleted")
    await bench.start()
    assert [row.attempt for row in await bench.ended("goes on", 2)] == [1, 2]
    # Whoever ran a paused task by hand wants it to run.
    assert [row.attempt for row in await bench.ended("by hand", 2)] == [1, 2]

    async def none_waits() -> bool:
        async with bench.database.read() as connection:
            return not await connection.run_sync(log.retries)

    await until(none_waits)
    assert len(bench.evidence("paused")) == 1
    assert len(bench.evidence("deleted")) == 1


async def test_another_attempt_waits_for_a_busy_instance(bench: Bench) -> None:
    await bench.put(
        resolution("a", "fail_first", retries={"max": 1, "delay": 2}, func_args={
            "path": bench.path("a"), "times": 1,
        })
    )  # fmt: skip
    engine = await bench.start(options=Options(busy_again=0.1))
    await engine.trigger("a", None, by="ann")
    (failed,) = await bench.ended("a")
    await bench.change("a", "wait_for", retries={"max": 1, "delay": 2}, func_args={
        "path": bench.path("a"), "gate": bench.gate(),
    })  # fmt: skip
    await engine.trigger("a", None, by="bob")
    await until(lambda: len(bench.evidence("a")) == 2)

    async def postponed() -> bool:
        async with bench.database.read() as connection:
            (retry,) = await connection.run_sync(log.retries)
        return retry.due > (failed.end_time or ago(0)) + timedelta(seconds=2.05)

    await until(postponed)
    bench.open_gate()
    rows = await bench.ended("a", 3)
    assert [(row.attempt, row.triggered_by, row.status) for row in rows] == [
        (1, "ann", "failed"), (1, "bob", "completed"), (2, "ann", "completed")
    ]  # fmt: skip
    assert len(bench.evidence("a")) == 3


async def test_an_attempt_that_another_process_made_is_not_made_again(bench: Bench) -> None:
    await bench.put(
        bench.noting("a", "note_and_fail", retries={"max": 1, "delay": 0.3}),
        bench.noting("b", "note_and_fail", retries={"max": 1, "delay": 0.3}),
    )
    engine = await bench.start()
    await engine.trigger("a", None, by="ann")
    (failed,) = await bench.ended("a")
    await bench.database.write(
        lambda connection: connection.run_sync(log.drop_retries, [failed.id])
    )
    # Its time comes before that of one that failed after it.
    await engine.trigger("b", None, by="ann")
    await bench.ended("b", 2)
    await engine.settled()
    assert len(await bench.rows("a")) == len(bench.evidence("a")) == 1


# Outages.


async def test_nothing_runs_that_is_not_recorded(bench: Bench) -> None:
    await bench.put(bench.noting("a", **every(0.2)), bench.noting("b"))
    engine = await bench.start()
    await bench.running("a")
    await bench.ended("a")
    outage = Outage(bench)
    with pytest.raises(Unavailable):
        await engine.trigger("b", None, by="ann")
    await until(lambda: outage.refused >= 3)
    before = len(bench.evidence("a"))
    await until(lambda: outage.refused >= 5)
    assert len(bench.evidence("a")) == before
    outage.is_on = False
    await until(lambda: len(bench.evidence("a")) > before + 1)
    await engine.drain(5)
    contiguous(await bench.rows("a"), await bench.state("a"))
    ran_at_most_once(await bench.rows("a"), bench.evidence("a"))
    assert await bench.rows("b") == []


async def test_what_ends_in_an_outage_is_recorded_after_it_and_not_run_again(bench: Bench) -> None:
    await bench.put(bench.noting("a", "wait_for", **once(ago(-0.1))), bench.noting("b", "wait_for"))
    engine = await bench.start()
    await engine.trigger("b", None, by="ann")
    await bench.running("a", "b")
    outage = Outage(bench)
    bench.open_gate()
    await until(lambda: outage.refused >= 3 and idle(engine))
    assert [row.status for row in await bench.rows()] == ["running", "running"]
    outage.is_on = False
    for task_id in "ab":
        (row,) = await bench.ended(task_id)
        assert (row.status, row.result) == ("completed", '"through"')
    await engine.drain(5)
    ran_at_most_once(await bench.rows(), bench.evidence("a") + bench.evidence("b"))


@pytest.mark.parametrize("what", ["claim", "end", "attempt"])
async def test_an_answer_to_a_commit_that_is_lost(bench: Bench, what: str) -> None:
    which: dict[str, Callable[[Recorded], object]] = {
        "claim": lambda recorded: recorded.added,
        "end": lambda recorded: recorded.outcomes,
        "attempt": lambda recorded: [e for e in recorded.added if e.attempt == 2],
    }
    retries = {"max": 1, "delay": 0.1}
    await bench.put(
        *(bench.noting(f"t{number}", **once(ago(-0.3))) for number in range(5)),
        bench.noting("failing", "note_and_fail", retries=retries, **once(ago(-0.2))),
        bench.noting("by hand", "note_and_fail", retries=retries),
    )
    lost = lose_answer(bench, which[what])
    engine = await bench.start()
    try:
        await engine.trigger("by hand", None, by="ann")
    except Unavailable:
        assert what == "claim"
    ids = [f"t{number}" for number in range(5)] + ["failing", "by hand"]
    for task_id in ids[:5]:
        await bench.ended(task_id)
    for task_id in ids[5:]:
        assert [row.attempt for row in await bench.ended(task_id, 2)] == [1, 2]
    assert lost
    await engine.settled()
    async with bench.database.read() as connection:
        assert await connection.run_sync(log.retries) == []
    await engine.drain(5)
    evidence = [key for task_id in ids for key in bench.evidence(task_id)]
    assert len(evidence) == 9
    ran_at_most_once(await bench.rows(), evidence)


@pytest.mark.parametrize("outage", [0, 3])
async def test_a_run_by_hand_whose_answer_is_lost_runs_without_another_cause(
    bench: Bench, outage: int
) -> None:
    """Nothing else is to be recorded, and the outage may go on for some tries to find it."""
    await bench.put(bench.noting("a"))
    engine = await bench.start(options=Options(renew_seconds=FAR))
    await engine.settled()
    lose_answer(bench, lambda recorded: recorded.added)
    losing = bench.database.meddle
    assert losing is not None
    tries: list[float] = []

    async def out(write: Write, work: Work) -> Any:
        tries.append(asyncio.get_running_loop().time())
        if 1 < len(tries) <= 1 + outage:
            raise Unavailable("the database does not answer")
        return await losing(write, work)

    bench.database.meddle = out
    with pytest.raises(CommitUnknown):
        await engine.trigger("a", None, by="ann")
    (row,) = await bench.ended("a")
    assert (row.status, bench.evidence("a")) == ("completed", [row.id])
    # Between its tries it pauses, longer each time.
    pauses = [later - earlier for earlier, later in pairwise(tries[: outage + 2])]
    assert all(pause >= 0.1 * 2**tried * 0.99 for tried, pause in enumerate(pauses))
    assert len(pauses) == outage + 1


async def test_a_lost_run_of_a_task_that_is_deleted_is_cancelled(bench: Bench) -> None:
    await bench.put(bench.noting("a"))
    engine = await bench.start()

    async def losing(write: Write, work: Work) -> Any:
        await write(work)
        bench.database.meddle = None
        await bench.hide("a")
        raise CommitUnknown("the database went away while it saved")

    bench.database.meddle = losing
    with pytest.raises(CommitUnknown):
        await engine.trigger("a", None, by="ann")
    (row,) = await bench.ended("a")
    assert (row.status, row.error) == ("cancelled", "cancelled: the task was deleted")
    assert (row.owner, bench.evidence("a")) == (None, [])


async def test_a_stop_does_not_wait_for_the_end_of_an_outage(bench: Bench) -> None:
    await bench.put(bench.noting("a"))
    engine = await bench.start()
    Outage(bench)
    with pytest.raises(Unavailable):
        await engine.trigger("a", None, by="ann")
    async with asyncio.timeout(LIMIT):
        await engine.drain(FAR)


async def test_a_commit_whose_end_is_unknown_does_not_lose_another_attempt(bench: Bench) -> None:
    await bench.put(bench.noting("a", "note_and_fail", retries={"max": 1, "delay": 0.1}))
    engine = await bench.start()
    lost = lose_answer(bench, lambda recorded: recorded.planned)
    await engine.trigger("a", None, by="ann")
    assert [row.attempt for row in await bench.ended("a", 2)] == [1, 2]
    assert len(lost) == 1


# Things that can't be stored.


async def _trigger_all(engine: Engine, *task_ids: str) -> list[ExecutionRow]:
    return list(
        await asyncio.gather(*(engine.trigger(task_id, None, by="ann") for task_id in task_ids))
    )


class Poison:
    """Has the database refuse each statement of a kind that bears one of these words."""

    def __init__(self, bench: Bench, kind: str, error: Exception, *words: str) -> None:
        self.refused: list[object] = []
        self._listened = bench.database.engine.sync_engine, "before_cursor_execute", self._refuse
        self._kind, self._error, self._words = kind, error, words
        event.listen(*self._listened)

    def end(self) -> None:
        event.remove(*self._listened)

    def _refuse(self, _: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        table = "task_execution_log"
        wanted = statement.startswith((f"{self._kind} {table}", f"{self._kind} INTO {table}"))
        if wanted and any(word in str(parameters) for word in self._words):
            self.refused.append(parameters)
            raise self._error


async def test_a_fire_that_cannot_be_stored_blocks_no_other(bench: Bench) -> None:
    fire = ago(-0.3)
    await bench.put(
        *(bench.noting(task_id, **once(fire)) for task_id in ("bad", "good", "better")),
        bench.noting("by hand"),
    )
    poison = Poison(bench, "INSERT", ValueError("no"), "'bad'", "'by hand'")
    engine = await bench.start()
    await bench.ended("good")
    await bench.ended("better")
    with pytest.raises(ValueError, match="no"):
        await engine.trigger("by hand", None, by="ann")
    assert poison.refused
    assert await bench.rows("bad") == []
    poison.end()
    # It is still due, and found so by the next pass.
    await engine.reconcile_all()
    (row,) = await bench.ended("bad")
    assert (row.status, row.scheduled_time) == ("completed", fire)


async def test_an_output_that_cannot_be_stored_costs_only_itself(bench: Bench) -> None:
    await bench.put(
        *(resolution(name, "say", func_args={"message": name}) for name in ("bad", "good"))
    )
    engine = await bench.start()
    Poison(bench, "UPDATE", ValueError("can't be stored"), "said bad")
    await _trigger_all(engine, "bad", "good")
    (good,), (bad,) = await bench.ended("good"), await bench.ended("bad")
    assert (good.status, good.result, good.output) == ("completed", '"good"', "said good\n")
    note = "[left out, since the database does not take it: can't be stored]"
    assert (bad.status, bad.result, bad.output) == ("completed", f'"{note}"', note)
    assert bad.error is None


async def test_a_cancel_whose_end_cannot_be_stored_is_answered(bench: Bench) -> None:
    await bench.put(bench.noting("bad", "suspend"))
    engine = await bench.start()
    await engine.trigger("bad", None, by="ann")
    await bench.running("bad")
    (running,) = await bench.rows("bad")
    poison = Poison(bench, "UPDATE", ValueError("no such text"), "cancelled: ")
    with pytest.raises(Unavailable, match="stopped, but that can't be recorded yet: no such text"):
        await engine.cancel(running.id, by="bob")
    poison.end()
    (row,) = await bench.ended("bad")
    story = "cancelled: by bob\n[left out, since the database does not take it: no such text]"
    assert (row.status, row.error) == ("cancelled", story)
    await until(lambda: idle(engine))
    await engine.trigger("bad", None, by="ann")


async def test_an_end_that_the_database_drops_blocks_no_other(bench: Bench) -> None:
    """As a server does with a packet that it finds too long: it closes the connection."""
    await bench.put(
        bench.noting("bad", "wait_for"),
        resolution("good", "say"),
        resolution("ticking", "say", **every(0.3), max_instances=50),
    )
    engine = await bench.start(options=Options(refused_again=0.2))
    (bad,) = await _trigger_all(engine, "bad")
    poison = Poison(bench, "UPDATE", Unavailable("the database went away"), bad.id)
    bench.open_gate()
    await _trigger_all(engine, "good")
    (row,) = await bench.ended("good")
    assert row.status == "completed"
    await bench.ended("ticking", 3)
    assert len(poison.refused) > REFUSALS
    assert (await bench.row(bad.id)).status == "running"
    poison.end()
    (row,) = await bench.ended("bad")
    assert row.status == "completed"
    await engine.drain(5)
    ran_at_most_once(await bench.rows("bad"), bench.evidence("bad"))
    contiguous(await bench.rows("ticking"), await bench.state("ticking"))


class Failing(LocalExecutor):
    """Raises once what an executor should not: when it is first asked for an execution."""

    asked = 0

    @property
    def failed(self) -> bool:
        return self.asked > 1

    @property
    def survives(self) -> Literal[False]:  # type: ignore[override]
        self.asked += 1
        if self.asked == 2:  # the engine asks at first, when it is made
            raise RuntimeError("unexpected")
        return False


async def test_the_recorder_goes_on_after_an_error_of_its_own(bench: Bench) -> None:
    failing = Failing(idle=1)
    await bench.put(bench.noting("a", **once(ago(-0.2))), resolution("b", "say"))
    engine = await bench.start(local=failing)
    await until(lambda: failing.failed)
    await engine.trigger("b", None, by="ann")
    await bench.ended("b")
    # Its row was there, so it is found and run.
    (row,) = await bench.ended("a")
    assert (row.status, bench.evidence("a")) == ("completed", [row.id])


async def test_failures_are_logged(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, plain_logs: None
) -> None:
    monkeypatch.setenv("ENGINE_TEST_PASSWORD", "a\x1b[31mred secret")
    await bench.put(
        resolution(
            "failing", "reveal_and_fail", func_args={"password": "${ENGINE_TEST_PASSWORD}"}
        ),
        resolution("odd", "fail_with", func_args={"message": "a\x1b[31m中" + "x" * 1000}),
        resolution("slow", "sleep_in_process", timeout=0.1, executor="process",
                   func_args={"path": bench.path("slow")}),
        resolution("missed", "say", now=ago(9000), **once(ago(8000))),
        resolution("fine", "say"),
    )  # fmt: skip
    with structlog.testing.capture_logs() as logs:
        engine = await bench.start()
        begun = {one.task_id: one.id for one in await _trigger_all(
            engine, "failing", "odd", "slow", "fine"
        )}  # fmt: skip
        for task_id in ("failing", "odd", "slow", "missed", "fine"):
            await bench.ended(task_id)
        await engine.settled()
    told = {line["task"]: line for line in logs if str(line["event"]).startswith("execution_")}
    assert told.keys() == {"failing", "odd", "slow", "missed"}
    for task_id in ("failing", "odd", "slow"):
        line = told[task_id]
        assert (line["event"], line["log_level"]) == ("execution_failed", "warning")
        assert (line["execution"], line["attempt"]) == (begun[task_id], 1)
    assert told["failing"]["error"] == "raised: ValueError: wrong password ***"
    assert told["odd"]["error"].startswith("raised: ValueError: a\\x1b[31m中xxx")
    assert len(told["odd"]["error"]) < 250
    assert told["slow"]["error"] == "timed out: after 0.1 s"
    assert told["missed"]["event"] == "execution_missed"


@pytest.mark.parametrize("coalesce", [True, False])
async def test_a_fire_that_another_process_claimed_leaves_nothing_behind(
    bench: Bench, coalesce: bool
) -> None:
    """As one does whose clock is ahead: the row is there, and the next fire not moved on."""
    await bench.put(resolution("a", "say", now=ago(150), **every(100), coalesce=coalesce))
    fire = (await bench.state("a")).next_run_time
    assert fire is not None
    theirs = ExecutionRow(
        id="theirs", task_id="a", scheduled_time=fire, start_time=fire, end_time=fire,
        status="completed",
    )  # fmt: skip
    await bench.database.write(lambda connection: connection.run_sync(log.add, [theirs]))
    engine = await bench.start()

    def moved_on() -> bool:
        following = [entry.state.next_run_time for entry in engine.scheduled() or ()]
        return any(when is not None and when > fire for when in following)

    await until(moved_on)
    await engine.settled()
    assert [row.id for row in await bench.rows("a")] == ["theirs"]
    assert (await bench.state("a")).status == "pending"
    # Its instance is free.
    await engine.trigger("a", None, by="ann")
    await bench.ended("a", 2)


async def test_a_fire_of_another_process_takes_no_instance_from_the_next(bench: Bench) -> None:
    await bench.put(resolution("a", "say", now=ago(250), **every(100), coalesce=False))
    fire = (await bench.state("a")).next_run_time
    assert fire is not None
    theirs = ExecutionRow(
        id="theirs", task_id="a", scheduled_time=fire, start_time=fire, end_time=fire,
        status="completed",
    )  # fmt: skip
    await bench.database.write(lambda connection: connection.run_sync(log.add, [theirs]))
    await bench.start()
    rows = await bench.ended("a", 2)
    assert [(row.scheduled_time, row.status) for row in rows] == [
        (fire, "completed"), (fire + timedelta(seconds=100), "completed")
    ]  # fmt: skip


async def test_times_are_kept_to_the_microsecond(bench: Bench) -> None:
    fire = datetime(2026, 1, 1, 12, 0, 0, 123456, tzinfo=UTC)
    await bench.put(resolution("a", "say", now=fire - timedelta(seconds=1), **once(fire)))
    await bench.start()
    (row,) = await bench.ended("a")
    assert (row.status, row.scheduled_time) == ("missed", fire)
