"""What becomes of the tasks whose declarations a sync writes."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, tzinfo

from taskservice.domain import overlay, state
from taskservice.domain.errors import Fault, Invalid
from taskservice.domain.overlay import Override
from taskservice.domain.plan import DeclaredTask
from taskservice.domain.state import FireDue, Resolution
from taskservice.storage.tasks import StoredTask
from taskservice.sync.folder.declaring import Check

_NAMED = 10
"""How many overrides a fault names."""


def resolve_all(
    task_ids: Iterable[str],
    candidates: Mapping[str, DeclaredTask],
    existing: Mapping[str, StoredTask],
    faults: list[Fault],
    *,
    check: Check,
    zone: tzinfo,
    now: datetime,
) -> list[Resolution]:
    """The resolutions of these tasks, as files declare them now; into `faults` why some have none.

    Blocks. Raises `FireDue` with all whose fires must be claimed first.
    """
    resolutions = []
    due: list[str] = []
    for task_id in task_ids:
        declaration = candidates[task_id].declaration
        before = existing.get(task_id)
        overrides: tuple[Override, ...] = ()
        if before and before.declaration.source == "api":
            overrides = overlay.adopt(
                declaration, before.declaration.fields, before.overrides,
                by=before.declared_by or "api", at=before.declared_at,
            )  # fmt: skip
        elif before:
            overrides = overlay.standing(declaration, before.overrides, now)
        try:
            task = candidates[task_id].task
            if overrides:
                task = check(task_id, overlay.merge(declaration, overrides))
            resolutions.append(
                state.resolution(
                    task_id, declaration, overrides, before.state if before else None,
                    now=now, zone=zone, task=task,
                )
            )  # fmt: skip
        except FireDue:
            due.append(task_id)
        except Invalid as invalid:
            names = ", ".join(override.field for override in overrides[:_NAMED])
            more = f" and {len(overrides) - _NAMED} more" if len(overrides) > _NAMED else ""
            faults += [
                replace(
                    fault, task_id=task_id, path=declaration.path, line=declaration.line,
                    column=1, reason=f"{fault.reason} (with the override of {names}{more})",
                )
                for fault in invalid.faults
            ]  # fmt: skip
    if due:
        raise FireDue(due)
    return resolutions
