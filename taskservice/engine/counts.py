"""What the executions of this process come to, in numbers: a few additions for each."""

from bisect import bisect_left
from collections.abc import Sequence
from datetime import UTC, datetime

from taskservice.domain.run import NEVER_RAN
from taskservice.storage.executions import ExecutionRow

LATENESS = (
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0,
)  # fmt: skip
DURATIONS = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 14400.0)

RAN = ("completed", "failed", "cancelled")
"""How an execution ends that began."""


class Histogram:
    """How many values there were up to each bound, above the one before it, and their sum."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def add(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value


class Counts:
    """Counts what was recorded and called since the process began; all on the event loop."""

    def __init__(self) -> None:
        self.started = 0
        self.ended = dict.fromkeys((*RAN, *NEVER_RAN), 0)
        self.durations = {status: Histogram(DURATIONS) for status in RAN}
        self.lateness = Histogram(LATENESS)

    def record(self, added: Sequence[ExecutionRow], ended: Sequence[ExecutionRow]) -> None:
        """Count the executions of a commit: begun or sent, noted as never run, and ended.

        The ends of those that were sent count where somebody looks at their rows: `end_elsewhere`.
        """
        for one in added:
            if one.is_open:
                self.started += 1
            else:
                self.ended[one.status] += 1
        for one in ended:
            if one.queue is None:
                self._end(one)

    def end_elsewhere(self, execution: ExecutionRow) -> None:
        """Count the end of an execution that was sent, and how late its worker began it."""
        self._end(execution)
        if execution.ran and execution.scheduled_time and execution.attempt == 1:
            late = execution.start_time - execution.scheduled_time
            self.lateness.add(max(late.total_seconds(), 0.0))

    def _end(self, execution: ExecutionRow) -> None:
        self.ended[execution.status] += 1
        if execution.end_time and execution.ran:
            took = execution.end_time - execution.start_time
            self.durations[execution.status].add(took.total_seconds())

    def called(self, execution: ExecutionRow) -> None:
        """Count how late a fire's function is called; not by whom somebody asked, nor again."""
        if execution.scheduled_time and execution.attempt == 1:
            late = datetime.now(UTC) - execution.scheduled_time
            self.lateness.add(max(late.total_seconds(), 0.0))
