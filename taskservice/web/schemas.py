"""What the API answers with, as the OpenAPI document describes it and msgspec encodes it."""

from collections.abc import Mapping
from datetime import datetime
from math import ceil
from typing import Any, Literal, Self

import msgspec

from taskservice.domain.overlay import Drift
from taskservice.domain.run import ExecutionStatus, TaskStatus
from taskservice.service import FunctionInfo, Provenance
from taskservice.service import Promotion as ServicePromotion
from taskservice.service import TaskOverride as ServiceTaskOverride
from taskservice.settings import Executor
from taskservice.storage.executions import Execution as Row
from taskservice.storage.shown import Shown

TriggerType = Literal["date", "interval", "cron"]
Source = Literal["file", "api"]


class Retries(msgspec.Struct, frozen=True, kw_only=True):
    """How often, and after how many seconds, a failed execution is tried again."""

    max: int
    delay: float
    backoff: float
    max_delay: float | None = None


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a task is declared; `revision` is the git commit, null outside of a work tree."""

    path: str
    line: int | None
    revision: str | None


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """The effective task, and how it came about."""

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
        )


def _stored(text: str | None, default: str) -> Any:
    """JSON that goes out as it is stored."""
    return msgspec.Raw(default if text in (None, "null") else text)


def _retries(text: str | None) -> Retries | None:
    given = None if text is None else msgspec.json.decode(text)
    return Retries(**given) if given else None


def _whole(number: float | None) -> float | None:
    return int(number) if number is not None and number == int(number) else number


class Execution(msgspec.Struct, frozen=True, kw_only=True):
    """One row of a task's log."""

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

    @classmethod
    def of(cls, row: Row) -> Self:
        """The answer for an execution, with as much of it as this class shows."""
        return msgspec.convert(row, cls, from_attributes=True)


class ExecutionDetail(Execution, frozen=True, kw_only=True):
    """One execution, with what its function printed and logged."""

    output: str | None


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of a list; `total` and `pages` are of all that the filters let through."""

    items: list[Any]
    total: int
    page: int
    size: int
    pages: int


class TaskPage(Page, frozen=True, kw_only=True):
    """A page of tasks."""

    items: list[Task]


class ExecutionPage(Page, frozen=True, kw_only=True):
    """A page of a task's log, newest first."""

    items: list[Execution]


def paging(total: int, page: int, size: int) -> dict[str, int]:
    """The fields of a page beside its items."""
    return {"total": total, "page": page, "size": size, "pages": ceil(total / size)}


class Override(msgspec.Struct, frozen=True, kw_only=True):
    """A field, and where its value comes from.

    `absent` tells a key that an override takes away from a null one. `path` to `date` are of
    the line that declares the field, as git knows it.
    """

    field: str
    origin: Literal["default", "file", "api"]
    value: Any
    declared: Any
    declared_when_set: Any
    set_at: datetime | None
    set_by: str | None
    reason: str | None
    until: datetime | None
    absent: bool
    path: str | None
    line: int | None
    revision: str | None
    author: str | None
    date: datetime | None

    @classmethod
    def of(cls, found: Provenance) -> Self:
        """The answer for a field."""
        return msgspec.convert(found, cls, from_attributes=True)


class TaskOverride(Override, frozen=True, kw_only=True):
    """One field of one task that the API set."""

    task_id: str
    source: Source

    @classmethod
    def of_task(cls, found: ServiceTaskOverride) -> Self:
        """The answer for an override of any task."""
        shown = msgspec.structs.asdict(Override.of(found.override))
        return msgspec.convert({**shown, "task_id": found.task_id, "source": found.source}, cls)


class Author(msgspec.Struct, frozen=True, kw_only=True):
    """Who set some of the promoted fields, when (the last of them), why and until when."""

    name: str
    fields: list[str]
    reason: str | None
    until: datetime | None
    set_at: datetime


class Promotion(msgspec.Struct, frozen=True, kw_only=True):
    """The change of a file that promotes overrides; its text is null where there is no file."""

    task_id: str
    path: str
    diff: str
    before: str | None
    after: str | None
    authors: list[Author]

    @classmethod
    def of(cls, promotion: ServicePromotion) -> Self:
        """The answer for a promotion."""
        return msgspec.convert(promotion, cls, from_attributes=True)


class SyncError(msgspec.Struct, frozen=True, kw_only=True):
    """What keeps a file, or a task in it, from being taken, and since when; null in a plan."""

    path: str | None
    line: int | None
    column: int | None
    task_id: str | None
    field: str | None
    reason: str
    since: datetime | None


class Retired(msgspec.Struct, frozen=True, kw_only=True):
    """A task whose declaration is gone, and when it will be deleted."""

    task_id: str
    path: str | None
    retired_at: datetime
    delete_at: datetime


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """Why a sync retired nothing, and which tasks it would have retired."""

    reason: str
    task_ids: list[str]


class DriftCounts(msgspec.Struct, frozen=True, kw_only=True):
    """How many declared tasks are in each state of drift."""

    in_sync: int
    overridden: int
    conflict: int


class Repository(msgspec.Struct, frozen=True, kw_only=True):
    """The repository that is followed: `problem` says why `wanted` is not `live`, or not known."""

    url: str
    branch: str
    path: str
    wanted: str | None
    live: str | None
    problem: str | None
    fetched_at: datetime | None


class SyncReport(msgspec.Struct, frozen=True, kw_only=True):
    """What the last sync found."""

    synced_at: datetime | None
    revision: str | None
    scheduler: str | None
    declared: int
    drift: DriftCounts
    errors: list[SyncError]
    retired: list[Retired]
    held: Held | None
    repository: Repository | None

    @classmethod
    def of(cls, report: Mapping[str, Any]) -> Self:
        """The answer for the service's report."""
        return msgspec.convert(report, cls)


class Function(msgspec.Struct, frozen=True, kw_only=True):
    """A function that tasks may call."""

    func_path: str
    name: str
    signature: str
    description: str

    @classmethod
    def of(cls, info: FunctionInfo) -> Self:
        """The answer for a function."""
        return msgspec.convert(info, cls, from_attributes=True)


class Live(msgspec.Struct, frozen=True, kw_only=True):
    """The process answers."""

    status: Literal["ok"] = "ok"


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """The parts that the service needs, each `ok`."""

    database: str
    scheduler: str


class FieldError(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong with one field; `field` is dotted, and null where it is the whole."""

    field: str | None
    reason: str


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why a request failed (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[FieldError] = []
