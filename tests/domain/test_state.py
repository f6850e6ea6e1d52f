"""How a change of its definition moves a task: its next fire, phase, status and times."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, Literal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskservice.domain.errors import Fault, Invalid
from taskservice.domain.overlay import (
    DELETED,
    Declaration,
    Override,
    changed_fields,
    merge,
    override_with,
)
from taskservice.domain.state import (
    FireDue,
    TaskState,
    expected_fire,
    faults_of,
    is_due,
    next_fires,
    past_date,
    resolution,
    resolve,
    retire,
    trigger_of,
)
from taskservice.domain.task import UNSET
from tests.domain.samples import NOW, declared_fields, minimal, parsed

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
BERLIN = ZoneInfo("Europe/Berlin")

PAST = {"trigger_type": "date", "trigger_args": {"run_date": "2026-11-24T11:00:00Z"}}
FUTURE = {"trigger_type": "date", "trigger_args": {"run_date": "2026-11-24T13:00:00Z"}}


def declare(fields: dict[str, Any], source: Literal["file", "api"] = "file") -> Declaration:
    return Declaration(source=source, fields=fields)


def resolved(
    fields: dict[str, Any],
    previous: TaskState | None = None,
    *,
    overrides: tuple[Override, ...] = (),
    now: datetime = NOW,
) -> TaskState:
    return resolve("a", declare(fields), overrides, previous, now=now, zone=UTC)


def set_by_api(fields: dict[str, Any], **values: Any) -> tuple[Override, ...]:
    changes = changed_fields(merge(declare(fields), ()), values)
    return override_with(declare(fields), (), changes, now=NOW, by="ann")


def missed(
    fields: dict[str, Any],
    previous: TaskState | None = None,
    *,
    overrides: tuple[Override, ...] = (),
    now: datetime = NOW,
) -> datetime | None:
    return resolution("a", declare(fields), overrides, previous, now=now, zone=UTC).missed


def turned(value: Any) -> Any:
    """The same JSON, its keys in another order: so a database may give it back."""
    if isinstance(value, dict):
        return {key: turned(value[key]) for key in reversed(value)}
    return value


def test_a_new_task() -> None:
    state = resolved(minimal())
    assert state == TaskState(
        id="a",
        task=parsed(minimal()),
        source="file",
        drift="in_sync",
        overridden=(),
        etag=state.etag,
        anchor=NOW,
        next_run_time=NOW + MINUTE,
        status="pending",
        last_outcome=None,
        retired_at=None,
        create_time=NOW,
        update_time=NOW,
    )
    assert len(state.etag) == 32


def test_a_task_that_was_parsed_before_is_taken_as_it_is() -> None:
    task = parsed(minimal(name="of the check"))
    state = resolve("a", declare(minimal()), (), None, now=NOW, zone=UTC, task=task)
    assert state.task is task


def test_a_declaration_and_an_override_must_make_a_task() -> None:
    with pytest.raises(Invalid):
        resolved({"name": "x"})
    wrong = set_by_api(minimal(), trigger_type="date")
    with pytest.raises(Invalid):
        resolved(minimal(), overrides=wrong)


@given(declared_fields)
def test_what_did_not_change_is_not_touched(fields: dict[str, Any]) -> None:
    state = resolved(fields)
    assert resolved(fields, state, now=NOW + HOUR) == state
    # Reformatted, spelt out, or given back by a database.
    assert resolved(turned(fields), state, now=NOW + HOUR) == state
    assert resolved(turned(parsed(fields).definition()), state, now=NOW + HOUR) == state


@given(declared_fields, declared_fields)
def test_overrides_that_stay_change_nothing(fields: dict[str, Any], other: dict[str, Any]) -> None:
    overrides = set_by_api(fields, **parsed(other).definition())
    state = resolved(fields, overrides=overrides)
    again = tuple(
        replace(
            override, value=override.value if override.value is UNSET else turned(override.value)
        )
        for override in overrides
    )
    assert resolved(fields, state, overrides=again, now=NOW + HOUR) == state
    assert state.overridden == tuple(override.field for override in overrides)
    assert state.drift == ("overridden" if overrides else "in_sync")


def test_another_way_to_write_the_same_is_no_change() -> None:
    one = minimal(trigger_type="cron", trigger_args={"hour": 9}, timeout=60, retries={"max": 3})
    other = minimal(
        trigger_type="cron",
        trigger_args={"hour": "9"},
        timeout=60.0,
        retries={"max": 3, "delay": 0, "backoff": 1.0},
        tags=None,
        paused=False,
    )
    state = resolved(one)
    assert resolved(other, state, now=NOW + HOUR) == state


def test_the_etag_stands_for_the_definition_and_its_overrides() -> None:
    plain = resolved(minimal())
    silent = replace(plain, next_run_time=None, status="failed", last_outcome="failed")
    assert resolved(minimal(), silent, now=NOW + HOUR).etag == plain.etag
    edited = resolved(minimal(description="x"), plain)
    by_hand = resolved(minimal(), plain, overrides=set_by_api(minimal(), description="x"))
    absent = set_by_api(minimal(func_args={"a": 1}), func_args={})
    text = set_by_api(minimal(func_args={"a": 1}), func_args={"a": "UNSET"})
    etags = [
        plain.etag,
        edited.etag,
        by_hand.etag,
        resolved(minimal(func_args={"a": 1}), overrides=absent).etag,
        resolved(minimal(func_args={"a": 1}), overrides=text).etag,
        resolved(
            minimal(),
            overrides=tuple(replace(o, reason="r") for o in set_by_api(minimal(), timeout=1)),
        ).etag,
        resolved(minimal(), overrides=set_by_api(minimal(), timeout=1)).etag,
    ]
    assert len(set(etags)) == len(etags)


def test_an_override_without_effect_leaves_fire_phase_and_update_time() -> None:
    state = resolved(minimal())
    overrides = set_by_api(minimal(description="from the file"), description=None)
    later = resolved(
        minimal(description="from the file"), state, overrides=overrides, now=NOW + HOUR
    )
    assert later.overridden == ("description",)
    assert later.drift == "overridden"
    assert later == replace(state, overridden=later.overridden, drift=later.drift, etag=later.etag)


def test_a_change_that_is_not_the_triggers_keeps_fire_and_phase() -> None:
    state = replace(resolved(minimal()), last_outcome="failed", status="failed")
    # Its fire is overdue: whoever takes it will find it.
    later = resolved(minimal(description="x", func_args={"a": 1}), state, now=NOW + HOUR)
    assert (later.anchor, later.next_run_time) == (NOW, NOW + MINUTE)
    assert (later.create_time, later.update_time) == (NOW, NOW + HOUR)
    assert (later.status, later.last_outcome) == ("failed", "failed")


def test_another_trigger_begins_anew() -> None:
    state = resolved(minimal())
    later = resolved(minimal(trigger_args={"seconds": 90}), state, now=NOW + HOUR)
    assert (later.anchor, later.next_run_time) == (NOW + HOUR, NOW + HOUR + 90 * SECOND)
    assert (later.create_time, later.update_time) == (NOW, NOW + HOUR)


def test_a_pause_keeps_the_phase() -> None:
    state = resolved(minimal())
    paused = resolved(minimal(paused=True), state, now=NOW + 90 * SECOND)
    assert (paused.status, paused.next_run_time, paused.anchor) == ("paused", None, NOW)
    resumed = resolved(minimal(), paused, now=NOW + 100 * SECOND)
    assert (resumed.status, resumed.next_run_time) == ("pending", NOW + 2 * MINUTE)
    assert (resumed.anchor, resumed.update_time) == (NOW, NOW + 100 * SECOND)


def test_a_task_that_is_declared_as_paused_never_had_a_fire() -> None:
    paused = resolved(minimal(paused=True))
    assert (paused.status, paused.next_run_time) == ("paused", None)
    edited = resolved(minimal(paused=True, description="x"), paused, now=NOW + HOUR)
    assert (edited.status, edited.next_run_time, edited.anchor) == ("paused", None, NOW)


def test_what_is_running_is_running_still() -> None:
    running = replace(resolved(minimal()), status="running")
    paused = resolved(minimal(paused=True), running)
    assert (paused.status, paused.next_run_time) == ("running", None)
    assert retire(running, NOW).status == "running"


def test_a_task_without_another_fire_is_completed_and_stays_so() -> None:
    done = replace(resolved(minimal(**FUTURE)), next_run_time=None, status="completed")
    edited = resolved(minimal(**FUTURE, description="x"), done)
    assert (edited.status, edited.next_run_time) == ("completed", None)
    paused = resolved(minimal(**FUTURE, paused=True), edited)
    resumed = resolved(minimal(**FUTURE), paused, now=NOW + 2 * HOUR)
    assert (resumed.status, resumed.next_run_time) == ("completed", None)


def test_a_retired_task_comes_back_with_its_overrides_and_its_history() -> None:
    overrides = set_by_api(minimal(), description="by hand")
    state = replace(
        resolved(minimal(), overrides=overrides), last_outcome="failed", status="failed"
    )
    retired = retire(state, NOW + HOUR)
    assert retired == replace(
        state,
        retired_at=NOW + HOUR,
        next_run_time=None,
        status="paused",
        update_time=NOW + HOUR,
    )
    moment = NOW + 2 * HOUR + 10 * SECOND
    back = resolved(minimal(), retired, overrides=overrides, now=moment)
    assert back == replace(
        state,
        next_run_time=NOW + 2 * HOUR + MINUTE,
        update_time=moment,
    )


def test_a_date_that_has_passed_is_missed_once() -> None:
    passed = NOW - HOUR
    state = resolved(minimal(**PAST))
    assert (state.status, state.next_run_time) == ("completed", None)
    assert missed(minimal(**PAST)) == passed
    assert missed(minimal(**PAST), state) is None
    assert missed(minimal(**PAST, description="x"), state, now=NOW + HOUR) is None
    assert missed(minimal(**PAST, paused=True)) == passed


def test_a_date_is_missed_when_it_is_set_to_the_past() -> None:
    state = resolved(minimal(**FUTURE))
    assert missed(minimal(**FUTURE)) is None
    assert missed(minimal(**PAST), state) == NOW - HOUR
    by_hand = set_by_api(minimal(**FUTURE), **PAST)
    assert missed(minimal(**FUTURE), state, overrides=by_hand) == NOW - HOUR


def test_a_date_whose_time_came_meanwhile_is_still_to_run() -> None:
    state = resolved(minimal(**FUTURE))
    later = resolved(minimal(**FUTURE, description="x"), state, now=NOW + 2 * HOUR)
    assert later.next_run_time == NOW + HOUR
    assert missed(minimal(**FUTURE, description="x"), state, now=NOW + 2 * HOUR) is None


def test_a_date_that_passed_in_retirement_was_missed_when_it_is_declared_again() -> None:
    retired = retire(resolved(minimal(**FUTURE)), NOW)
    assert missed(minimal(**FUTURE), retired) is None
    assert missed(minimal(**FUTURE), retired, now=NOW + 2 * HOUR) == NOW + HOUR


def test_only_dates_are_missed_by_being_declared_late() -> None:
    ended = {"seconds": 60, "end_date": "2026-11-24T11:00:00Z"}
    state = resolved(minimal(trigger_args=ended))
    assert state.status == "completed"
    assert past_date(state, None, zone=UTC) is None


def test_a_deleted_task_has_no_state() -> None:
    fields = minimal(**PAST)
    overrides = set_by_api(fields, description="x") + override_with(
        declare(fields), (), {DELETED: True}, now=NOW, by="ann"
    )
    state = resolved(fields)
    gone = resolution("a", declare(fields), overrides, state, now=NOW, zone=UTC)
    assert (gone.state, gone.missed, gone.previous) == (None, None, state)
    assert gone.overrides == overrides
    back = resolution("a", declare(fields), overrides[:1], None, now=NOW, zone=UTC)
    assert back.state is not None and back.state.overridden == ("description",)
    assert back.missed == NOW - HOUR


def test_a_task_of_the_apis_becomes_a_files() -> None:
    made = resolve("a", declare(minimal(), "api"), (), None, now=NOW, zone=UTC)
    assert made.source == "api"
    taken = resolved(minimal(), made, now=NOW + HOUR)
    assert taken == replace(made, source="file")


def _expected(state: TaskState, now: datetime, zone: tzinfo) -> datetime | None:
    return expected_fire(state, trigger_of(state.task, state.anchor, zone), now)


def test_the_fire_that_a_task_should_have() -> None:
    fields = minimal(trigger_type="cron", trigger_args={"hour": 15})
    state = resolved(fields)
    three = NOW + 3 * HOUR
    assert state.next_run_time == three
    assert _expected(state, NOW, UTC) == three
    # The default zone has changed: 15:00 in Berlin is 14:00 in UTC.
    assert _expected(state, NOW, BERLIN) == three - HOUR
    # The clock was put back: a fire that was taken is not to come again.
    assert _expected(state, three - timedelta(days=1, hours=1), UTC) == three
    # What is due is taken as it stands, and what has no fire gets none.
    assert _expected(state, three, BERLIN) == three
    assert _expected(replace(state, next_run_time=None), NOW, BERLIN) is None


def test_the_trigger_of_a_task_counts_from_its_anchor() -> None:
    assert trigger_of(parsed(minimal()), NOW, UTC).next_fire(NOW + HOUR) == NOW + HOUR + MINUTE


STEPS: dict[str, dict[str, Any]] = {
    "pause": {"paused": True},
    "resume": {"paused": False},
    "describe": {"description": "x"},
    "be silent": {"description": None},
    "every minute": {"trigger_args": {"seconds": 60}},
    "in other words": {"trigger_args": {"seconds": 60.0}},
    "every hour": {"trigger_args": {"hours": 1}},
    "retire": {},
    "nothing": {},
}


@given(
    st.lists(
        st.tuples(st.sampled_from(sorted(STEPS)), st.integers(1, 7200), st.booleans()), max_size=12
    )
)
def test_whatever_happens_a_fire_is_ahead_and_in_phase(
    steps: list[tuple[str, int, bool]],
) -> None:
    fields = minimal()
    now = NOW
    state = resolved(fields)
    for name, seconds, on_time in steps:
        now += timedelta(seconds=seconds)
        if on_time and state.next_run_time:
            # The fires that came meanwhile were taken, as the engine does it.
            after = trigger_of(state.task, state.anchor, UTC).next_fire(now)
            state = replace(state, next_run_time=after)
        before, fields = state, {**fields, **STEPS[name]}
        if name == "retire":
            state = retire(state, now)
            assert state.next_run_time is None
            continue
        state = resolved(fields, before, now=now)
        every = timedelta(**state.task.trigger_args)
        if before.task.trigger_args == state.task.trigger_args:
            assert state.anchor == before.anchor
        else:
            assert state.anchor == now
        if state.task.paused:
            assert (state.next_run_time, state.status) == (None, "paused")
        else:
            assert state.next_run_time is not None
            assert (state.next_run_time - state.anchor) % every == timedelta(0)
            assert state.next_run_time <= now + every
            kept = state.next_run_time == before.next_run_time
            assert kept or state.next_run_time > now
        if before.task == state.task and not before.retired_at:
            assert state == before
        else:
            assert state.update_time == now
        assert state.create_time == NOW


def test_a_change_that_would_lose_a_due_fire_says_so() -> None:
    previous = resolved(minimal(), now=NOW - HOUR)
    with pytest.raises(FireDue) as refused:
        resolution("a", declare(minimal(paused=True)), (), previous, now=NOW, zone=UTC)
    assert refused.value.task_ids == ("a",)
    kept = resolution("a", declare(minimal(name="Other")), (), previous, now=NOW, zone=UTC)
    assert kept.state and kept.state.next_run_time == previous.next_run_time


LOST = Fault(field="tags", reason="can't be read")


def test_a_task_that_can_not_be_read_whole_is_written_anew() -> None:
    before = resolved(minimal())
    damaged = replace(before, faults=(LOST,))
    assert faults_of(before, UTC) == ()
    assert faults_of(damaged, UTC) == (LOST,)
    later = resolved(minimal(), previous=damaged, now=NOW + timedelta(seconds=90))
    # The fire that stood there may be wrong as well; the phase stays.
    assert (later.faults, later.anchor, later.create_time) == ((), before.anchor, NOW)
    assert later.next_run_time == NOW + timedelta(seconds=120)


def test_a_trigger_that_parses_no_more_has_no_fires_and_can_be_changed() -> None:
    gone = {"crontab": "0 7 * * *", "timezone": "Europe/Atlantis"}
    before = resolved(minimal())
    task = replace(before.task, trigger_type="cron", trigger_args=gone)
    broken = replace(before, task=task, next_run_time=NOW - timedelta(seconds=1))
    [fault] = faults_of(broken, UTC)
    assert fault.field == "trigger_args.timezone"
    assert next_fires(broken, 3, UTC) == ()
    assert not is_due(broken, NOW, UTC)
    made = resolution("t", declare(minimal()), (), broken, now=NOW, zone=UTC)
    assert made.state and made.state.next_run_time == NOW + timedelta(seconds=60)
