"""What waits in queues, and what workers run who do not answer: nothing is left to wait silently.

The row is the truth, a message is a hint. Whoever schedules looks at the rows: what no worker has
begun for too long is ended, what the broker has lost is sent again, and what is over its time is
ended though its worker says nothing.
"""

from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection

from taskservice.engine.executor import RemoteExecutor
from taskservice.storage import workers
from taskservice.storage.database import Database
from taskservice.storage.dialects import dialect_of
from taskservice.storage.executions import ExecutionRow

SENT_BY = timedelta(seconds=10)
"""How long the first message of an execution may take: it is not missed before."""

OVERTIME = timedelta(seconds=2)
"""How long a worker has to say itself that the time of an execution is over."""

MOST_ENDED = 1000
MOST_SENT = 10_000
"""How many executions are ended, and how many sent again, at a time."""


class Queues:
    """Looks after the executions on workers, where this process schedules.

    `executor` sends, `start_timeout` is how many seconds an execution may wait for a worker, `end`
    is called with the ends that are to be recorded.
    """

    def __init__(
        self,
        database: Database,
        executor: RemoteExecutor,
        start_timeout: float,
        end: Callable[[ExecutionRow], None],
    ) -> None:
        self._database = database
        self.executor = executor
        self._waits = timedelta(seconds=start_timeout)
        self._end = end
        self._looked: datetime | None = None
        self._sent: dict[str, datetime] = {}

    async def end_late(self) -> None:
        """End what has waited for too long, and what is over its time. Raises `Unavailable`."""
        async with self._database.read() as connection:
            now = await dialect_of(connection).now(connection)
            late = await connection.run_sync(
                lambda some: workers.queued_before(some, now - self._waits, limit=MOST_ENDED)
            )
            over = await connection.run_sync(workers.timed_out, now - OVERTIME, limit=MOST_ENDED)
        at = datetime.now(UTC)
        for row in late:
            seconds = self._waits.total_seconds()
            story = f"no worker of the queue {row.queue} began it within {seconds:g} s"
            self._end(row.ended("failed", at, "unstarted", story, owner=None))
        for row in over:
            # Its worker stops it as soon as it sees its row, and keeps the instance until then.
            story = "its time was over, and its worker did not say so"
            self._end(row.ended("failed", at, "timed out", story, owner=row.owner))

    async def send_again(self) -> None:
        """Send what a broker has lost, or nobody has sent: its sender may have died.

        Where a queue has no message at all, or fewer than executions that wait in it, some are
        lost. Which they are nobody can see, so all are sent, but not again at once. And every one
        is once more at half of its time, for those few that this does not find.
        """
        async with self._database.read() as connection:
            now = await dialect_of(connection).now(connection)
            missed = now - SENT_BY
            waiting = await connection.run_sync(workers.waiting, missed)
        half = now - self._waits / 2
        before = self._looked or half - SENT_BY
        overdue = sorted(queue for queue, what in waiting.items() if what.overdue)
        self._sent = {queue: at for queue, at in self._sent.items() if queue in overdue}
        if not overdue:
            self._looked = half
        if not overdue or self.executor.waiting:
            return
        lengths = await self.executor.lengths(overdue)
        if lengths is None:
            return
        async with self._database.read() as connection:
            places = await connection.run_sync(workers.places)
            lost = [
                queue
                for queue in overdue
                # A few may be in the hands of workers, who are about to take them.
                if (
                    not lengths[queue]
                    or waiting[queue].overdue > lengths[queue] + places.get(queue, 0)
                )
                and self._sent.get(queue, missed) <= missed
            ]
            found = dict(await connection.run_sync(_queued, overdue, before, half))
            if lost:
                found |= await connection.run_sync(_queued, lost, None, missed)
        self._looked = half
        self._sent |= dict.fromkeys(lost, now)
        for execution_id, queue in found.items():
            self.executor.send(execution_id, queue)


def _queued(
    connection: Connection, queues: Collection[str], since: datetime | None, until: datetime
) -> list[tuple[str, str]]:
    return workers.queued_between(connection, queues, since, until, limit=MOST_SENT)
