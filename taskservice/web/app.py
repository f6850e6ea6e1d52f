"""The app as a value, and the only place where errors become status codes."""

from collections.abc import AsyncGenerator, Mapping, Set
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any, get_args, get_origin

import structlog
from litestar import Litestar, Request, Response
from litestar.background_tasks import BackgroundTask
from litestar.datastructures import State
from litestar.di import Provide
from litestar.exceptions import HTTPException, ValidationException
from litestar.params import QueryParameter
from litestar.types import LifeSpanReceive, LifeSpanScope, LifeSpanSend, Receive, Scope, Send
from litestar.typing import FieldDefinition

from taskservice.domain import errors
from taskservice.domain.errors import Fault, Invalid, TaskserviceError, TooManyRequests
from taskservice.domain.sight import Sight
from taskservice.domain.task import nearest
from taskservice.domain.trail import Cause, Via
from taskservice.service import Service
from taskservice.settings import Settings
from taskservice.web import api, auth, console, rules, schemas
from taskservice.web.api import events
from taskservice.web.api.parameters import HEAD, ServiceDep
from taskservice.web.api.parameters import Caller as CallerDep
from taskservice.web.console import problems, render
from taskservice.web.console.reference import show_reference
from taskservice.web.guesses import Guesses
from taskservice.web.openapi import PROBLEM, openapi_config
from taskservice.web.provider import Provider

log = structlog.get_logger()

LARGEST_BODY = 1024 * 1024

AnyRequest = Request[Any, Any, Any]

_STATUSES: Mapping[type[TaskserviceError], int] = {
    errors.Malformed: 400,
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.PreconditionFailed: 412,
    errors.Invalid: 422,
    errors.TooManyRequests: 429,
    errors.Unavailable: 503,
}
_HEADERS = {401: {"WWW-Authenticate": "Bearer"}, 503: {"Retry-After": "1"}}


class App(Litestar):
    """Litestar, with HEAD answered as GET without a body (RFC 9110, section 9.3.2)."""

    async def __call__(
        self,
        scope: Scope | LifeSpanScope,
        receive: Receive | LifeSpanReceive,
        send: Send | LifeSpanSend,
    ) -> None:
        asked: Any = scope
        tell: Any = send
        if asked.get("method") != "HEAD":
            return await super().__call__(scope, receive, send)

        async def send_head(message: Any) -> None:
            await tell({**message, "body": b""} if "body" in message else message)

        asked = {**asked, "method": "GET", HEAD: True}
        return await super().__call__(asked, receive, send_head)


def create_app(
    settings: Settings,
    service: Service | None = None,
    *,
    comment_seconds: float = events.COMMENT_SECONDS,
) -> Litestar:
    """The API and the console over a service.

    A service that is given is the caller's to start and to stop; without one the app
    makes its own, which lives as long as the app does. Streams without an event for
    `comment_seconds` send a comment.
    """
    own = service is None
    service = service or Service(settings)

    @asynccontextmanager
    async def own_service(_: Litestar) -> AsyncGenerator[None, None]:
        await service.start()
        try:
            yield
        finally:
            await service.stop()

    app = App(
        [*api.HANDLERS, *console.HANDLERS],
        lifespan=[own_service] if own else [],
        dependencies={
            "service": Provide(lambda: service, sync_to_thread=False),
            "caller": Provide(_caller, sync_to_thread=False),
            "sight": Provide(_sight, sync_to_thread=False),
        },
        state=State(
            {
                "settings": settings,
                "service": service,
                "guesses": Guesses(),
                "provider": Provider(settings) if settings.oidc_issuer else None,
                "comment_seconds": comment_seconds,
            }
        ),
        guards=[auth.guard(settings)],
        before_request=_before_request,
        exception_handlers={
            TaskserviceError: _on_error,
            HTTPException: _on_http_error,
            Exception: _on_crash,
        },
        request_max_body_size=LARGEST_BODY,
        openapi_config=openapi_config(lambda: service.credentials.exist, show_reference),
        logging_config=None,
    )
    rules.check(app.routes)
    return app


def _caller(request: AnyRequest, service: ServiceDep) -> str:
    """Who is asking, as the guard has found.

    It asks for the service only to come after it: two dependencies that don't depend on each
    other have Litestar make a group of two tasks for every request.
    """
    name: str = request.user
    return name


def _sight(request: AnyRequest, caller: CallerDep) -> Sight:
    """Which tasks the caller sees; it comes after the caller, as that does after the service."""
    return auth.sight_of(request)


async def _before_request(request: AnyRequest) -> Response[None] | None:
    if request.method == "OPTIONS":
        return _options(request)
    is_open = rules.rule_of(request).needs is None
    if request.route_handler.opt.get("console"):
        if not is_open:
            # Every page says where no worker is; what was seen a moment ago will do.
            await render.service_of(request).workers.look()
        return render.switched(request)
    if not is_open:
        _refuse_unknown_parameters(request)
    return None


def _options(request: AnyRequest) -> Response[None]:
    """The methods of an address; litestar's own answer has only the one registered first."""
    template = request.scope["path_template"]
    routes = [route for route in request.app.routes if route.path_format == template]
    methods = {str(method) for route in routes for method in route.methods}
    return Response(None, status_code=204, headers={"Allow": _allow(methods)})


def _allow(methods: Set[str]) -> str:
    """The header's value: HEAD is taken wherever GET is."""
    return ", ".join(sorted(methods | ({"HEAD"} if "GET" in methods else set())))


def _refuse_unknown_parameters(request: AnyRequest) -> None:
    """A filter that is spelt wrong must not pass for no filter."""
    if not request.scope["query_string"]:
        return
    known = {
        name: field
        for name, field in request.route_handler.parsed_fn_signature.parameters.items()
        if isinstance(field.kwarg_definition, QueryParameter)
    }
    faults = []
    for name, values in request.query_params.dict().items():
        if name not in known:
            reason = f"is no parameter here{nearest(name, known)}"
        elif len(values) > 1 and not _is_list(known[name]):
            reason = "is given more than once"
        elif values[0].lower() == "null" and (must := _must_be(known[name])):
            reason = must  # msgspec would take it for None: for a filter that was not given
        else:
            continue
        faults.append(Fault(field=name, reason=reason))
    if faults:
        raise Invalid(faults)


def _is_list(field: FieldDefinition) -> bool:
    return any(get_origin(part) is list for part in (field.annotation, *get_args(field.annotation)))


def _on_error(request: AnyRequest, error: TaskserviceError) -> Response[Any]:
    status = next((code for kind, code in _STATUSES.items() if isinstance(error, kind)), 500)
    if isinstance(error, Invalid):
        return _answer(request, status, _summary(error.faults), faults=error.faults)
    headers = None
    if isinstance(error, TooManyRequests):
        headers = {"Retry-After": str(error.retry_after)}
    answer = _answer(request, status, str(error), headers=headers)
    if isinstance(error, errors.Forbidden) and (caller := auth.known_of(request)):
        answer.background = BackgroundTask(_tell_of_refusal, request, caller, str(error))
    return answer


async def _tell_of_refusal(request: AnyRequest, caller: auth.Caller, why: str) -> None:
    """Have the audit trail tell that somebody who is known was not allowed to."""
    service: Service = request.app.state.service
    asked = f"{request.scope['method']} {request.scope['path']}"
    via: Via = "console" if caller.session else "api"
    try:
        await service.trail.note_refusal(
            Cause(by=caller.name, via=via, reason=f"{asked}: {why}"),
            task_id=request.path_params.get("task_id"),
        )
    except errors.Unavailable as outage:
        log.warning("refusal_not_told", by=caller.name, asked=asked, reason=str(outage))


def _answer(
    request: AnyRequest,
    status: int,
    detail: str,
    *,
    faults: list[Fault] | tuple[Fault, ...] = (),
    headers: Mapping[str, str] | None = None,
) -> Response[Any]:
    """An error in the form that the client understands: a page, or problem details."""
    if problems.wanted(request):
        answer = problems.answer(request, status, detail, faults)
        for name, value in (headers or {}).items():
            answer.set_header(name, value)
        return answer
    return problem(status, detail, faults=faults, headers=headers)


def _on_http_error(request: AnyRequest, error: HTTPException) -> Response[Any]:
    if "route_handler" not in request.scope and not _is_health(request):
        # No guard has run: who may not read must not learn which routes there are.
        try:
            auth.admit(request, "viewer", can_hold=False)
        except TaskserviceError as refused:
            if isinstance(refused, errors.UnknownToken):
                auth.guesses_of(request).count(auth.address_of(request))
            return _on_error(request, refused)
    if isinstance(error, ValidationException):
        faults = [_parameter_fault(request, item) for item in error.extra or []]
        return _answer(request, 422, _summary(faults) or error.detail, faults=faults)
    if error.status_code >= 500:
        return _on_crash(request, error)
    if error.status_code == 405:
        allowed = {*(error.headers or {}).get("allow", "").split(", ")}
        error.headers = {"Allow": _allow(allowed)}
    detail, headers = _DETAILS.get(error.status_code, error.detail), dict(error.headers or {})
    if error.status_code == 413:
        limit = request.route_handler.resolve_request_max_body_size()
        detail = f"the body is larger than {limit} bytes"
        headers["Connection"] = "close"  # what is left of the body is not worth reading
    return _answer(request, error.status_code, detail, headers=headers)


def _is_health(request: AnyRequest) -> bool:
    return str(request.scope["path"]).startswith("/health/")


_DETAILS = {
    404: "there is nothing at this address",
    405: "this address does not take that method",
}


def _parameter_fault(request: AnyRequest, item: Any) -> Fault:
    """What a parameter must be, where litestar found that it is not."""
    name = str(item.get("key", ""))
    field = request.route_handler.parsed_fn_signature.parameters.get(name)
    limits = field and field.kwarg_definition
    if field and (must := _must_be(field)):
        return Fault(field=name, reason=must)
    if isinstance(limits, QueryParameter) and limits.max_length:
        return Fault(field=name, reason=f"must have at most {limits.max_length} characters")
    return Fault(field=name or None, reason=str(item["message"]))


def _must_be(field: FieldDefinition) -> str | None:
    """What a parameter must be that is not just any text."""
    types = field.annotation, *get_args(field.annotation)
    choices = [text for part in types for text in get_args(part) if isinstance(text, str)]
    if choices:
        return f"must be one of {', '.join(choices)}"
    if bool in types:
        return "must be true or false"
    limits = field.kwarg_definition
    if int in types and isinstance(limits, QueryParameter):
        return f"must be a whole number from {limits.ge} to {limits.le}"
    return None


def _on_crash(request: AnyRequest, error: Exception) -> Response[Any]:
    log.error(
        "request_failed",
        method=request.scope["method"],
        path=request.scope["path"],
        exc_info=error,
    )
    return _answer(request, 500, "the service made a mistake; its log says more")


def _summary(faults: list[Fault] | tuple[Fault, ...]) -> str:
    if not faults:
        return ""
    number = sum(fault.more or 1 for fault in faults) - 1
    more = f" (and {number:,} more)" if number else ""
    return f"{faults[0]}{more}"


def problem(
    status: int,
    detail: str,
    *,
    faults: list[Fault] | tuple[Fault, ...] = (),
    headers: Mapping[str, str] | None = None,
) -> Response[schemas.Problem]:
    """The one shape of every error."""
    content = schemas.Problem(
        type="about:blank",
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        errors=[schemas.FieldError(field=fault.field, reason=fault.reason) for fault in faults],
    )
    return Response(
        content,
        status_code=status,
        media_type=PROBLEM,
        headers={**_HEADERS.get(status, {}), **(headers or {})},
    )
