"""Where the executions of tasks run, and what forbids it."""

from datetime import UTC

import pytest

from taskservice.domain.placement import ANYWHERE, Placement
from taskservice.domain.task import Task, parse_task

REDIS = Placement(has_broker=True, queue="usual")
RABBITMQ = Placement(has_broker=True, longest=1800)


def task(**fields: object) -> Task:
    return parse_task(
        {
            "name": "n", "task_type": "t", "trigger_type": "interval",
            "trigger_args": {"hours": 1}, "func_path": "a.b", **fields,
        },
        zone=UTC,
    )  # fmt: skip


def test_queues() -> None:
    assert REDIS.queue_of(task()) is None
    assert REDIS.queue_of(task(queue="mine")) is None
    assert REDIS.queue_of(task(executor="celery")) == "usual"
    assert REDIS.queue_of(task(executor="celery", queue="mine")) == "mine"
    by_default = Placement(executor="celery", has_broker=True)
    assert by_default.queue_of(task()) == "taskservice"
    assert by_default.queue_of(task(executor="local")) is None


@pytest.mark.parametrize(
    ("placement", "fields", "field"),
    [
        (Placement(), {}, None),
        (Placement(), {"executor": "process"}, None),
        (Placement(), {"executor": "celery"}, "executor"),
        (REDIS, {"executor": "celery", "timeout": 7200}, None),
        (RABBITMQ, {"executor": "celery", "timeout": 1800}, None),
        (RABBITMQ, {"executor": "celery"}, None),
        (RABBITMQ, {"executor": "celery", "timeout": 1800.5}, "timeout"),
        (RABBITMQ, {"executor": "process", "timeout": 7200}, None),
        (ANYWHERE, {"executor": "celery", "timeout": 7200}, None),
    ],
)
def test_what_forbids_it(
    placement: Placement, fields: dict[str, object], field: str | None
) -> None:
    faults = placement.faults(task(**fields))
    assert [one.field for one in faults] == ([field] if field else [])
