"""A task, as the API shows it."""

from datetime import datetime
from typing import Any, Literal, Self

import msgspec

from taskservice.domain.overlay import Drift
from taskservice.domain.run import TaskStatus
from taskservice.settings import Executor
from taskservice.storage.shown import Shown
from taskservice.web.schemas.paging import Page

TriggerType = Literal["date", "interval", "cron"]
Source = Literal["file", "api"]


class Retries(msgspec.Struct, frozen=True, kw_only=True):
    """How often, and after how many seconds, a failed execution is tried again."""

    max: int
    delay: float
    backoff: float
    max_delay: float | None = None


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a task is declared; `revision` is the git commit, null if none declares it so."""

    path: str
    line: int | None
    revision: str | None


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """The effective task, and how it came about.

    `unreturned` counts executions that were cancelled or timed out and have not returned: each
    keeps one of `max_instances` until it does.
    """

    id: str
    name: str
    task_type: str
    status: TaskStatus
    trigger_type: TriggerType
    trigger_args: dict[str, Any]
    func_path: str
    func_args: dict[str, Any]
    next_run_time: datetime | None
    max_instances: int
    description: str | None
    create_time: datetime
    update_time: datetime
    tags: list[str]
    paused: bool
    misfire_grace_time: float | None
    coalesce: bool
    timeout: float | None
    retries: Retries | None
    recover: bool
    executor: Executor
    source: Source
    drift: Drift
    overridden: list[str]
    declared_in: Place | None
    retired_at: datetime | None
    unreturned: int

    @classmethod
    def of(cls, task: Shown, executor: Executor) -> Self:
        """The answer for a task; `executor` is that of tasks which name none."""
        declared_in = None
        if task.path is not None:
            declared_in = Place(path=task.path, line=task.line, revision=task.revision)
        return cls(
            id=task.id,
            name=task.name,
            task_type=task.task_type,
            status=task.status,
            trigger_type=task.trigger_type,
            trigger_args=_stored(task.trigger_args, "{}"),
            func_path=task.func_path,
            func_args=_stored(task.func_args, "{}"),
            next_run_time=task.next_run_time,
            max_instances=1 if task.max_instances is None else task.max_instances,
            description=task.description,
            create_time=task.create_time,
            update_time=task.update_time,
            tags=_stored(task.tags, "[]"),
            paused=task.paused,
            misfire_grace_time=_whole(task.misfire_grace_time),
            coalesce=task.coalesce,
            timeout=_whole(task.timeout),
            retries=_retries(task.retries),
            recover=task.recover,
            executor=task.executor or executor,
            source=task.source,
            drift=task.drift,
            overridden=_stored(task.overridden, "[]"),
            declared_in=declared_in,
            retired_at=task.retired_at,
            unreturned=task.unreturned,
        )


def _stored(text: str | None, default: str) -> Any:
    """JSON that goes out as it is stored."""
    return msgspec.Raw(default if text in (None, "null") else text)


def _retries(text: str | None) -> Retries | None:
    given = None if text is None else msgspec.json.decode(text)
    return Retries(**given) if given else None


def _whole(number: float | None) -> float | None:
    return int(number) if number is not None and number == int(number) else number


class TaskPage(Page, frozen=True, kw_only=True):
    """A page of tasks."""

    items: list[Task]
