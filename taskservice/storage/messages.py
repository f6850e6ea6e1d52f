"""The outbox: what people are told, from the transaction that decides it until it has arrived.

A message is in the hands of whoever raised `attempts` last, until `due`: if that process dies,
another one sends it again then, under the same id.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import and_, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from taskservice.domain.outbox import MINUTE, Choice, choose
from taskservice.storage.damage import readable
from taskservice.storage.dialects import dialect_of
from taskservice.storage.key_values import set_value
from taskservice.storage.rows import chunks
from taskservice.storage.tables import task_message

State = Literal["waiting", "sent", "gathered", "undeliverable"]

LEASE = timedelta(seconds=60)
"""How long a message is in the hands of a process."""

TEST = "test"
"""The kind of a message that somebody sends to find out whether it arrives."""

MOST = 1000
"""How many messages of a channel are looked at at a time, and told of in one."""

_M = task_message.c
_SHOWN = (
    _M.id, _M.channel, _M.task_id, _M.kind, _M.subject, _M.body, _M.data, _M.created_at, _M.state,
    _M.due, _M.attempts, _M.tried_at, _M.sent_at, _M.answer, _M.gathered_in,
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What somebody is told by a channel; `data` is what a webhook is sent of it.

    `answer` is that of the last attempt, `gathered_in` the message that tells of it among others.
    """

    id: str
    channel: str
    kind: str
    subject: str
    body: str
    data: Mapping[str, Any]
    created_at: datetime
    task_id: str | None = None
    state: State = "waiting"
    due: datetime | None = None
    attempts: int = 0
    tried_at: datetime | None = None
    sent_at: datetime | None = None
    answer: str | None = None
    gathered_in: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What a channel's outbox has: how many wait, and how many nobody took."""

    waiting: int = 0
    undeliverable: int = 0


async def add(connection: AsyncConnection, messages: Sequence[Message]) -> None:
    """Put messages into the outbox."""
    for piece in chunks(messages):
        await connection.execute(insert(task_message), [_row(one) for one in piece])


def _row(one: Message) -> dict[str, Any]:
    return {
        "id": one.id, "channel": one.channel, "task_id": one.task_id, "kind": one.kind,
        "subject": one.subject, "body": one.body, "data": dict(one.data),
        "created_at": one.created_at, "state": one.state, "due": one.due or one.created_at,
        "attempts": one.attempts, "tried_at": one.tried_at, "sent_at": one.sent_at,
        "answer": one.answer, "gathered_in": one.gathered_in,
    }  # fmt: skip


async def due_channels(connection: AsyncConnection) -> list[str]:
    """The channels with a message whose time has come."""
    now = await dialect_of(connection).now(connection)
    query = (
        select(_M.channel)
        .where(_M.state == "waiting")
        .group_by(_M.channel)
        .having(func.min(_M.due) <= now)
    )
    return list((await connection.execute(query)).scalars())


async def hold_turn(connection: AsyncConnection, channel: str) -> datetime:
    """Keep others from choosing for a channel until the transaction ends; the time by then."""
    await set_value(connection, f"channel:{channel}", {})
    return await dialect_of(connection).now(connection)


async def chosen(connection: AsyncConnection, channel: str, now: datetime) -> Choice:
    """What is to be sent to a channel now; what has to wait is looked at again when it may be."""
    recent = select(_M.id, _M.tried_at).where(_M.channel == channel, _M.tried_at > now - MINUTE)
    tried = {
        row.id: row.tried_at
        for row in await connection.execute(recent)
        if isinstance(row.tried_at, datetime)
    }
    query = (
        select(_M.id, _M.attempts, _M.due, _M.created_at)
        .where(_M.state == "waiting", _M.channel == channel, _M.due <= now)
        .order_by(_M.due, _M.id)
        .limit(MOST)
    )
    again, fresh, held = [], [], []
    for row in await connection.execute(query):
        if row.attempts:
            again.append(row.id)
        elif row.due == row.created_at:
            fresh.append(row.id)
        else:
            held.append(row.id)
    choice = choose(again=again, fresh=fresh, held=held, tried=tried, now=now)
    for piece in chunks(choice.hold):
        await connection.execute(
            update(task_message).where(_M.id.in_(piece)).values(due=choice.until)
        )
    return choice


async def take(connection: AsyncConnection, ids: Collection[str], now: datetime) -> list[Message]:
    """Have messages in this process's hands, for an attempt more."""
    await connection.execute(
        update(task_message)
        .where(_M.id.in_(list(ids)))
        .values(attempts=_M.attempts + 1, tried_at=now, due=now + LEASE)
    )
    return await of(connection, ids)


async def of(connection: AsyncConnection, ids: Collection[str]) -> list[Message]:
    """The messages with these ids, the earliest first."""
    found = []
    for piece in chunks(sorted(ids)):
        query = select(*_SHOWN).where(_M.id.in_(piece)).order_by(_M.created_at, _M.id)
        found += [_message(row) for row in await connection.execute(query)]
    return found


async def topics(
    connection: AsyncConnection, ids: Collection[str]
) -> list[tuple[str, str, str | None]]:
    """Of messages, the earliest first, the id, the kind and the task."""
    found: list[tuple[str, str, str | None]] = []
    for piece in chunks(sorted(ids)):
        query = select(_M.id, _M.kind, _M.task_id).where(_M.id.in_(piece)).order_by(_M.id)
        found += [(row.id, row.kind, row.task_id) for row in await connection.execute(query)]
    return found


async def gather(connection: AsyncConnection, ids: Sequence[str], into: str) -> None:
    """Have messages told of by another one."""
    for piece in chunks(ids):
        await connection.execute(
            update(task_message).where(_M.id.in_(piece)).values(state="gathered", gathered_in=into)
        )


async def arrived(connection: AsyncConnection, message: Message, answer: str) -> None:
    """Note that a message was taken."""
    now = await dialect_of(connection).now(connection)
    await connection.execute(
        update(task_message)
        .where(_M.id == message.id)
        .values(state="sent", sent_at=now, answer=answer)
    )


async def not_taken(
    connection: AsyncConnection, message: Message, answer: str, wait: float | None
) -> bool:
    """Note that an attempt failed; False where another one is in somebody's hands meanwhile.

    It is made again after `wait` seconds; None: never.
    """
    now = await dialect_of(connection).now(connection)
    values: dict[str, Any] = {"answer": answer}
    if wait is None:
        values["state"] = "undeliverable"
    else:
        values["due"] = now + timedelta(seconds=wait)
    done = await connection.execute(
        update(task_message)
        .where(_M.id == message.id, _M.attempts == message.attempts, _M.state == "waiting")
        .values(**values)
    )
    return done.rowcount > 0


async def of_task(connection: AsyncConnection, task_id: str, *, limit: int) -> list[Message]:
    """The last messages about a task, newest first."""
    query = (
        select(*_SHOWN)
        .where(_M.task_id == task_id)
        .order_by(_M.created_at.desc(), _M.id.desc())
        .limit(limit)
    )
    return [_message(row) for row in await connection.execute(query)]


async def last_tried(connection: AsyncConnection) -> dict[str, Message]:
    """By channel, the message that was sent there last, taken or not."""
    last = (
        select(_M.channel, func.max(_M.tried_at).label("at"))
        .where(_M.tried_at.is_not(None))
        .group_by(_M.channel)
        .subquery()
    )
    query = select(*_SHOWN).join(last, and_(_M.channel == last.c.channel, _M.tried_at == last.c.at))
    return {row.channel: _message(row) for row in await connection.execute(query)}


async def outlooks(connection: AsyncConnection) -> dict[str, Outlook]:
    """By channel, what its outbox has."""
    query = (
        select(_M.channel, _M.state, func.count())
        .where(_M.state.in_(["waiting", "undeliverable"]), _M.kind != TEST)
        .group_by(_M.channel, _M.state)
    )
    counts: dict[str, dict[str, int]] = {}
    for channel, state, count in await connection.execute(query):
        counts.setdefault(channel, {})[state] = count
    return {channel: Outlook(**found) for channel, found in counts.items()}


async def delete_before(connection: AsyncConnection, moment: datetime, *, limit: int) -> int:
    """Delete at most `limit` messages that were made before a moment and wait no more."""
    query = (
        select(_M.id)
        .where(_M.created_at < moment, _M.state != "waiting")
        .order_by(_M.created_at)
        .limit(limit)
    )
    ids = list((await connection.execute(query)).scalars())
    for piece in chunks(ids):
        await connection.execute(delete(task_message).where(_M.id.in_(piece)))
    return len(ids)


def _message(row: Any) -> Message:
    values = dict(row._mapping)
    if not isinstance(values["data"], dict):
        values["data"] = {}
    for name in ("created_at", "due", "tried_at", "sent_at"):
        values[name] = readable(values[name])
    return Message(**values)
