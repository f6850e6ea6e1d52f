"""Notifications of one process: judged where it schedules, and sent wherever it is."""

import asyncio

from taskservice.engine.engine import Engine
from taskservice.engine.repeat import repeat
from taskservice.engine.signals import RulesOf
from taskservice.service.notify import services
from taskservice.service.notify.judging import Judge
from taskservice.service.notify.sending import Sender
from taskservice.service.notify.words import Place
from taskservice.settings import Settings
from taskservice.storage.database import Database

LOOK_SECONDS = 1.0
"""How often what was seen is judged, and the outbox looked at."""


class Notifications:
    """Tells people, by the channels of the settings. Raises SettingsError where one is none."""

    def __init__(
        self, database: Database, engine: Engine, rules_of: RulesOf, settings: Settings
    ) -> None:
        for channel in settings.channels.values():
            if channel.kind == "apprise":
                services.check(channel)
        place = Place(zone=settings.timezone, url=settings.url)
        self.judge = Judge(database, engine, rules_of, settings.channels, place=place)
        self.sender = Sender(
            database, engine, settings.channels, secret=settings.webhook_secret, place=place
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Judge and send again and again, until `stop` is set."""
        await asyncio.gather(
            repeat(stop, LOOK_SECONDS, self.judge.look),
            repeat(stop, LOOK_SECONDS, self.sender.look),
        )
        await self.sender.stop()
