"""What processes on one database ask of each other, by notices that they leave there."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog

from taskservice.domain.errors import Conflict, Unavailable
from taskservice.domain.trail import Cause
from taskservice.engine.engine import Engine
from taskservice.storage import owners
from taskservice.storage.database import Database
from taskservice.storage.owners import Notice, NoticeKind

ANSWER_SECONDS = 30.0
"""How long another process may take over what it is asked to do."""

ASK_AGAIN_SECONDS = 0.05

log = structlog.get_logger()


async def ask(
    database: Database,
    kind: NoticeKind,
    subject: str | None,
    cause: Cause,
    *,
    recipient: str | None,
    seconds: float = ANSWER_SECONDS,
) -> None:
    """Have another process do something, and wait until it did. Raises `Unavailable`."""
    [notice] = await database.write(
        lambda connection: owners.tell(
            connection, kind, [subject],
            by=cause.by, via=cause.via, reason=cause.reason, recipient=recipient,
        )
    )  # fmt: skip
    end = asyncio.get_running_loop().time() + seconds
    while asyncio.get_running_loop().time() < end:
        async with database.read() as connection:
            if not await owners.is_asked(connection, notice):
                return
        await asyncio.sleep(ASK_AGAIN_SECONDS)
    await database.write(lambda connection: owners.done(connection, [notice]))
    raise Unavailable("the process that was asked to does not answer")


class Notices:
    """Does what others ask of this process.

    `changed` is awaited with the ids of tasks that others changed, `sync` with who lets a held one
    go on, if anybody does.
    """

    def __init__(
        self,
        database: Database,
        engine: Engine,
        *,
        changed: Callable[[Sequence[str]], Awaitable[None]],
        sync: Callable[[Cause | None], Awaitable[None]],
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
        retries = [one.id for one in notices if one.kind == "retry"]
        if retries:
            await self._engine.plan_retries()
            await self._database.write(lambda connection: owners.done(connection, retries))
        for notice in notices:
            if notice.kind not in ("changed", "retry") and notice.id not in self._going_on:
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
                await self._engine.cancel(
                    notice.subject or "",
                    by=notice.said_by, via=notice.cause.via, reason=notice.cause.reason,
                )  # fmt: skip
            else:
                await self._sync(notice.cause if notice.kind == "prune" else None)
        except Unavailable:
            raise
        except Conflict as conflict:
            log.info("notice_refused", notice=notice.kind, reason=str(conflict))
        except Exception:
            log.exception("notice_failed", notice=notice.kind)
