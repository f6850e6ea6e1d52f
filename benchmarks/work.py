"""The functions that the measured service calls: they do nothing but tell when they were called."""

import time

from benchmarks.record import from_environment, note_shared
from taskservice import current_execution

_writer = from_environment()


async def noop() -> None:
    """Notes its fire."""
    called = time.time()
    scheduled = current_execution().scheduled_time
    if _writer and scheduled:
        _writer.note(scheduled.timestamp(), called)


def sent() -> None:
    """Notes its fire from whatever process it is called in: a plain function for workers."""
    called = time.time()
    scheduled = current_execution().scheduled_time
    if scheduled:
        note_shared(scheduled.timestamp(), called)


async def nothing(number: int = 0) -> None:
    """Does nothing at all: for tasks that are not to fire."""
