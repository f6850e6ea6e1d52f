"""Functions of tasks whose executions people are told of."""

import asyncio
from pathlib import Path


def fail() -> None:
    raise OSError("the disk is full")


def fail_while(path: str) -> None:
    """Fail for as long as there is a file."""
    if Path(path).exists():
        raise OSError("the disk is full")


async def take(seconds: float) -> None:
    """Take so long."""
    await asyncio.sleep(seconds)
