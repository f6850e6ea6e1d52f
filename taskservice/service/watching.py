"""The watcher: one for a process, however many listen, and none while nobody does.

It looks at the database, so that it tells what other processes do as well, and compares what it
sees with what it saw: a notice that gets lost is none of its troubles.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog

from taskservice.domain.errors import TooManyRequests, Unavailable
from taskservice.domain.run import OPEN
from taskservice.domain.sight import ALL, Sight
from taskservice.service.events import Event, Subscription
from taskservice.service.moments import now_utc
from taskservice.storage import changes, shown
from taskservice.storage import executions as log
from taskservice.storage import tasks as store
from taskservice.storage.changes import Look
from taskservice.storage.database import LIMITS, Connection, Database
from taskservice.storage.executions import ExecutionRow
from taskservice.storage.shown import Shown

LOOK_SECONDS = 0.4
"""How often the database is looked at."""

GAP_SECONDS = 0.05
"""How soon after a look there may be another, where this process knows of a change."""

RESET_SECONDS = 1.0
"""How soon after a reset there may be another look: much goes on, and all who listen reload."""

OUTAGE_SECONDS = 1.0

MOST_SUBSCRIBERS = 500
"""How many listen at a time: half of the connections that there may be are left for requests."""

AGAIN_SECONDS = 5

MOST = 500
"""How many tasks and executions one look tells of; where more changed, it tells to reload."""

SINCE = timedelta(seconds=LIMITS.transaction_seconds)
"""How long ago something may have been written that is seen only now: no transaction is longer."""

STOP_SECONDS = 2.0

logger = structlog.get_logger()

Report = Mapping[str, Any]


@dataclass(slots=True)
class _Seen:
    """What was seen last: every task there is, and what was told of executions and of syncs."""

    look: Look
    tasks: set[str]
    report: Report
    open: Mapping[str, str]


class Watcher:
    """Tells subscribers what changes in the database; `report` gives that of the syncs.

    One look tells of `most` tasks and executions, and sees `most_open` of those that are open. At
    most `most_subscribers` listen at a time.
    """

    def __init__(
        self,
        database: Database,
        report: Callable[[], Awaitable[Report]],
        *,
        most: int = MOST,
        most_open: int = changes.MOST_OPEN,
        most_subscribers: int = MOST_SUBSCRIBERS,
        reset_seconds: float = RESET_SECONDS,
        outage_seconds: float = OUTAGE_SECONDS,
    ) -> None:
        self._database = database
        self._report = report
        self._most = most
        self._most_open = most_open
        self._most_subscribers = most_subscribers
        self._reset_seconds = reset_seconds
        self._outage_seconds = outage_seconds
        self._subscriptions: set[Subscription] = set()
        self._watching: asyncio.Task[None] | None = None
        self._beginning = asyncio.Lock()
        self._seen: _Seen | None = None
        self._poke = asyncio.Event()
        self._stop = asyncio.Event()

    async def subscribe(
        self,
        task_id: str | None = None,
        *,
        again: bool = False,
        sight: Sight = ALL,
        holds: Callable[[], bool] = lambda: True,
    ) -> Subscription:
        """Be told of what changes from now on; `again`: something was told before, and missed.

        Of tasks out of `sight` nothing is told. It ends when `holds`, asked time and again, says
        that no more may be told. Raises `Unavailable` and `TooManyRequests`.
        """
        if self._stop.is_set():
            raise Unavailable("the service is stopping")
        if len(self._subscriptions) >= self._most_subscribers:
            raise TooManyRequests("too many listen already", retry_after=AGAIN_SECONDS)
        subscription = Subscription(task_id, self._subscriptions.discard, sight=sight, holds=holds)
        self._subscriptions.add(subscription)
        try:
            async with self._beginning:
                if self._watching is None:
                    await self._begin()
            if sight.is_narrowed:
                async with self._database.read() as connection:
                    subscription.known |= await store.ids_seen(connection, sight)
        except BaseException:
            subscription.close()
            raise
        if again:
            subscription.tell([Event(name="reset")])
        return subscription

    @property
    def watching(self) -> bool:
        """Whether the database is looked at: somebody subscribes, or did a moment ago."""
        return self._watching is not None

    @property
    def subscribers(self) -> int:
        """How many listen."""
        return len(self._subscriptions)

    def poke(self) -> None:
        """Say that something has changed, so that it is told at once."""
        self._poke.set()

    def refuse_unheld(self) -> None:
        """End what those read who may not be told any more."""
        for subscription in list(self._subscriptions):
            if not subscription.holds():
                subscription.refuse()
                subscription.close()

    async def end(self) -> None:
        """Tell what there is to tell yet and end what subscribers read; nobody may subscribe."""
        self._stop.set()
        self._poke.set()
        if self._watching:
            await asyncio.wait([self._watching], timeout=STOP_SECONDS)
        for subscription in self._subscriptions:
            subscription.end()

    async def stop(self) -> None:
        """The same, and leave the database alone from then on."""
        await self.end()
        if self._watching:
            # It waits for a database that does not answer.
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)

    async def _begin(self) -> None:
        try:
            self._seen = await self._first()
        except Unavailable as outage:
            # When the database is back, a reset says so.
            logger.warning("watching_waits", reason=str(outage))
        if not self._stop.is_set():
            self._watching = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        least, most = GAP_SECONDS, LOOK_SECONDS
        last = False
        while not last:
            if not await _is_set_within(self._stop, least):
                await _is_set_within(self._poke, most - least)
            self._poke.clear()
            if not self._subscriptions:
                break
            last = self._stop.is_set()
            least, most = await self._tell()
        # Without a pause after that: whoever subscribes next begins anew.
        self._watching = self._seen = None

    async def _tell(self) -> tuple[float, float]:
        """Look and tell; after how many seconds, at least and at most, to look again."""
        try:
            events = await self._look()
        except Exception as error:
            if isinstance(error, Unavailable):
                logger.warning("watching_waits", reason=str(error))
            else:
                logger.exception("watching_failed")
            self._seen = None
            return self._outage_seconds, self._outage_seconds
        for subscription in self._subscriptions:
            subscription.tell(events)
        if any(event.name == "reset" for event in events):
            return self._reset_seconds, self._reset_seconds
        return GAP_SECONDS, LOOK_SECONDS

    async def _first(self) -> _Seen:
        async with self._database.read() as connection:
            look = await connection.run_sync(changes.look, now_utc() - SINCE, self._most_open)
            tasks = await connection.run_sync(changes.task_ids)
        report = _without_times(await self._report())
        return _Seen(look=look, tasks=tasks, report=report, open=look.open)

    async def _look(self) -> list[Event]:
        """What changed since the last look."""
        seen = self._seen
        if seen is None:
            self._seen = await self._first()
            return [Event(name="reset")]
        async with self._database.read() as connection:
            look = await connection.run_sync(changes.look, now_utc() - SINCE, self._most_open)
            written, gone = await self._compare_tasks(connection, seen, look)
            executions = _moved(seen, look)
            before, seen.look, seen.open = seen.look, look, look.open
            many = len(executions) + len(written) + len(gone) > self._most
            if many or len(look.open) > self._most_open:
                return [Event(name="reset")]
            ran = await connection.run_sync(log.shown, executions)
            tasks = await connection.run_sync(
                shown.shown, (written | {one.task_id for one in ran}) - gone
            )
        # What they have come to since is told now, and not again.
        told = {one.id: one.status for one in ran}
        seen.open = {key: status for key, status in {**look.open, **told}.items() if status in OPEN}
        events = _events(gone, ran, tasks)
        if written or gone or look.about != before.about:
            report = await self._report()
            known, seen.report = seen.report, _without_times(report)
            if seen.report != known:
                events.append(Event(name="sync", data=report))
        return events

    async def _compare_tasks(
        self, connection: Connection, seen: _Seen, look: Look
    ) -> tuple[set[str], set[str]]:
        """The tasks that were written since the last look, and those that are no more."""
        written = {
            task_id for task_id, at in look.changed.items() if seen.look.changed.get(task_id) != at
        }
        seen.tasks |= written
        if look.tasks == len(seen.tasks):
            return written, set()
        known, seen.tasks = seen.tasks, await connection.run_sync(changes.task_ids)
        return written | (seen.tasks - known), known - seen.tasks


def _moved(seen: _Seen, look: Look) -> set[str]:
    """The executions that began since, were taken from a queue, or ended."""
    known = seen.look.open.keys() | seen.look.begun
    begun = (look.open.keys() | look.begun) - known
    taken = {key for key, status in look.open.items() if seen.open.get(key, status) != status}
    return begun | taken | (seen.open.keys() - look.open.keys())


def _events(
    gone: set[str], executions: list[ExecutionRow], tasks: Mapping[str, Shown]
) -> list[Event]:
    return [
        *(Event(name="task-gone", task_id=one, data={"id": one}) for one in sorted(gone)),
        # What ends of a deleted task is nobody's business any more.
        *(
            Event(name="execution", task_id=one.task_id, tags=tasks[one.task_id].tags, data=one)
            for one in executions
            if one.task_id in tasks
        ),
        *(
            Event(name="task", task_id=one, tags=tasks[one].tags, data=tasks[one])
            for one in sorted(tasks)
        ),
    ]


def _without_times(report: Report) -> Report:
    """A report without what changes when a sync or a pull found nothing new."""
    repository = report["repository"]
    if repository:
        repository = {**repository, "fetched_at": None}
    return {**report, "synced_at": None, "repository": repository}


async def _is_set_within(event: asyncio.Event, seconds: float) -> bool:
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return False
    return True
