"""Where the rules of tasks that fail stand, and which tasks are silenced."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import and_, delete, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from taskservice.domain.incidents import QUIET, Alert
from taskservice.storage.damage import readable
from taskservice.storage.dialects import upsert
from taskservice.storage.rows import chunks
from taskservice.storage.tables import task_alert, task_silence

_A, _S = task_alert.c, task_silence.c

Alerts = dict[str, dict[str, Alert]]
"""Where rules stand, by task and by what names the rule."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """Nobody is told of a task for a while; `until` None: as long as it fails."""

    reason: str
    until: datetime | None
    set_at: datetime
    set_by: str


async def alerts(connection: AsyncConnection, task_ids: Collection[str]) -> Alerts:
    """Where the rules of these tasks stand that are not quiet; kept from others until the end."""
    found: Alerts = {}
    for piece in chunks(sorted(task_ids)):
        query = select(task_alert).where(_A.task_id.in_(piece)).with_for_update()
        for row in await connection.execute(query):
            found.setdefault(row.task_id, {})[row.rule] = Alert(
                failures=row.failures, since=readable(row.since), incident=row.incident,
                remind_at=readable(row.remind_at),
            )  # fmt: skip
    return found


async def save_alerts(
    connection: AsyncConnection, before: Mapping[str, Mapping[str, Alert]], after: Alerts
) -> None:
    """Write where rules stand now that stood otherwise `before`; those that are gone are quiet."""
    rows, gone = [], []
    for task_id, now in after.items():
        known = before.get(task_id, {})
        rows += [
            {
                "task_id": task_id, "rule": name, "failures": one.failures, "since": one.since,
                "incident": one.incident, "remind_at": one.remind_at,
            }
            for name, one in now.items() if one not in (QUIET, known.get(name))
        ]  # fmt: skip
        gone += [
            and_(_A.task_id == task_id, _A.rule == name)
            for name in known
            if now.get(name, QUIET) == QUIET
        ]
    await upsert(connection, task_alert, rows)
    for piece in chunks(gone, 100):
        await connection.execute(delete(task_alert).where(or_(*piece)))


async def to_remind(connection: AsyncConnection, now: datetime, *, limit: int) -> list[str]:
    """Some tasks with a failure that is to be told again by now."""
    query = select(_A.task_id).where(_A.remind_at <= now).limit(limit)
    return sorted(set((await connection.execute(query)).scalars()))


async def silences(
    connection: AsyncConnection, task_ids: Collection[str], now: datetime
) -> dict[str, Silence]:
    """By task, the silences that hold."""
    found = {}
    for piece in chunks(sorted(task_ids)):
        query = select(task_silence).where(
            _S.task_id.in_(piece), or_(_S.until_time.is_(None), _S.until_time > now)
        )
        for row in await connection.execute(query):
            found[row.task_id] = Silence(
                reason=row.reason, until=readable(row.until_time), set_at=row.set_at,
                set_by=row.set_by,
            )  # fmt: skip
    return found


async def silence(connection: AsyncConnection, task_id: str, silence: Silence) -> None:
    """Tell nobody of a task for a while."""
    row = {
        "task_id": task_id, "reason": silence.reason, "until_time": silence.until,
        "set_at": silence.set_at, "set_by": silence.set_by,
    }  # fmt: skip
    await upsert(connection, task_silence, [row])


async def unsilence(connection: AsyncConnection, task_id: str) -> bool:
    """End a silence; whether there was one."""
    done = await connection.execute(delete(task_silence).where(_S.task_id == task_id))
    return done.rowcount > 0


async def over(connection: AsyncConnection, now: datetime, *, limit: int) -> list[str]:
    """Some tasks whose silence has come to its end."""
    query = select(_S.task_id).where(_S.until_time <= now).limit(limit)
    return list((await connection.execute(query)).scalars())


async def forget(connection: AsyncConnection, task_ids: Collection[str]) -> None:
    """Delete what is known of tasks that are no more."""
    for piece in chunks(sorted(task_ids)):
        await connection.execute(delete(task_alert).where(_A.task_id.in_(piece)))
        await connection.execute(delete(task_silence).where(_S.task_id.in_(piece)))
