"""The routes of a task's executions."""

from math import ceil
from typing import Annotated

from litestar import get, post
from litestar.params import FromPath, FromQuery, QueryParameter

from taskservice.domain.run import ExecutionStatus
from taskservice.web import bodies, body_schemas, schemas
from taskservice.web.api.parameters import (
    READ,
    WRITE,
    AnyRequest,
    Caller,
    Moment,
    PageNumber,
    PageSize,
    ServiceDep,
    SightDep,
    Why,
)
from taskservice.web.openapi import problems, with_body

Before = Annotated[
    str | None,
    QueryParameter(
        max_length=36, description="In the place of `page`: what comes after this execution"
    ),
]


@post(
    "/task-manage/{task_id:str}/trigger",
    operation_id="triggerTask",
    summary="Run a task now",
    tags=["Executions"],
    status_code=202,
    responses=problems(404, 409, 413),
    operation_class=with_body(body_schemas.TRIGGER, body_schemas.TRIGGER_EXAMPLES, required=False),
)
async def trigger_task(
    request: AnyRequest,
    service: ServiceDep,
    caller: Caller,
    sight: SightDep,
    task_id: FromPath[str],
    reason: Why = None,
) -> schemas.Execution:
    """Runs it, paused or not, with other `func_args` for this once if they are given."""
    arguments = await bodies.trigger_arguments(request)
    return schemas.Execution.of(
        await service.executions.trigger(task_id, arguments, by=caller, sight=sight, reason=reason)
    )


@get(
    "/task-manage/{task_id:str}/logs",
    operation_id="listExecutions",
    summary="List a task's executions",
    tags=["Executions"],
    responses=READ,
)
async def list_executions(
    service: ServiceDep,
    task_id: FromPath[str],
    status: FromQuery[ExecutionStatus | None] = None,
    since: Moment = None,
    until: Moment = None,
    page: PageNumber = 1,
    before: Before = None,
    size: PageSize = 50,
) -> schemas.ExecutionPage:
    """A page of the log, newest first; `since` and `until` are of the start.

    It is counted to 10,000 executions, and has pages as far; `before` goes on after any.
    """
    found = await service.executions.page(
        task_id, status=status, since=since, until=until, page=page, before=before, size=size
    )
    return schemas.ExecutionPage(
        items=[schemas.Execution.of(row) for row in found.items],
        total=found.total,
        more=found.more,
        page=page if before is None else None,
        size=size,
        pages=ceil(found.total / size),
    )


@get(
    "/task-manage/{task_id:str}/logs/{log_id:str}",
    operation_id="getExecution",
    summary="Get an execution",
    tags=["Executions"],
    responses=READ,
)
async def get_execution(
    service: ServiceDep, task_id: FromPath[str], log_id: FromPath[str]
) -> schemas.ExecutionDetail:
    """One row of the log, with what the function printed and logged."""
    return schemas.ExecutionDetail.of(await service.executions.get(task_id, log_id))


@post(
    "/task-manage/{task_id:str}/logs/{log_id:str}/cancel",
    operation_id="cancelExecution",
    summary="Stop a running or queued execution",
    tags=["Executions"],
    status_code=200,
    responses=WRITE,
)
async def cancel_execution(
    service: ServiceDep,
    caller: Caller,
    task_id: FromPath[str],
    log_id: FromPath[str],
    reason: Why = None,
) -> schemas.Execution:
    """Stops it; one that has ended is a conflict."""
    return schemas.Execution.of(
        await service.executions.cancel(task_id, log_id, by=caller, reason=reason)
    )


HANDLERS = (
    trigger_task,
    list_executions,
    get_execution,
    cancel_execution,
)
