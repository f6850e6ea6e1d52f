"""Tasks as the pages show them: what is stored, read for people."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import msgspec

from taskservice.service import Service
from taskservice.storage.shown import Shown
from taskservice.web.console.charts import Strip, strip
from taskservice.web.console.language import Language
from taskservice.web.console.schedule import in_words

BARS = 20
"""Executions of a task in the list."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskView:
    """One task of a list; `until` is when its pause ends by itself."""

    task: Shown
    address: str
    schedule: str
    strip: Strip
    tags: Sequence[str]
    status: str
    until: datetime | None = None


async def views_of(service: Service, tasks: Sequence[Shown], language: Language) -> list[TaskView]:
    """The tasks with what it takes to show them, by two queries however many they are."""
    ids = [task.id for task in tasks]
    past = await service.executions.latest(ids, BARS)
    paused = [task.id for task in tasks if "paused" in decoded(task.overridden, [])]
    ends = await service.tasks.ends_of_pauses(paused)
    zone, now = service.settings.timezone, datetime.now(UTC)
    return [
        TaskView(
            task=task,
            address=address_of(task.id),
            schedule=schedule_of(task, language, str(zone)),
            strip=strip(past.get(task.id, []), language=language, zone=zone, now=now),
            tags=decoded(task.tags, []),
            status="retired" if task.retired_at else task.status,
            until=ends.get(task.id),
        )
        for task in tasks
    ]


def address_of(task_id: str) -> str:
    """The address of a task's page."""
    return f"/tasks/{quote(task_id, safe='')}"


def schedule_of(task: Shown, language: Language, zone: str) -> str:
    """When a task fires, in words."""
    arguments: Mapping[str, Any] = decoded(task.trigger_args, {})
    return in_words(language, task.trigger_type, arguments, zone)


def decoded(stored: str | None, default: Any) -> Any:
    """A JSON value as it is stored in a column."""
    value = None if stored is None else msgspec.json.decode(stored)
    return default if value is None else value
