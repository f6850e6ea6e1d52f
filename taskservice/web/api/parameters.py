"""What the routes share: parameters, the problems they answer with, and tags."""

import re
from typing import Annotated, Any

from litestar import Request, Response
from litestar.di import NamedDependency
from litestar.params import HeaderParameter, QueryParameter, SkipValidation

from taskservice.domain.errors import Fault
from taskservice.domain.sight import Sight
from taskservice.service import LONGEST_REASON, Precondition, Service
from taskservice.storage.shown import Shown
from taskservice.web import schemas
from taskservice.web.openapi import problems

ServiceDep = NamedDependency[SkipValidation[Service]]
Caller = NamedDependency[str]
SightDep = NamedDependency[SkipValidation[Sight]]
AnyRequest = Request[Any, Any, Any]

PageNumber = Annotated[int, QueryParameter(ge=1, le=1_000_000_000, description="From 1")]
PageSize = Annotated[int, QueryParameter(ge=1, le=1000, description="Items on a page")]
Words = Annotated[str | None, QueryParameter(max_length=200)]
Reason = Annotated[
    str | None, QueryParameter(max_length=LONGEST_REASON, description="Why; kept with the override")
]
Why = Annotated[
    str | None,
    QueryParameter(max_length=LONGEST_REASON, description="Why; kept in the audit trail"),
]
Until = Annotated[
    str | None,
    QueryParameter(
        max_length=100,
        description="When the override ends by itself: an ISO 8601 time, or a span (`2h`, `3d`)",
    ),
]
MOST_IDS = 1000
TaskIds = Annotated[
    str | None, QueryParameter(description=f"At most {MOST_IDS}, separated by commas")
]
Moment = Annotated[str | None, QueryParameter(max_length=100, description="An ISO 8601 time")]
IfMatch = Annotated[
    str | None,
    HeaderParameter(name="If-Match", description="Change only what still has this `ETag`"),
]

IfNoneMatch = Annotated[
    str | None,
    HeaderParameter(name="If-None-Match", description="Change nothing that has this `ETag`"),
]

_WEAK = re.compile(r"^(W/)+")

HEAD = "taskservice.head"
"""Key in the scope of a request that the app made a GET of: the answer goes without its body."""

READ = problems(404)
WRITE = problems(404, 409)
CHANGE = problems(404, 409, 412, 413)


def is_head(request: AnyRequest) -> bool:
    """Whether only the headers of the answer are wanted."""
    return HEAD in request.scope


def split_ids(task_ids: str, faults: list[Fault]) -> tuple[str, ...]:
    """The ids in a parameter `TaskIds`, each once; into `faults` where they are too many."""
    ids = tuple(dict.fromkeys(filter(None, task_ids.split(","))))
    if len(ids) > MOST_IDS:
        reason = f"has {len(ids)} ids; at most {MOST_IDS} are allowed"
        faults.append(Fault(field="task_ids", reason=reason))
    return ids


def task_answer(service: Service, task: Shown) -> Response[schemas.Task]:
    """One task, with the tag that `If-Match` takes."""
    return Response(schemas.Task.of(task, service.settings.executor), headers=tag_headers(task))


def tag_headers(task: Shown) -> dict[str, str]:
    """A task's tag, weak: the task is the same by it however its status changes.

    So it is to be stored nowhere: a cache that asked by the tag would show a status that was.
    """
    return {"ETag": f'W/"{task.etag}"', "Cache-Control": "no-store"}


def precondition_of(if_match: str | None, if_none_match: str | None) -> Precondition:
    """What the two headers ask for; weak tags are as good as strong ones."""
    return Precondition(match=_tags(if_match), none_match=_tags(if_none_match))


def _tags(header: str | None) -> list[str] | None:
    if header is None:
        return None
    return [_WEAK.sub("", tag.strip()).strip('"') for tag in header.split(",")]
