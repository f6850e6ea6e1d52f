"""What `taskservice worker` does: Celery's worker in one thread, an engine in another."""

import asyncio
import concurrent.futures
import gc
import threading
import warnings
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, TypeVar

import rich_click as click
import structlog
import uvloop

from taskservice import __version__
from taskservice.cli.serve import allow_open_files, exit_at_last, tell_unknown
from taskservice.cli.service_log import set_up_logging
from taskservice.domain.errors import StartError
from taskservice.engine.fresh_code import take_fresh_code
from taskservice.engine.import_path import put_in_front
from taskservice.service.service import sender_of
from taskservice.service.worker import Stopping, WorkerService
from taskservice.settings import Settings, broker

T = TypeVar("T")

log = structlog.get_logger()

LAST_WORK = 15.0
"""Seconds, after the grace, in which everything must be closed."""

OURS = ("-P", "--pool", "-D", "--detach", "-B", "--beat", "--autoscale", "-c", "--concurrency",
        "-Q", "--queues", "-X", "--exclude-queues", "-A", "--app", "-b", "--broker")  # fmt: skip
"""Celery's options that are said otherwise, or whose place another part takes."""


class _Loop:
    """An event loop in a thread of its own, for code in other threads to have work done."""

    def __init__(self) -> None:
        self._started = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name="taskservice-engine", daemon=True)
        self._thread.start()
        self._started.wait()

    def begin(self, work: Callable[[], Coroutine[Any, Any, T]]) -> "concurrent.futures.Future[T]":
        """Have a coroutine made and run there; from any thread."""
        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(_made(work), self._loop)

    def close(self) -> None:
        """End it."""
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(LAST_WORK)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            self._loop = runner.get_loop()
            self._started.set()
            self._loop.run_forever()


async def _made(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    return await work()


def run_worker(
    settings: Settings,
    unknown: Mapping[str, str],
    *,
    queues: Sequence[str],
    concurrency: int,
    celery_options: Sequence[str],
) -> None:
    """Work until SIGTERM or SIGINT comes; raises StartError where it can't begin."""
    for option in celery_options:
        if option.split("=", 1)[0] in OURS or option[:2] in ("-P", "-c", "-Q", "-X", "-A", "-b"):
            raise click.UsageError(f"{option.split('=', 1)[0]} can't be given to Celery's worker")
    set_up_logging()
    tell_unknown(unknown)
    allow_open_files()
    gc.freeze()
    loop = _Loop()

    async def make() -> WorkerService:
        service = WorkerService(settings, queues=queues, concurrency=concurrency)
        take_fresh_code()
        put_in_front(str(folder.resolve()) for folder in settings.import_path)
        await service.start()
        return service

    loop.begin(lambda: _need_broker(settings)).result()
    service = loop.begin(make).result()
    try:
        _consume(settings, service, loop, queues, concurrency, celery_options)
    finally:
        loop.begin(service.drain).result()
        loop.begin(service.stop).result()
        loop.close()
    log.info("stopped")


async def _need_broker(settings: Settings) -> None:
    """Raise StartError where the broker does not answer: Celery would try for ever."""
    sender = sender_of(settings)
    await sender.check()
    await sender.close()
    if sender.away:
        raise StartError(
            f"no broker at {settings.shown_broker}: {sender.away}; check TASKSERVICE_CELERY_BROKER"
        )


def _consume(
    settings: Settings,
    service: WorkerService,
    loop: _Loop,
    queues: Sequence[str],
    concurrency: int,
    celery_options: Sequence[str],
) -> None:
    """Have Celery's worker bring executions, until it is told to stop."""
    from celery import signals
    from celery.exceptions import CPendingDeprecationWarning, Reject, SecurityWarning

    from taskservice.engine.celery.app import EXECUTE, make_app, queue

    # It is only names of executions that come by the broker, and late deliveries do no harm.
    for passed_over in (SecurityWarning, CPendingDeprecationWarning):
        warnings.simplefilter("ignore", category=passed_over)
    is_amqp = broker.is_amqp(settings.celery_broker)
    app = make_app(
        broker.without_parameter(settings.celery_broker),
        is_amqp=is_amqp, queue=settings.celery_queue, sends=False,
    )  # fmt: skip
    app.conf.task_queues = [queue(name, is_amqp=is_amqp) for name in queues]

    @app.task(name=EXECUTE, bind=True, typing=False)
    def execute(task: Any, execution_id: object = None, *_rest: object, **_more: object) -> None:
        if not isinstance(execution_id, str) or len(execution_id) > 36:
            log.warning("strange_message", text=repr(execution_id)[:100])
            return
        try:
            loop.begin(lambda: service.execute(execution_id)).result()
        except Stopping:
            if is_amqp:
                raise Reject("the worker stops", requeue=True) from None
            # It is acknowledged: for others it is sent anew.
            name = task.request.delivery_info.get("routing_key") or settings.celery_queue
            task.apply_async((execution_id,), task_id=execution_id, queue=name, retry=False)

    @signals.setup_logging.connect(weak=False)
    def leave_logging(**_: Any) -> None:
        """The log is set up as the service's is."""

    @signals.worker_shutting_down.connect(weak=False)
    def drain(**_: Any) -> None:
        loop.begin(service.drain)
        # Whatever hangs by then, in the client of a broker that is away for one.
        exit_at_last(settings.shutdown_grace + LAST_WORK)

    @signals.worker_ready.connect(weak=False)
    def tell(**_: Any) -> None:
        print(
            f"taskservice {__version__}: worker {service.name} serves {', '.join(queues)}, "
            f"{concurrency} at a time",
            flush=True,
        )

    options = [
        *("--hostname", f"{service.name.replace(':', '-')}@%h"),
        *("--concurrency", str(concurrency), "--without-gossip", "--without-mingle"),
        *("--without-heartbeat", "--loglevel", "WARNING"),
    ]
    try:
        app.worker_main(["--quiet", "worker", *options, *celery_options])
    except SystemExit as end:
        if end.code:
            raise
