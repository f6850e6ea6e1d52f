"""The outbox and what goes into it, on both databases."""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import update

from taskservice.domain.incidents import QUIET, Alert
from taskservice.storage import alerts, messages, signals
from taskservice.storage.alerts import Silence
from taskservice.storage.database import Connection, Database
from taskservice.storage.messages import Message, Outlook
from taskservice.storage.rows import new_id
from taskservice.storage.signals import Signal
from taskservice.storage.tables import task_message
from tests.storage.samples import NOW, UGLY

HOUR = timedelta(hours=1)


def message(channel: str = "ops", **more: Any) -> Message:
    now = datetime.now(UTC)
    given: dict[str, Any] = {
        "id": new_id(), "channel": channel, "kind": "failure", "subject": "失败：x", "body": UGLY,
        "data": {"text": UGLY}, "created_at": now, "task_id": "t", **more,
    }  # fmt: skip
    return Message(**given)


async def put(database: Database, *several: Message) -> None:
    await database.write(lambda connection: messages.add(connection, several))


async def picked(database: Database, channel: str = "ops") -> list[Message]:
    """What a process sends now."""

    async def work(connection: Connection) -> list[Message]:
        now = await messages.hold_turn(connection, channel)
        choice = await messages.chosen(connection, channel, now)
        return await messages.take(connection, choice.send, now)

    return await database.write(work)


async def due(database: Database) -> list[str]:
    async with database.read() as connection:
        return await messages.due_channels(connection)


async def all_of(database: Database, *ids: str) -> list[Message]:
    async with database.read() as connection:
        return await messages.of(connection, ids)


async def test_a_message_is_in_one_process_s_hands_until_it_has_arrived(
    database: Database,
) -> None:
    made = message()
    await put(database, made)
    assert await due(database) == ["ops"]
    [taken] = await picked(database)
    assert (taken.body, taken.data, taken.attempts) == (UGLY, {"text": UGLY}, 1)
    assert await picked(database) == []
    assert await due(database) == []
    await database.write(lambda some: messages.arrived(some, taken, "204"))
    [found] = await all_of(database, made.id)
    assert (found.state, found.answer) == ("sent", "204")
    assert found.sent_at is not None


async def test_what_a_dead_process_had_is_sent_again(database: Database) -> None:
    await put(database, message())
    [first] = await picked(database)
    assert first.due is not None and first.tried_at is not None
    assert first.due - first.tried_at == messages.LEASE
    await rewind(database, first)
    assert await due(database) == ["ops"]
    [second] = await picked(database)
    assert (second.id, second.attempts) == (first.id, 2)
    # The first wakes up, and what it says of its attempt is late.
    assert not await database.write(lambda some: messages.not_taken(some, first, "500", None))
    assert await database.write(lambda some: messages.not_taken(some, second, "500", 10))
    [found] = await all_of(database, first.id)
    assert (found.state, found.answer) == ("waiting", "500")
    assert found.due is not None and second.tried_at is not None
    assert timedelta(seconds=9) < found.due - second.tried_at < timedelta(seconds=20)


async def rewind(database: Database, message: Message) -> None:
    """Let the time come at which a message is looked at again."""
    at = datetime.now(UTC) - timedelta(seconds=1)
    statement = update(task_message).where(task_message.c.id == message.id).values(due=at)

    async def work(connection: Connection) -> None:
        await connection.execute(statement)

    await database.write(work)


async def test_what_nobody_took_for_a_day_is_undeliverable(database: Database) -> None:
    await put(database, message(), message("boss"))
    [one] = await picked(database)
    assert await database.write(lambda some: messages.not_taken(some, one, "500", None))
    [found] = await all_of(database, one.id)
    assert found.state == "undeliverable"
    async with database.read() as connection:
        assert await messages.outlooks(connection) == {
            "ops": Outlook(undeliverable=1), "boss": Outlook(waiting=1),
        }  # fmt: skip


async def test_the_third_waits_and_tells_of_all(database: Database) -> None:
    several = [message() for _ in range(5)]
    await put(database, *several)
    sent = await picked(database)
    assert [one.id for one in sent] == [one.id for one in several[:2]]
    assert await due(database) == []
    held = await all_of(database, *(one.id for one in several[2:]))
    assert len({one.due for one in held}) == 1
    gathering = message()

    async def gather(connection: Connection) -> None:
        await messages.gather(connection, [one.id for one in held], gathering.id)

    await database.write(gather)
    async with database.read() as connection:
        told = await messages.topics(connection, [one.id for one in held])
    assert told == [(one.id, "failure", "t") for one in several[2:]]
    found = await all_of(database, *(one.id for one in held))
    assert {(one.state, one.gathered_in) for one in found} == {("gathered", gathering.id)}


async def test_messages_of_a_task_and_of_a_channel(database: Database) -> None:
    old, new = message(created_at=NOW), message(created_at=NOW + HOUR)
    other = message(task_id=None, channel="boss", created_at=NOW)
    await put(database, old, new, other)
    async with database.read() as connection:
        assert await messages.last_tried(connection) == {}
        found = await messages.of_task(connection, "t", limit=10)
        assert [one.id for one in found] == [new.id, old.id]
    [sent, _] = await picked(database)
    async with database.read() as connection:
        last = await messages.last_tried(connection)
    assert last.keys() == {"ops"} and last["ops"].id in (old.id, new.id)
    await database.write(lambda some: messages.arrived(some, sent, "200"))
    # What waits is kept, however old it is.
    assert await database.write(lambda s: messages.delete_before(s, NOW + 2 * HOUR, limit=9)) == 1


async def test_signals_are_taken_in_order_and_looked_at_in_time(database: Database) -> None:
    now = Signal(task_id="t", execution_id="a", what="failed")
    over = Signal(task_id="t", execution_id="b", what="long", seconds=0.1, due=NOW)
    later = Signal(task_id="t", execution_id="b", what="long", seconds=60.0, due=NOW + HOUR)
    many = [now, over, later, Signal(task_id="t", execution_id="c", what="completed")]
    await database.write(lambda some: some.run_sync(signals.add, many))
    async with database.read() as connection:
        assert await signals.are_there(connection, NOW)
    found = await database.write(lambda some: signals.take(some, NOW, limit=10))
    assert [(one.what, one.execution_id) for one in found] == [
        ("failed", "a"), ("completed", "c"), ("long", "b"),
    ]  # fmt: skip
    assert found[2].seconds == 0.1
    await database.write(lambda some: signals.look_again(some, found[2].id, NOW + 2 * HOUR))
    await database.write(lambda some: signals.drop(some, [one.id for one in found[:2]]))
    assert await database.write(lambda some: signals.take(some, NOW, limit=10)) == []
    async with database.read() as connection:
        assert not await signals.are_there(connection, NOW)
        assert await signals.are_there(connection, NOW + 2 * HOUR)
    await database.write(lambda some: some.run_sync(signals.forget_watches, ["b"], NOW + HOUR))
    left = await database.write(lambda some: signals.take(some, NOW + 9 * HOUR, limit=10))
    assert [one.seconds for one in left] == [60.0]


async def test_where_rules_stand(database: Database) -> None:
    failing = Alert(failures=2, since=NOW, incident="i", remind_at=NOW + HOUR)
    standing = {"t": {"ops": failing, "ops:1": Alert(failures=1, since=NOW)}, "u": {"ops": QUIET}}
    await database.write(lambda some: alerts.save_alerts(some, {}, standing))
    found = await database.write(lambda some: alerts.alerts(some, ["t", "u"]))
    assert found == {"t": standing["t"]}
    async with database.read() as connection:
        assert await alerts.to_remind(connection, NOW, limit=9) == []
        assert await alerts.to_remind(connection, NOW + HOUR, limit=9) == ["t"]
    after = {"t": {"ops": QUIET, "ops:1": Alert(failures=2, since=NOW)}}
    await database.write(lambda some: alerts.save_alerts(some, found, after))
    found = await database.write(lambda some: alerts.alerts(some, ["t"]))
    assert found == {"t": {"ops:1": after["t"]["ops:1"]}}


async def test_silences_hold_until_their_end(database: Database) -> None:
    silence = Silence(reason=UGLY, until=NOW + HOUR, set_at=NOW, set_by="ann")
    open_end = Silence(reason="why", until=None, set_at=NOW, set_by="bob")
    await database.write(lambda some: alerts.silence(some, "t", silence))
    await database.write(lambda some: alerts.silence(some, "u", open_end))
    async with database.read() as connection:
        assert await alerts.silences(connection, ["t", "u", "v"], NOW) == {
            "t": silence, "u": open_end,
        }  # fmt: skip
        assert (await alerts.silences(connection, ["t", "u"], NOW + HOUR)).keys() == {"u"}
        assert await alerts.over(connection, NOW + HOUR, limit=9) == ["t"]
    assert await database.write(lambda some: alerts.unsilence(some, "u"))
    assert not await database.write(lambda some: alerts.unsilence(some, "u"))
    await database.write(lambda some: alerts.forget(some, ["t"]))
    async with database.read() as connection:
        assert await alerts.silences(connection, ["t", "u"], NOW) == {}
