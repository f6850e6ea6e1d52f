"""The memory of APScheduler's jobs alone: `python -m benchmarks.peers.jobs KIND COUNT`.

Prints by how many bytes a scheduler with COUNT jobs is larger than one without.
"""

import gc
import sys
from datetime import UTC

from apscheduler.schedulers.asyncio import AsyncIOScheduler

from benchmarks.processes import resident
from benchmarks.tasks import seldom
from benchmarks.work import nothing


def main(kind: str, count: int) -> None:
    """Add the jobs, and print what they take."""
    scheduler = AsyncIOScheduler(timezone=UTC)
    # The first job of a kind imports what it needs.
    for trigger in seldom(kind, 1):
        scheduler.add_job(nothing, trigger.type, **trigger.args)
    triggers = seldom(kind, count)
    gc.collect()
    before = resident("self")
    for index, trigger in enumerate(triggers):
        scheduler.add_job(nothing, trigger.type, id=f"task-{index:05}", **trigger.args)
    gc.collect()
    print(resident("self") - before)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
