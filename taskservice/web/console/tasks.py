"""The page of all tasks, and what can be done to several of them."""

import asyncio
from dataclasses import dataclass, replace
from math import ceil
from typing import Any, get_args

from litestar import Response, get
from litestar.params import FromPath

from taskservice.domain.overlay import Drift
from taskservice.domain.run import TaskStatus
from taskservice.domain.sight import Sight
from taskservice.service import Service
from taskservice.storage.shown import SORTABLE, Filter
from taskservice.web.api.parameters import ServiceDep, SightDep
from taskservice.web.console.render import CONSOLE, AnyRequest, fragment, language_of, page
from taskservice.web.console.views import views_of
from taskservice.web.schemas import Source, TriggerType

SIZES = (25, 50, 100, 200)
LONGEST = 200
"""Characters of a text that is looked for."""

STATUSES = get_args(TaskStatus)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the address asks for; what it says wrong is passed over."""

    status: str = ""
    task_type: str = ""
    trigger_type: str = ""
    source: str = ""
    drift: str = ""
    tag: str = ""
    q: str = ""
    retired: bool = False
    sort: str = "id"
    page: int = 1
    size: int = 50

    @property
    def filter(self) -> Filter:
        """The tasks that pass."""
        names = ("status", "task_type", "trigger_type", "source", "drift", "tag", "q")
        given: dict[str, Any] = {name: getattr(self, name) or None for name in names}
        return Filter(**given, retired=self.retired)

    @property
    def narrows(self) -> bool:
        """Whether not all tasks are asked for."""
        return self.filter != Filter()


_CHOICES: dict[str, tuple[str, ...]] = {
    "status": STATUSES,
    "trigger_type": get_args(TriggerType),
    "source": get_args(Source),
    "drift": get_args(Drift),
    "sort": tuple(f"{sign}{name}" for name in SORTABLE for sign in ("", "-")),
}


def wanted_of(request: AnyRequest) -> Wanted:
    """What a request's address asks for."""
    given = {name: value.strip() for name, value in request.query_params.items()}
    values: dict[str, Any] = {
        name: given[name][:LONGEST] for name in ("task_type", "tag", "q") if name in given
    }
    values |= {name: given[name] for name in _CHOICES if given.get(name) in _CHOICES[name]}
    for name, most in (("page", 1_000_000), ("size", SIZES[-1])):
        text = given.get(name, "")
        if text.isdecimal() and len(text) < 8:
            values[name] = min(max(1, int(text)), most)
    values["retired"] = given.get("retired") in ("true", "on", "1")
    return Wanted(**values)


@get("/", opt=CONSOLE)
async def show_tasks(request: AnyRequest, service: ServiceDep, sight: SightDep) -> Response[str]:
    """The tasks that the address asks for."""
    listed, counted = await asyncio.gather(_list(request, service, sight), _states(service, sight))
    return page(request, "tasks.html", **listed, **counted)


@get("/list", opt=CONSOLE)
async def show_list(request: AnyRequest, service: ServiceDep, sight: SightDep) -> Response[str]:
    """The list alone."""
    return fragment(request, "task-list.html", **await _list(request, service, sight))


@get("/list/states", opt=CONSOLE)
async def show_states(request: AnyRequest, service: ServiceDep, sight: SightDep) -> Response[str]:
    """How many tasks there are in each status."""
    values = await _states(service, sight)
    return fragment(request, "task-states.html", **values, wanted=wanted_of(request))


async def _list(request: AnyRequest, service: Service, sight: Sight) -> dict[str, Any]:
    wanted = wanted_of(request)
    found, total = await service.tasks.find(
        replace(wanted.filter, sight=sight), sort=wanted.sort, page=wanted.page, size=wanted.size
    )
    return {
        "views": await views_of(service, found, language_of(request)),
        "wanted": wanted,
        "total": total,
        "pages": max(1, ceil(total / wanted.size)),
    }


async def _states(service: Service, sight: Sight) -> dict[str, Any]:
    return {"states": await service.tasks.states(sight), "statuses": STATUSES}


@get("/tasks/{task_id:str}/row", opt=CONSOLE)
async def show_row(
    request: AnyRequest, service: ServiceDep, task_id: FromPath[str]
) -> Response[str]:
    """One row of that page."""
    task = await service.tasks.show(task_id)
    [view] = await views_of(service, [task], language_of(request))
    return fragment(request, "task-row.html", view=view)


HANDLERS = (show_tasks, show_list, show_states, show_row)
