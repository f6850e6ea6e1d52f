"""Queries on the processes that execute tasks: their leases, and what they ask of each other."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from sqlalchemy import delete, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from taskservice.domain.errors import Unavailable
from taskservice.domain.trail import Cause, Via
from taskservice.storage.damage import Damaged
from taskservice.storage.dialects import dialect_of
from taskservice.storage.rows import chunks, new_id
from taskservice.storage.tables import task_execution_log, task_notice, task_owner

_W, _N, _L = task_owner.c, task_notice.c, task_execution_log.c

NoticeKind = Literal["changed", "sync", "prune", "cancel", "retry"]

QUEUE = "queue"
"""The owner of executions that wait in a queue: no process, and so nobody's to close as dead."""


class LeaseLost(Unavailable):
    """Another process took this one for dead: what it held is closed, and it may not write."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """A process that executes tasks; `expired` says that its lease has run out.

    `lock_id` is the connection by which it holds the scheduler's lock, if it does.
    """

    name: str
    expired: bool
    lock_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What one process asks of another, or (`recipient` None) of whoever schedules."""

    id: str
    recipient: str | None
    kind: NoticeKind
    subject: str | None
    said_by: str
    via: Via | None = None
    reason: str | None = None

    @property
    def cause(self) -> Cause:
        """Who asks for it, and why; older versions say no more than who."""
        return Cause(by=self.said_by, via=self.via or "api", reason=self.reason)


async def register(connection: AsyncConnection, owner: str, name: str, seconds: float) -> None:
    """Make a new owner known, with a lease of `seconds`."""
    until = await dialect_of(connection).now(connection) + timedelta(seconds=seconds)
    await connection.execute(insert(task_owner).values(id=owner, name=name, lease_until=until))


async def renew(connection: AsyncConnection, owner: str, name: str, seconds: float) -> bool:
    """Say that an owner lives for `seconds` more by the database's clock; False: it was closed."""
    until = await dialect_of(connection).now(connection) + timedelta(seconds=seconds)
    renewed = await connection.execute(
        update(task_owner).where(_W.id == owner).values(lease_until=until, name=name)
    )
    return renewed.rowcount > 0


async def set_lock(connection: AsyncConnection, owner: str, lock_id: int | None) -> None:
    """Note by which connection an owner holds the scheduler's lock, alone; None: by none."""
    if lock_id is not None:
        others = _W.id != owner, _W.lock_id.is_not(None)
        await connection.execute(update(task_owner).where(*others).values(lock_id=None))
    await connection.execute(update(task_owner).where(_W.id == owner).values(lock_id=lock_id))


async def owners(connection: AsyncConnection) -> dict[str, Owner]:
    """Every owner by its id.

    One that executions name and nobody registered has no lease either.
    """
    now = await dialect_of(connection).now(connection)
    named = select(_L.owner).where(_L.owner.is_not(None), _L.owner != QUEUE).distinct()
    found = {
        owner: Owner(name="unknown", expired=True)
        for owner in (await connection.execute(named)).scalars()
    }
    for row in await connection.execute(select(task_owner)):
        # A lease that can't be read is none: whoever lives renews its own soon.
        expired = isinstance(row.lease_until, Damaged) or row.lease_until < now
        lock_id = row.lock_id if isinstance(row.lock_id, int) else None
        found[row.id] = Owner(name=str(row.name), expired=expired, lock_id=lock_id)
    return found


async def forget(connection: AsyncConnection, owner: str, *, if_expired: bool) -> bool:
    """Delete an owner, who can't write from then on, with what was asked of it.

    With `if_expired`, False where its lease was renewed meanwhile.
    """
    where = [_W.id == owner]
    if if_expired:
        where.append(_W.lease_until < await dialect_of(connection).now(connection))
    deleted = await connection.execute(delete(task_owner).where(*where))
    left = await connection.execute(select(_W.id).where(_W.id == owner))
    if deleted.rowcount == 0 and left.first() is not None:
        return False
    await connection.execute(delete(task_notice).where(_N.recipient == owner))
    return True


async def tell(
    connection: AsyncConnection,
    kind: NoticeKind,
    subjects: Iterable[str | None],
    *,
    by: str,
    via: Via | None = None,
    reason: str | None = None,
    recipient: str | None = None,
) -> list[str]:
    """Leave a notice about each subject; their ids."""
    rows = [
        {
            "id": new_id(), "recipient": recipient, "kind": kind, "subject": subject,
            "said_by": by, "via": via, "reason": reason,
        }
        for subject in subjects
    ]  # fmt: skip
    for piece in chunks(rows):
        await connection.execute(insert(task_notice), list(piece))
    return [str(row["id"]) for row in rows]


async def notices(connection: AsyncConnection, owner: str, *, scheduling: bool) -> list[Notice]:
    """What is asked of an owner, older things first; where it schedules, of the scheduler too."""
    asked = _N.recipient == owner
    if scheduling:
        asked = or_(asked, _N.recipient.is_(None))
    query = select(task_notice).where(asked).order_by(_N.id).limit(1000)
    return [Notice(**row._mapping) for row in await connection.execute(query)]


async def is_asked(connection: AsyncConnection, notice_id: str) -> bool:
    """Whether a notice still waits to be done."""
    query = select(_N.id).where(_N.id == notice_id)
    return (await connection.execute(query)).first() is not None


async def done(connection: AsyncConnection, notice_ids: Collection[str]) -> None:
    """Delete notices that were followed."""
    for piece in chunks(sorted(notice_ids)):
        await connection.execute(delete(task_notice).where(_N.id.in_(piece)))
