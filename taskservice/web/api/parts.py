"""What the routes share: parameters, the problems they answer with, and tags."""

from typing import Annotated, Any

from litestar import Request, Response
from litestar.di import NamedDependency
from litestar.params import HeaderParameter, QueryParameter, SkipValidation

from taskservice.service import Service
from taskservice.storage.shown import Shown
from taskservice.web import schemas
from taskservice.web.openapi import problems

Door = NamedDependency[SkipValidation[Service]]
Caller = NamedDependency[str]
AnyRequest = Request[Any, Any, Any]

PageNumber = Annotated[int, QueryParameter(ge=1, le=1_000_000_000, description="From 1")]
PageSize = Annotated[int, QueryParameter(ge=1, le=1000, description="Items on a page")]
Words = Annotated[str | None, QueryParameter(max_length=200)]
Reason = Annotated[
    str | None, QueryParameter(max_length=1000, description="Why; kept with the override")
]
Until = Annotated[
    str | None,
    QueryParameter(
        max_length=100,
        description="When the override ends by itself: an ISO 8601 time, or a span (`2h`, `3d`)",
    ),
]
Moment = Annotated[str | None, QueryParameter(max_length=100, description="An ISO 8601 time")]
IfMatch = Annotated[
    str | None,
    HeaderParameter(name="If-Match", description="Change only what still has this `ETag`"),
]

HEAD = "taskservice.head"
"""Key in the scope of a request that the app made a GET of: the answer goes without its body."""

READ = problems(404)
WRITE = problems(404, 409)
CHANGE = problems(404, 409, 412, 413)


def is_head(request: AnyRequest) -> bool:
    """Whether only the headers of the answer are wanted."""
    return HEAD in request.scope


def task_answer(service: Service, task: Shown) -> Response[schemas.Task]:
    """One task, with the tag that `If-Match` takes."""
    return Response(
        schemas.Task.of(task, service.settings.executor),
        headers={"ETag": f'"{task.etag}"'},
    )


async def expected_tag(service: Service, task_id: str, if_match: str | None) -> str | None:
    """The one tag that the task must have, of all that `If-Match` allows; None: any will do."""
    if if_match is None or if_match.strip() == "*":
        return None
    tags = [tag.strip().removeprefix("W/").strip('"') for tag in if_match.split(",")]
    if len(tags) == 1:
        return tags[0]
    current = (await service.show(task_id)).etag
    return current if current in tags else tags[0]
