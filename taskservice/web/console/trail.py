"""The page of the audit trail: who did what, when, and why."""

from dataclasses import dataclass
from math import ceil
from typing import Any

from litestar import Response, get

from taskservice.domain.errors import Invalid
from taskservice.domain.trail import ACTIONS, Change
from taskservice.service import Service, TrailFilter
from taskservice.storage.events import EventPage, StoredEvent
from taskservice.storage.paging import COUNTED
from taskservice.web.api.parameters import ServiceDep, SightDep
from taskservice.web.console.changes import message_of
from taskservice.web.console.render import AUDIT, CONSOLE, AnyRequest, page, pretty
from taskservice.web.console.views import address_of

SIZE = 50
"""Events on the page."""

LATEST = 5
"""Events that a task's page shows."""

MOST_CHANGES = 10
"""Changes of an event that are shown; the rest is counted."""

LONGEST = 200
"""Characters of a filter."""

_TEXTS = ("task_id", "by", "since", "until")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeView:
    """What became of a field, as texts; None where there was, or is, nothing."""

    field: str
    old: str | None
    new: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EventView:
    """An event as a page shows it; `more` is how many of its changes are not shown."""

    stored: StoredEvent
    task_address: str | None
    changes: tuple[ChangeView, ...]
    more: int


def _text(value: Any) -> str | None:
    return None if value is None else pretty(value)


def _change(change: Change) -> ChangeView:
    return ChangeView(field=change.field, old=_text(change.old), new=_text(change.new))


def view_of(stored: StoredEvent) -> EventView:
    """An event for a page."""
    event = stored.event
    return EventView(
        stored=stored,
        task_address=None if event.task_id is None else address_of(event.task_id),
        changes=tuple(map(_change, event.changes[:MOST_CHANGES])),
        more=max(0, len(event.changes) - MOST_CHANGES),
    )


async def latest(service: Service, task_id: str) -> list[EventView]:
    """The last events of a task."""
    found = await service.trail.page(TrailFilter(task_id=task_id), size=LATEST)
    return [view_of(one) for one in found.items]


@get(AUDIT, opt=CONSOLE)
async def show_trail(request: AnyRequest, service: ServiceDep, sight: SightDep) -> Response[str]:
    """The events that the address asks for, newest first."""
    given = {name: value.strip()[:LONGEST] for name, value in request.query_params.items()}
    wanted = {name: given.get(name, "") for name in (*_TEXTS, "action")}
    if wanted["action"] not in ACTIONS:
        wanted["action"] = ""
    number = given.get("page", "")
    at = int(number) if number.isascii() and number.isdecimal() and len(number) < 8 else 1
    at = min(max(1, at), COUNTED // SIZE)
    before = given.get("before", "")[:36] or None
    asked = TrailFilter(
        task_id=wanted["task_id"] or None, by=wanted["by"] or None,
        action=wanted["action"] or None, since=wanted["since"] or None,
        until=wanted["until"] or None, sight=sight,
    )  # fmt: skip
    wrong = None
    try:
        found = await service.trail.page(asked, page=at, before=before, size=SIZE)
    except Invalid as invalid:
        found, wrong = EventPage([], 0, False), message_of(invalid)
    pages = max(1, ceil(found.total / SIZE))
    follows = found.more and (before is not None or at == pages)
    return page(
        request,
        "audit.html",
        events=[view_of(one) for one in found.items],
        wanted=wanted,
        narrows=any(wanted.values()),
        actions=ACTIONS,
        wrong=wrong,
        total=found.total,
        uncounted=found.total == COUNTED and (before is not None or found.more),
        at=at,
        # After an event there are no numbers.
        pages=1 if before else pages,
        older=found.items[-1].id if follows and found.items else None,
    )


HANDLERS = (show_trail,)
