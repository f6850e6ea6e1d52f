"""The route that tells what a sync would do."""

from litestar import post

from taskservice.domain.errors import Fault, Invalid
from taskservice.domain.task import describe
from taskservice.web import bodies, body_schemas, schemas
from taskservice.web.api.parts import AnyRequest, Door
from taskservice.web.openapi import problems, with_body

LARGEST_FOLDER = 64 * 1024 * 1024


@post(
    "/plan",
    operation_id="planSync",
    summary="Tell what a sync would do",
    tags=["Sync"],
    status_code=200,
    opt={"role": "viewer"},
    request_max_body_size=LARGEST_FOLDER,
    responses=problems(413),
    operation_class=with_body(body_schemas.PLAN, body_schemas.PLAN_EXAMPLES),
)
async def plan_sync(request: AnyRequest, service: Door) -> schemas.Plan:
    """Takes the whole folder to come; changes nothing."""
    body = await bodies.json_object(request)
    faults = bodies.unknown_keys(body, ("files",))
    files = body.get("files")
    if not isinstance(files, dict):
        reason = f"must be a mapping of paths to texts, not {describe(files)}"
        faults.append(Fault(field="files", reason=reason if files is not None else "is required"))
    if faults:
        raise Invalid(faults)
    return schemas.Plan.of(await service.plan(files or {}))


HANDLERS = (plan_sync,)
