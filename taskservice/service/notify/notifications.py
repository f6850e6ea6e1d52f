"""Notifications of one process: judged where it schedules, and sent wherever it is."""

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

from taskservice.domain.errors import NotFound, Unavailable
from taskservice.engine.engine import Engine
from taskservice.engine.repeat import repeat
from taskservice.engine.signals import RulesOf
from taskservice.service.notify import services
from taskservice.service.notify.answers import Answer
from taskservice.service.notify.heartbeat import BEAT_SECONDS, Heartbeat
from taskservice.service.notify.judging import Judge
from taskservice.service.notify.sending import Sender
from taskservice.service.notify.silences import Silences
from taskservice.service.notify.troubles import Troubles
from taskservice.service.notify.words import Place
from taskservice.service.tasks import listed
from taskservice.service.workers import Workers
from taskservice.settings import Settings
from taskservice.storage import messages
from taskservice.storage.database import Database
from taskservice.storage.messages import Message, Outlook

LOOK_SECONDS = 1.0
"""How often what was seen is judged, and the outbox looked at."""

TROUBLE_SECONDS = 2.0
"""How often it is looked whether the service itself has troubles."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelReport:
    """A channel as people are told of it; `last` is what was sent there last, taken or not."""

    name: str
    kind: str
    system: bool
    outlook: Outlook
    last: Message | None


class Notifications:
    """Tells people, by the channels of the settings. Raises SettingsError where one is none."""

    def __init__(
        self,
        database: Database,
        engine: Engine,
        workers: Workers,
        rules_of: RulesOf,
        settings: Settings,
        *,
        beat_seconds: float = BEAT_SECONDS,
    ) -> None:
        for channel in settings.channels.values():
            if channel.kind == "apprise":
                services.check(channel)
        self._database = database
        self._channels = settings.channels
        self._system = settings.notify_system
        place = Place(zone=settings.timezone, url=settings.url)
        self.silences = Silences(database, zone=settings.timezone)
        self.judge = Judge(database, engine, rules_of, settings.channels, place=place)
        self.sender = Sender(
            database, engine, settings.channels,
            secret=settings.webhook_secret, place=place, system=self._system,
        )  # fmt: skip
        self._engine = engine
        self._heartbeat = Heartbeat(engine, settings.heartbeat) if settings.heartbeat else None
        self._beat_seconds = beat_seconds
        self.troubles = (
            Troubles(
                database, engine, workers, settings.channels[self._system],
                name=engine.name, place=place,
            )
            if self._system
            else None
        )  # fmt: skip

    async def run(self, stop: asyncio.Event) -> None:
        """Judge and send again and again, until `stop` is set."""
        loops = [
            repeat(stop, LOOK_SECONDS, self._judge),
            repeat(stop, LOOK_SECONDS, self.sender.look),
        ]
        if self.troubles:
            loops.append(repeat(stop, TROUBLE_SECONDS, self.troubles.look))
        if self._heartbeat:
            await self._heartbeat.beat()
            loops.append(repeat(stop, self._beat_seconds, self._heartbeat.beat))
        await asyncio.gather(*loops)
        await self.sender.stop()
        if self.troubles:
            with contextlib.suppress(Unavailable):
                await self.troubles.leave()

    async def _judge(self) -> None:
        if self._engine.leads:
            await self.silences.expire()
            await self.judge.look()

    async def messages(self, task_id: str, *, limit: int) -> list[Message]:
        """The last messages about a task, newest first. Raises `NotFound`."""
        async with self._database.read() as connection:
            await listed(connection, task_id)
            return await messages.of_task(connection, task_id, limit=limit)

    async def channels(self) -> Sequence[ChannelReport]:
        """The channels, by name, with what waits for them and what came of the last message."""
        async with self._database.read() as connection:
            outlooks = await messages.outlooks(connection)
            last = await messages.last_tried(connection)
        return [
            ChannelReport(
                name=name, kind=channel.kind, system=name == self._system,
                outlook=outlooks.get(name, Outlook()), last=last.get(name),
            )
            for name, channel in sorted(self._channels.items())
        ]  # fmt: skip

    async def test(self, name: str, *, by: str) -> Answer:
        """Send a test to a channel, and wait for what comes of it. Raises `NotFound`."""
        if name not in self._channels:
            raise NotFound(f"no channel {name[:100]!r}")
        return await self.sender.test(name, by)
