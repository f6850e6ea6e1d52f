"""Which of several services on one database schedules, and what they ask of each other."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import structlog

from taskservice.domain.errors import Unavailable
from taskservice.engine import owner
from taskservice.storage import owners
from taskservice.storage.database import Connection, Database
from taskservice.storage.owners import Notice

LOOK_SECONDS = 1.0
"""How often the one that schedules makes sure that it still may."""

PATIENCE_SECONDS = 1.0
"""How long the others wait for the lock at a time; they have it as soon as it is given back."""

STRANGE_SECONDS = 10.0
"""How long a connection that no living process owns up to may hold the lock."""

NOTICE_SECONDS = 0.2
"""How often each process looks for what others ask of it."""

log = structlog.get_logger()


async def scheduler_name(connection: Connection) -> str | None:
    """`host:pid` of the process that schedules, if any does at the moment."""
    found = (await owners.owners(connection)).values()
    names = [one.name for one in found if one.lock_id is not None and not one.expired]
    return owner.short_name(names[0]) if names else None


class LeaderElection:
    """Lets one process at a time schedule: the one that holds the database's lock.

    `lead` and `follow` are awaited when this process, known as `owner_id`, begins and ceases to
    be that one; `handle` with each notice that another process left for it. `is_dead` says of the
    name of a process of this machine whether it is known to be dead.
    """

    def __init__(
        self,
        database: Database,
        owner_id: str,
        *,
        lead: Callable[[], Awaitable[None]],
        follow: Callable[[], Awaitable[None]],
        handle: Callable[[list[Notice]], Awaitable[None]],
        look_seconds: float = LOOK_SECONDS,
        patience_seconds: float = PATIENCE_SECONDS,
        strange_seconds: float = STRANGE_SECONDS,
        is_dead: Callable[[str], bool] = owner.is_dead,
    ) -> None:
        self._database = database
        self._owner_id = owner_id
        self._lead = lead
        self._follow = follow
        self._handle = handle
        self._look_seconds = look_seconds
        self._patience_seconds = patience_seconds
        self._strange_seconds = strange_seconds
        self._is_dead = is_dead
        self._lock = database.scheduler_lock()
        self._leads = False
        self._strange: tuple[int, float] | None = None
        self._stop = asyncio.Event()

    @property
    def lock_id(self) -> int | None:
        """The connection by which this process holds the lock, if it does."""
        return self._lock.id

    async def start(self) -> None:
        """Schedule, unless another process does. Raises what `lead` raises, and `Unavailable`."""
        if await self._lock.take(await self._patience()):
            await self._begin()

    async def run(self) -> None:
        """Take the lock when it gets free, and notice when it is lost, until `stop`."""
        while not self._stop.is_set():
            try:
                await self._turn()
            except Exception as error:
                if isinstance(error, Unavailable):
                    log.warning("leading_waits", reason=str(error))
                else:
                    log.exception("leading_failed")
                await self._end()
                await self._sleep(self._look_seconds)
        await self._end()

    async def give_up(self) -> None:
        """Let another process schedule; instead of `run`, where it never came to that."""
        await self._end()

    def stop(self) -> None:
        """Let `run` come to its end, and another process schedule."""
        self._stop.set()

    async def look_at_notices(self) -> None:
        """Handle what other processes have asked for since, if there can be any."""
        if self._database.one_process:
            return
        async with self._database.read() as connection:
            found = await owners.notices(connection, self._owner_id, scheduling=self._leads)
        if found:
            await self._handle(found)

    async def _turn(self) -> None:
        if self._leads:
            if not await self._lock.is_held():
                raise Unavailable("the scheduler's lock was lost")
            await self._sleep(self._look_seconds)
        elif await self._lock.take(self._patience_seconds):
            await self._begin()
        else:
            await self._challenge()

    async def _begin(self) -> None:
        lock_id = self.lock_id
        await self._database.write(
            lambda connection: owners.set_lock(connection, self._owner_id, lock_id)
        )
        self._leads = True
        log.info("leading", lock=lock_id)
        try:
            await self._lead()
        except BaseException:
            await self._end()
            raise

    async def _end(self) -> None:
        await self._lock.give_back()
        if not self._leads:
            return
        self._leads = False
        if not self._stop.is_set():
            log.info("following")
        await self._follow()
        try:
            await self._database.write(
                lambda connection: owners.set_lock(connection, self._owner_id, None)
            )
        except Exception as error:
            # It is said again with the next lock; what waits for that must not end.
            log.warning("lock_not_disowned", reason=str(error))

    async def _challenge(self) -> None:
        """Take the lock away from a process that is frozen, cut off or dead."""
        holder = await self._lock.holder()
        if holder is None:
            return
        async with self._database.read() as connection:
            found = await owners.owners(connection)
        keepers = {key: one for key, one in found.items() if one.lock_id == holder}
        # It may be this process itself, by a connection of which only the database doesn't know
        # that it is cut.
        others = [one for key, one in keepers.items() if key != self._owner_id]
        if any(not one.expired and not self._is_dead(one.name) for one in others):
            self._strange = None
            return
        if not keepers:
            # One that took it this moment has not said so yet.
            first, since = self._strange or (holder, time.monotonic())
            self._strange = (holder, since if first == holder else time.monotonic())
            if time.monotonic() - self._strange[1] < self._strange_seconds:
                return
        log.warning("lock_taken_away", connection=holder)
        self._strange = None
        await self._lock.take_away(holder)

    async def _patience(self) -> float:
        """How long a start waits for the lock: not at all for a process that lives."""
        async with self._database.read() as connection:
            found = await owners.owners(connection)
        keepers = [one for one in found.values() if one.lock_id is not None and not one.expired]
        alive = any(not self._is_dead(one.name) for one in keepers)
        return 0 if alive else self._patience_seconds

    async def _sleep(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._stop.wait(), seconds)
        except TimeoutError:
            pass
