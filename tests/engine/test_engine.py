import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event

from taskservice.domain.errors import Conflict, NotFound, Unavailable
from taskservice.domain.state import TaskState, trigger_of
from taskservice.domain.trigger import jitter_delay
from taskservice.engine.claims import Known, Recorded
from taskservice.engine.engine import Engine
from taskservice.engine.options import Options
from taskservice.storage import tasks as store
from taskservice.storage.apply import apply
from taskservice.storage.database import Connection
from taskservice.storage.executions import ExecutionRow
from tests.engine.harness import (
    FAR,
    TASKS,
    ZONE,
    Bench,
    Work,
    Write,
    ago,
    contiguous,
    cron,
    driver_url,
    every,
    idle,
    once,
    ran_at_most_once,
    resolution,
    until,
)
from tests.storage.samples import statements


class Holding:
    """Keeps the engine's next transaction from its begin, until it is let go."""

    def __init__(self, bench: Bench) -> None:
        self.reached = asyncio.Event()
        self._bench = bench
        self._go_on = asyncio.Event()
        bench.database.meddle = self._hold

    async def _hold(self, write: Write, work: Work) -> Any:
        self._bench.database.meddle = None
        self.reached.set()
        await self._go_on.wait()
        return await write(work)

    def let_go(self) -> None:
        self._go_on.set()


UNRENEWED = Options(renew_seconds=FAR)
"""No transaction comes by itself."""

# On a slow machine an execution may outlast its interval.
MANY: dict[str, Any] = {"max_instances": 50}


async def test_tasks_of_each_trigger_fire_and_are_recorded(bench: Bench) -> None:
    date = ago(-0.3)
    declared = {
        "interval": {**every(0.3), **MANY},
        "cron": {**cron(second="*"), **MANY},
        "date": once(date),
        "process": {**every(0.4), **MANY, "executor": "process"},
        "broken": {**every(0.3), **MANY},
    }
    await bench.put(
        *(
            resolution(task_id, "say", func_args={"message": task_id}, **trigger)
            for task_id, trigger in declared.items()
            if task_id != "broken"
        ),
        bench.noting("broken", "note_and_fail", **declared["broken"]),
    )
    before = {task_id: await bench.state(task_id) for task_id in declared}
    engine = await bench.start()
    await until(lambda: engine.firing)

    (row,) = await bench.ended("date")
    assert (row.scheduled_time, row.status, row.attempt) == (date, "completed", 1)
    assert (row.triggered_by, row.folded, row.owner) == ("schedule", 0, None)
    assert (row.result, row.error, row.output) == ('"date"', None, "said date\n")
    assert row.end_time is not None
    assert date <= row.start_time <= row.end_time

    for task_id in ("interval", "cron", "process", "broken"):
        await bench.ended(task_id, 2)
    await engine.drain(10)
    for task_id in ("interval", "cron", "process"):
        rows, state = await bench.rows(task_id), await bench.state(task_id)
        contiguous(rows, state)
        assert {(row.status, row.result) for row in rows} == {("completed", f'"{task_id}"')}
        assert all(row.scheduled_time and row.start_time >= row.scheduled_time for row in rows)
        assert state.status == "pending"
    broken = (await bench.rows("broken"))[0]
    assert broken.error is not None
    assert broken.error.startswith("raised: ValueError: as it was told\nTraceback")

    statuses = {task_id: (await bench.state(task_id)).status for task_id in ("date", "broken")}
    assert statuses == {"date": "completed", "broken": "failed"}
    assert (await bench.state("date")).next_run_time is None
    for task_id, state in before.items():
        assert (await bench.state(task_id)).update_time == state.update_time


async def test_a_row_is_committed_before_the_function_is_called(bench: Bench) -> None:
    look: dict[str, Any] = {
        "func_path": "tests.engine.sample_tasks.engine_rows.own_status",
        "func_args": {"url": driver_url(bench.url).render_as_string(hide_password=False)},
    }
    await bench.put(
        resolution("a", "", **look, **once(ago(-0.1))),
        resolution("b", "", **look, max_instances=2),
    )
    engine = await bench.start()
    started = await asyncio.gather(*(engine.trigger("b", None, by="me") for _ in range(2)))
    rows = await bench.ended("a") + await bench.ended("b", 2)
    assert [row.result for row in rows] == ['["running", "running"]'] * 3
    assert {row.id for row in rows[1:]} == {execution.id for execution in started}


async def test_a_task_is_running_while_an_execution_of_it_is(bench: Bench) -> None:
    await bench.put(
        bench.noting("a", "wait_for", **once(ago(-0.1))),
        bench.noting("b", "wait_for", paused=True),
    )
    engine = await bench.start()
    await engine.trigger("b", None, by="me")
    await bench.running("a", "b")
    assert [(await bench.state(task_id)).status for task_id in "ab"] == ["running", "running"]
    bench.open_gate()
    await bench.ended("a")
    await bench.ended("b")
    assert [(await bench.state(task_id)).status for task_id in "ab"] == ["completed", "paused"]


async def test_reconciling_leaves_an_unchanged_task_alone(bench: Bench) -> None:
    await bench.put(resolution("a", "say"), resolution("b", "say", **every(0.2), **MANY))
    engine = await bench.start()
    before = await bench.state("a")
    for _ in range(5):
        await engine.reconcile(["a", "b"])
        await engine.reconcile_all()
    await bench.ended("b", 3)
    await engine.drain(5)
    assert await bench.state("a") == before
    contiguous(await bench.rows("b"), await bench.state("b"))
    assert await bench.rows("a") == []


@pytest.mark.parametrize("at_once", [2, 500])
async def test_what_others_change_is_found_by_the_next_pass(bench: Bench, at_once: int) -> None:
    await bench.put(
        *(bench.noting(task_id) for task_id in ("earlier", "later", "changed", "paused", "gone"))
    )
    right = (await bench.state("later")).next_run_time
    engine = await bench.start(options=Options(reconciled_at_once=at_once))
    past, soon = ago(5), ago(-1)
    await bench.put(bench.noting("new", **once(soon)))
    await bench.set_task("earlier", next_run_time=past)
    await bench.set_task("later", next_run_time=ago(-7200))
    await bench.change("changed", "say", **once(soon))
    await bench.change("paused", "note", paused=True)
    await bench.remove("gone")
    await engine.reconcile_all()
    assert (await bench.state("later")).next_run_time == right
    scheduled = {}
    for task_id in ("new", "earlier", "changed"):
        (row,) = await bench.ended(task_id)
        scheduled[task_id] = (row.status, row.scheduled_time)
    assert scheduled == {
        "new": ("completed", soon), "earlier": ("completed", past), "changed": ("completed", soon)
    }  # fmt: skip
    for task_id in ("earlier", "later"):
        state = await bench.state(task_id)
        assert engine.next_fire(task_id) == state.next_run_time
        assert state.next_run_time is not None and state.next_run_time > soon
    for task_id in ("gone", "paused"):
        assert engine.next_fire(task_id) is None
    # It ran under its new definition.
    assert bench.evidence("changed") == []


async def test_a_pass_ends_where_this_process_no_longer_schedules(bench: Bench) -> None:
    await bench.put(bench.noting("a"), bench.noting("b"))
    engine = await bench.start(options=Options(reconciled_at_once=1))

    def lost(*_: object) -> None:
        engine.follow()

    listened = bench.database.connections.read.sync_engine, "before_cursor_execute", lost
    event.listen(*listened)
    await engine.reconcile_all()
    event.remove(*listened)
    # Of the second one the pass knows nothing: it leaves it alone.
    assert engine.next_fire("b") == (await bench.state("b")).next_run_time


async def test_a_default_zone_that_changed_moves_next_fires(bench: Bench) -> None:
    await bench.put(resolution("a", "say", **cron(hour="9", minute="0")), resolution("b", "say"))
    kept = (await bench.state("b")).next_run_time
    right = (await bench.state("a")).next_run_time
    assert right is not None
    await bench.set_task("a", next_run_time=right + timedelta(hours=5))
    await bench.start()
    assert (await bench.state("a")).next_run_time == right
    assert (await bench.state("b")).next_run_time == kept


async def test_a_change_that_came_just_before_a_claim_counts(bench: Bench) -> None:
    ids = ("paused", "deleted", "retired", "later", "changed", "kept")
    engine = await bench.start(options=UNRENEWED)
    await bench.put(*(bench.noting(task_id, now=ago(2), **once(ago(1))) for task_id in ids))
    holding = Holding(bench)
    await engine.reconcile(ids)
    await holding.reached.wait()
    # Their fires are on the way to be claimed; nobody tells the engine of what is changed now.
    await bench.set_task("paused", paused=True)
    await bench.remove("deleted")
    await bench.set_task("retired", retired_at=ago(0))
    await bench.set_task("later", next_run_time=ago(-3600))
    await bench.set_task("changed", func_path=f"{TASKS}.say", func_args={}, etag="another")
    holding.let_go()
    await bench.ended("kept")
    assert [row.result for row in await bench.ended("changed")] == ['"hello"']
    # Even if it took them for due once more.
    await engine.claim(["paused", "deleted", "retired", "later"])
    await engine.settled()
    assert sorted(row.task_id for row in await bench.rows()) == ["changed", "kept"]
    assert [task_id for task_id in ids if bench.evidence(task_id)] == ["kept"]
    assert engine.next_fire("deleted") is None
    assert engine.next_fire("later") == (await bench.state("later")).next_run_time


async def written(
    bench: Bench, engine: Engine, task_id: str, **fields: Any
) -> tuple[list[TaskState], Known]:
    """Change a task as the service does: what `adopt` takes."""
    previous = await bench.state(task_id)
    changed = resolution(task_id, "say", previous=previous, **fields)

    async def work(connection: Connection) -> Known:
        await store.load(connection, [task_id], lock=True)
        known = engine.known([task_id])
        await apply(connection, [changed], now=datetime.now(UTC))
        return known

    known = await bench.database.write(work)
    assert changed.state
    return [changed.state], known


def agrees(engine: Engine, state: TaskState) -> bool:
    """Whether a task is scheduled as its row says."""
    entry = engine.known([state.id])[state.id]
    if state.next_run_time is None:
        return entry is None and engine.next_fire(state.id) is None
    return (
        entry is not None
        and (entry.state.etag, entry.state.anchor) == (state.etag, state.anchor)
        and entry.trigger == trigger_of(state.task, state.anchor, ZONE)
        and engine.next_fire(state.id) == state.next_run_time
    )


async def test_what_was_written_is_scheduled_without_being_read(bench: Bench) -> None:
    await bench.put(resolution("a", "say"))
    engine = await bench.start()
    for fields in ({"name": "other"}, every(120), {"paused": True}, every(60), every(60)):
        states, known = await written(bench, engine, "a", **fields)
        with statements(bench.database, reads=True) as sent:
            await engine.adopt(states, known)
        assert sent == []
        assert agrees(engine, await bench.state("a"))


async def test_changes_that_are_heard_of_in_another_order(bench: Bench) -> None:
    await bench.put(resolution("a", "say"))
    engine = await bench.start()
    first = await written(bench, engine, "a", **every(120))
    second = await written(bench, engine, "a", **every(180))
    await engine.adopt(*second)
    await engine.adopt(*first)
    assert agrees(engine, await bench.state("a"))
    # One that another process made, and of which a notice came before the answer to ours.
    third = await written(bench, engine, "a", **every(240))
    await bench.change("a", "say", **every(300))
    await engine.reconcile(["a"])
    await engine.adopt(*third)
    assert agrees(engine, await bench.state("a"))


async def test_a_follower_schedules_nothing_that_was_written(bench: Bench) -> None:
    await bench.put(resolution("a", "say", paused=True))
    engine = await bench.start()
    engine.follow()
    await engine.adopt(*await written(bench, engine, "a"))
    assert engine.next_fire("a") is None


@pytest.mark.parametrize("claimed", ["before the change", "after the change"])
async def test_a_fire_that_is_claimed_while_its_task_changes(bench: Bench, claimed: str) -> None:
    fire = ago(-1)
    await bench.put(resolution("a", "say", **every(FAR, start_date=fire.isoformat())))
    engine = await bench.start(options=UNRENEWED)

    async def change_meanwhile(write: Write, work: Work) -> Any:
        """The engine hears of the change before it hears of the claim."""
        bench.database.meddle = None
        if claimed == "before the change":
            recorded = await write(work)
            await engine.adopt(*await written(bench, engine, "a", **every(120)))
            return recorded
        # It keeps its next fire, which is due, and is claimed before this is heard of.
        start = every(FAR, start_date=fire.isoformat())
        states, known = await written(bench, engine, "a", name="other", **start)
        recorded = await write(work)
        await engine.adopt(states, known)
        return recorded

    bench.database.meddle = change_meanwhile
    await bench.ended("a")

    async def settled() -> bool:
        return agrees(engine, await bench.state("a"))

    await until(settled)
    state = await bench.state("a")
    assert state.next_run_time is not None and state.next_run_time > fire
    assert [row.scheduled_time for row in await bench.rows("a")] == [fire]


async def test_pausing_reaches_an_engine_that_is_told(bench: Bench) -> None:
    await bench.put(bench.noting("a", **every(0.2)), bench.noting("b", "wait_for", **every(0.2)))
    engine = await bench.start()
    await bench.ended("a")
    await bench.running("b")
    for task_id in "ab":
        await bench.change(task_id, "note", **every(0.2), paused=True)
    await engine.reconcile(["a", "b"])
    count = len(await bench.rows("a"))
    bench.open_gate()
    await until(lambda: idle(engine))
    await engine.settled()
    assert engine.next_fire("a") is None
    assert len(await bench.rows("a")) == count
    # The end of an execution does not un-pause its task.
    assert (await bench.state("b")).status == "paused"


async def test_deleting_a_task_stops_its_executions(bench: Bench) -> None:
    await bench.put(bench.noting("a", "suspend"), bench.noting("b", "wait_for"))
    engine = await bench.start()
    for task_id in "ab":
        await engine.trigger(task_id, None, by="me")
    await bench.running("a", "b")
    await bench.remove("a", "b")
    await engine.reconcile(["a", "b"])
    await until(lambda: len(bench.evidence("a")) == 2)
    bench.open_gate()
    await until(lambda: idle(engine))
    await engine.settled()
    assert await bench.rows() == []


async def test_a_run_by_hand(bench: Bench) -> None:
    args = {"kept": 1, "replaced": "before"}
    await bench.put(
        resolution("a", "arguments", func_args=args),
        resolution("b", "arguments", func_args=args, paused=True),
        resolution("gone", "say"),
    )
    engine = await bench.start()
    await bench.set_task("gone", retired_at=ago(0), next_run_time=None)
    before = {task_id: await bench.state(task_id) for task_id in "ab"}

    given = {"replaced": "after", "more": [1]}
    execution = await engine.trigger("a", given, by="ann")
    assert (execution.status, execution.scheduled_time, execution.triggered_by) == (
        "running", None, "ann",
    )  # fmt: skip
    (row,) = await bench.ended("a")
    assert (row.id, row.status, row.scheduled_time) == (execution.id, "completed", None)
    assert row.result == '{"kept": 1, "replaced": "after", "more": [1]}'
    await engine.trigger("a", None, by="ann")
    assert (await bench.ended("a", 2))[1].result == '{"kept": 1, "replaced": "before"}'
    await engine.trigger("b", None, by="ann")
    (row,) = await bench.ended("b")
    assert row.status == "completed"

    for task_id, state in before.items():
        now = await bench.state(task_id)
        assert (now.next_run_time, now.update_time, now.status) == (
            state.next_run_time, state.update_time, state.status,
        )  # fmt: skip
    with pytest.raises(NotFound):
        await engine.trigger("nothing", None, by="ann")
    with pytest.raises(Conflict, match="retired"):
        await engine.trigger("gone", None, by="ann")


async def test_a_run_by_hand_of_a_busy_task_is_a_conflict(bench: Bench) -> None:
    await bench.put(bench.noting("a", "wait_for", max_instances=2, paused=True))
    engine = await bench.start()
    answers = await asyncio.gather(
        *(engine.trigger("a", None, by="ann") for _ in range(3)), return_exceptions=True
    )
    started = [answer for answer in answers if isinstance(answer, ExecutionRow)]
    refused = [answer for answer in answers if isinstance(answer, Conflict)]
    assert (len(started), [str(error) for error in refused]) == (
        2, ["all 2 instances were busy"],
    )  # fmt: skip
    bench.open_gate()
    assert len(await bench.ended("a", 2)) == 2
    await engine.trigger("a", None, by="ann")


async def test_jitter_delays_the_start_and_not_the_fire(bench: Bench) -> None:
    await bench.put(
        resolution("a", "say", **every(0.5, jitter=0.4)),
        # Its longest delay has passed already.
        resolution("late", "say", now=ago(3710), **every(3600, jitter=100)),
    )
    started = datetime.now(UTC)
    engine = await bench.start()
    rows = await bench.ended("a", 3)
    state = await bench.state("a")
    trigger = trigger_of(state.task, state.anchor, ZONE)
    for row in rows:
        assert row.scheduled_time is not None
        delay = jitter_delay(trigger, "a", row.scheduled_time)
        assert 0 <= delay <= 0.4
        late = (row.start_time - row.scheduled_time).total_seconds()
        assert delay <= late + 0.01
        assert late < delay + 1
    await engine.drain(5)
    contiguous(await bench.rows("a"), await bench.state("a"))
    (late_row,) = await bench.rows("late")
    assert late_row.start_time - started < timedelta(seconds=2)


async def test_a_drain_lets_executions_end_and_marks_the_rest(bench: Bench) -> None:
    await bench.put(
        bench.noting("quick", "wait_for"),
        bench.noting("slow", "suspend"),
    )
    await bench.put(
        resolution("deaf", "wait_for", func_args={
            "path": bench.path("deaf"), "gate": bench.gate("2"),
        })
    )  # fmt: skip
    engine = await bench.start()
    for task_id in ("quick", "slow", "deaf"):
        await engine.trigger(task_id, None, by="me")
    await bench.running("quick", "slow", "deaf")
    fire = ago(-1)
    await bench.put(bench.noting("due", **once(fire)))
    await engine.reconcile(["due"])
    draining = asyncio.create_task(engine.drain(1.2))
    await until(lambda: not engine.firing)
    with pytest.raises(Unavailable):
        await engine.trigger("quick", None, by="me")
    bench.open_gate()
    await bench.ended("quick")
    assert not draining.done()
    await draining

    assert fire < datetime.now(UTC)
    assert (await bench.state("due")).next_run_time == fire
    assert await bench.rows("due") == []
    assert [row.status for row in await bench.rows("quick")] == ["completed"]
    for task_id in ("slow", "deaf"):
        (row,) = await bench.rows(task_id)
        assert (row.status, row.error) == ("failed", "interrupted: the service stopped")
    await until(lambda: len(bench.evidence("slow")) == 2)
    await engine.reconcile_all()
    await engine.reconcile(["due"])
    await bench.stop(engine)
    bench.open_gate("2")

    # What came due meanwhile is run by whoever starts next, late.
    await bench.start()
    (row,) = await bench.ended("due")
    assert (row.scheduled_time, row.status) == (fire, "completed")


async def test_a_drain_waits_for_what_is_being_claimed_and_for_nothing_else(bench: Bench) -> None:
    await bench.put(bench.noting("a"))
    engine = await bench.start(options=UNRENEWED)
    await bench.put(bench.noting("due", now=ago(2), **once(ago(1))))
    holding = Holding(bench)
    asked = asyncio.create_task(engine.trigger("a", None, by="me"))
    await holding.reached.wait()
    # Its fire has come, and waits for its turn to be claimed.
    claim = asyncio.create_task(engine.claim(["due"]))
    draining = asyncio.create_task(engine.drain(10))
    await until(lambda: not engine.firing)
    holding.let_go()
    execution = await asked
    await draining
    await claim
    assert (await bench.row(execution.id)).status == "completed"
    assert bench.evidence("a") == [execution.id]
    assert await bench.rows("due") == []


async def test_a_stop_leaves_nobody_waiting(bench: Bench) -> None:
    await bench.put(resolution("a", "say"))
    engine = await bench.start(options=Options(renew_seconds=FAR, stop_seconds=0.1))
    holding = Holding(bench)
    requests = [asyncio.create_task(engine.trigger("a", None, by="me"))]
    await holding.reached.wait()
    requests += [asyncio.create_task(engine.trigger("a", None, by="me")) for _ in range(2)]
    claim = asyncio.create_task(engine.claim(["a"]))
    await asyncio.sleep(0)
    await bench.stop(engine)
    for answer in await asyncio.gather(*requests, claim, return_exceptions=True):
        assert isinstance(answer, Unavailable)
    with pytest.raises(Unavailable):
        await engine.claim(["a"])


async def test_what_is_due_is_claimed_before_a_change(bench: Bench) -> None:
    await bench.put(resolution("not due", "say"), resolution("paused", "say", paused=True))
    engine = await bench.start()
    fire = ago(1)
    await bench.put(resolution("due", "say", now=ago(2), **once(fire)))
    before = await bench.state("not due")
    await engine.claim(["due", "not due", "paused", "no such"])
    (row,) = await bench.rows()
    assert (row.task_id, row.scheduled_time) == ("due", fire)
    await bench.ended("due")
    assert await bench.state("not due") == before
    assert engine.next_fire("not due") == before.next_run_time
    await engine.claim([])

    async def failing(*_: object) -> None:
        raise Unavailable("no answer")

    bench.database.meddle = failing
    with pytest.raises(Unavailable, match="no answer"):
        await engine.claim(["due"])


async def test_three_hundred_tasks_due_at_once_take_a_handful_of_transactions(
    bench: Bench,
) -> None:
    fire, declared = ago(-1), ago(10)
    ids = [f"t{number:03}" for number in range(300)]
    await bench.put(*(resolution(task_id, "say", now=declared, **once(fire)) for task_id in ids))
    claims: list[int] = []

    async def counted(write: Write, work: Work) -> Any:
        """How many fires each transaction claims, as they come."""
        recorded = await write(work)
        if isinstance(recorded, Recorded) and recorded.added:
            claims.append(len(recorded.added))
        return recorded

    bench.database.meddle = counted
    await bench.start()

    async def all_ended() -> bool:
        return len(await bench.rows(status="completed")) == 300

    await until(all_ended)
    rows = await bench.rows()
    assert sorted(row.task_id for row in rows) == ids
    assert sum(claims) == 300
    assert len(claims) <= 5


async def test_stopping_twice_and_before_a_start_does_no_harm(bench: Bench) -> None:
    await bench.put(bench.noting("a", **every(0.1)))
    engine = await bench.start()
    await bench.ended("a")
    await engine.drain(5)
    await engine.drain(5)
    await engine.stop()
    ran_at_most_once(await bench.rows(), bench.evidence("a"))
