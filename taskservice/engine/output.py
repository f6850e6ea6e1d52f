"""What a function prints and logs, kept per execution instead of going to the service's own.

How the service wires it: call `install()` once at the start and `uninstall()` at the
end, and give each of its own log handlers the filter `outside_execution`, so that a
function's log lines don't stand in the service's log. Handlers that the root logger
has at `install()` get the filter there. Of log records, those count that the root
logger sees: its level decides, INFO is a good one.

Only Python's own `sys.stdout` and `sys.stderr` can be told apart by execution: what a
subprocess or a C library writes, or a thread that the function started, goes past this.
"""

import io
import logging
import os
import sys
import threading
from collections.abc import Iterable
from contextvars import ContextVar
from typing import IO, TextIO, cast

from taskservice.domain.output import BEGIN_SHARE, joined
from taskservice.engine.masking import NO_MASK, Mask, rest

LIMIT = 256 * 1024
"""How many bytes of an execution's output are kept if nothing else is said."""

_PIECE = 256 * 1024

LOG_FORMAT = "%(levelname)s %(name)s: %(message)s"


class Output:
    """One execution's output: UTF-8, and of what is more than `limit` bytes the begin and the end.

    Secrets are masked before anything is kept, so that none is cut in two.
    """

    __slots__ = ("_begin", "_end", "_held", "_left_out", "_limit", "_lock", "_mask", "size")

    def __init__(self, limit: int = LIMIT, mask: Mask = NO_MASK) -> None:
        self._limit = limit
        self._mask = mask
        self._lock = threading.Lock()
        self._begin = bytearray()
        self._end = bytearray()
        self._left_out = 0
        self._held = b""
        self.size = 0
        """How many bytes have come."""

    def add(self, data: bytes) -> None:
        """Append; from any thread."""
        with self._lock:
            self.size += len(data)
            if self._mask:
                data, self._held = self._mask.stream(self._held + data)
            self._keep(data)

    def _keep(self, data: bytes) -> None:
        if room := self._limit // BEGIN_SHARE - len(self._begin):
            self._begin += data[:room]
            data = data[room:]
        self._end += data
        if (more := len(self._end) - (self._limit - self._limit // BEGIN_SHARE)) > 0:
            del self._end[:more]
            self._left_out += more

    def add_text(self, text: str) -> None:
        """Append text; a lone surrogate becomes a question mark."""
        for at in range(0, len(text), _PIECE):
            self.add(text[at : at + _PIECE].encode("utf-8", "replace"))

    def text(self, *, ended: bool = False) -> str:
        """Return what is kept so far, with a mark where some was left out.

        Until it has `ended`, what may be the begin of a secret waits for what comes next.
        """
        with self._lock:
            begin, end, count = bytes(self._begin), bytes(self._end), self._left_out
            if ended:
                end += rest(self._held)
        return joined(begin, end, count)


# Set by the local executor around each call.
output_context: ContextVar[Output | None] = ContextVar("taskservice_output", default=None)


def outside_execution(record: logging.LogRecord) -> bool:
    """Tell whether a record is the service's own; usable as a filter of log handlers."""
    return output_context.get() is None


class _LogCapture(logging.Handler):
    """Writes log records of an execution to its output."""

    def emit(self, record: logging.LogRecord) -> None:
        output = output_context.get()
        if output is None:
            return
        try:
            output.add_text(self.format(record) + "\n")
        except Exception:
            self.handleError(record)


class CapturedBytes(io.RawIOBase):
    """The `buffer` of a captured stream."""

    def __init__(self, output: Output) -> None:
        self._output = output

    def writable(self) -> bool:
        return True

    def write(self, data: object, /) -> int:
        view = memoryview(data).cast("B")  # type: ignore[arg-type]
        self._output.add(bytes(view))
        return len(view)


class CapturedStream:
    """Stands for `sys.stdout` or `sys.stderr`: an execution's output inside one, else the real."""

    def __init__(self, real: TextIO) -> None:
        self.real = real

    def __getattr__(self, name: str) -> object:
        return getattr(self.real, name)

    @property
    def buffer(self) -> IO[bytes]:
        output = output_context.get()
        return self.real.buffer if output is None else cast(IO[bytes], CapturedBytes(output))

    def write(self, text: str) -> int:
        output = output_context.get()
        if output is None:
            return self.real.write(text)
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        output.add_text(text)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def isatty(self) -> bool:
        return output_context.get() is None and self.real.isatty()

    def flush(self) -> None:
        if output_context.get() is None:
            self.real.flush()

    def close(self) -> None:
        """Close the real stream, but never for a function: it is not its own."""
        if output_context.get() is None:
            self.real.close()


_capture = _LogCapture()
_capture.setFormatter(logging.Formatter(LOG_FORMAT))


_installed: dict[str, CapturedStream] = {}


def install() -> None:
    """Put the streams and the log handler in place; a second time does nothing."""
    for name in ("stdout", "stderr"):
        if name not in _installed:
            _installed[name] = CapturedStream(getattr(sys, name))
    restore()
    root = logging.getLogger()
    for handler in root.handlers:
        if handler is not _capture:
            handler.addFilter(outside_execution)
    root.addHandler(_capture)


def restore() -> None:
    """Put the streams in place again that a function replaced and left so, if they were there."""
    for name, stream in _installed.items():
        if getattr(sys, name) is not stream:
            setattr(sys, name, stream)


def uninstall() -> None:
    """Undo `install`; without one before it does nothing."""
    while _installed:
        name, stream = _installed.popitem()
        setattr(sys, name, stream.real)
    root = logging.getLogger()
    root.removeHandler(_capture)
    for handler in root.handlers:
        handler.removeFilter(outside_execution)


class Unbuffered(io.RawIOBase):
    """A raw stream to a file descriptor that writes all it is given before it returns."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def write(self, data: object, /) -> int:
        view = memoryview(data).cast("B")  # type: ignore[arg-type]
        left = view
        while left:
            left = left[os.write(self._descriptor, left) :]
        return len(view)
