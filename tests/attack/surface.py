"""What of the service can be reached from outside, listed from its code: no list made by hand."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from litestar.handlers import HTTPRouteHandler
from litestar.params import QueryParameter
from litestar.routes import HTTPRoute

import taskservice
from taskservice.domain.task import FIELDS
from taskservice.domain.trigger import TRIGGER_SCHEMAS
from taskservice.settings import Settings
from taskservice.web.app import create_app

PACKAGE = Path(taskservice.__file__).parent

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A method of an address, with the names of what stands in its path and in its query."""

    method: str
    path: str
    path_parameters: tuple[str, ...]
    query_parameters: tuple[str, ...]
    console: bool

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def changes(self) -> bool:
        """Whether its method is one that may change something."""
        return self.method not in SAFE_METHODS


def routes() -> list[Route]:
    """Every route of the API and of the console, in the order of their paths."""
    found = [
        _route(route, method, handler)
        for route in create_app(Settings()).routes
        if isinstance(route, HTTPRoute)
        for handler in route.route_handlers
        for method in handler.http_methods
        if method != "OPTIONS"
    ]
    return sorted(found, key=lambda route: (route.path, route.method))


def _route(route: HTTPRoute, method: str, handler: HTTPRouteHandler) -> Route:
    parameters = handler.parsed_fn_signature.parameters.items()
    console = bool(handler.opt.get("console"))
    declared = [
        name for name, field in parameters if isinstance(field.kwarg_definition, QueryParameter)
    ]
    return Route(
        method=str(method),
        path=str(route.path_format),
        path_parameters=tuple(route.path_parameters),
        query_parameters=tuple(form_fields() if console else declared),
        console=console,
    )


def form_fields() -> list[str]:
    """The names that the console's handlers look up in queries and forms, and every field's."""
    names = set(FIELDS)
    for path in (PACKAGE / "web" / "console").rglob("*.py"):
        names.update(_looked_up(ast.parse(path.read_text("utf-8"))))
    return sorted(names)


def _looked_up(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Call(
                func=ast.Attribute(
                    value=ast.Name(id="form" | "given") | ast.Attribute(attr="query_params"),
                    attr="get",
                ),
                args=[ast.Constant(value=str(name)), *_],
            ):
                yield name
            case ast.Subscript(
                value=ast.Name(id="form" | "given"), slice=ast.Constant(value=str(name))
            ):
                yield name


def trigger_keys() -> dict[str, list[str]]:
    """By `trigger_type`, every key that its `trigger_args` may have."""
    return {
        kind: sorted({key for form in forms for key in _properties(form)})
        for kind, forms in TRIGGER_SCHEMAS.items()
    }


def _properties(form: dict[str, Any]) -> list[str]:
    return list(form["properties"])
