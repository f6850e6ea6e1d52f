"""Who executes, and the queues, as the API shows them."""

from datetime import datetime
from typing import Literal, Self

import msgspec

from taskservice.service import WorkersReport


class RunningExecution(msgspec.Struct, frozen=True, kw_only=True):
    """An execution that runs on a worker or in a service."""

    id: str
    task_id: str
    start_time: datetime


class Worker(msgspec.Struct, frozen=True, kw_only=True):
    """A service, or a worker with the queues that it serves, both null for a service.

    `running` are the first 100 of `running_count`. One that is dead is listed for a minute.
    """

    name: str
    kind: Literal["service", "worker"]
    host: str
    state: Literal["alive", "dead"]
    queues: list[str] | None
    concurrency: int | None
    running: list[RunningExecution]
    running_count: int
    since: datetime
    heard_at: datetime


class Queue(msgspec.Struct, frozen=True, kw_only=True):
    """A queue: how many living workers serve it, what waits, and since when the longest."""

    name: str
    workers: int
    waiting: int
    oldest: datetime | None


class Workers(msgspec.Struct, frozen=True, kw_only=True):
    """Who executes, and each queue that a task names or where something waits."""

    workers: list[Worker]
    queues: list[Queue]

    @classmethod
    def of(cls, report: WorkersReport) -> Self:
        """The answer for a report."""
        return msgspec.convert(report, cls, from_attributes=True)
