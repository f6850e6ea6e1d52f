"""What a change makes of a task's definition: of what is declared, and of its overrides."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, tzinfo

from taskservice.domain import overlay, state
from taskservice.domain.errors import (
    Conflict,
    Fault,
    Invalid,
    NotFound,
    PreconditionFailed,
    no_task,
)
from taskservice.domain.overlay import Declaration, Override
from taskservice.domain.task import Task, parse_task
from taskservice.domain.trail import Cause
from taskservice.service.preconditions import Precondition
from taskservice.storage.decisions import Decision
from taskservice.storage.tasks import StoredTask

Definition = tuple[Declaration, tuple[Override, ...]]


def live(
    task_id: str, stored: StoredTask | None, precondition: Precondition, *, retired: bool = False
) -> StoredTask:
    """What is stored of a task, which must be there and as the precondition says.

    A `retired` one counts as there only where it says so. Raises `NotFound`, `Conflict` and
    `PreconditionFailed`.
    """
    if stored is None:
        raise no_task(task_id)
    if stored.state is None:
        raise NotFound(f"task {task_id!r} was deleted here; restore takes that back")
    if stored.state.retired_at and not retired:
        raise Conflict("the task is retired: its declaration is gone")
    if not precondition.matches(stored.state.etag):
        raise PreconditionFailed("the task has changed since it was read")
    if not precondition.holds(stored.state.etag):
        raise PreconditionFailed("there is such a task, and the request is for one that is not so")
    return stored


def with_fields(
    stored: StoredTask,
    changes: Mapping[str, object],
    cause: Cause,
    until: datetime | None,
    *,
    now: datetime,
    zone: tzinfo,
    default_executor: str,
) -> Definition:
    """With other values of fields: overrides, where a file declares the task.

    `zone` is that of times which name none, `default_executor` for tasks that name none.
    """
    declaration, overrides = stored.declaration, stored.overrides
    if declaration.source == "api":
        no_until(until)
        if "paused" in changes:
            overrides = without(overrides, "paused")
        return replace(declaration, fields={**declaration.fields, **changes}), overrides
    before = overlay.merge(declaration, overrides)
    # As a sound task holds them, so that they compare.
    known = parse_task({**before, **changes}, zone=zone).definition()
    values = overlay.changed_fields(before, {name: known[name] for name in changes})
    if (
        values.get("executor") == default_executor
        and overlay.declared_value(declaration, "executor") is None
    ):
        values["executor"] = None  # a file that names none says the same
    return declaration, overlay.override_with(
        declaration, overrides, values, now=now, by=cause.by, reason=cause.reason, until=until
    )


def with_pause(
    stored: StoredTask, paused: bool, cause: Cause, until: datetime | None, *, now: datetime
) -> Definition:
    """Paused or not: of a task that no file declares, an override only with a reason or an end."""
    declaration, overrides = stored.declaration, without(stored.overrides, "paused")
    if declaration.source == "api" and (not paused or not (cause.reason or until)):
        if not paused:
            no_until(until)
        return replace(declaration, fields={**declaration.fields, "paused": paused}), overrides
    # Said again, it is said anew: without the reason and the end that it had.
    return declaration, overlay.override_with(
        declaration, overrides, {"paused": paused},
        now=now, by=cause.by, reason=cause.reason, until=until,
    )  # fmt: skip


def with_override_kept(
    stored: StoredTask, field: str, cause: Cause, *, now: datetime
) -> Definition:
    """With an override that stands over what the file says by now. Raises `NotFound`."""
    values = {one.field: one.value for one in stored.overrides if one.field == field}
    if not values:
        raise _no_override(stored, field)
    return stored.declaration, overlay.override_with(
        stored.declaration, stored.overrides, values, now=now, by=cause.by
    )


def without_overrides(stored: StoredTask, field: str | None) -> Definition:
    """Without the override of a field, or without any. Raises `NotFound`."""
    kept = () if field is None else without(stored.overrides, field)
    if field is not None and len(kept) == len(stored.overrides):
        raise _no_override(stored, field)
    return stored.declaration, kept


def decision_for(
    task_id: str,
    stored: StoredTask,
    later: Definition,
    *,
    now: datetime,
    zone: tzinfo,
    task: Task | None = None,
) -> Decision:
    """What becomes of a task by another definition, which makes `task` if that is known.

    Raises as `state.resolution` does.
    """
    declaration, overrides = later
    previous = stored.state or stored.removed
    resolved = state.resolution(
        task_id, declaration, overrides, previous, now=now, zone=zone, task=task
    )
    # Not by comparison: to Python 1 and true are the same.
    return Decision(resolutions=[resolved], declare=declaration is not stored.declaration)


def without(overrides: tuple[Override, ...], field: str) -> tuple[Override, ...]:
    """The overrides but that of a field."""
    return tuple(one for one in overrides if one.field != field)


def no_until(until: datetime | None) -> None:
    """Raise `Invalid` where a change should end by itself that can't."""
    if until is not None:
        reason = "no file declares this task, so there is nothing it could return to"
        raise Invalid([Fault(field="until", reason=reason)])


def _no_override(stored: StoredTask, field: str) -> NotFound:
    names = ", ".join(override.field for override in stored.overrides) or "none"
    return NotFound(f"no override of {field[:100]!r}; there are: {names}")
