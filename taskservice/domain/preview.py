"""What a sync would come to, for people: fields, fires, and what overrides make of it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any

from taskservice.domain import overlay
from taskservice.domain.errors import Fault
from taskservice.domain.overlay import DELETED, Declaration, Override
from taskservice.domain.plan import Held
from taskservice.domain.state import Resolution, TaskState, faults_of, next_fires, trigger_of
from taskservice.domain.task import UNSET
from taskservice.domain.trigger import (
    WEEK,
    ClockChange,
    Trigger,
    clock_changes,
    runs_in_a_week,
    upcoming,
)

FIRES = 5
"""How many of the next fires are told."""

COMPARED = 200
"""Up to how many fires a week two schedules are compared fire by fire."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldChange:
    """A field that the declaration says otherwise; None where it said, or says, nothing.

    `hidden` is the override that keeps the change from having an effect.
    """

    field: str
    old: Any
    new: Any
    hidden: Override | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Week:
    """Fires in a week, before and after, and how many of them are new or gone.

    Up to 200 a week they are compared one by one; beyond, or where one side has none, by number.
    """

    old: int
    new: int
    gained: int
    lost: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskPreview:
    """What becomes of one task.

    `ends` are the overrides that end by it. `clock_changes` are those of the year to come on
    which the task, as it will be, fires otherwise than its clock suggests.
    """

    task_id: str
    path: str | None
    line: int | None
    changes: tuple[FieldChange, ...] = ()
    ends: tuple[Override, ...] = ()
    fires_old: tuple[datetime, ...] = ()
    fires_new: tuple[datetime, ...] = ()
    week: Week
    clock_changes: tuple[ClockChange, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """A whole sync: tasks created, updated, retired and refused, and what is held.

    `overrides` are those in force afterwards, of all declared tasks, by task.
    """

    create: tuple[TaskPreview, ...] = ()
    update: tuple[TaskPreview, ...] = ()
    retire: tuple[TaskPreview, ...] = ()
    refuse: tuple[Fault, ...] = ()
    held: Held | None = None
    overrides: Mapping[str, tuple[Override, ...]]

    @property
    def empty(self) -> bool:
        """Whether the sync would change nothing."""
        return not (self.create or self.update or self.retire or self.refuse or self.held)


def task_preview(
    resolution: Resolution,
    declared: Declaration | None,
    overrides: Iterable[Override] = (),
    *,
    now: datetime,
    zone: tzinfo,
) -> TaskPreview:
    """What a declaration that is written makes of a task.

    `declared` and `overrides` are what was declared and overridden before.
    """
    before, after = resolution.previous, resolution.state
    trigger = _trigger(after, zone)
    standing = {override.field: override for override in resolution.overrides}
    changes = list(_changes(declared, resolution.declaration, standing))
    if before and before.retired_at:
        changes.append(FieldChange(field="retired_at", old=before.retired_at, new=None))
    return TaskPreview(
        task_id=resolution.id,
        path=resolution.declaration.path,
        line=resolution.declaration.line,
        changes=tuple(changes),
        ends=tuple(override for override in overrides if override.field not in standing),
        fires_old=next_fires(before, FIRES, zone),
        fires_new=next_fires(after, FIRES, zone),
        week=_week(before, after, now=now, zone=zone),
        clock_changes=tuple(clock_changes(trigger, now) if trigger else ()),
    )


def retirement_of(
    task_id: str,
    declared: Declaration,
    state: TaskState | None,
    overrides: Iterable[Override] = (),
    *,
    now: datetime,
    zone: tzinfo,
) -> TaskPreview:
    """What a declaration that is gone makes of a task; its deletion by the API ends with it."""
    return TaskPreview(
        task_id=task_id,
        path=declared.path,
        line=declared.line,
        ends=tuple(override for override in overrides if override.field == DELETED),
        fires_old=next_fires(state, FIRES, zone),
        week=_week(state, None, now=now, zone=zone),
    )


def _changes(
    old: Declaration | None, new: Declaration, standing: Mapping[str, Override]
) -> Iterable[FieldChange]:
    said = overlay.flatten(old.fields) if old else {}
    was, will = overlay.declared_values(old), overlay.declared_values(new)
    for field in dict.fromkeys((*overlay.flatten(new.fields), *said)):
        before = was(field) if old else UNSET
        after = will(field)
        if not overlay.same(field, before, after):
            yield FieldChange(
                field=field,
                old=_shown(before),
                new=_shown(after),
                hidden=standing.get(field) or standing.get(DELETED),
            )


def _shown(value: Any) -> Any:
    return None if value is UNSET else value


def _week(
    before: TaskState | None, after: TaskState | None, *, now: datetime, zone: tzinfo
) -> Week:
    one, other = (_trigger(state, zone) for state in (before, after))
    old, new = (runs_in_a_week(trigger, now) if trigger else 0 for trigger in (one, other))
    if one == other:
        return Week(old=old, new=new, gained=0, lost=0)
    if one is None or other is None or max(old, new) > COMPARED:
        return Week(old=old, new=new, gained=max(new - old, 0), lost=max(old - new, 0))
    was, will = (_fires(trigger, now) for trigger in (one, other))
    return Week(old=len(was), new=len(will), gained=len(will - was), lost=len(was - will))


def _fires(trigger: Trigger, now: datetime) -> set[datetime]:
    """The fires of a week."""
    return {fire for fire in upcoming(trigger, now, 2 * COMPARED) if fire <= now + WEEK}


def _trigger(state: TaskState | None, zone: tzinfo) -> Trigger | None:
    """What the task fires by; None where it doesn't fire."""
    if state is None or state.next_run_time is None or faults_of(state, zone):
        return None
    return trigger_of(state.task, state.anchor, zone)
