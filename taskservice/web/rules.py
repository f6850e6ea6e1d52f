"""Who may what: one table of all operations, and nothing else that says so."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from litestar.connection import ASGIConnection
from litestar.routes import BaseRoute, HTTPRoute

from taskservice.settings import Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Who may do something: whose role is `needs` or higher, or everybody where it is None.

    With `webhook` a webhook may too, by its secret alone.
    """

    needs: Role | None
    webhook: bool = False


OPEN = Rule(needs=None)
VIEWER = Rule(needs="viewer")
OPERATOR = Rule(needs="operator")
ADMIN = Rule(needs="admin")

RULES: Mapping[str, Rule] = {
    # The API.
    "GET /task-manage": VIEWER,
    "POST /task-manage": ADMIN,
    "GET /task-manage/{task_id}": VIEWER,
    "PUT /task-manage/{task_id}": ADMIN,
    "DELETE /task-manage/{task_id}": ADMIN,
    "POST /task-manage/{task_id}/pause": OPERATOR,
    "POST /task-manage/{task_id}/resume": OPERATOR,
    "POST /task-manage/{task_id}/trigger": OPERATOR,
    "GET /task-manage/{task_id}/fires": VIEWER,
    "GET /task-manage/{task_id}/yaml": VIEWER,
    "GET /task-manage/{task_id}/logs": VIEWER,
    "GET /task-manage/{task_id}/logs/{log_id}": VIEWER,
    "POST /task-manage/{task_id}/logs/{log_id}/cancel": OPERATOR,
    "GET /task-manage/{task_id}/overrides": VIEWER,
    "DELETE /task-manage/{task_id}/overrides": ADMIN,
    "GET /task-manage/{task_id}/promotion": VIEWER,
    "POST /task-manage/{task_id}/restore": ADMIN,
    "GET /overrides": VIEWER,
    "POST /promotion": VIEWER,
    "POST /plan": VIEWER,
    "GET /sync": VIEWER,
    "POST /sync": Rule(needs="admin", webhook=True),
    "GET /functions": VIEWER,
    "GET /workers": VIEWER,
    "GET /events": VIEWER,
    "GET /metrics": VIEWER,
    "GET /health/live": OPEN,
    "GET /health/ready": OPEN,
    "GET /schema": VIEWER,
    "GET /schema/openapi.json": VIEWER,
    "GET /schema/openapi.yaml": VIEWER,
    "GET /schema/openapi.yml": VIEWER,
    "GET /schema/{path}": VIEWER,
    # The console.
    "GET /": VIEWER,
    "GET /list": VIEWER,
    "GET /list/states": VIEWER,
    "GET /tasks/{task_id}": VIEWER,
    "GET /tasks/{task_id}/row": VIEWER,
    "GET /tasks/{task_id}/state": VIEWER,
    "GET /tasks/{task_id}/executions": VIEWER,
    "GET /tasks/{task_id}/promotion": VIEWER,
    "POST /tasks/{task_id}/pause": OPERATOR,
    "POST /tasks/{task_id}/resume": OPERATOR,
    "POST /tasks/{task_id}/trigger": OPERATOR,
    "POST /tasks/{task_id}/revert": ADMIN,
    "POST /tasks/{task_id}/keep": ADMIN,
    "POST /tasks/{task_id}/delete": ADMIN,
    "POST /tasks/{task_id}/restore": ADMIN,
    "GET /tasks/{task_id}/edit": VIEWER,
    "POST /tasks/{task_id}/edit": ADMIN,
    "POST /tasks/{task_id}/preview": ADMIN,
    "GET /tasks/{task_id}/executions/{log_id}": VIEWER,
    "GET /tasks/{task_id}/executions/{log_id}/facts": VIEWER,
    "GET /tasks/{task_id}/executions/{log_id}/output": VIEWER,
    "POST /tasks/{task_id}/executions/{log_id}/cancel": OPERATOR,
    "POST /tasks/{task_id}/executions/{log_id}/again": OPERATOR,
    "POST /bulk/pause": OPERATOR,
    "POST /bulk/resume": OPERATOR,
    "POST /bulk/trigger": OPERATOR,
    "GET /folder": VIEWER,
    "GET /folder/state": VIEWER,
    "POST /folder/sync": ADMIN,
    "POST /folder/confirm": ADMIN,
    "GET /timeline": VIEWER,
    "GET /timeline/chart": VIEWER,
    "GET /workers/overview": VIEWER,
    "GET /workers/overview/state": VIEWER,
    "GET /sign-in": OPEN,
    "POST /sign-in": OPEN,
    "POST /sign-out": VIEWER,
    "GET /static/{digest}/{name}": OPEN,
}
"""The rule of each operation, by its method and its address. HEAD is asked as GET."""


def rule_of(connection: ASGIConnection[Any, Any, Any, Any]) -> Rule:
    """The rule of what is asked for, once a route was found for it."""
    scope: Any = connection.scope
    if scope["method"] == "OPTIONS":
        return VIEWER  # it tells which methods an address has
    return RULES[f"{scope['method']} {scope['path_template']}"]


def check(routes: Iterable[BaseRoute]) -> None:
    """Raise RuntimeError where a route has no rule, or a rule no route."""
    there = {
        f"{method} {route.path_format}"
        for route in routes
        if isinstance(route, HTTPRoute)
        for method in route.methods
        if method != "OPTIONS"
    }
    if wrong := sorted(there ^ RULES.keys()):
        raise RuntimeError(f"taskservice/web/rules.py and the routes differ: {', '.join(wrong)}")
