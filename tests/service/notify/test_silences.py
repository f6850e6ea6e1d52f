"""Silences, and the service's own troubles."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from taskservice.domain.errors import Invalid, NotFound
from taskservice.service import Service
from taskservice.storage import events, messages
from taskservice.storage.messages import Message
from tests.service.conftest import until
from tests.service.notify.conftest import channel_to, task
from tests.service.notify.receiver import Receiver, status
from tests.service.notify.test_told import run


async def actions(service: Service, task_id: str = "nightly") -> list[tuple[str, str, str | None]]:
    """What the trail tells of silences, the earliest first: what, by whom, why."""
    async with service.database.read() as connection:
        found = await events.page(connection, task_id=task_id, limit=50)
    told = [(one.event.action, one.event.by, one.event.reason) for one in reversed(found.items)]
    return [one for one in told if "silenced" in one[0]]


async def of_task(service: Service, task_id: str = "nightly") -> list[Message]:
    return await service.notifications.messages(task_id, limit=50)


async def test_nobody_is_told_until_it_recovers(
    told: Service, receiver: Receiver, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    gate.touch()
    silences = told.notifications.silences
    await told.changes.create(task("fail_while", func_args={"path": str(gate)}), by="ann")
    made = await silences.silence("nightly", by="ann", reason=" INC-42 ", until=None)
    assert made.reason == "INC-42"
    assert await silences.get("nightly") == made
    await run(told)
    await run(told)
    gate.unlink()
    await run(told)

    async def over() -> bool:
        return await silences.get("nightly") is None

    await until(over)
    assert await of_task(told) == []
    assert await actions(told) == [
        ("silenced", "ann", "INC-42"),
        ("unsilenced", "service", "the task has recovered"),
    ]
    gate.touch()
    await run(told)
    await receiver.count(1)


async def test_a_silence_ends_at_its_time_or_by_hand(told: Service, receiver: Receiver) -> None:
    silences = told.notifications.silences
    await told.changes.create(task(), by="ann")
    await silences.silence("nightly", by="ann", reason="x", until="1s")
    await run(told)

    async def over() -> bool:
        return len(await actions(told)) == 2

    await until(over)
    assert (await actions(told))[1] == ("unsilenced", "service", "its time is over")
    # It goes on: now it is told, and it was counted.
    await run(told)
    await receiver.count(1)
    assert receiver.received[0].json["data"]["failures"] == 2
    await silences.silence("nightly", by="ann", reason="y", until="2h")
    await silences.unsilence("nightly", by="bob")
    await silences.unsilence("nightly", by="bob")
    assert (await actions(told))[2:] == [("silenced", "ann", "y"), ("unsilenced", "bob", None)]


async def test_what_a_silence_needs(told: Service) -> None:
    silences = told.notifications.silences
    await told.changes.create(task(), by="ann")
    for reason, end, field in (
        (None, None, "reason"), ("  ", None, "reason"), ("x" * 1001, None, "reason"),
        ("x", "yesterday", "until"), ("x", "2020-01-01T00:00:00Z", "until"),
    ):  # fmt: skip
        with pytest.raises(Invalid) as invalid:
            await silences.silence("nightly", by="ann", reason=reason, until=end)
        assert [fault.field for fault in invalid.value.faults] == [field]
    with pytest.raises(NotFound):
        await silences.silence("none", by="ann", reason="x", until=None)
    with pytest.raises(NotFound):
        await silences.unsilence("none", by="ann")


async def test_channels_are_listed_and_tried(
    make_told: Callable[..., Service], receiver: Receiver
) -> None:
    service = make_told(
        channels={
            "ops": channel_to(receiver),
            "gone": channel_to(Receiver(port=1), "gone", language="zh"),
        },
        notify_system="ops",
    )  # fmt: skip
    await service.start()
    assert (await service.notifications.test("ops", by="ann")).taken
    receiver.answer = lambda _: status(500)
    answer = await service.notifications.test("gone", by="ann")
    assert (answer.taken, answer.told) == (False, "no connection")
    with pytest.raises(NotFound):
        await service.notifications.test("none", by="ann")
    gone, ops = await service.notifications.channels()
    assert (ops.name, ops.system, ops.outlook.waiting) == ("ops", True, 0)
    assert ops.last is not None and (ops.last.state, ops.last.answer) == ("sent", "204")
    assert gone.last is not None and gone.last.subject == "通道 gone 的测试消息"
    assert gone.outlook == messages.Outlook()
    assert receiver.received[0].json["type"] == "test"
    assert "planted-secret" not in str([gone, ops])
    text = (await service.metrics.text()).decode()
    assert "planted-secret" not in text


async def test_faults_of_a_sync_are_told_once(
    make_told: Callable[..., Service], receiver: Receiver, folder: Path
) -> None:
    service = make_told(notify_system="ops")
    (folder / "wrong.yaml").write_text("name: [")
    await service.start()
    await receiver.count(1)
    [one] = receiver.received
    assert one.json["type"] == "sync"
    assert "wrong.yaml:1" in one.json["data"]["text"]
    (folder / "wrong.yaml").unlink()
    await service.syncs.sync(prune=False, by="ann")
    await receiver.count(2)
    assert receiver.received[1].json["type"] == "sync_recovered"


async def test_a_takeover_is_told_where_the_one_before_died(
    make_told: Callable[..., Service], receiver: Receiver
) -> None:
    first = make_told(notify_system="ops")
    await first.start()
    trouble = first.notifications.troubles
    assert trouble is not None
    await trouble.look()
    # It stops as it should: nothing is to be told.
    await first.stop()
    second = make_told(notify_system="ops")
    await second.start()
    looked = second.notifications.troubles
    assert looked is not None
    await looked.look()
    await asyncio.sleep(0)
    assert receiver.received == []
    await second.database.write(lambda some: looked.remember(some, "dead", "host:1:x"))
    await receiver.count(1)
    assert receiver.received[0].json["type"] == "takeover"
    assert receiver.received[0].json["data"]["before"] == "host:1:x"


async def test_what_nobody_takes_is_told_to_the_other_channel(
    make_told: Callable[..., Service], receiver: Receiver
) -> None:
    service = make_told(
        channels={"ops": channel_to(receiver), "gone": channel_to(Receiver(port=1), "gone")},
        notify_system="ops",
    )
    await service.start()
    await service.changes.create(task(notify="gone"), by="ann")
    await run(service)

    async def tried() -> bool:
        found = await of_task(service)
        return bool(found and found[0].answer)

    await until(tried)
    [made] = await of_task(service)
    # After a day of attempts.
    await service.notifications.sender.give_up(made)
    await receiver.count(1)
    assert receiver.received[0].json["type"] == "undeliverable"
    assert receiver.received[0].json["data"]["message"] == made.id
    assert (await of_task(service))[0].state == "undeliverable"
