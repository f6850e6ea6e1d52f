"""What `POST /plan` answers with."""

from collections.abc import Iterable
from datetime import date, datetime
from typing import Any, Literal, Self

import msgspec

from taskservice.domain.overlay import Override as Overridden
from taskservice.domain.preview import FieldChange, Preview, TaskPreview
from taskservice.domain.task import UNSET
from taskservice.domain.trigger import ClockChange as Clock
from taskservice.web.schemas.sync import Held, SyncError


class PlanOverride(msgspec.Struct, frozen=True, kw_only=True):
    """An override that a plan meets: who set it, when, why, and until when it holds."""

    task_id: str
    field: str
    value: Any
    set_by: str
    set_at: datetime
    reason: str | None
    until: datetime | None

    @classmethod
    def of(cls, task_id: str, override: Overridden) -> Self:
        """The answer for an override of a task."""
        return cls(
            task_id=task_id,
            field=override.field,
            value=None if override.value is UNSET else override.value,
            set_by=override.set_by,
            set_at=override.set_at,
            reason=override.reason,
            until=override.until,
        )


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A field that the files say otherwise; `hidden` names the override that outweighs it."""

    field: str
    old: Any
    new: Any
    hidden: str | None
    override: PlanOverride | None

    @classmethod
    def of(cls, task_id: str, change: FieldChange) -> Self:
        """The answer for a change of a task."""
        hidden = change.hidden
        return cls(
            field=change.field,
            old=change.old,
            new=change.new,
            hidden=hidden.field if hidden else None,
            override=PlanOverride.of(task_id, hidden) if hidden else None,
        )


class RunsAWeek(msgspec.Struct, frozen=True, kw_only=True):
    """Fires in a week as it is and as it would be, and how many of them are new or gone."""

    old: int
    new: int
    gained: int
    lost: int


class ClockChange(msgspec.Struct, frozen=True, kw_only=True):
    """A day on which the clock skips or repeats the time of a fire, and when it fires then."""

    kind: Literal["skipped", "repeated"]
    date: date
    time: str
    fire: datetime

    @classmethod
    def of(cls, change: Clock) -> Self:
        """The answer for a change of the clock."""
        wall = change.wall
        return cls(
            kind=change.kind,
            date=wall.date(),
            time=wall.time().isoformat("auto" if wall.second else "minutes"),
            fire=change.fire,
        )


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of one task.

    `ends` are its overrides that end by it: the files say the same now.
    """

    task_id: str
    path: str | None
    line: int | None
    changes: list[Change]
    fires_old: tuple[datetime, ...]
    fires_new: tuple[datetime, ...]
    runs_a_week: RunsAWeek
    clock_changes: list[ClockChange]
    ends: list[PlanOverride]

    @classmethod
    def of(cls, entry: TaskPreview) -> Self:
        """The answer for a task's entry."""
        return cls(
            task_id=entry.task_id,
            path=entry.path,
            line=entry.line,
            changes=[Change.of(entry.task_id, change) for change in entry.changes],
            fires_old=entry.fires_old,
            fires_new=entry.fires_new,
            runs_a_week=msgspec.convert(entry.week, RunsAWeek, from_attributes=True),
            clock_changes=[ClockChange.of(change) for change in entry.clock_changes],
            ends=[PlanOverride.of(entry.task_id, override) for override in entry.ends],
        )


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What a sync of these files would do; `overrides` are all that hold after it."""

    create: list[Entry]
    update: list[Entry]
    retire: list[Entry]
    refuse: list[SyncError]
    held: Held | None
    overrides: list[PlanOverride]

    @classmethod
    def of(cls, preview: Preview) -> Self:
        """The answer for a preview."""
        return cls(
            create=_entries(preview.create),
            update=_entries(preview.update),
            retire=_entries(preview.retire),
            refuse=[
                SyncError(
                    path=fault.path, line=fault.line, column=fault.column,
                    task_id=fault.task_id, field=fault.field, reason=fault.reason, since=None,
                )
                for fault in preview.refuse
            ],
            held=msgspec.convert(preview.held, Held | None, from_attributes=True),
            overrides=[
                PlanOverride.of(task_id, override)
                for task_id, several in preview.overrides.items()
                for override in several
            ],
        )  # fmt: skip


def _entries(entries: Iterable[TaskPreview]) -> list[Entry]:
    return [Entry.of(entry) for entry in entries]
