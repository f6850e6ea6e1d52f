"""The route that tells what a sync would do."""

import msgspec
from litestar import MediaType, Response, post
from litestar.openapi import ResponseSpec

from taskservice.domain.errors import Fault, Invalid
from taskservice.domain.preview import Preview
from taskservice.domain.task import describe
from taskservice.web import bodies, body_schemas, schemas
from taskservice.web.api.parameters import AnyRequest, ServiceDep
from taskservice.web.openapi import problems, with_body

LARGEST_FOLDER = 4 * 1024 * 1024


@post(
    "/plan",
    operation_id="planSync",
    summary="Tell what a sync would do",
    tags=["Sync"],
    status_code=200,
    request_max_body_size=LARGEST_FOLDER,
    responses={
        **problems(413),
        200: ResponseSpec(schemas.Plan, description="The plan", generate_examples=False),
    },
    operation_class=with_body(body_schemas.PLAN, body_schemas.PLAN_EXAMPLES),
)
async def plan_sync(request: AnyRequest, service: ServiceDep) -> Response[bytes]:
    """Takes the whole folder to come; changes nothing. One plan is made at a time."""
    async with service.declarations.plan_to_come():
        body = await bodies.json_object(request)
    faults = bodies.unknown_keys(body, ("files",))
    files = body.get("files")
    if not isinstance(files, dict):
        reason = f"must be a mapping of paths to texts, not {describe(files)}"
        faults.append(Fault(field="files", reason=reason if files is not None else "is required"))
    if faults:
        raise Invalid(faults)
    plan = await service.declarations.plan(files or {}, _encoded)
    return Response(plan, media_type=MediaType.JSON)


def _encoded(preview: Preview) -> bytes:
    """The answer, which may be of thousands of tasks."""
    return msgspec.json.encode(schemas.Plan.of(preview))


HANDLERS = (plan_sync,)
