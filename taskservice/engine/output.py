"""What a function prints and logs, kept per execution instead of going to the service's own.

How the service wires it: call `install()` once at the start and `uninstall()` at the
end, and give each of its own log handlers the filter `outside_execution`, so that a
function's log lines don't stand in the service's log. Handlers that the root logger
has at `install()` get the filter there. Of log records, those count that the root
logger sees: its level decides, INFO is a good one.

Only Python's own `sys.stdout` and `sys.stderr` can be told apart by execution: what a
subprocess or a C library writes, or a thread that the function started, goes past this.
"""

import codecs
import io
import logging
import os
import sys
import threading
from collections.abc import Iterable
from contextvars import ContextVar
from typing import IO, TextIO, cast

LIMIT = 64 * 1024
MARK = "\n[output cut at 64 KiB]"
LOG_FORMAT = "%(levelname)s %(name)s: %(message)s"


class Output:
    """One execution's output: UTF-8, at most `LIMIT` bytes; what comes after is dropped."""

    __slots__ = ("_cut", "_data", "_lock")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._data = bytearray()
        self._cut = False

    def add(self, data: bytes) -> None:
        """Append; from any thread."""
        with self._lock:
            room = LIMIT - len(self._data)
            self._data += data[:room]
            self._cut = self._cut or len(data) > room

    def add_text(self, text: str) -> None:
        """Append text; a lone surrogate becomes a question mark."""
        # No character is shorter than a byte: what is sliced off here has no room anyway.
        self.add(text[: LIMIT + 1].encode("utf-8", "replace"))

    def text(self) -> str:
        """Return what is there so far, with `MARK` behind it when some was dropped."""
        with self._lock:
            data, cut = bytes(self._data), self._cut
        # An incremental decoder leaves out a character of which only a part is there.
        text = codecs.getincrementaldecoder("utf-8")("replace").decode(data)
        return text + MARK if cut else text


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


class _Bytes(io.RawIOBase):
    """The `buffer` of a captured stream."""

    def __init__(self, output: Output) -> None:
        self._output = output

    def writable(self) -> bool:
        return True

    def write(self, data: object, /) -> int:
        view = memoryview(data).cast("B")  # type: ignore[arg-type]
        self._output.add(bytes(view))
        return len(view)


class _Stream:
    """Stands for `sys.stdout` or `sys.stderr`: an execution's output inside one, else the real."""

    def __init__(self, real: TextIO) -> None:
        self.real = real

    def __getattr__(self, name: str) -> object:
        return getattr(self.real, name)

    @property
    def buffer(self) -> IO[bytes]:
        output = output_context.get()
        return self.real.buffer if output is None else cast(IO[bytes], _Bytes(output))

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


def install() -> None:
    """Put the streams and the log handler in place; a second time does nothing."""
    if not isinstance(sys.stdout, _Stream):
        sys.stdout = cast(TextIO, _Stream(sys.stdout))
    if not isinstance(sys.stderr, _Stream):
        sys.stderr = cast(TextIO, _Stream(sys.stderr))
    root = logging.getLogger()
    for handler in root.handlers:
        if handler is not _capture:
            handler.addFilter(outside_execution)
    root.addHandler(_capture)


def uninstall() -> None:
    """Undo `install`; without one before it does nothing."""
    if isinstance(sys.stdout, _Stream):
        sys.stdout = sys.stdout.real
    if isinstance(sys.stderr, _Stream):
        sys.stderr = sys.stderr.real
    root = logging.getLogger()
    root.removeHandler(_capture)
    for handler in root.handlers:
        handler.removeFilter(outside_execution)


class Limited(io.RawIOBase):
    """A raw stream to a file descriptor that takes `LIMIT` bytes and one, and drops the rest.

    The one byte more tells the reader that something was dropped.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._room = LIMIT + 1

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def write(self, data: object, /) -> int:
        view = memoryview(data).cast("B")  # type: ignore[arg-type]
        rest = view[: self._room]
        self._room -= len(rest)
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]
        return len(view)
