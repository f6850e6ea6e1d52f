"""The page of the last and the next 24 hours, all tasks by time."""

from datetime import UTC, datetime
from math import ceil
from typing import Any

from litestar import Response, get

from taskservice.domain.sight import Sight
from taskservice.service import Service
from taskservice.web.api.parameters import ServiceDep, SightDep
from taskservice.web.console.render import CONSOLE, AnyRequest, fragment, language_of, page
from taskservice.web.console.tasks import LONGEST
from taskservice.web.console.timeline_chart import HEIGHT, Drawing

LANES = 50
"""Tasks on a page."""


@get("/timeline", opt=CONSOLE)
async def show_timeline(request: AnyRequest, service: ServiceDep, sight: SightDep) -> Response[str]:
    """The whole page, with the tasks that the address asks for."""
    return page(request, "timeline.html", **await _values(request, service, sight))


@get("/timeline/chart", opt=CONSOLE)
async def show_chart(request: AnyRequest, service: ServiceDep, sight: SightDep) -> Response[str]:
    """The part of it that time changes."""
    values = await _values(request, service, sight)
    return fragment(request, "timeline-chart.html", **values)


async def _values(request: AnyRequest, service: Service, sight: Sight) -> dict[str, Any]:
    """What the page shows."""
    wanted = request.query_params.get("q", "").strip()[:LONGEST]
    number = request.query_params.get("page", "")
    at = max(1, int(number)) if number.isascii() and number.isdecimal() and len(number) < 8 else 1
    timeline = await service.timelines.make(
        wanted, page=at, size=LANES, now=datetime.now(UTC), sight=sight
    )
    drawing = Drawing(timeline, language_of(request), service.settings.timezone)
    return {
        "timeline": timeline,
        "chart": drawing.chart(),
        "drawing": drawing,
        "height": HEIGHT,
        "wanted": wanted,
        "at": at,
        "pages": max(1, ceil(timeline.total / LANES)),
    }


HANDLERS = (show_timeline, show_chart)
