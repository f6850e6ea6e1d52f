"""Who may what: one table of all operations, and nothing else that says so."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from litestar.connection import ASGIConnection
from litestar.routes import BaseRoute, HTTPRoute

from taskservice.settings import Role

Narrowed = Literal["its tasks", "alike", "refused"]

ITS_TASKS: Narrowed = "its tasks"
"""For a token with tags it is about the tasks alone that bear one of them."""

ALIKE: Narrowed = "alike"
"""It is about no task, and for a token with tags the same."""

REFUSED: Narrowed = "refused"
"""It may concern all tasks, and is refused to a token with tags."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Who may do something: whose role is `needs` or higher, or everybody where it is None.

    `narrowed` says what becomes of it for a token with tags; a task in the address that is out of
    its sight is none in any case. With `webhook` a webhook may too, by its secret alone.
    """

    needs: Role | None
    narrowed: Narrowed = REFUSED
    webhook: bool = False


OPEN = Rule(None, ALIKE)
VIEWER = Rule("viewer")
OPERATOR = Rule("operator")
ADMIN = Rule("admin")
READS = Rule("viewer", ITS_TASKS)
OPERATES = Rule("operator", ITS_TASKS)
CHANGES = Rule("admin", ITS_TASKS)
NO_TASK = Rule("viewer", ALIKE)

RULES: Mapping[str, Rule] = {
    # The API.
    "GET /task-manage": READS,
    "POST /task-manage": CHANGES,
    "GET /task-manage/{task_id}": READS,
    "PUT /task-manage/{task_id}": CHANGES,
    "DELETE /task-manage/{task_id}": CHANGES,
    "POST /task-manage/{task_id}/pause": OPERATES,
    "POST /task-manage/{task_id}/resume": OPERATES,
    "POST /task-manage/{task_id}/trigger": OPERATES,
    "GET /task-manage/{task_id}/fires": READS,
    "GET /task-manage/{task_id}/yaml": READS,
    "GET /task-manage/{task_id}/logs": READS,
    "GET /task-manage/{task_id}/logs/{log_id}": READS,
    "POST /task-manage/{task_id}/logs/{log_id}/cancel": OPERATES,
    "GET /task-manage/{task_id}/events": READS,
    "GET /audit": READS,
    "GET /task-manage/{task_id}/overrides": READS,
    "DELETE /task-manage/{task_id}/overrides": CHANGES,
    "GET /task-manage/{task_id}/promotion": READS,
    "POST /task-manage/{task_id}/restore": CHANGES,
    "POST /task-manage/{task_id}/silence": OPERATES,
    "GET /task-manage/{task_id}/silence": READS,
    "DELETE /task-manage/{task_id}/silence": OPERATES,
    "GET /task-manage/{task_id}/messages": READS,
    "GET /channels": NO_TASK,
    "POST /channels/{name}/test": ADMIN,
    "GET /overrides": READS,
    "POST /promotion": READS,
    "POST /plan": VIEWER,
    "GET /sync": READS,
    "POST /sync": Rule("admin", ITS_TASKS, webhook=True),
    "GET /functions": NO_TASK,
    "GET /workers": READS,
    "GET /events": READS,
    "GET /metrics": VIEWER,
    "GET /health/live": OPEN,
    "GET /health/ready": OPEN,
    "GET /schema": NO_TASK,
    "GET /schema/openapi.json": NO_TASK,
    "GET /schema/openapi.yaml": NO_TASK,
    "GET /schema/openapi.yml": NO_TASK,
    "GET /schema/{path}": NO_TASK,
    # The console.
    "GET /": READS,
    "GET /list": READS,
    "GET /list/states": READS,
    "GET /tasks/{task_id}": READS,
    "GET /tasks/{task_id}/row": READS,
    "GET /tasks/{task_id}/state": READS,
    "GET /tasks/{task_id}/executions": READS,
    "GET /tasks/{task_id}/promotion": READS,
    "POST /tasks/{task_id}/pause": OPERATES,
    "POST /tasks/{task_id}/resume": OPERATES,
    "POST /tasks/{task_id}/silence": OPERATES,
    "POST /tasks/{task_id}/unsilence": OPERATES,
    "POST /tasks/{task_id}/trigger": OPERATES,
    "POST /tasks/{task_id}/revert": CHANGES,
    "POST /tasks/{task_id}/keep": CHANGES,
    "POST /tasks/{task_id}/delete": CHANGES,
    "POST /tasks/{task_id}/restore": CHANGES,
    "GET /tasks/{task_id}/edit": READS,
    "POST /tasks/{task_id}/edit": CHANGES,
    "POST /tasks/{task_id}/preview": CHANGES,
    "GET /tasks/{task_id}/executions/{log_id}": READS,
    "GET /tasks/{task_id}/executions/{log_id}/facts": READS,
    "GET /tasks/{task_id}/executions/{log_id}/output": READS,
    "POST /tasks/{task_id}/executions/{log_id}/cancel": OPERATES,
    "POST /tasks/{task_id}/executions/{log_id}/again": OPERATES,
    "POST /bulk/pause": OPERATES,
    "POST /bulk/resume": OPERATES,
    "POST /bulk/trigger": OPERATES,
    "GET /folder": READS,
    "GET /folder/state": READS,
    "POST /folder/sync": CHANGES,
    "POST /folder/confirm": ADMIN,
    "GET /timeline": READS,
    "GET /timeline/chart": READS,
    "GET /audit/trail": READS,
    "GET /workers/overview": READS,
    "GET /workers/overview/state": READS,
    "GET /sign-in": OPEN,
    "GET /sign-in/begin": OPEN,
    "GET /sign-in/callback": OPEN,
    "POST /sign-in": OPEN,
    "POST /sign-out": NO_TASK,
    "GET /static/{digest}/{name}": OPEN,
}
"""The rule of each operation, by its method and its address. HEAD is asked as GET."""


def rule_of(connection: ASGIConnection[Any, Any, Any, Any]) -> Rule:
    """The rule of what is asked for, once a route was found for it."""
    scope: Any = connection.scope
    if scope["method"] == "OPTIONS":
        return NO_TASK  # it tells which methods an address has
    return RULES[f"{scope['method']} {scope['path_template']}"]


def check(routes: Iterable[BaseRoute]) -> None:
    """Raise RuntimeError where a route has no rule, or a rule no route.

    Also where a route is to be about the tasks in sight alone, and does not ask which these are.
    """
    there = {
        f"{method} {route.path_format}": handler
        for route in routes
        if isinstance(route, HTTPRoute)
        for handler in route.route_handlers
        for method in handler.http_methods
        if method != "OPTIONS"
    }
    if wrong := sorted(there.keys() ^ RULES.keys()):
        raise RuntimeError(f"taskservice/web/rules.py and the routes differ: {', '.join(wrong)}")
    blind = [
        operation
        for operation, handler in there.items()
        if RULES[operation].narrowed == ITS_TASKS
        and "{task_id}" not in operation
        and "sight" not in handler.parsed_fn_signature.parameters
    ]
    if blind:
        raise RuntimeError(f"these don't ask which tasks are seen: {', '.join(sorted(blind))}")
