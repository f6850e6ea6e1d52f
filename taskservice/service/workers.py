"""Who executes, and what waits for them in queues."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog

from taskservice.domain.errors import Unavailable
from taskservice.domain.placement import Placement
from taskservice.domain.sight import ALL, Sight
from taskservice.storage import workers as store
from taskservice.storage.database import Connection, Database
from taskservice.storage.workers import Listed, RunningExecution, RunningExecutions, Waiting

LOOK_SECONDS = 3.0
"""For how long what was seen for every page is told again."""

MOST_WORKERS = 1000
MOST_QUEUES = 1000
MOST_RUNNING = 100
"""How many workers and queues are told of, and how many executions of each worker."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedWorker:
    """A service or a worker, with what runs there: `running` are the first of `running_count`.

    `queues` and `concurrency` are None for a service: what runs there comes from no queue.
    """

    name: str
    kind: str
    host: str
    state: str
    queues: Sequence[str] | None
    concurrency: int | None
    running: Sequence[RunningExecution]
    running_count: int
    since: datetime
    heard_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedQueue:
    """A queue: how many workers that live serve it, what waits in it, since when the longest."""

    name: str
    workers: int
    waiting: int
    oldest: datetime | None

    @property
    def is_unserved(self) -> bool:
        """Whether something waits in it, and no worker lives that would take it."""
        return self.waiting > 0 and not self.workers


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkersReport:
    """Who executes, and the queues."""

    workers: Sequence[ListedWorker]
    queues: Sequence[ListedQueue]


class Workers:
    """What is known of workers and queues; `placement` says which tasks need which queue."""

    def __init__(
        self, database: Database, placement: Placement, *, look_seconds: float = LOOK_SECONDS
    ) -> None:
        self._database = database
        self._placement = placement
        self._look_seconds = look_seconds
        self._looked: float | None = None
        self._looking = asyncio.Lock()
        self._unserved: Sequence[str] = ()
        self._has_workers = False

    async def report(self, sight: Sight = ALL) -> WorkersReport:
        """Who executes, and what of tasks in sight runs there and waits. Raises `Unavailable`."""
        async with self._database.read() as connection:
            found = await store.listed(connection, limit=MOST_WORKERS)
            ids = [one.id for one in found]
            running = await connection.run_sync(
                lambda some: store.running(some, ids, each=MOST_RUNNING, sight=sight)
            )
            queues = await self.queues(connection, found, sight)
        listed = [_told(one, running.get(one.id)) for one in found]
        return WorkersReport(workers=listed, queues=queues)

    async def queues(
        self, connection: Connection, found: Sequence[Listed], sight: Sight = ALL
    ) -> list[ListedQueue]:
        """The queues that a task in sight names or waits in, by name; `found` may serve them.

        What waits is of these tasks alone. Where there are too many queues, those where nothing
        waits are left out.
        """
        placement = self._placement
        named = await connection.run_sync(
            lambda some: store.named(
                some,
                executor=placement.executor,
                queue=placement.queue,
                limit=MOST_QUEUES,
                sight=sight,
            )
        )
        waiting = await connection.run_sync(lambda some: store.waiting(some, sight=sight))
        serving = _serving(found)
        names = sorted(waiting) + sorted(set(named) - waiting.keys())
        return [
            _queue(name, serving[name], waiting.get(name)) for name in sorted(names[:MOST_QUEUES])
        ]

    async def look(self) -> None:
        """See what every page tells of, unless that was seen a moment ago."""
        async with self._looking:
            now = asyncio.get_running_loop().time()
            if self._looked is not None and now < self._looked + self._look_seconds:
                return
            self._looked = now
            try:
                async with self._database.read() as connection:
                    found = await store.listed(connection, limit=MOST_WORKERS)
                    waiting = await connection.run_sync(store.waiting)
            except Unavailable as outage:
                # The page itself says so, if it needs the database.
                log.debug("workers_not_seen", reason=str(outage))
                return
        serving = _serving(found)
        self._unserved = sorted(name for name in waiting if not serving[name])
        self._has_workers = any(one.kind == "worker" for one in found)

    @property
    def unserved(self) -> Sequence[str]:
        """The queues where something waited at the last look, and that no living worker serves."""
        return self._unserved

    @property
    def matter(self) -> bool:
        """Whether there is a broker, or was a worker at the last look."""
        return self._placement.has_broker or self._has_workers


def counted(found: Sequence[Listed]) -> Mapping[tuple[str, str], int]:
    """How many there are of each kind and state."""
    return Counter((one.kind, _state(one)) for one in found)


def _serving(found: Sequence[Listed]) -> Counter[str]:
    """By queue, how many workers that live serve it."""
    return Counter(name for one in found if one.is_alive for name in set(one.queues or ()))


def _queue(name: str, workers: int, waiting: Waiting | None) -> ListedQueue:
    if waiting is None:
        return ListedQueue(name=name, workers=workers, waiting=0, oldest=None)
    return ListedQueue(name=name, workers=workers, waiting=waiting.count, oldest=waiting.oldest)


def _told(one: Listed, running: RunningExecutions | None) -> ListedWorker:
    return ListedWorker(
        name=one.name,
        kind=one.kind,
        # As both kinds are named: the host, the process's id, and what is new at each start.
        host=one.name.rsplit(":", 2)[0],
        state=_state(one),
        queues=one.queues,
        concurrency=one.concurrency,
        running=running.first if running else (),
        running_count=running.count if running else 0,
        since=one.since,
        heard_at=one.heard,
    )


def _state(one: Listed) -> str:
    return "alive" if one.is_alive else "dead"
