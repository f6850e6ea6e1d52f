"""`python -m tests.faults.racer URL FOLDER`: an engine alone, which races others for fires.

It claims and runs what is due on the database until SIGTERM, and drains.
"""

import asyncio
import signal
import sys

from taskservice.storage.database import Database
from tests.engine import harness


async def race(url: str) -> None:
    """Run until SIGTERM."""
    harness.PATTERNS = ("fault_jobs.*",)
    asked = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asked.set)
    database = Database(url)
    engine = harness.make_engine(database, processes=False)
    await engine.start()
    # As if each of them had been told that it schedules for all: that must do no harm.
    await engine.lead()
    print("ready", flush=True)
    await asked.wait()
    await engine.drain(10)
    await engine.stop()
    await database.close()


if __name__ == "__main__":
    sys.path.insert(0, sys.argv[2])
    asyncio.run(race(sys.argv[1]))
