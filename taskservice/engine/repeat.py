"""Work that is done again and again until it is told to stop."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from taskservice.domain.errors import Unavailable

log = structlog.get_logger()


async def repeat(stop: asyncio.Event, seconds: float, work: Callable[[], Awaitable[None]]) -> None:
    """Await `work` every so many seconds until `stop` is set; what it began it ends.

    An outage is waited out, and a mistake logged: neither ends the repetition.
    """
    while not stop.is_set():
        try:
            await asyncio.wait_for(stop.wait(), seconds)
            return
        except TimeoutError:
            pass
        try:
            await work()
        except Unavailable as outage:
            log.warning("repeated_work_waits", work=work.__name__, reason=str(outage))
        except Exception:
            log.exception("repeated_work_failed", work=work.__name__)
