"""The page of workers: who executes, what runs there, and what waits in the queues."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from litestar import Response, get

from taskservice.domain.sight import Sight
from taskservice.service import ListedWorker, Service
from taskservice.web.api.parameters import ServiceDep, SightDep
from taskservice.web.console.executions import execution_address
from taskservice.web.console.render import CONSOLE, WORKERS, AnyRequest, fragment, page

SHOWN = 10
"""How many executions of a worker are shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunView:
    """An execution that runs on a worker."""

    task_id: str
    address: str
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerView:
    """A worker with the first of what runs there, and how many executions there are beside."""

    worker: ListedWorker
    runs: Sequence[RunView]
    more: int


@get(WORKERS, opt=CONSOLE)
async def show_workers(request: AnyRequest, service: ServiceDep, sight: SightDep) -> Response[str]:
    """The whole page."""
    return page(request, "workers.html", **await _values(service, sight))


@get(f"{WORKERS}/state", opt=CONSOLE)
async def show_state(request: AnyRequest, service: ServiceDep, sight: SightDep) -> Response[str]:
    """All of it that changes."""
    return fragment(request, "workers-state.html", **await _values(service, sight))


async def _values(service: Service, sight: Sight) -> dict[str, Any]:
    """What the page shows."""
    report = await service.workers.report(sight)
    return {
        "queues": report.queues,
        "workers": [_view(one) for one in report.workers],
        "address": WORKERS,
    }


def _view(worker: ListedWorker) -> WorkerView:
    shown = worker.running[:SHOWN]
    runs = [
        RunView(
            task_id=one.task_id,
            address=execution_address(one.task_id, one.id),
            since=one.start_time,
        )
        for one in shown
    ]
    return WorkerView(worker=worker, runs=runs, more=worker.running_count - len(shown))


HANDLERS = (show_workers, show_state)
