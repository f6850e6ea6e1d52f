"""The API's documentation as a page: made of the OpenAPI document, without a script."""

from typing import Any

from litestar import Response

from taskservice.web.console.reference import types
from taskservice.web.console.reference.operations import groups
from taskservice.web.console.render import AnyRequest, page, switched


async def show_reference(request: AnyRequest) -> Response[Any]:
    """The page, with commands that reach the service by the address it was asked at."""
    document = request.app.openapi_schema.to_schema()
    return switched(request) or page(
        request,
        "reference.html",
        document=document,
        groups=groups(document, str(request.base_url).rstrip("/")),
        named=types.named(document),
        prose=types.prose,
    )
