"""A dead man's switch: an address that is called for as long as this process schedules.

Whoever waits for the calls, Healthchecks or another service like it, learns when nobody schedules
any more, which the service itself can tell nobody then.
"""

import asyncio

import structlog

from taskservice.engine.engine import Engine
from taskservice.service.notify.answers import LATE, SECONDS, refused
from taskservice.service.notify.webhook import Webhooks
from taskservice.settings import Channel

BEAT_SECONDS = 60.0
"""How often it is called."""

log = structlog.get_logger()


class Heartbeat:
    """Calls the address of `channel`; what it answers is looked at only to log that it is away."""

    def __init__(self, engine: Engine, channel: Channel) -> None:
        self._engine = engine
        self._channel = channel
        self._webhooks = Webhooks("")
        self._away: str | None = None

    async def beat(self) -> None:
        """Call it once, where this process schedules."""
        if not self._engine.leads or not self._engine.firing:
            return
        try:
            async with asyncio.timeout(SECONDS):
                answer = await self._webhooks.beat(self._channel)
        except TimeoutError:
            answer = LATE
        except Exception as error:
            answer = refused(type(error).__name__)
        away = None if answer.taken else answer.told
        if away != self._away:
            if away:
                log.warning("heartbeat_not_taken", answer=away)
            else:
                log.info("heartbeat_taken_again")
            self._away = away
