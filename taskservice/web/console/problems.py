"""Errors as pages, for browsers; programs get problem details (see `web.app`)."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from litestar import Response

from taskservice.domain.errors import Fault, TaskserviceError
from taskservice.web import auth
from taskservice.web.console.render import AnyRequest, page, redirect


def wanted(request: AnyRequest) -> bool:
    """Whether an error is to be a page: a browser asks for a page, or for nothing there is."""
    if "text/html" not in request.headers.get("accept", ""):
        return False
    handler: Any = request.scope.get("route_handler")
    path = request.scope["path"]
    return handler is None or bool(handler.opt.get("console")) or path.startswith("/schema")


def answer(
    request: AnyRequest,
    status: int,
    detail: str,
    faults: Sequence[Fault] = (),
) -> Response[Any]:
    """The page of an error; who has not signed in is led to where one does."""
    if status == 401:
        return _to_sign_in(request)
    if "auth" not in request.scope:
        try:
            request.scope["auth"] = auth.admit(request, "viewer")
        except TaskserviceError:
            request.scope["auth"] = None
    return page(request, "problem.html", status=status, code=status, detail=detail, faults=faults)


def _to_sign_in(request: AnyRequest) -> Response[Any]:
    """Leads to the sign-in, and from there back."""
    reached = "/"
    if request.scope["method"] == "GET":
        query = request.scope["query_string"].decode("latin-1")
        reached = request.scope["path"] + (f"?{query}" if query else "")
    return redirect(request, f"/sign-in?next={quote(reached, safe='/')}")
