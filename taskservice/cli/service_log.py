"""How the log is written: for people on a terminal, for programs as a JSON object a line."""

import fcntl
import logging
import sys
from io import StringIO
from typing import TextIO

import structlog
from structlog.typing import EventDict, ExcInfo, Processor

from taskservice.cli.escaping import for_terminal, lines_for_terminal

FIRST_DESCRIPTOR = 10
"""The lowest that the log may have: nobody closes it who means the standard streams."""


def set_up_logging() -> None:
    """Send what this program and its libraries log to standard error.

    Tracebacks come without local variables, which may hold a token.
    """
    stamped: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: list[Processor]
    if sys.stderr.isatty():
        last = [_harmless, structlog.dev.ConsoleRenderer(exception_formatter=_traceback)]
    else:
        last = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    handler = logging.StreamHandler(_own(sys.stderr))
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.PositionalArgumentsFormatter(), *stamped],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for noisy in ("apscheduler", "uvicorn", "watchfiles", "alembic", "asyncio", "celery", "kombu"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    structlog.configure(
        processors=[*stamped, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )


def _harmless(_: object, __: str, event: EventDict) -> EventDict:
    """Escape what is logged, for a terminal; in JSON it is."""
    return {
        for_terminal(name): value
        if name == "exc_info" or isinstance(value, int | float | None)
        else for_terminal(value if isinstance(value, str) else repr(value))
        for name, value in event.items()
    }


def _traceback(stream: TextIO, error: ExcInfo) -> None:
    told = StringIO()
    structlog.dev.plain_traceback(told, error)
    stream.write(lines_for_terminal(told.getvalue()))


def _own(stream: TextIO) -> TextIO:
    """The stream on a descriptor of its own.

    A function on a thread may close standard error, and the next file that is opened would have
    its number, and the log's lines.
    """
    descriptor = fcntl.fcntl(stream.fileno(), fcntl.F_DUPFD_CLOEXEC, FIRST_DESCRIPTOR)
    return open(descriptor, "w", buffering=1, encoding=stream.encoding, errors="backslashreplace")
