"""The functions that the measured service calls: they do nothing but tell when they were called."""

import time

from benchmarks.record import from_environment
from taskservice import current_execution

_writer = from_environment()


async def noop() -> None:
    """Notes its fire."""
    called = time.time()
    scheduled = current_execution().scheduled_time
    if _writer and scheduled:
        _writer.note(scheduled.timestamp(), called)


async def nothing(number: int = 0) -> None:
    """Does nothing at all: for tasks that are not to fire."""
