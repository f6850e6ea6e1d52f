"""What waits in queues, and what workers run who do not answer: nothing is left to wait silently.

The row is the truth, a message is a hint. Whoever schedules looks at the rows: what no worker has
begun for too long is ended, what the broker has lost is sent again, and what is over its time is
ended though its worker says nothing.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from taskservice.engine.executor import RemoteExecutor
from taskservice.storage import workers
from taskservice.storage.database import Database, SyncConnection
from taskservice.storage.dialects import dialect_of
from taskservice.storage.executions import ExecutionRow

OVERTIME = timedelta(seconds=2)
"""How long a worker has to say itself that the time of an execution is over."""

MOST_ENDED = 1000
MOST_SENT = 10_000
"""How many executions are ended, and how many sent again, at a time."""


class Queues:
    """Looks after the executions on workers, where this process schedules.

    `executor` sends, `start_timeout` is how many seconds an execution may wait for a worker, and
    `sent_by` how many its message may take before it is missed; `end` is called with the ends that
    are to be recorded.
    """

    def __init__(
        self,
        database: Database,
        executor: RemoteExecutor,
        start_timeout: float,
        sent_by: float,
        end: Callable[[ExecutionRow], None],
    ) -> None:
        self._database = database
        self.executor = executor
        self._waits = timedelta(seconds=start_timeout)
        self._sent_by = timedelta(seconds=sent_by)
        self._end = end
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

        Some are lost where a queue has no message at all, or fewer than executions that wait in
        it; which they are nobody can see, so all are sent. And a queue is first in, first out: what
        still waits, while workers have come to what was queued after it, is lost too.
        """
        async with self._database.read() as connection:
            now = await dialect_of(connection).now(connection)
            missed = now - self._sent_by
            waiting = await connection.run_sync(workers.waiting, missed)
        # What is sent again is given time, too.
        self._sent = {queue: at for queue, at in self._sent.items() if at > missed}
        overdue = [q for q, what in waiting.items() if what.overdue and q not in self._sent]
        if not overdue or self.executor.waiting:
            return
        lengths = await self.executor.lengths(overdue)
        if lengths is None:
            return
        async with self._database.read() as connection:
            places = await connection.run_sync(workers.places)
            reached = await connection.run_sync(workers.reached)
            lost: dict[str, Sequence[str]] = {}
            for queue in overdue:
                # A few may be in the hands of workers, who are about to take them.
                there = lengths[queue] + places.get(queue, 0)
                some_lost = not lengths[queue] or waiting[queue].overdue > there
                if some_lost:
                    lost[queue] = await connection.run_sync(_queued, queue, missed)
                elif queue in reached:
                    until = min(reached[queue] - self._sent_by, missed)
                    lost[queue] = await connection.run_sync(_queued, queue, until)
        for queue, ids in lost.items():
            if ids:
                self._sent[queue] = now
            for execution_id in ids:
                self.executor.send(execution_id, queue)


def _queued(connection: SyncConnection, queue: str, until: datetime) -> Sequence[str]:
    return workers.queued_ids(connection, queue, until, limit=MOST_SENT)
