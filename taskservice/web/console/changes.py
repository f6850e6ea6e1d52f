"""How a form's change is made: what came of it is said on the page that is shown next."""

from collections.abc import Awaitable
from typing import Any

from litestar import Response

from taskservice.domain.errors import Invalid, TaskserviceError
from taskservice.web.console import flash
from taskservice.web.console.render import AnyRequest, redirect


async def changed(
    request: AnyRequest, work: Awaitable[Any], said: str, back: str
) -> Response[None]:
    """Do the work, then lead to `back`, where `said` or the reason of a failure is shown."""
    try:
        await work
    except TaskserviceError as error:
        cookie = flash.cookie("failed", message_of(error))
    else:
        cookie = flash.cookie("done", said)
    return redirect(request, back, cookies=[cookie])


def message_of(error: TaskserviceError) -> str:
    """An error in one line."""
    if isinstance(error, Invalid):
        return "; ".join(str(fault) for fault in error.faults)
    return str(error)
