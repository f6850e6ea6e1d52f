"""`taskservice run`: a socket, the service behind it, and an orderly end."""

import asyncio
import errno
import gc
import os
import resource
import signal
import socket
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any

import structlog
import uvicorn
import uvloop
from litestar import Litestar

from taskservice import __version__
from taskservice.cli.forks import copies_let_go
from taskservice.cli.service_log import set_up_logging
from taskservice.domain.errors import StartError
from taskservice.engine.fresh_code import take_fresh_code
from taskservice.engine.import_path import put_in_front
from taskservice.service import Service
from taskservice.settings import LEAST, Settings
from taskservice.web.app import create_app
from taskservice.web.connection import ConnectionLimits, Connections

log = structlog.get_logger()

LAST_ANSWERS = 5
"""Seconds in which the last requests may be answered, once executions have ended."""

LAST_WORK = 10
"""Seconds, after those, in which everything must be closed."""

MOST_UNKNOWN = 20
"""Variables that are no settings are told one by one up to this number."""

MOST_CONNECTIONS = 1000
"""Clients at a time, if there are file descriptors for them."""


def run_service(settings: Settings, unknown: Mapping[str, str]) -> None:
    """Serve until SIGTERM or SIGINT comes; raises StartError where it can't begin.

    `unknown` are variables that are no settings, each with the nearest one or "": they are told
    and stop nothing, for Kubernetes makes some by itself.
    """
    set_up_logging()
    tell_unknown(unknown)
    allow_open_files()
    with (
        listen(settings.host, settings.port) as listener,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        runner.run(_serve(settings, listener))


def tell_unknown(unknown: Mapping[str, str]) -> None:
    """Log the variables that are no settings."""
    for name, nearest in list(unknown.items())[:MOST_UNKNOWN]:
        log.warning("unknown_variable", variable=name[:200], did_you_mean=nearest or None)
    if len(unknown) > MOST_UNKNOWN:
        log.warning("unknown_variables", more=len(unknown) - MOST_UNKNOWN)


def warn_of_short_tokens(settings: Settings) -> None:
    """Log the names of the tokens that might be guessed."""
    for token in settings.api_tokens:
        if token.short:
            log.warning("short_token", token=token.name, least=LEAST)


def allow_open_files() -> None:
    """Take all the file descriptors there may be: each coroutine that runs has two."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _connections() -> int:
    """How many clients there may be at a time, and may wait to be taken.

    Together they have two thirds of the file descriptors at most: the database, the files and the
    functions have the rest.
    """
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return min(MOST_CONNECTIONS, most // 3) if most > 0 else MOST_CONNECTIONS


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens there; port 0 is any free one. Raises StartError."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise StartError(f"no address for host {host!r}: {error.strerror}") from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_connections())
    except OSError as error:
        listener.close()
        raise StartError(_why_not(error, host, port)) from None
    return listener


def _why_not(error: OSError, host: str, port: int) -> str:
    other = "choose another with --port or TASKSERVICE_PORT"
    match error.errno:
        case errno.EADDRINUSE:
            return f"port {port} on {host} is in use: {other}"
        case errno.EACCES:
            return f"port {port} on {host} is not for this user: {other}"
    return f"can't listen on {host}, port {port}: {error.strerror}"


class _Server(uvicorn.Server):
    """Uvicorn, but for signals: it would raise them again at its end, and die of them."""

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listener in sockets or []:
            _announce(listener)


def _announce(listener: socket.socket) -> None:
    host, port = listener.getsockname()[:2]
    base = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    print(
        f"taskservice {__version__}: console {base}/  API {base}/task-manage/  docs {base}/schema",
        flush=True,
    )


async def _serve(settings: Settings, listener: socket.socket) -> None:
    stop = asyncio.create_task(_asked_to_stop().wait())
    # What a start makes stays: to look through it for garbage time and again is in vain.
    gc.freeze()
    gc.set_threshold(100_000, 50, 1000)
    service = Service(settings)
    app = create_app(settings, service)
    # After all that the service imports: libraries look whether others are installed, too.
    take_fresh_code()
    put_in_front(str(folder.resolve()) for folder in settings.import_path)
    with copies_let_go(listener, settings.database_url, service.lifelines):
        await _live(service, app, listener, stop)


async def _live(
    service: Service, app: Litestar, listener: socket.socket, stop: asyncio.Task[bool]
) -> None:
    """Serve from the service's start to its end."""
    if not await _done_first(asyncio.create_task(service.start()), stop):
        return
    warn_of_short_tokens(service.settings)
    _spare_collector()
    connections: Any = Connections(ConnectionLimits(connections=_connections()))
    config = uvicorn.Config(
        app,
        http=connections.make,
        backlog=_connections(),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=LAST_ANSWERS,
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    await asyncio.wait({serving, stop}, return_when=asyncio.FIRST_COMPLETED)
    # The API answers while executions come to their end, and says that it is going.
    await service.drain()
    exit_at_last(LAST_ANSWERS + LAST_WORK)
    await service.watcher.end()
    server.should_exit = True
    await serving
    await service.stop()
    log.info("stopped")


def _spare_collector() -> None:
    """Keep the collector of garbage from going through all tasks again and again.

    Ten thousand of them would hold everything up for a tenth of a second, many times a minute.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)


def _asked_to_stop() -> asyncio.Event:
    """Is set by the first SIGTERM or SIGINT; the second ends the process where it stands."""
    asked = asyncio.Event()

    def on_signal() -> None:
        if asked.is_set():
            log.warning("stopped_at_once")
            os._exit(1)
        log.info("stopping")
        asked.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    return asked


async def _done_first(work: asyncio.Task[None], stop: asyncio.Task[bool]) -> bool:
    """Whether the work came to its end before a signal did, which cancels it."""
    await asyncio.wait({work, stop}, return_when=asyncio.FIRST_COMPLETED)
    if not work.done():
        work.cancel()
        await asyncio.wait({work})
        return False
    await work
    return True


def exit_at_last(seconds: float) -> None:
    """End the process even if a thread hangs, in a user's module for one; all work is done."""
    timer = threading.Timer(seconds, os._exit, (0,))
    timer.daemon = True
    timer.start()
