"""The routes of a task's overrides."""

from typing import Annotated, Any, Literal

import msgspec
from litestar import MediaType, Response, delete, get, post
from litestar.openapi import ResponseSpec
from litestar.params import FromPath, QueryParameter

from taskservice.domain.errors import Fault, Invalid
from taskservice.service import Promotions
from taskservice.web import bodies, body_schemas, schemas
from taskservice.web.api.parameters import (
    MOST_IDS,
    READ,
    WRITE,
    AnyRequest,
    Caller,
    ServiceDep,
    SightDep,
    Why,
    task_answer,
)
from taskservice.web.openapi import ETAG, documented_header, problems, with_body, with_text

DIFF = "text/x-diff"


@get(
    "/task-manage/{task_id:str}/overrides",
    operation_id="listOverrides",
    summary="List a task's overrides",
    tags=["Overrides"],
    responses=READ,
)
async def list_overrides(
    service: ServiceDep,
    task_id: FromPath[str],
    fields: Annotated[
        Literal["overridden", "all"], QueryParameter(description="Which fields to tell of")
    ] = "overridden",
) -> list[schemas.Override]:
    """The fields that the API set, each with what the file says of it, then and now.

    With `fields=all`, every field of the task with where it comes from: a default, a line of a file
    with its commit, author and date, or somebody by API.
    """
    found = await service.declarations.provenance(task_id, overridden=fields == "overridden")
    return [schemas.Override.of(one) for one in found]


@get(
    "/overrides",
    operation_id="listAllOverrides",
    summary="List the overrides of all tasks",
    tags=["Overrides"],
    responses=problems(),
)
async def list_all_overrides(service: ServiceDep, sight: SightDep) -> list[schemas.TaskOverride]:
    """The same of every task, by id: of those that the API deleted too."""
    found = await service.declarations.all_overrides(sight)
    return [schemas.TaskOverride.of_task(one) for one in found]


@delete(
    "/task-manage/{task_id:str}/overrides",
    operation_id="revertOverrides",
    summary="Revert a task's overrides",
    tags=["Overrides"],
    status_code=200,
    responses=WRITE,
    response_headers=[ETAG],
)
async def revert_overrides(
    service: ServiceDep,
    caller: Caller,
    sight: SightDep,
    task_id: FromPath[str],
    field: Annotated[
        str | None,
        QueryParameter(max_length=300, description="One of `overridden`; without it, all of them"),
    ] = None,
    reason: Why = None,
) -> Response[schemas.Task]:
    """Lets the fields follow the file again."""
    task = await service.changes.revert(task_id, field, by=caller, sight=sight, reason=reason)
    return task_answer(service, task)


@get(
    "/task-manage/{task_id:str}/promotion",
    operation_id="promoteOverrides",
    summary="Get a task's overrides as a change of its file",
    tags=["Overrides"],
    responses={
        **WRITE,
        200: ResponseSpec(schemas.Promotion, description="The change", generate_examples=False),
    },
    operation_class=with_text(DIFF, "A unified diff, empty where there is nothing to promote"),
    response_headers=[documented_header("Vary", "The answer's form depends on `Accept`")],
)
async def get_promotion(
    request: AnyRequest,
    service: ServiceDep,
    sight: SightDep,
    task_id: FromPath[str],
    field: Annotated[
        list[str] | None,
        QueryParameter(
            description="Of `overridden`, as often as needed; "
            "without it, all of them but those that end by themselves"
        ),
    ] = None,
) -> Response[Any]:
    """What to commit for the file to say it: for `patch -p1` or `git apply` in the tasks folder."""
    promotion = await service.declarations.promotion(task_id, field or (), sight=sight)
    headers = {"Vary": "Accept"}
    if request.accept.best_match([DIFF, MediaType.JSON], default=DIFF) == DIFF:
        return Response(promotion.diff.encode(), media_type=DIFF, headers=headers)
    return Response(schemas.Promotion.of(promotion), media_type=MediaType.JSON, headers=headers)


@post(
    "/promotion",
    operation_id="promoteTasks",
    summary="Get several tasks' overrides as changes of their files",
    tags=["Overrides"],
    status_code=200,
    responses={
        **problems(413),
        200: ResponseSpec(schemas.Promotions, description="The changes", generate_examples=False),
    },
    operation_class=with_body(body_schemas.PROMOTION, body_schemas.PROMOTION_EXAMPLES),
)
async def promote_tasks(
    request: AnyRequest, service: ServiceDep, sight: SightDep
) -> Response[bytes]:
    """The same of many, author by author, for a commit of each. Changes nothing.

    One is made at a time.
    """
    body = await bodies.json_object(request)
    faults = bodies.unknown_keys(body, body_schemas.PROMOTION["properties"])
    task_ids, sources, fields = (
        bodies.words(body, name, MOST_IDS, faults) for name in body_schemas.PROMOTION["properties"]
    )
    if wrong := set(sources) - {"file", "api"}:
        reason = f"has {min(wrong)[:100]!r}: there are file and api"
        faults.append(Fault(field="sources", reason=reason))
    if faults:
        raise Invalid(faults)
    found = await service.declarations.promotions(task_ids, sources, fields, _encoded, sight=sight)
    return Response(found, media_type=MediaType.JSON)


def _encoded(promotions: Promotions) -> bytes:
    """The answer, which may be some megabytes."""
    return msgspec.json.encode(schemas.Promotions.of(promotions))


@post(
    "/task-manage/{task_id:str}/restore",
    operation_id="restoreTask",
    summary="Restore a deleted task",
    tags=["Overrides"],
    status_code=200,
    responses=WRITE,
    response_headers=[ETAG],
)
async def restore_task(
    service: ServiceDep, caller: Caller, sight: SightDep, task_id: FromPath[str]
) -> Response[schemas.Task]:
    """Takes back the API's deletion of a task that a file declares."""
    return task_answer(service, await service.changes.restore(task_id, by=caller, sight=sight))


HANDLERS = (
    list_overrides,
    list_all_overrides,
    revert_overrides,
    get_promotion,
    promote_tasks,
    restore_task,
)
