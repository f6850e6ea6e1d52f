"""Executions, as the API shows them."""

from datetime import datetime
from typing import Self

import msgspec

from taskservice.domain.run import ExecutionStatus
from taskservice.storage.executions import ExecutionRow as Row


class Execution(msgspec.Struct, frozen=True, kw_only=True):
    """One row of a task's log.

    `queue`, `queued_at` and `worker` are those of an execution that was sent to a worker. Until one
    begins it, `status` is `queued` and `start_time` is when it was sent.
    """

    id: str
    task_id: str
    scheduled_time: datetime | None
    start_time: datetime
    end_time: datetime | None
    status: ExecutionStatus
    attempt: int
    triggered_by: str
    folded: int
    result: str | None
    error: str | None
    queue: str | None
    queued_at: datetime | None
    worker: str | None

    @classmethod
    def of(cls, row: Row) -> Self:
        """The answer for an execution, with as much of it as this class shows."""
        return msgspec.convert(row, cls, from_attributes=True)


class ExecutionDetail(Execution, frozen=True, kw_only=True):
    """One execution, with what its function printed and logged."""

    output: str | None


class ExecutionPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of a task's log, newest first.

    `total` is counted to 10,000 at most; `more` says whether there are more. After `before`, where
    there is no `page`, it says whether anything follows.
    """

    items: list[Execution]
    total: int
    more: bool
    page: int | None
    size: int
    pages: int
