"""From the end of an execution to a receiver on loopback, in one process."""

import asyncio
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import update
from standardwebhooks.webhooks import Webhook

from taskservice.service import Service
from taskservice.storage import messages
from taskservice.storage.database import Connection
from taskservice.storage.messages import Message
from taskservice.storage.tables import task_message
from tests.service.conftest import until
from tests.service.notify.conftest import task
from tests.service.notify.receiver import SECRET, Receiver, ok, status


async def run(service: Service, task_id: str = "nightly") -> None:
    """Run a task once, to its end."""
    begun = await service.executions.trigger(task_id, None, by="ann")

    async def ended() -> bool:
        return not (await service.executions.get(task_id, begun.id)).is_open

    await until(ended)


async def test_a_failure_and_its_recovery_are_told_and_signed(
    told: Service, receiver: Receiver, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    gate.touch()
    await told.changes.create(task("fail_while", func_args={"path": str(gate)}), by="ann")
    await run(told)
    await receiver.count(1)
    await run(told)
    gate.unlink()
    await run(told)
    await receiver.count(2)
    await run(told)
    failure, recovery = receiver.received
    for one in (failure, recovery):
        Webhook(SECRET).verify(one.body, one.headers)
        assert one.target == "/hook?token=planted-secret"
        assert one.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert failure.json["type"] == "task.failure"
    said = failure.json["data"]
    assert said["error"] == "raised: OSError: the disk is full"
    assert said["incident"] == failure.id
    assert said["subject"] == "Failed: Nightly"
    assert said["changed_by"] == "ann"
    assert re.search(r"^Last changed 20\S+ \S+ by ann$", said["text"], re.MULTILINE)
    assert "https://tasks.example/tasks/nightly/executions/" in said["text"]
    assert recovery.json["type"] == "task.recovery"
    assert recovery.json["data"]["incident"] == failure.id != recovery.id
    assert recovery.json["data"]["failures"] == 2


async def test_only_the_last_attempt_is_told(told: Service, receiver: Receiver) -> None:
    retries = {"max": 2, "delay": 0.1}
    await told.changes.create(task(retries=retries), by="ann")
    await told.executions.trigger("nightly", None, by="ann")
    await receiver.count(1)
    log = await told.executions.page("nightly", status=None, since=None, until=None, size=9)
    assert sorted(one.attempt for one in log.items) == [1, 2, 3]
    last = max(log.items, key=lambda one: one.attempt)
    assert receiver.received[0].json["data"]["execution_id"] == last.id


async def test_what_takes_long_is_told_while_it_runs_and_what_is_short_after(
    told: Service, receiver: Receiver
) -> None:
    rules = [{"to": "ops", "long": 0.2, "short": 60}]
    fields = task("take", func_args={"seconds": 30}, notify=rules)
    await told.changes.create(fields, by="ann")
    begun = await told.executions.trigger("nightly", None, by="ann")
    await receiver.count(1)
    assert receiver.received[0].json["type"] == "task.long"
    assert (await told.executions.get("nightly", begun.id)).is_open
    await told.executions.cancel("nightly", begun.id, by="ann")
    await told.changes.change("nightly", {"func_args": {"seconds": 0}}, by="ann")
    await run(told)
    await receiver.count(2)
    assert receiver.received[1].json["type"] == "task.short"


async def test_fires_that_are_missed_or_late_are_told(told: Service, receiver: Receiver) -> None:
    past: dict[str, Any] = {
        "trigger_type": "date",
        "trigger_args": {"run_date": "2020-01-01T00:00:00Z"},
    }
    await told.changes.create(task(**past), by="ann")
    await receiver.count(1)
    assert receiver.received[0].json["type"] == "task.missed"
    late = [{"to": "ops", "on": "late", "late": 0.000001}]
    soon: dict[str, Any] = {"trigger_type": "interval", "trigger_args": {"seconds": 1}}
    await told.changes.create(
        task("take", func_args={"seconds": 0}, id="late", notify=late, **soon), by="ann"
    )
    await receiver.count(2)
    assert receiver.received[1].json["type"] == "task.late"
    assert receiver.received[1].json["data"]["scheduled_time"]


async def test_the_rules_of_tasks_that_name_none(
    make_told: Callable[..., Service], receiver: Receiver
) -> None:
    service = make_told(notify="- {to: ops, remind: 1}\n")
    await service.start()
    await service.changes.create(task(notify=[]), by="ann")
    await service.changes.create(task(id="usual", notify=None), by="ann")
    await run(service)
    await run(service, "usual")
    await receiver.count(2)
    first, second = receiver.received
    assert first.json["data"]["task_id"] == second.json["data"]["task_id"] == "usual"
    assert second.json["type"] == "task.reminder"
    assert second.json["data"]["incident"] == first.id != second.id
    await service.changes.set_paused("usual", True, by="ann")


async def test_what_is_not_taken_comes_again_under_its_id(
    told: Service, receiver: Receiver
) -> None:
    receiver.answer = lambda _: ok() if len(receiver.received) > 1 else status(500)
    await told.changes.create(task(), by="ann")
    await run(told)
    await receiver.count(1)

    async def noted() -> Message | None:
        async with told.database.read() as connection:
            found = await messages.of_task(connection, "nightly", limit=1)
        return found[0] if found and found[0].answer else None

    await until(noted)
    made = await noted()
    assert made is not None and made.due is not None and made.tried_at is not None
    assert (made.state, made.answer) == ("waiting", "500")
    assert timedelta(seconds=9) < made.due - made.tried_at < timedelta(seconds=15)
    await at_once(told, made)
    await receiver.count(2)
    first, second = receiver.received
    assert first.id == second.id == made.id
    assert first.body == second.body
    for one in (first, second):
        Webhook(SECRET).verify(one.body, one.headers)


async def at_once(service: Service, made: Message) -> None:
    """Let the time come at which a message is sent again."""
    statement = update(task_message).where(task_message.c.id == made.id).values(due=made.created_at)

    async def work(connection: Connection) -> None:
        await connection.execute(statement)

    await service.database.write(work)


async def test_a_storm_is_gathered(make_told: Callable[..., Service], receiver: Receiver) -> None:
    service = make_told()
    await service.start()
    for number in range(20):
        await service.changes.create(task(id=f"t{number}"), by="ann")
        await run(service, f"t{number}")
    await receiver.count(2)

    async def held() -> bool:
        async with service.database.read() as connection:
            found = await messages.outlooks(connection)
        return found.get("ops") == messages.Outlook(waiting=18)

    await until(held)
    assert len(receiver.received) == 2


async def test_an_older_leader_judges_nothing_twice(
    make_told: Callable[..., Service], receiver: Receiver
) -> None:
    """Two judges at once, as when a process that was frozen goes on: each signal is one's."""
    service = make_told()
    await service.start()
    await service.changes.create(task(), by="ann")
    judge = service.notifications.judge
    await run(service)
    await asyncio.gather(*(service.database.write(judge.judge) for _ in range(4)))
    await receiver.count(1)
    async with service.database.read() as connection:
        found = await messages.of_task(connection, "nightly", limit=10)
    assert len(found) == 1
