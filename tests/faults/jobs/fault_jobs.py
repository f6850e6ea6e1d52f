"""A user's module: functions that leave evidence of their own, wherever the service runs them.

One line a beginning and one an end, each by one `O_APPEND` write, so that the lines of many
threads and processes stand whole, and in the order in which they were written:
`task, scheduled time, attempt, process, begin|end, moment, execution, tick, child`, separated by
tabs; times are microseconds since 1970, `-` stands for the scheduled time of a run by hand. The
tick is the same moment by a clock that nobody steps. The process is the one that answers for it,
which a worker tells its children by `FAULTS_HOME`; the child is the one that it runs in.
"""

import asyncio
import os
import select
import signal
import time

from taskservice import current_execution


def work(path: str, seconds: float = 0.0) -> str:
    """Leaves both lines, `seconds` apart, and gives the execution's id."""
    note(path, "begin")
    # Not time.sleep: libfaketime, by which the clock is stepped, makes that fail.
    select.select([], [], [], seconds)
    note(path, "end")
    return current_execution().id


async def work_later(path: str, seconds: float = 0.0) -> str:
    """The same as a coroutine."""
    note(path, "begin")
    await asyncio.sleep(seconds)
    note(path, "end")
    return current_execution().id


def fail(path: str, seconds: float = 0.0) -> None:
    """Leaves both lines and raises."""
    work(path, seconds)
    raise ValueError("as it was told")


def die(path: str, seconds: float = 0.0) -> None:
    """Leaves the line of its beginning, and kills its own process."""
    note(path, "begin")
    select.select([], [], [], seconds)
    os.kill(os.getpid(), signal.SIGKILL)


def hunger(path: str, seconds: float = 0.0) -> None:
    """Leaves both lines, and runs out of memory."""
    work(path, seconds)
    bytearray(2**62)


def note(path: str, kind: str) -> None:
    """Adds a line of this execution to the file."""
    execution = current_execution()
    fire = execution.scheduled_time
    fields = (
        execution.task_id,
        "-" if fire is None else round(fire.timestamp() * 1_000_000),
        execution.attempt,
        os.environ.get("FAULTS_HOME") or os.getpid(),
        kind,
        time.time_ns() // 1000,
        execution.id,
        time.monotonic_ns() // 1000,
        os.getpid(),
    )
    line = "\t".join(map(str, fields)) + "\n"
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)
