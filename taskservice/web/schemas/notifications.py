"""Who is told of what: silences, channels, and what was sent."""

from datetime import datetime
from typing import Literal, Self

import msgspec

from taskservice.service import ChannelReport
from taskservice.storage.alerts import Silence as StoredSilence
from taskservice.storage.messages import Message as StoredMessage


class Silence(msgspec.Struct, frozen=True, kw_only=True):
    """Nobody is told of the task until then (null: no end), or until it recovers."""

    reason: str
    until: datetime | None
    set_at: datetime
    set_by: str

    @classmethod
    def of(cls, silence: StoredSilence) -> Self:
        """The answer for a silence."""
        return msgspec.convert(silence, cls, from_attributes=True)


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody was told; `answer` is that of the last attempt.

    One that was `gathered` is told of by the message `gathered_in`.
    """

    id: str
    channel: str
    kind: str
    subject: str
    created_at: datetime
    state: Literal["waiting", "sent", "gathered", "undeliverable"]
    attempts: int
    sent_at: datetime | None
    answer: str | None
    gathered_in: str | None

    @classmethod
    def of(cls, message: StoredMessage) -> Self:
        """The answer for a message."""
        return msgspec.convert(message, cls, from_attributes=True)


class Channel(msgspec.Struct, frozen=True, kw_only=True):
    """A channel by its name; nothing else of it is ever shown.

    `system`: it is told of the service's own troubles. What was sent there last, taken or not, was
    tried at `last_tried_at` and answered so; `waiting` messages are to be sent, and `undeliverable`
    are those, of the ones that are kept, that nobody took for a day.
    """

    name: str
    kind: Literal["webhook", "apprise"]
    system: bool
    waiting: int
    undeliverable: int
    last_tried_at: datetime | None
    last_state: Literal["waiting", "sent", "gathered", "undeliverable"] | None
    last_answer: str | None

    @classmethod
    def of(cls, report: ChannelReport) -> Self:
        """The answer for a channel."""
        last = report.last
        return cls(
            name=report.name,
            kind="webhook" if report.kind == "webhook" else "apprise",
            system=report.system,
            waiting=report.outlook.waiting,
            undeliverable=report.outlook.undeliverable,
            last_tried_at=last.tried_at if last else None,
            last_state=last.state if last else None,
            last_answer=last.answer if last else None,
        )


class ChannelTest(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a test: whether it was taken, and the answer in a few words."""

    taken: bool
    answer: str
