"""The routes of tasks."""

from datetime import datetime
from typing import Annotated, Any
from urllib.parse import quote

from litestar import Response, delete, get, post, put
from litestar.openapi import ResponseSpec
from litestar.params import FromPath, FromQuery, HeaderParameter, QueryParameter

from taskservice.domain.errors import Fault, Invalid, PreconditionFailed
from taskservice.domain.overlay import Drift
from taskservice.domain.run import TaskStatus
from taskservice.domain.task import nearest
from taskservice.storage.shown import SORTABLE, Filter
from taskservice.web import bodies, body_schemas, schemas
from taskservice.web.api.parameters import (
    CHANGE,
    READ,
    AnyRequest,
    Caller,
    IfMatch,
    IfNoneMatch,
    PageNumber,
    PageSize,
    Reason,
    ServiceDep,
    SightDep,
    TaskIds,
    Until,
    Words,
    precondition_of,
    split_ids,
    tag_headers,
    task_answer,
)
from taskservice.web.openapi import ETAG, documented_header, problems, with_body

YAML = "application/yaml"

_SORTS = [f"{sign}{name}" for name in sorted(SORTABLE) for sign in ("", "-")]


@post(
    "/task-manage",
    operation_id="createTask",
    summary="Create a task",
    tags=["Tasks"],
    responses=problems(409, 413),
    operation_class=with_body(body_schemas.TASK, body_schemas.TASK_EXAMPLES),
    response_headers=[
        ETAG,
        documented_header("Location", "The task's address"),
    ],
)
async def create_task(
    request: AnyRequest, service: ServiceDep, caller: Caller, sight: SightDep
) -> Response[schemas.Task]:
    """Takes the fields of a task, and an `id` if it is not to be made."""
    task = await service.changes.create(await bodies.json_object(request), by=caller, sight=sight)
    answer = task_answer(service, task)
    answer.set_header("Location", f"/task-manage/{quote(task.id, safe='')}")
    return answer


@get(
    "/task-manage",
    operation_id="listTasks",
    summary="List tasks",
    tags=["Tasks"],
    responses=problems(),
)
async def list_tasks(
    service: ServiceDep,
    sight: SightDep,
    status: FromQuery[TaskStatus | None] = None,
    task_type: Words = None,
    trigger_type: FromQuery[schemas.TriggerType | None] = None,
    source: FromQuery[schemas.Source | None] = None,
    drift: FromQuery[Drift | None] = None,
    tag: Words = None,
    q: Annotated[
        str | None,
        QueryParameter(max_length=200, description="Text in id, name, description or function"),
    ] = None,
    task_ids: TaskIds = None,
    retired: Annotated[
        bool, QueryParameter(description="The retired tasks instead of the live ones")
    ] = False,
    sort: Annotated[
        str,
        QueryParameter(
            description="A field; with `-` in front the greatest first",
            schema_extra={"enum": _SORTS},
        ),
    ] = "id",
    page: PageNumber = 1,
    size: PageSize = 50,
) -> schemas.TaskPage:
    """A page of the tasks that pass every filter given."""
    faults = []
    if sort not in _SORTS:
        reason = f"{sort[:50]!r} is no field to sort by{nearest(sort, _SORTS)}"
        faults.append(Fault(field="sort", reason=reason))
    ids = None if task_ids is None else split_ids(task_ids, faults)
    if faults:
        raise Invalid(faults)
    wanted = Filter(
        status=status,
        task_type=task_type,
        trigger_type=trigger_type,
        source=source,
        drift=drift,
        tag=tag,
        q=q,
        task_ids=ids,
        retired=retired,
        sight=sight,
    )
    found, total = await service.tasks.find(wanted, sort=sort, page=page, size=size)
    items = [schemas.Task.of(task, service.settings.executor) for task in found]
    return schemas.TaskPage(items=items, **schemas.paging(total, page, size))


@get(
    "/task-manage/{task_id:str}",
    operation_id="getTask",
    summary="Get a task",
    tags=["Tasks"],
    responses={
        **problems(404, 412),
        200: ResponseSpec(schemas.Task, description="The task", generate_examples=False),
        304: ResponseSpec(None, description="It has this `ETag` still", generate_examples=False),
    },
    response_headers=[ETAG],
)
async def get_task(
    service: ServiceDep,
    task_id: FromPath[str],
    if_match: IfMatch = None,
    if_none_match: Annotated[
        str | None,
        HeaderParameter(name="If-None-Match", description="304 if it has this `ETag` still"),
    ] = None,
) -> Response[Any]:
    """The effective task: override over declaration over defaults.

    Its `ETag` is weak: it stands for the definition and its overrides. Who asks with
    `If-None-Match` asks whether these have changed; not for status, next fire and times, which
    change without them.
    """
    task = await service.tasks.show(task_id)
    precondition = precondition_of(if_match, if_none_match)
    if not precondition.matches(task.etag):
        raise PreconditionFailed("the task has changed since it was read")
    if precondition.is_known(task.etag):
        return Response(None, status_code=304, headers=tag_headers(task))
    return task_answer(service, task)


@put(
    "/task-manage/{task_id:str}",
    operation_id="changeTask",
    summary="Change a task",
    tags=["Tasks"],
    responses=CHANGE,
    response_headers=[ETAG],
    operation_class=with_body(body_schemas.CHANGE, body_schemas.CHANGE_EXAMPLES),
)
async def change_task(
    request: AnyRequest,
    service: ServiceDep,
    caller: Caller,
    sight: SightDep,
    task_id: FromPath[str],
    reason: Reason = None,
    until: Until = None,
    if_match: IfMatch = None,
    if_none_match: IfNoneMatch = None,
) -> Response[schemas.Task]:
    """Sets the fields given, each to the value given; the others stay as they are."""
    changes = await bodies.json_object(request)
    task = await service.changes.change(
        task_id,
        changes,
        by=caller,
        sight=sight,
        reason=reason,
        until=until,
        precondition=precondition_of(if_match, if_none_match),
    )
    return task_answer(service, task)


@delete(
    "/task-manage/{task_id:str}",
    operation_id="deleteTask",
    summary="Delete a task",
    tags=["Tasks"],
    responses=CHANGE,
)
async def delete_task(
    service: ServiceDep,
    caller: Caller,
    sight: SightDep,
    task_id: FromPath[str],
    reason: Reason = None,
    until: Until = None,
    if_match: IfMatch = None,
    if_none_match: IfNoneMatch = None,
) -> None:
    """Deletes it with its log. A declared task can be restored."""
    precondition = precondition_of(if_match, if_none_match)
    await service.changes.delete(
        task_id, by=caller, sight=sight, reason=reason, until=until, precondition=precondition
    )


@post(
    "/task-manage/{task_id:str}/pause",
    operation_id="pauseTask",
    summary="Pause a task",
    tags=["Tasks"],
    status_code=200,
    responses=CHANGE,
    response_headers=[ETAG],
)
async def pause_task(
    service: ServiceDep,
    caller: Caller,
    sight: SightDep,
    task_id: FromPath[str],
    reason: Reason = None,
    until: Until = None,
    if_match: IfMatch = None,
    if_none_match: IfNoneMatch = None,
) -> Response[schemas.Task]:
    """Lets it fire no more, until it is resumed or `until` comes."""
    precondition = precondition_of(if_match, if_none_match)
    task = await service.changes.set_paused(
        task_id, True, by=caller, sight=sight, reason=reason, until=until, precondition=precondition
    )
    return task_answer(service, task)


@post(
    "/task-manage/{task_id:str}/resume",
    operation_id="resumeTask",
    summary="Resume a task",
    tags=["Tasks"],
    status_code=200,
    responses=CHANGE,
    response_headers=[ETAG],
)
async def resume_task(
    service: ServiceDep,
    caller: Caller,
    sight: SightDep,
    task_id: FromPath[str],
    reason: Reason = None,
    until: Until = None,
    if_match: IfMatch = None,
    if_none_match: IfNoneMatch = None,
) -> Response[schemas.Task]:
    """Lets it fire again."""
    precondition = precondition_of(if_match, if_none_match)
    task = await service.changes.set_paused(
        task_id,
        False,
        by=caller,
        sight=sight,
        reason=reason,
        until=until,
        precondition=precondition,
    )
    return task_answer(service, task)


@get(
    "/task-manage/{task_id:str}/fires",
    operation_id="listFires",
    summary="List a task's next fires",
    tags=["Tasks"],
    responses=READ,
)
async def list_fires(
    service: ServiceDep,
    task_id: FromPath[str],
    count: Annotated[int, QueryParameter(ge=1, le=1000, description="How many at most")] = 10,
) -> list[datetime]:
    """The times at which it will fire, as it is now."""
    return await service.tasks.fires(task_id, count)


@get(
    "/task-manage/{task_id:str}/yaml",
    operation_id="getTaskYaml",
    summary="Get a task as a task file",
    tags=["Tasks"],
    media_type=YAML,
    responses={
        **READ,
        200: ResponseSpec(
            dict[str, Any], media_type=YAML, description="A task file", generate_examples=False
        ),
    },
)
async def get_task_yaml(service: ServiceDep, task_id: FromPath[str]) -> str:
    """The effective task as the text of a file that would declare it."""
    return await service.tasks.yaml(task_id)


HANDLERS = (
    create_task,
    list_tasks,
    get_task,
    change_task,
    delete_task,
    pause_task,
    resume_task,
    list_fires,
    get_task_yaml,
)
