"""Writing a plan: what it creates, changes and retires, in one transaction."""

import asyncio
from collections.abc import Mapping
from datetime import datetime, tzinfo
from types import MappingProxyType

import structlog

from taskservice.domain import state
from taskservice.domain.errors import Fault
from taskservice.domain.plan import DeclaredTask, Held, Plan
from taskservice.domain.state import FireDue
from taskservice.domain.trail import FILE, Author, Cause, Change, event_of
from taskservice.storage.decisions import Decision
from taskservice.storage.gate import Gate
from taskservice.storage.tasks import StoredTask
from taskservice.sync.folder.declaring import Check
from taskservice.sync.resolving import resolve_all

log = structlog.get_logger()


async def carry_out(
    gate: Gate,
    plan: Plan,
    candidates: Mapping[str, DeclaredTask],
    *,
    check: Check,
    zone: tzinfo,
    authors: Mapping[str, Author] = MappingProxyType({}),
) -> tuple[Fault, ...]:
    """Write a plan for `candidates`, by their ids; what was refused of it.

    `check` and `zone` are those of `Syncer`; `authors` made the commits that the plan comes from,
    by task. Raises `Unavailable`.
    """
    faults: list[Fault] = []

    async def decide(stored: Mapping[str, StoredTask], now: datetime) -> Decision:
        faults.clear()
        resolutions = await asyncio.to_thread(
            resolve_all, plan.write, candidates, stored, faults, check=check, zone=zone, now=now
        )
        gone = [stored[task_id].state for task_id in plan.retire if task_id in stored]
        if due := [one.id for one in gone if one and state.is_due(one, now, zone)]:
            raise FireDue(due)
        return Decision(
            resolutions=resolutions,
            retired=[state.retire(one, now) for one in gone if one],
            forgotten=plan.forget,
            authors=authors,
        )

    named = [*plan.write, *plan.retire, *plan.forget]
    written = await gate.change(named, decide, cause=FILE)
    changed = len(written.changed)
    log.info("synced", written=len(plan.write), retired=len(plan.retire), changed=changed)
    return tuple(faults)


async def note_confirmed(gate: Gate, held: Held, cause: Cause) -> None:
    """Have the trail tell that somebody lets a held sync go on."""
    changes = [Change("held", held.reason, None), Change("task_ids", list(held.task_ids), None)]

    async def decide(_stored: Mapping[str, StoredTask], _now: datetime) -> Decision:
        return Decision(events=[event_of("synced", cause, changes=changes)])

    await gate.change((), decide, cause=cause)


async def note_revisions(gate: Gate, candidates: Mapping[str, DeclaredTask]) -> None:
    """Note the commits at which files declare tasks, by their ids, as they are stored already.

    What is not committed has none.
    """
    revisions: dict[str | None, list[str]] = {}
    for task_id, one in candidates.items():
        revisions.setdefault(one.declaration.revision, []).append(task_id)

    async def decide(_stored: Mapping[str, StoredTask], _now: datetime) -> Decision:
        return Decision(revisions=revisions)

    await gate.change((), decide, cause=FILE)
