"""The routes of a task's overrides."""

from typing import Annotated, Literal

from litestar import Response, delete, get, post
from litestar.params import FromPath, QueryParameter

from taskservice.web import schemas
from taskservice.web.api.parts import (
    READ,
    WRITE,
    Caller,
    Door,
    task_answer,
)
from taskservice.web.openapi import ETAG


@get(
    "/task-manage/{task_id:str}/overrides",
    operation_id="listOverrides",
    summary="List a task's overrides",
    tags=["Overrides"],
    responses=READ,
)
async def list_overrides(
    service: Door,
    task_id: FromPath[str],
    fields: Annotated[
        Literal["overridden", "all"], QueryParameter(description="Which fields to tell of")
    ] = "overridden",
) -> list[schemas.Override]:
    """The fields that the API set, each with what the file says of it, then and now.

    With `fields=all`, every field of the task with where it comes from: a default, a line of a file
    with its commit, author and date, or somebody by API.
    """
    found = await service.provenance(task_id, overridden=fields == "overridden")
    return [schemas.Override.of(one) for one in found]


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
    service: Door,
    caller: Caller,
    task_id: FromPath[str],
    field: Annotated[
        str | None,
        QueryParameter(max_length=300, description="One of `overridden`; without it, all of them"),
    ] = None,
) -> Response[schemas.Task]:
    """Lets the fields follow the file again."""
    return task_answer(service, await service.revert(task_id, field, by=caller))


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
    service: Door, caller: Caller, task_id: FromPath[str]
) -> Response[schemas.Task]:
    """Takes back the API's deletion of a task that a file declares."""
    return task_answer(service, await service.restore(task_id, by=caller))


HANDLERS = (
    list_overrides,
    revert_overrides,
    restore_task,
)
