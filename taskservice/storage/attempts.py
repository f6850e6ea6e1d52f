"""The attempts of one fire: its execution, and those that were made because that one failed."""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, select, text

from taskservice.storage.tables import VISIBLE, task_execution_log

_L = task_execution_log.c

MOST = 200
"""How many attempts are told of at most, the first ones."""


class Attempt(NamedTuple):
    """One attempt, as little as it takes to lead to it."""

    id: str
    attempt: int
    status: str


def attempts(connection: Connection, task_id: str, fire: datetime) -> list[Attempt]:
    """The attempts of a task's fire in their order, by the index that keeps them apart."""
    query = (
        select(_L.id, _L.attempt, _L.status)
        .where(_L.task_id == task_id, _L.scheduled_time == fire, text(VISIBLE))
        .order_by(_L.attempt)
        .limit(MOST)
    )
    return [Attempt._make(row) for row in connection.execute(query)]
