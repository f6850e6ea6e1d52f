"""The dead man's switch: called while the service schedules, and by no other process."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

from structlog.testing import capture_logs

from taskservice.engine.engine import Engine
from taskservice.service import Service
from taskservice.service.notify.heartbeat import Heartbeat
from taskservice.service.notify.notifications import Notifications
from tests.service.conftest import until
from tests.service.notify.conftest import channel_to
from tests.service.notify.receiver import Receiver, status


async def test_it_is_called_at_once_and_again(
    make_told: Callable[..., Service], receiver: Receiver
) -> None:
    service = make_told(channels={}, heartbeat=channel_to(receiver, "heartbeat"))
    await service.start()
    async with asyncio.timeout(15):
        await receiver.count(1)
    [call] = receiver.received
    assert (call.body, "webhook-id" in call.headers) == ("", False)
    assert call.target.startswith("/hook?")
    nothing: Any = None
    often = Notifications(
        service.database, service.engine, service.workers, nothing, service.settings,
        beat_seconds=0.05,
    )  # fmt: skip
    stop = asyncio.Event()
    going_on = asyncio.create_task(often.run(stop))
    async with asyncio.timeout(15):
        await receiver.count(4)
    stop.set()
    with contextlib.suppress(Exception):
        await going_on


async def test_who_does_not_schedule_does_not_call(
    make_told: Callable[..., Service], receiver: Receiver
) -> None:
    service = make_told(channels={})
    engine: Engine = service.engine  # it was never started
    await Heartbeat(engine, channel_to(receiver, "heartbeat")).beat()
    assert receiver.received == []


async def test_that_it_is_not_taken_is_logged_once(
    make_told: Callable[..., Service], receiver: Receiver
) -> None:
    service = make_told(channels={})
    await service.start()

    async def leads() -> bool:
        return service.engine.leads and service.engine.firing

    await until(leads)
    heartbeat = Heartbeat(service.engine, channel_to(receiver, "heartbeat"))
    receiver.answer = lambda _: status(500)
    with capture_logs() as logs:
        await heartbeat.beat()
        await heartbeat.beat()
        receiver.answer = lambda _: status(204)
        await heartbeat.beat()
    told = [(one["event"], one.get("answer")) for one in logs if "heartbeat" in one["event"]]
    assert told == [("heartbeat_not_taken", "500"), ("heartbeat_taken_again", None)]
    assert "planted-secret" not in repr(logs)
