"""What stands in `task_manage` for a task, and how a change of its definition moves it."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from taskservice.domain import overlay
from taskservice.domain.errors import Fault, Invalid
from taskservice.domain.overlay import Declaration, Drift, Override
from taskservice.domain.run import Outcome, TaskStatus, task_status
from taskservice.domain.task import Task, parse_task
from taskservice.domain.trigger import Trigger, canonical_trigger, upcoming

_INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskState:
    """The effective task with what the service knows of it.

    `anchor` is the moment from which an interval without `start_date` counts: the one at which
    its trigger took effect. `last_outcome` is how the last execution ended. `faults` are what of
    it could not be read where it is stored, and stands here as if it had not been given.
    """

    id: str
    task: Task
    source: str
    drift: Drift
    overridden: tuple[str, ...]
    etag: str
    anchor: datetime
    next_run_time: datetime | None
    status: TaskStatus
    last_outcome: Outcome | None = None
    retired_at: datetime | None = None
    create_time: datetime
    update_time: datetime
    faults: tuple[Fault, ...] = ()


def trigger_of(task: Task, anchor: datetime, zone: tzinfo) -> Trigger:
    """The trigger of a task whose interval counts from `anchor`."""
    return task.trigger(zone).anchored(anchor)


def faults_of(state: TaskState, zone: tzinfo) -> tuple[Fault, ...]:
    """What keeps a task from being scheduled: what could not be read of it, or its trigger.

    A trigger that was sound may be so no more: its zone is gone, say.
    """
    if state.faults:
        return state.faults
    try:
        trigger_of(state.task, state.anchor, zone)
    except Invalid as invalid:
        return invalid.faults
    return ()


def next_fires(state: TaskState | None, count: int, zone: tzinfo) -> tuple[datetime, ...]:
    """The next fires of a task, at most `count`; none while it is paused, retired or gone.

    Nor has a task that is at fault.
    """
    if state is None or state.next_run_time is None or faults_of(state, zone):
        return ()
    trigger = trigger_of(state.task, state.anchor, zone)
    return (state.next_run_time, *upcoming(trigger, state.next_run_time, count - 1))


def resolve(
    task_id: str,
    declaration: Declaration,
    overrides: Iterable[Override],
    previous: TaskState | None,
    *,
    now: datetime,
    zone: tzinfo,
    task: Task | None = None,
) -> TaskState:
    """The state of a task after its declaration or its overrides changed.

    `task` is what the two make, where that is known. Where the effective definition is what it
    was, `previous` keeps its next fire, its phase and its `update_time`. Raises `Invalid` where
    the two don't make a task.
    """
    overrides = tuple(overrides)
    if task is None:
        task = parse_task(overlay.merge(declaration, overrides), zone=zone)
    shown: dict[str, Any] = {
        "source": declaration.source,
        "drift": overlay.drift_of(declaration, overrides),
        "overridden": tuple(override.field for override in overrides),
    }
    # What could not be read is written anew.
    sound = previous is not None and not previous.faults
    live = sound and previous is not None and previous.retired_at is None
    if previous and live and _same_definition(previous.task, task):
        return replace(previous, etag=_etag(previous.task, overrides), **shown)

    same_trigger = previous is not None and _same_trigger(previous.task, task)
    anchor = previous.anchor if previous and same_trigger else now
    if task.paused:
        next_run_time = None
    elif previous and live and same_trigger and not previous.task.paused:
        next_run_time = previous.next_run_time
    else:
        next_run_time = trigger_of(task, anchor, zone).next_fire(now)
    last_outcome = previous.last_outcome if previous else None
    return TaskState(
        id=task_id,
        task=task,
        etag=_etag(task, overrides),
        anchor=anchor,
        next_run_time=next_run_time,
        status=task_status(
            running=previous is not None and previous.status == "running",
            paused=task.paused,
            next_run_time=next_run_time,
            last_outcome=last_outcome,
        ),
        last_outcome=last_outcome,
        create_time=previous.create_time if previous else now,
        update_time=now,
        **shown,
    )


class FireDue(Exception):
    """A change would lose fires that are due and not yet claimed: `task_ids` have them."""

    def __init__(self, task_ids: Iterable[str]) -> None:
        super().__init__("fires are due")
        self.task_ids = tuple(task_ids)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """What becomes of a task: its declaration and overrides as they are to be kept, and its state.

    `state` is None where an override deletes the task; `missed` is the fire of a `date` that had
    passed when it was declared, to be recorded.
    """

    id: str
    declaration: Declaration
    overrides: tuple[Override, ...]
    previous: TaskState | None
    state: TaskState | None
    missed: datetime | None = None


def resolution(
    task_id: str,
    declaration: Declaration,
    overrides: Iterable[Override],
    previous: TaskState | None,
    *,
    now: datetime,
    zone: tzinfo,
    task: Task | None = None,
) -> Resolution:
    """Resolve a task whole, deletion and a passed date included; `task` is as in `resolve`.

    Raises `Invalid`, and `FireDue` where a fire must be claimed first.
    """
    overrides = tuple(overrides)
    state = missed = None
    if not any(override.field == overlay.DELETED for override in overrides):
        state = resolve(task_id, declaration, overrides, previous, now=now, zone=zone, task=task)
        missed = past_date(state, previous, zone=zone)
        moved = previous is not None and state.next_run_time != previous.next_run_time
        if previous and moved and is_due(previous, now, zone):
            raise FireDue([task_id])
    return Resolution(
        id=task_id, declaration=declaration, overrides=overrides,
        previous=previous, state=state, missed=missed,
    )  # fmt: skip


def is_due(state: TaskState, now: datetime, zone: tzinfo) -> bool:
    """Whether a task's next fire has come and not been claimed yet; none can be of one at fault."""
    due = state.next_run_time is not None and state.next_run_time <= now
    return due and not faults_of(state, zone)


def retire(state: TaskState, now: datetime) -> TaskState:
    """The state of a task whose declaration is gone: it fires no more and waits to be deleted."""
    return replace(
        state,
        retired_at=now,
        next_run_time=None,
        status="running" if state.status == "running" else "paused",
        update_time=now,
    )


def past_date(state: TaskState, previous: TaskState | None, *, zone: tzinfo) -> datetime | None:
    """The one fire of a `date` that had passed when it was declared, to be recorded as missed."""
    if state.task.trigger_type != "date":
        return None
    if previous and not previous.retired_at and _same_trigger(previous.task, state.task):
        return None
    fire = trigger_of(state.task, state.anchor, zone).next_fire(datetime.min.replace(tzinfo=UTC))
    return fire if fire and fire <= state.update_time else None


def expected_fire(state: TaskState, trigger: Trigger, now: datetime) -> datetime | None:
    """The next fire that a live task should have, given the one it has.

    They differ where the meaning of its trigger changed behind it: the default time zone, or
    the zone's own rules.
    """
    if state.next_run_time is None or state.next_run_time <= now:
        return state.next_run_time
    if trigger.next_fire(state.next_run_time - _INSTANT) == state.next_run_time:
        return state.next_run_time
    return trigger.next_fire(now)


def _same_definition(one: Task, other: Task) -> bool:
    before, after = overlay.flatten(one.definition()), overlay.flatten(other.definition())
    return before.keys() == after.keys() and all(
        overlay.same(name, before[name], after[name]) for name in before
    )


def _same_trigger(one: Task, other: Task) -> bool:
    before = canonical_trigger(one.trigger_type, one.trigger_args)
    return before == canonical_trigger(other.trigger_type, other.trigger_args)


def _etag(task: Task, overrides: Iterable[Override]) -> str:
    said = [(o.field, o.set_at, o.set_by, o.reason, o.until) for o in overrides]
    return overlay.digest([task.definition(), said])[:32]
