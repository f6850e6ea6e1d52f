"""What a sync of some declarations would do, without doing it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta, tzinfo

from taskservice.domain.errors import Fault
from taskservice.domain.fault_limits import of_all
from taskservice.domain.overlay import Override
from taskservice.domain.plan import FolderDeclarations, Plan, StoredDeclaration, make_plan
from taskservice.domain.preview import Preview, TaskPreview, retirement_of, task_preview
from taskservice.domain.state import Resolution, is_due, resolve, trigger_of
from taskservice.storage.tasks import StoredTask
from taskservice.sync.folder.declaring import Check
from taskservice.sync.resolving import resolve_all


def plan_of(
    declared: FolderDeclarations, stored: Mapping[str, StoredDeclaration], now: datetime
) -> Plan:
    """The plan in which every absence counts at once."""
    return make_plan(declared, stored, missing={}, now=now, settle=timedelta(0))


def preview(
    plan: Plan,
    declared: FolderDeclarations,
    existing: Mapping[str, StoredTask],
    overrides: Mapping[str, Sequence[Override]],
    *,
    check: Check,
    zone: tzinfo,
    now: datetime,
) -> Preview:
    """What a plan comes to.

    `existing` is what is stored of the tasks that it names, `overrides` all of those that hold
    now, by task. Blocks.
    """
    faults: list[Fault] = []
    known = {task_id: _claimed(one, zone, now) for task_id, one in existing.items()}
    resolutions = resolve_all(
        plan.write, declared.tasks, known, faults, check=check, zone=zone, now=now
    )
    create: list[TaskPreview] = []
    update: list[TaskPreview] = []
    for resolution in resolutions:
        before = known.get(resolution.id)
        if before is None:
            create.append(task_preview(resolution, None, now=now, zone=zone))
        elif entry := _update(resolution, before, zone, now):
            update.append(entry)
    gone = [(task_id, known[task_id]) for task_id in (*plan.retire, *plan.forget)]
    return Preview(
        create=tuple(create),
        update=tuple(update),
        retire=tuple(
            retirement_of(task_id, one.declaration, one.state, one.overrides, now=now, zone=zone)
            for task_id, one in sorted(gone, key=lambda pair: pair[0])
        ),
        refuse=tuple(of_all((*declared.faults, *faults))),
        held=plan.held,
        overrides=_in_force(overrides, resolutions, gone=[task_id for task_id, _ in gone]),
    )


def compare(
    old: FolderDeclarations, new: FolderDeclarations, *, check: Check, zone: tzinfo, now: datetime
) -> Preview:
    """What a sync of one folder would do to the tasks of another, where nobody overrode any.

    Blocks.
    """
    existing = {}
    stored = {}
    for task_id, candidate in old.tasks.items():
        declaration = candidate.declaration
        existing[task_id] = StoredTask(
            state=resolve(task_id, declaration, (), None, now=now, zone=zone),
            declaration=declaration,
            declared_at=now,
            declared_by=None,
        )
        stored[task_id] = StoredDeclaration(
            source="file", digest=candidate.digest, path=declaration.path, line=declaration.line
        )
    plan = plan_of(new, stored, now)
    return preview(plan, new, existing, {}, check=check, zone=zone, now=now)


def _update(
    resolution: Resolution, before: StoredTask, zone: tzinfo, now: datetime
) -> TaskPreview | None:
    """The entry of a task that is there; None where only its place or its form changes."""
    entry = task_preview(resolution, before.declaration, before.overrides, now=now, zone=zone)
    return entry if entry.changes or entry.ends else None


def _claimed(stored: StoredTask, zone: tzinfo, now: datetime) -> StoredTask:
    """The task once what is due of it is claimed, as a sync would have it first."""
    state = stored.state
    if state is None or not is_due(state, now, zone):
        return stored
    later = trigger_of(state.task, state.anchor, zone).next_fire(now)
    return replace(stored, state=replace(state, next_run_time=later))


def _in_force(
    overrides: Mapping[str, Sequence[Override]],
    resolutions: Sequence[Resolution],
    *,
    gone: Sequence[str],
) -> dict[str, tuple[Override, ...]]:
    after = {task_id: tuple(several) for task_id, several in overrides.items()}
    after |= {resolution.id: resolution.overrides for resolution in resolutions}
    return {
        task_id: several
        for task_id, several in sorted(after.items())
        if several and task_id not in gone
    }
