"""The routes. Each handler asks the service for one thing and shapes the answer, no more."""

from typing import Any

from taskservice.web.api import (
    events,
    executions,
    notifications,
    overrides,
    plan,
    system,
    tasks,
    trail,
)

HANDLERS: tuple[Any, ...] = (
    *tasks.HANDLERS,
    *executions.HANDLERS,
    *overrides.HANDLERS,
    *notifications.HANDLERS,
    *plan.HANDLERS,
    *events.HANDLERS,
    *trail.HANDLERS,
    *system.HANDLERS,
)
