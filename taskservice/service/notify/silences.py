"""Silences: of a task nobody is told for a while, and it is known who wanted that, and why."""

from datetime import datetime, tzinfo
from functools import partial

from taskservice.domain.errors import Fault, Invalid, no_task
from taskservice.domain.sight import ALL, Sight
from taskservice.domain.trail import EXPIRY, Cause, Change, Via, event_of
from taskservice.service.moments import now_utc, parse_until
from taskservice.service.reasons import fitting
from taskservice.service.tasks import listed
from taskservice.storage import alerts, events
from taskservice.storage import tasks as store
from taskservice.storage.alerts import Silence
from taskservice.storage.database import Connection, Database

MOST_ENDED = 100
"""How many silences end in a transaction."""

RECOVERY = Cause(by="service", via="service", reason="the task has recovered")


class Silences:
    """The silences of tasks; `zone` is that of times which name none."""

    def __init__(self, database: Database, *, zone: tzinfo) -> None:
        self._database = database
        self._zone = zone

    async def get(self, task_id: str) -> Silence | None:
        """The silence that holds of a task, if one does. Raises `NotFound`."""
        async with self._database.read() as connection:
            await listed(connection, task_id)
            return (await alerts.silences(connection, [task_id], now_utc())).get(task_id)

    async def silence(
        self,
        task_id: str,
        *,
        by: str,
        via: Via = "api",
        sight: Sight = ALL,
        reason: str | None,
        until: str | None,
    ) -> Silence:
        """Tell nobody of a task until then, or until it recovers. Raises `Invalid`, `NotFound`."""
        why = fitting(reason)
        if not why:
            raise Invalid([Fault(field="reason", reason="is needed: why nobody is to be told")])
        now = now_utc()
        end = None if until is None else parse_until(until, self._zone, now)
        made = Silence(reason=why, until=end, set_at=now, set_by=by)
        cause = Cause(by=by, via=via, reason=why)

        async def work(connection: Connection) -> None:
            await _see(connection, task_id, sight)
            before = (await alerts.silences(connection, [task_id], now)).get(task_id)
            await alerts.silence(connection, task_id, made)
            change = Change("silence", _told(before), _told(made))
            event = event_of("silenced", cause, task_id=task_id, changes=[change])
            await connection.run_sync(events.record, [event], now)

        await self._database.write(work)
        return made

    async def unsilence(
        self, task_id: str, *, by: str, via: Via = "api", sight: Sight = ALL
    ) -> None:
        """Let people be told again. Raises `NotFound`."""

        async def work(connection: Connection) -> None:
            await _see(connection, task_id, sight)
            await end(connection, task_id, Cause(by=by, via=via), now_utc())

        await self._database.write(work)

    async def expire(self) -> None:
        """End the silences whose time is over. Raises `Unavailable`."""
        now = now_utc()
        async with self._database.read() as connection:
            ids = await alerts.over(connection, now, limit=MOST_ENDED)
        for task_id in ids:
            await self._database.write(partial(_expire, task_id, now))


async def end(connection: Connection, task_id: str, cause: Cause, now: datetime) -> None:
    """End the silence of a task, if it has one, and say so in the trail."""
    held = (await alerts.silences(connection, [task_id], now)).get(task_id)
    if await alerts.unsilence(connection, task_id):
        change = Change("silence", _told(held), None)
        event = event_of("unsilenced", cause, task_id=task_id, changes=[change])
        await connection.run_sync(events.record, [event], now)


async def _expire(task_id: str, now: datetime, connection: Connection) -> None:
    # Somebody may have made it longer at this moment.
    if task_id in await alerts.over(connection, now, limit=MOST_ENDED):
        await end(connection, task_id, EXPIRY, now)


async def _see(connection: Connection, task_id: str, sight: Sight) -> None:
    await listed(connection, task_id)
    if not await store.seen(connection, [task_id], sight):
        raise no_task(task_id)


def _told(silence: Silence | None) -> object:
    """A silence as the trail tells it."""
    if silence is None:
        return None
    return {
        "reason": silence.reason,
        "until": silence.until.isoformat() if silence.until else None,
        "by": silence.set_by,
    }
