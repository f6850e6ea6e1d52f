"""watchfiles with its defaults, and nothing behind it: `python -m benchmarks.peers.watching DIR`.

Notes when each event came.
"""

import asyncio
import sys

import watchfiles

from benchmarks.record import Writer, from_environment, now


async def _serve(folder: str, writer: Writer) -> None:
    writer.note(now(), now())
    async for _ in watchfiles.awatch(folder):
        moment = now()
        writer.note(moment, moment)


if __name__ == "__main__":
    found = from_environment()
    assert found, "the record is missing"
    asyncio.run(_serve(sys.argv[1], found))
