"""The routes of the audit trail."""

from typing import Annotated

from litestar import get
from litestar.params import FromPath, FromQuery, QueryParameter

from taskservice.domain.trail import Action
from taskservice.service import TrailFilter
from taskservice.web import schemas
from taskservice.web.api.parameters import (
    READ,
    Moment,
    PageNumber,
    PageSize,
    ServiceDep,
    SightDep,
    Words,
)
from taskservice.web.openapi import problems

Before = Annotated[
    str | None,
    QueryParameter(
        max_length=36, description="In the place of `page`: what comes after this event"
    ),
]


@get(
    "/task-manage/{task_id:str}/events",
    operation_id="listTaskEvents",
    summary="List a task's audit trail",
    tags=["Audit"],
    responses=READ,
)
async def list_task_events(
    service: ServiceDep,
    task_id: FromPath[str],
    page: PageNumber = 1,
    before: Before = None,
    size: PageSize = 50,
) -> schemas.EventPage:
    """What was done to it, newest first; of a task that is no more, too.

    It is counted to 10,000 events, and has pages as far; `before` goes on after any.
    """
    found = await service.trail.of_task(task_id, page=page, before=before, size=size)
    return schemas.EventPage.of(found, page=page if before is None else None, size=size)


@get(
    "/audit",
    operation_id="listEvents",
    summary="List the audit trail",
    tags=["Audit"],
    responses=problems(),
)
async def list_events(
    service: ServiceDep,
    sight: SightDep,
    task_id: Words = None,
    by: Words = None,
    action: FromQuery[Action | None] = None,
    since: Moment = None,
    until: Moment = None,
    page: PageNumber = 1,
    before: Before = None,
    size: PageSize = 50,
) -> schemas.EventPage:
    """What was done to all tasks, and to the service, newest first.

    It is counted to 10,000 events, and has pages as far; `before` goes on after any.
    """
    wanted = TrailFilter(
        task_id=task_id, by=by, action=action, since=since, until=until, sight=sight
    )
    found = await service.trail.page(wanted, page=page, before=before, size=size)
    return schemas.EventPage.of(found, page=page if before is None else None, size=size)


HANDLERS = (list_task_events, list_events)
