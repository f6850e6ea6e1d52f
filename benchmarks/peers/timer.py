"""APScheduler with its memory store and no rows at all: `python -m benchmarks.peers.timer FILE`.

FILE holds the triggers as JSON, each with its `type` and `args`.
"""

import asyncio
import logging
import sys
import time
from datetime import UTC
from pathlib import Path
from typing import Any

import msgspec
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from benchmarks.peers.told import ToldExecutor, scheduled
from benchmarks.record import Writer, from_environment


def make_scheduler() -> Any:
    """A scheduler whose jobs run as the service's tasks do by default."""
    return AsyncIOScheduler(
        timezone=UTC,
        executors={"default": ToldExecutor()},  # type: ignore[no-untyped-call]
        job_defaults={"misfire_grace_time": 3600, "coalesce": True, "max_instances": 1},
    )


def triggers_of(path: str) -> list[tuple[str, dict[str, Any]]]:
    """The triggers of a file, each as the arguments that `add_job` takes."""
    return [(one["type"], one["args"]) for one in msgspec.json.decode(Path(path).read_bytes())]


async def _serve(path: str, writer: Writer) -> None:
    async def noop() -> None:
        called = time.time()
        writer.note(scheduled.get().timestamp(), called)

    scheduler = make_scheduler()
    for kind, args in triggers_of(path):
        scheduler.add_job(noop, kind, **args)
    scheduler.start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    logging.getLogger("apscheduler").setLevel(logging.ERROR)
    found = from_environment()
    assert found, "the record is missing"
    asyncio.run(_serve(sys.argv[1], found))
