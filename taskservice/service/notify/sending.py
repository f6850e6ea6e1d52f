"""The outbox is emptied: each process takes what is due, sends it, and notes what came of it."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

import structlog

from taskservice.domain.outbox import wait_after
from taskservice.engine.engine import Engine
from taskservice.service.moments import now_utc
from taskservice.service.notify.answers import LATE, SECONDS, Answer, refused
from taskservice.service.notify.services import Services
from taskservice.service.notify.webhook import Webhooks
from taskservice.service.notify.words import (
    Place,
    Words,
    gathered,
    test_words,
    undeliverable,
)
from taskservice.settings import Channel
from taskservice.storage import messages
from taskservice.storage.database import Connection, Database
from taskservice.storage.messages import Message
from taskservice.storage.rows import new_id

AT_ONCE = 16
"""How many messages a process sends at a time."""

STOP_SECONDS = 5.0
"""How long a stop waits for what is being sent; what is left others send again."""

log = structlog.get_logger()


class Sender:
    """Sends what waits in the outbox, in every process; `counts` are by channel and outcome.

    `system` is the channel that is told of what nobody takes. An attempt may take `attempt_seconds`
    over all.
    """

    def __init__(
        self,
        database: Database,
        engine: Engine,
        channels: Mapping[str, Channel],
        *,
        secret: str,
        place: Place,
        system: str = "",
        attempt_seconds: float = SECONDS,
    ) -> None:
        self._database = database
        self._engine = engine
        self._channels = channels
        self._place = place
        self._system = system
        self._attempt_seconds = attempt_seconds
        self._webhooks = Webhooks(secret)
        self._services = Services()
        self._room = asyncio.Semaphore(AT_ONCE)
        self._going_on: set[asyncio.Task[None]] = set()
        self.counts: Counter[tuple[str, str]] = Counter()

    async def look(self) -> None:
        """Begin to send what is due. Raises `Unavailable`."""
        if not self._channels and not self._engine.leads:
            return
        async with self._database.read() as connection:
            due = await messages.due_channels(connection)
        for channel in due:
            # One that this process does not know another one may; the scheduler takes the rest.
            if channel in self._channels or self._engine.leads:
                await self._begin(channel)

    async def _begin(self, channel: str) -> None:
        async def work(connection: Connection) -> list[Message]:
            return await self._taken(connection, channel)

        for message in await self._database.write(work):
            sending = asyncio.create_task(self._send(message))
            self._going_on.add(sending)
            sending.add_done_callback(self._going_on.discard)

    async def _taken(self, connection: Connection, channel: str) -> list[Message]:
        """Take what may be sent now; what is too much is told of in one message."""
        now = await messages.hold_turn(connection, channel)
        choice = await messages.chosen(connection, channel, now)
        send = list(choice.send)
        if choice.gather:
            known = self._channels.get(channel)
            told = await messages.topics(connection, choice.gather)
            words = gathered(told, known.language if known else "en", self._place)
            made = Message(
                id=new_id(), channel=channel, kind="gathered", subject=words.subject,
                body=words.body, data=words.data, created_at=now,
            )  # fmt: skip
            await messages.add(connection, [made])
            await messages.gather(connection, choice.gather, made.id)
            send.append(made.id)
        return await messages.take(connection, send, now) if send else []

    async def _send(self, message: Message) -> None:
        async with self._room:
            try:
                await self._note(message, await self.attempt(message))
            except Exception:
                # It is sent again when its time in this process's hands is over.
                log.exception("message_not_noted", channel=message.channel, message=message.id)

    async def test(self, name: str, by: str) -> Answer:
        """Send a message to a channel to find out whether it arrives, and keep what came of it."""
        channel = self._channels[name]
        words = test_words(name, by, channel.language)
        message = system_message(channel, messages.TEST, words)
        answer = await self.attempt(message)
        now = now_utc()
        made = replace(
            message, state="sent" if answer.taken else "undeliverable", attempts=1, tried_at=now,
            sent_at=now if answer.taken else None, answer=answer.told,
        )  # fmt: skip
        await self._database.write(lambda connection: messages.add(connection, [made]))
        return answer

    async def attempt(self, message: Message) -> Answer:
        """Send a message once; raises nothing."""
        channel = self._channels.get(message.channel)
        if channel is None:
            return refused("there is no such channel")
        by = self._webhooks if channel.kind == "webhook" else self._services
        try:
            async with asyncio.timeout(self._attempt_seconds):
                return await by.send(channel, message)
        except TimeoutError:
            return LATE
        except Exception as error:
            log.warning("message_failed", channel=channel.name, error=type(error).__name__)
            return refused("it could not be sent")

    async def _note(self, message: Message, answer: Answer) -> None:
        """Note what came of an attempt."""
        if answer.taken:
            self.counts[message.channel, "sent"] += 1
            await self._database.write(
                lambda connection: messages.arrived(connection, message, answer.told)
            )
            return
        self.counts[message.channel, "failed"] += 1
        await self._not_taken(message, answer.told, wait_after(message.attempts))

    async def give_up(self, message: Message) -> None:
        """Take a message for undeliverable that was not taken so far."""
        await self._not_taken(message, message.answer or "", None)

    async def _not_taken(self, message: Message, answer: str, wait: float | None) -> None:
        async def work(connection: Connection) -> bool:
            noted = await messages.not_taken(connection, message, answer, wait)
            if noted and wait is None and self._system not in ("", message.channel):
                channel = self._channels[self._system]
                words = undeliverable(message, answer, channel.language, self._place)
                await messages.add(connection, [system_message(channel, "undeliverable", words)])
            return noted

        if await self._database.write(work):
            log.warning(
                "message_not_taken" if wait is not None else "message_undeliverable",
                channel=message.channel, message=message.id, attempt=message.attempts,
                answer=answer,
            )  # fmt: skip

    async def stop(self) -> None:
        """Wait a little for what is being sent."""
        if self._going_on:
            _, left = await asyncio.wait(self._going_on, timeout=STOP_SECONDS)
            for one in left:
                one.cancel()
            await asyncio.gather(*left, return_exceptions=True)


def system_message(channel: Channel, kind: str, words: Words) -> Message:
    """A message that is about no task."""
    return Message(
        id=new_id(), channel=channel.name, kind=kind, subject=words.subject, body=words.body,
        data=words.data, created_at=now_utc(),
    )  # fmt: skip
