"""The page of one task: what it is, where that comes from, when it fires, and what came of it."""

from datetime import UTC, datetime
from functools import partial
from math import ceil
from typing import Any, get_args

from litestar import Response, get
from litestar.params import FromPath

from taskservice.domain.errors import Conflict, Invalid, NotFound
from taskservice.domain.overlay import DELETED
from taskservice.domain.run import ExecutionStatus
from taskservice.service import Provenance, Service
from taskservice.storage.paging import COUNTED
from taskservice.storage.shown import Shown
from taskservice.web.api.parameters import ServiceDep, SightDep
from taskservice.web.console import arguments, trail
from taskservice.web.console.changes import message_of
from taskservice.web.console.charts import strip
from taskservice.web.console.provenance import fields_of
from taskservice.web.console.render import CONSOLE, AnyRequest, fragment, language_of, page
from taskservice.web.console.views import TaskView, address_of, decoded, views_of

FIRES = 10
CHARTED = 100
"""Executions in the chart of durations, at most; it has room for `LEAST` at least."""

LEAST = 70

SIZE = 20
"""Executions on a page."""

MESSAGES = 10
"""Messages about a task that its page shows, the last ones."""

MOST_FIELDS = 500
"""Fields that are shown of a task, those that are overridden first."""

OUTCOMES = get_args(ExecutionStatus)


@get("/tasks/{task_id:str}", opt=CONSOLE)
async def show_task(
    request: AnyRequest, service: ServiceDep, task_id: FromPath[str]
) -> Response[Any]:
    """All that there is to a task; of one that was deleted here, how it comes back."""
    try:
        task = await service.tasks.show(task_id)
    except NotFound:
        return await _deleted(request, service, task_id)
    language = language_of(request)
    provenance = await service.declarations.provenance(task_id, overridden=False)
    overridden = decoded(task.overridden, [])
    zone = str(service.settings.timezone)
    [view] = await views_of(service, [task], language)
    fields = fields_of(provenance, overridden, language, zone)
    return page(
        request,
        "task.html",
        section="/",
        view=view,
        fields=fields[:MOST_FIELDS],
        more_fields=max(0, len(fields) - MOST_FIELDS),
        at_fault=await service.tasks.faults(task_id),
        parameters=await _parameters(service, task),
        silence=await service.notifications.silences.get(task_id),
        messages=await service.notifications.messages(task_id, limit=MESSAGES),
        old_code=await service.functions.runs_old_code(task.func_path, task.executor),
        events=await trail.latest(service, task_id),
        **await _state(service, view),
        **await _executions(request, service, task_id),
    )


@get("/tasks/{task_id:str}/state", opt=CONSOLE)
async def show_state(
    request: AnyRequest, service: ServiceDep, task_id: FromPath[str]
) -> Response[str]:
    """What changes by itself of that page: status and next fires."""
    task = await service.tasks.show(task_id)
    [view] = await views_of(service, [task], language_of(request))
    return fragment(request, "task-state.html", view=view, **await _state(service, view))


@get("/tasks/{task_id:str}/executions", opt=CONSOLE)
async def show_executions(
    request: AnyRequest, service: ServiceDep, task_id: FromPath[str]
) -> Response[str]:
    """A page of its executions with the chart above them."""
    task = await service.tasks.show(task_id)
    [view] = await views_of(service, [task], language_of(request))
    values = await _executions(request, service, task_id)
    return fragment(request, "task-executions.html", view=view, **values)


@get("/tasks/{task_id:str}/promotion", opt=CONSOLE)
async def show_promotion(
    request: AnyRequest, service: ServiceDep, sight: SightDep, task_id: FromPath[str]
) -> Response[str]:
    """What would have to be committed for the file to say what was overridden."""
    field = request.query_params.get("field") or None
    promotion, wrong = None, None
    try:
        promotion = await service.declarations.promotion(
            task_id, [field] if field else [], sight=sight
        )
    except Conflict as conflict:
        wrong = str(conflict)
    return page(
        request, "promotion.html", section="/", task_id=task_id, address=address_of(task_id),
        field=field, promotion=promotion, wrong=wrong,
    )  # fmt: skip


async def _state(service: Service, view: TaskView) -> dict[str, Any]:
    forecast = await service.tasks.forecast(view.task.id, FIRES)
    return {"forecast": forecast, "changed_at": {one.fire: one for one in forecast.clock_changes}}


async def _executions(request: AnyRequest, service: Service, task_id: str) -> dict[str, Any]:
    given = request.query_params
    outcome = given.get("outcome", "")
    number = given.get("page", "")
    wanted = int(number) if number.isdecimal() and 0 < len(number) < 8 else 1
    wanted = min(max(1, wanted), COUNTED // SIZE)
    before = given.get("before") or None
    status = outcome if outcome in OUTCOMES else None
    ask = partial(
        service.executions.page, task_id, status=status, since=None, until=None, size=SIZE
    )
    try:
        log = await ask(page=wanted, before=before)
    except Invalid:
        # That one was deleted meanwhile.
        before, log = None, await ask(page=wanted)
    pages = max(1, ceil(log.total / SIZE))
    follows = log.more and (before is not None or wanted == pages)
    past = (await service.executions.latest([task_id], CHARTED))[task_id]
    spans = sorted((one.end_time - one.start_time).total_seconds() for one in past if one.end_time)
    zone, language = service.settings.timezone, language_of(request)
    return {
        "executions": log.items,
        "outcome": outcome if outcome in OUTCOMES else "",
        "outcomes": OUTCOMES,
        "total": log.total,
        "uncounted": log.total == COUNTED and (before is not None or log.more),
        "current": wanted,
        # After an execution there are no numbers.
        "pages": 1 if before else pages,
        "older": log.items[-1].id if follows and log.items else None,
        "spans": spans,
        "chart": strip(
            past, language=language, zone=zone, now=datetime.now(UTC),
            places=max(LEAST, len(past)), step=10, height=80,
        ),
    }  # fmt: skip


async def _parameters(service: Service, task: Shown) -> list[arguments.Input] | str:
    """The form of a run by hand; why there is none, where the function can't be found."""
    try:
        parameters = await service.functions.parameters(task.func_path)
    except Invalid as invalid:
        return message_of(invalid)
    return arguments.inputs_of(parameters, decoded(task.func_args, {}))


async def _deleted(request: AnyRequest, service: Service, task_id: str) -> Response[str]:
    found = await service.declarations.provenance(task_id, overridden=True)
    deletion: Provenance = next(one for one in found if one.field == DELETED)
    return page(
        request, "task-deleted.html", status=404, section="/", task_id=task_id,
        address=address_of(task_id), deletion=deletion,
    )  # fmt: skip


HANDLERS = (show_task, show_state, show_executions, show_promotion)
