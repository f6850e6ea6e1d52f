"""Doing what other processes on the same database ask this one to do."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog

from taskservice.domain.errors import Conflict, Unavailable
from taskservice.engine.engine import Engine
from taskservice.storage import owners
from taskservice.storage.database import Database
from taskservice.storage.owners import Notice

log = structlog.get_logger()


class Notices:
    """Follows notices, each until it is done.

    `changed` is awaited with the ids of tasks that others changed, `sync` with whether to prune.
    """

    def __init__(
        self,
        database: Database,
        engine: Engine,
        *,
        changed: Callable[[Sequence[str]], Awaitable[None]],
        sync: Callable[[bool], Awaitable[None]],
    ) -> None:
        self._database = database
        self._engine = engine
        self._changed = changed
        self._sync = sync
        self._going_on: dict[str, asyncio.Task[None]] = {}

    async def handle(self, notices: Sequence[Notice]) -> None:
        """Schedule what others changed; what takes its time is begun, and not waited for."""
        changed = [one for one in notices if one.kind == "changed"]
        if changed:
            await self._changed([one.subject for one in changed if one.subject])
            await self._database.write(
                lambda connection: owners.done(connection, [one.id for one in changed])
            )
        for notice in notices:
            if notice.kind != "changed" and notice.id not in self._going_on:
                self._going_on[notice.id] = asyncio.create_task(self._do(notice))

    async def stop(self) -> None:
        """Break off what goes on; another process finds it again."""
        for work in self._going_on.values():
            work.cancel()
        await asyncio.gather(*self._going_on.values(), return_exceptions=True)

    async def _do(self, notice: Notice) -> None:
        try:
            await self._follow(notice)
            await self._database.write(lambda connection: owners.done(connection, [notice.id]))
        except Unavailable as outage:
            # It is found again.
            log.warning("notice_waits", notice=notice.kind, reason=str(outage))
        finally:
            del self._going_on[notice.id]

    async def _follow(self, notice: Notice) -> None:
        try:
            if notice.kind == "cancel":
                await self._engine.cancel(notice.subject or "", by=notice.said_by)
            else:
                await self._sync(notice.kind == "prune")
        except Unavailable:
            raise
        except Conflict as conflict:
            log.info("notice_refused", notice=notice.kind, reason=str(conflict))
        except Exception:
            log.exception("notice_failed", notice=notice.kind)
