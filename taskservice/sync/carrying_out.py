"""Writing a plan: what it creates, changes and retires, in one transaction."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, tzinfo

import structlog

from taskservice.domain import state
from taskservice.domain.errors import Fault
from taskservice.domain.plan import Candidate, Plan
from taskservice.domain.state import FireDue
from taskservice.storage import deletion
from taskservice.storage import tasks as store
from taskservice.storage.apply import apply, claim_and_write
from taskservice.storage.database import Connection, Database
from taskservice.sync.folder.declaring import Check
from taskservice.sync.resolving import resolve_all

log = structlog.get_logger()


async def carry_out(
    database: Database,
    plan: Plan,
    candidates: Mapping[str, Candidate],
    *,
    check: Check,
    zone: tzinfo,
    claim: Callable[[Sequence[str]], Awaitable[None]],
) -> tuple[list[str], tuple[Fault, ...]]:
    """Write a plan for `candidates`, by their ids: the ids of what changed, what was refused.

    `check`, `zone` and `claim` are those of `Syncer`. Raises `Unavailable`.
    """
    faults: list[Fault] = []

    async def work(connection: Connection) -> list[str]:
        faults.clear()
        existing = await store.load(connection, [*plan.write, *plan.retire], lock=True)
        now = datetime.now(UTC)
        resolutions = await asyncio.to_thread(
            resolve_all, plan.write, candidates, existing, faults, check=check, zone=zone, now=now
        )
        changed = await apply(connection, resolutions, now=now)
        gone = [existing[task_id].state for task_id in plan.retire if task_id in existing]
        retired = [state.retire(one, now) for one in gone if one]
        if due := [one.id for one in gone if one and state.is_due(one, now, zone)]:
            raise FireDue(due)
        await store.save_states(connection, retired)
        await store.forget(connection, plan.forget)
        await deletion.discard(connection, plan.forget, now=now)
        return [*changed, *(one.id for one in retired)]

    changed = await claim_and_write(database, work, claim)
    log.info("synced", written=len(plan.write), retired=len(plan.retire), changed=len(changed))
    return changed, tuple(faults)
