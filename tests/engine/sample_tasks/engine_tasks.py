"""Functions for the engine's tests; those that take a `path` leave evidence there."""

import asyncio
import os
import re
import time
from pathlib import Path

from taskservice import current_execution

LIMIT = 60.0
"""Seconds after which a function that waits gives up: a test that failed leaves nothing behind."""


def say(message: str = "hello") -> str:
    print(f"said {message}")
    return message


async def say_later() -> str:
    await asyncio.sleep(0)
    return say()


def note(path: str) -> None:
    """Add a line with this execution to a file, in one write: evidence that it ran."""
    execution = current_execution()
    line = f"{execution.id} {execution.task_id} {execution.attempt}\n"
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)


def note_and_fail(path: str) -> None:
    note(path)
    raise ValueError("as it was told")


def fail_with(message: str) -> None:
    raise ValueError(message)


def fail_first(path: str, times: int) -> str:
    """Fail until it was called more than `times` times."""
    note(path)
    if len(Path(path).read_text().splitlines()) <= times:
        raise ValueError("not yet")
    return "at last"


def wait_for(path: str, gate: str) -> str:
    """Block a thread until the file `gate` is there."""
    note(path)
    wait(gate)
    return "through"


async def block_for(path: str, gate: str) -> str:
    """Block the event loop that this runs on until the file `gate` is there."""
    note(path)
    wait(gate)
    return "through"


async def suspend(path: str) -> None:
    """Wait for nothing, as a coroutine should; on cancel leave a second line."""
    note(path)
    try:
        await asyncio.sleep(LIMIT)
    finally:
        note(path)


def sleep_in_process(path: str) -> None:
    """Leave the process's id and sleep."""
    Path(path).write_text(str(os.getpid()))
    time.sleep(LIMIT)


def abort() -> None:
    os.abort()


def hog(path: str) -> None:
    """Keep the interpreter to itself: no other thread of this process runs any more."""
    note(path)
    re.match(r"(a+)+$", "a" * 60 + "b")


def arguments(**func_args: object) -> dict[str, object]:
    return func_args


def reveal(password: str) -> str:
    print(f"the password is {password}")
    return f"<{password}>"


def reveal_and_wait(password: str, gate: str) -> str:
    result = reveal(password)
    wait(gate)
    return result


def reveal_parts(password: str, gate: str) -> None:
    """Print the half of a password, and when the gate is open the other half."""
    print(f"now {password[:6]}", end="")
    wait(gate)
    print(password[6:])


def reveal_and_fail(password: str) -> None:
    raise ValueError(f"wrong password {password}")


def wait(gate: str) -> None:
    """Block until the file `gate` is there."""
    end = time.monotonic() + LIMIT
    while not Path(gate).exists():
        if time.monotonic() > end:
            raise TimeoutError(f"nobody made {gate}")
        time.sleep(0.01)
