"""What became of the executions that this process sent to workers, in numbers.

Their workers write how they end, and count for nobody. So whoever sent one looks at its row from
time to time. What a process sent that is dead by now is counted by whoever schedules next.
"""

from collections.abc import Iterable
from itertools import islice

from taskservice.engine.counts import Counts
from taskservice.storage import executions as log
from taskservice.storage.database import Database

TOGETHER = 500
"""How many rows are read at a time."""

MOST = 10
"""How many times a look reads so many, as long as it finds that many of them have ended."""


class SentExecutions:
    """Counts the ends of the executions that were sent, each once."""

    def __init__(self, database: Database, counts: Counts) -> None:
        self._database = database
        self._counts = counts
        # A dict is a set that keeps its order.
        self._open: dict[str, None] = {}

    def add(self, execution_ids: Iterable[str]) -> None:
        """Have the ends of these counted."""
        self._open.update(dict.fromkeys(execution_ids))

    async def adopt(self) -> None:
        """Have the ends of all counted that have not ended. Raises `Unavailable`."""
        async with self._database.read() as connection:
            self.add(await connection.run_sync(log.sent))

    async def look(self) -> None:
        """Count what has ended since, as far as it takes little. Raises `Unavailable`.

        Of many that are open each look reads some, in turn.
        """
        if not self._open:
            return
        async with self._database.read() as connection:
            for _ in range(MOST):
                ids = list(islice(self._open, TOGETHER))
                still_open = await connection.run_sync(log.still_open, ids)
                gone = [key for key in ids if key not in still_open]
                ended = await connection.run_sync(log.ends, gone)
                # What isn't there any more went with its task, and is counted by nobody.
                for key in ids:
                    del self._open[key]
                self.add(key for key in ids if key in still_open)
                for execution in ended:
                    self._counts.end_elsewhere(execution)
                if len(gone) < TOGETHER / 4:
                    break
