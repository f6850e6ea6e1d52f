"""A receiver on loopback, and services with a channel that leads to it."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from taskservice.service import Service
from taskservice.settings import Channel
from tests.service.notify.receiver import SECRET, Receiver, receiving

FUNCTIONS = "tests.service.notify.functions"


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """What answers at the other end of the channel `ops`."""
    async with receiving() as made:
        yield made


def channel_to(receiver: Receiver, name: str = "ops", **more: Any) -> Channel:
    return Channel(name=name, kind="webhook", url=receiver.url, private=True, **more)


@pytest.fixture
def make_told(make_service: Callable[..., Service], receiver: Receiver) -> Callable[..., Service]:
    """Makes services with the channel `ops`."""

    def make(**settings: Any) -> Service:
        usual: dict[str, Any] = {
            "channels": {"ops": channel_to(receiver)}, "webhook_secret": SECRET,
            "functions": (f"{FUNCTIONS}.*",), "url": "https://tasks.example",
        }  # fmt: skip
        return make_service(**{**usual, **settings})

    return make


@pytest.fixture
async def told(make_told: Callable[..., Service]) -> Service:
    """A service with the channel `ops`, which runs."""
    service = make_told()
    await service.start()
    return service


def task(function: str = "fail", **more: Any) -> dict[str, Any]:
    return {
        "id": "nightly", "name": "Nightly", "task_type": "x", "trigger_type": "interval",
        "trigger_args": {"hours": 1}, "func_path": f"{FUNCTIONS}.{function}", "notify": "ops",
        **more,
    }  # fmt: skip
