"""The OpenAPI document: what litestar can't read off the handlers, and where it is shown."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from litestar import Request, Response, Router
from litestar.datastructures import ResponseHeader
from litestar.openapi import OpenAPIConfig, ResponseSpec
from litestar.openapi.plugins import JsonRenderPlugin, YamlRenderPlugin
from litestar.openapi.spec import (
    Components,
    Example,
    OpenAPI,
    OpenAPIMediaType,
    OpenAPIResponse,
    OpenAPIType,
    Operation,
    RequestBody,
    Schema,
    SecurityScheme,
)

from taskservice import __version__
from taskservice.domain.check import JsonSchema
from taskservice.web.schemas import Problem

PROBLEM = "application/problem+json"

AnyRequest = Request[Any, Any, Any]

_MEANINGS = {
    400: "The request can't be read",
    401: "No token, or one that is not known",
    403: "The token's role does not allow this",
    404: "There is no such task or execution",
    409: "The request doesn't fit the task's state",
    412: "The task has changed since",
    413: "The body is too large",
    422: "A value can't be taken; `errors` names each",
    429: "Others ask for as much already; `Retry-After` says when to try again",
    503: "The database can't be reached, or the service is stopping; try again",
}


def problems(*statuses: int) -> dict[int, ResponseSpec]:
    """The answers that an operation gives to what can't be done, the common ones included."""
    return {
        status: ResponseSpec(
            Problem,
            description=_MEANINGS[status],
            media_type=PROBLEM,
            generate_examples=False,
        )
        for status in sorted({400, 401, 403, 422, 429, 503, *statuses})
    }


def documented_header(name: str, description: str) -> ResponseHeader:
    """A header that a handler sets by itself."""
    return ResponseHeader(name=name, value="", documentation_only=True, description=description)


ETAG = documented_header(
    "ETag", "Weak: stands for the task's definition and its overrides, not for its status"
)


def with_body(
    schema: JsonSchema, examples: Mapping[str, object], *, required: bool = True
) -> type[Operation]:
    """The operation class of a handler that reads such a body by itself."""

    @dataclass
    class WithBody(Operation):
        def __post_init__(self) -> None:
            content = OpenAPIMediaType(
                schema=cast(Schema, schema),  # litestar writes plain JSON schemas as they are
                examples={name: Example(value=value) for name, value in examples.items()},
            )
            self.request_body = RequestBody(
                content={"application/json": content}, required=required
            )

    return WithBody


def with_text(media_type: str, description: str) -> type[Operation]:
    """The operation class of a handler that answers with such a text, unless asked for JSON."""

    @dataclass
    class WithText(Operation):
        def __post_init__(self) -> None:
            answer = (self.responses or {}).get("200")
            if isinstance(answer, OpenAPIResponse):
                text = OpenAPIMediaType(schema=Schema(type=OpenAPIType.STRING))
                answer.content = {media_type: text, **(answer.content or {})}
                answer.description = description

    return WithText


class _YamlOnce(YamlRenderPlugin):
    """Writes the document once: it takes a tenth of a second, in which nobody else is answered."""

    _text: bytes | None = None

    def render(self, request: AnyRequest, openapi_schema: dict[str, Any]) -> bytes:
        self._text = self._text or super().render(request, openapi_schema)
        return self._text


def openapi_config(
    tokens_exist: Callable[[], bool], show_page: Callable[[AnyRequest], Awaitable[Response[Any]]]
) -> OpenAPIConfig:
    """The document at `/schema`; a browser is shown a page there instead.

    Whether tokens are needed is asked when the document is made, at the first request for it.
    """

    async def for_browsers(request: AnyRequest) -> Response[Any] | None:
        wanted = "text/html" in request.headers.get("accept", "")
        at_top = request.scope["path"] == "/schema"
        return await show_page(request) if wanted and at_top else None

    bearer = SecurityScheme(type="http", scheme="bearer", description="A token of the service")

    @dataclass
    class Config(OpenAPIConfig):
        def to_openapi_schema(self) -> OpenAPI:
            if tokens_exist():
                self.components = Components(security_schemes={"token": bearer})
                self.security = [{"token": []}]
            return super().to_openapi_schema()

    return Config(
        title="taskservice",
        version=__version__,
        description="Tasks declared in files, changed and watched over HTTP.",
        use_handler_docstrings=True,
        render_plugins=[JsonRenderPlugin(path=["/", "/openapi.json"]), _YamlOnce()],
        openapi_router=Router(
            "/schema", route_handlers=[], include_in_schema=False, before_request=for_browsers
        ),
    )
