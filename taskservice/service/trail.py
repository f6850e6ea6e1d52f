"""The audit trail, as it is read, and what is told there that changes no task."""

import asyncio
from collections import Counter
from dataclasses import dataclass, replace
from datetime import tzinfo

from taskservice.domain.errors import Fault, Invalid, no_task
from taskservice.domain.sight import ALL, Sight
from taskservice.domain.trail import Cause, Event, event_of
from taskservice.service.moments import now_utc, parse_moment
from taskservice.storage import events
from taskservice.storage.batcher import Batcher, Request
from taskservice.storage.database import Database
from taskservice.storage.events import EventPage
from taskservice.storage.paging import COUNTED
from taskservice.storage.tasks import listed

MOST_REFUSALS = 100
"""How many refusals of one name each process tells of in a minute: a program may go on asking."""

SHOWN = 900
"""Characters of the reason of the last of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrailFilter:
    """Which events are wanted, of those in `sight`: a filter that is None doesn't narrow it."""

    task_id: str | None = None
    by: str | None = None
    action: str | None = None
    since: str | None = None
    until: str | None = None
    sight: Sight = ALL


class Trail:
    """The audit trail; `zone` is that of times which name none."""

    def __init__(self, database: Database, *, zone: tzinfo) -> None:
        self._database = database
        self._zone = zone
        self._notes = Batcher[Event, None](self._write)
        self._minute = 0
        self._refused = Counter[str]()

    async def page(
        self, wanted: TrailFilter, *, page: int = 1, before: str | None = None, size: int
    ) -> EventPage:
        """A page (from 1) of the trail, newest first, or what comes after the event `before`.

        Raises `Invalid` for a page beyond the events that are counted.
        """
        since = wanted.since and parse_moment(wanted.since, "since", self._zone)
        until = wanted.until and parse_moment(wanted.until, "until", self._zone)
        offset = (page - 1) * size
        is_beyond = before is None and offset >= COUNTED
        async with self._database.read() as connection:
            found = await events.page(
                connection, task_id=wanted.task_id, by=wanted.by, action=wanted.action,
                since=since or None, until=until or None, sight=wanted.sight,
                # Not gone through, unless the trail ends before.
                offset=COUNTED if is_beyond else offset, limit=1 if is_beyond else size,
                before=before,
            )  # fmt: skip
        if is_beyond:
            if found.more:
                reason = f"pages go to {COUNTED:,} events; go on with before=ID"
                raise Invalid([Fault(field="page", reason=reason)])
            return EventPage([], found.total, False)
        return found

    async def of_task(
        self, task_id: str, *, page: int = 1, before: str | None = None, size: int
    ) -> EventPage:
        """The same of one task, also of one that is no more. Raises `NotFound` without a trace."""
        found = await self.page(TrailFilter(task_id=task_id), page=page, before=before, size=size)
        if not found.total:
            async with self._database.read() as connection:
                if not await connection.run_sync(listed, [task_id]):
                    raise no_task(task_id)
        return found

    async def note(self, event: Event) -> None:
        """Have something told that changes nothing else; returns once it is. Raises Unavailable."""
        await self._notes.ask(event)

    async def note_refusal(self, cause: Cause, *, task_id: str | None) -> None:
        """Have told that somebody was not allowed to; of one name so many in a minute at most."""
        minute = int(asyncio.get_running_loop().time()) // 60
        if minute != self._minute:
            self._minute = minute
            self._refused.clear()
        self._refused[cause.by] += 1
        count = self._refused[cause.by]
        if count == MOST_REFUSALS:
            reason = f"{(cause.reason or '')[:SHOWN]} (no more is told of this minute)"
            cause = replace(cause, reason=reason)
        if count <= MOST_REFUSALS:
            await self.note(event_of("refused", cause, task_id=task_id))

    async def _write(self, requests: list[Request[Event, None]]) -> None:
        told = [one.asked for one in requests]
        await self._database.write(
            lambda connection: connection.run_sync(events.record, told, now_utc())
        )
        for one in requests:
            one.fulfil(None)
