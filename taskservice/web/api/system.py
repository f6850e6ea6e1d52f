"""The routes of the service as a whole: syncs, functions, workers, health."""

from typing import Annotated, Any

from litestar import Request, get, post
from litestar.openapi import ResponseSpec
from litestar.params import QueryParameter

from taskservice.domain.errors import Forbidden
from taskservice.web import schemas, webhook
from taskservice.web.api.parameters import Caller, ServiceDep, SightDep
from taskservice.web.openapi import problems

METRICS = "text/plain; version=0.0.4"


@get(
    "/sync",
    operation_id="getSync",
    summary="What the last sync found",
    tags=["Sync"],
    responses=problems(),
)
async def get_sync(service: ServiceDep, sight: SightDep) -> schemas.SyncReport:
    """Errors by file, tasks by drift, tasks that wait to be deleted, and the repository."""
    return schemas.SyncReport.of(await service.syncs.report(sight))


@post(
    "/sync",
    operation_id="syncNow",
    summary="Sync now",
    tags=["Sync"],
    status_code=200,
    request_max_body_size=webhook.LARGEST_BODY,
    responses=problems(413),
)
async def sync_now(
    request: Request[Any, Any, Any],
    service: ServiceDep,
    caller: Caller,
    sight: SightDep,
    prune: Annotated[bool, QueryParameter(description="Let a held sync go on")] = False,
) -> schemas.SyncReport:
    """Reads the folder, and answers when its tasks are live; a followed repository is pulled first.

    Where TASKSERVICE_GIT_WEBHOOK_SECRET is set, a webhook's `X-Hub-Signature-256` or
    `X-Gitlab-Token` stands for a token, without parameters; after 8 seconds it is answered with
    what there is.
    """
    if request.scope.get("auth") == "webhook":
        return schemas.SyncReport.of(await service.syncs.sync_for_webhook())
    if prune and sight.is_narrowed:
        raise Forbidden(f"{caller} is for tasks with certain tags; a held sync concerns all tasks")
    return schemas.SyncReport.of(await service.syncs.sync(prune=prune, by=caller, sight=sight))


@get(
    "/functions",
    operation_id="listFunctions",
    summary="List the functions that tasks may call",
    tags=["Functions"],
    responses=problems(),
)
async def list_functions(service: ServiceDep) -> list[schemas.Function]:
    """What `func_path` may name, with signature and first line of documentation."""
    return [schemas.Function.of(info) for info in await service.functions.catalogue()]


@get(
    "/workers",
    operation_id="listWorkers",
    summary="List who executes, and the queues",
    tags=["Workers"],
    responses=problems(),
)
async def list_workers(service: ServiceDep, sight: SightDep) -> schemas.Workers:
    """Services and workers with what runs there; queues with what waits in them.

    At most 1,000 of each are told. A queue is listed when a task names it or something waits in it.
    """
    return schemas.Workers.of(await service.workers.report(sight))


@get(
    "/health/live",
    operation_id="isLive",
    summary="Is the process alive?",
    tags=["Health"],
    security=[{}],
)
async def is_live() -> schemas.Live:
    """Says so as long as the process answers at all."""
    return schemas.Live()


@get(
    "/health/ready",
    operation_id="isReady",
    summary="Is the service ready?",
    tags=["Health"],
    security=[{}],
    responses={503: problems()[503]},
)
async def is_ready(service: ServiceDep) -> schemas.Ready:
    """Whether database and scheduler work; 503 where one does not, or the service stops."""
    return schemas.Ready(**await service.ready())


@get(
    "/metrics",
    operation_id="getMetrics",
    summary="Metrics for Prometheus",
    tags=["Health"],
    media_type=METRICS,
    responses={
        **problems(),
        200: ResponseSpec(
            str, description="Prometheus' text format", media_type=METRICS, generate_examples=False
        ),
    },
)
async def get_metrics(service: ServiceDep) -> bytes:
    """Counts of this process, the tasks in the table, the last sync and the process itself.

    Without the database it says so (`taskservice_database_up` is 0), and leaves out what is there.
    """
    return await service.metrics.text()


HANDLERS = (
    get_sync,
    sync_now,
    list_functions,
    list_workers,
    is_live,
    is_ready,
    get_metrics,
)
