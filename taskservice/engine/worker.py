"""The child's side of the `process` executor: a worker process, and its supervisor.

multiprocessing's fork server imports this module once; each worker is forked from it
by way of its supervisor, and runs one order, or one after another.
What the function prints goes through a pipe as it comes; how it ended, as one JSON
message over another, so that the service never unpickles what a function made.
"""

import asyncio
import contextlib
import faulthandler
import io
import json
import logging
import math
import multiprocessing.forkserver
import os
import pickle
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import IO, TextIO, cast

from taskservice import Execution, execution_context
from taskservice.domain.errors import Invalid
from taskservice.domain.placeholders import OWN_PREFIX
from taskservice.engine.coroutines import awaited, is_awaitable
from taskservice.engine.executor import CallResult, raised, returned
from taskservice.engine.fresh_code import take_fresh_code
from taskservice.engine.functions import Functions
from taskservice.engine.loading import Allowed
from taskservice.engine.masking import Mask
from taskservice.engine.output import LOG_FORMAT, Unbuffered
from taskservice.engine.owner import seconds_now
from taskservice.engine.sources import Source, has_changed, sources_of
from taskservice.engine.supervisor import supervise

MESSAGE_LIMIT = 1024 * 1024
"""The longest message in bytes: a result or error whose every character is quoted fits."""


BEGAN = b"began"
"""The message that the function is called now; the last one of an order is how it ended."""

STALE = b"stale"
"""The message that code has changed on disk since this process imported it: nothing is called."""

LAST = b"last"
"""The message that something of the function goes on: this process takes no other order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a worker is told to run."""

    execution: Execution
    func_path: str
    func_args: Mapping[str, object]
    patterns: tuple[str, ...]
    secrets: frozenset[str] = frozenset()
    begin_before: float = math.inf

    def perform(self, began: Callable[[], None]) -> CallResult:
        """Find the function, run it here, and return how it ended; never raises.

        `began` is called when the function is found and about to be called. Beyond `begin_before`
        it is not: whoever owns the execution may have been taken for dead meanwhile.
        """
        execution_context.set(self.execution)
        try:
            function = Functions(self.patterns).resolve(self.func_path)
            if seconds_now() >= self.begin_before:
                story = "its process was frozen for longer than its lease before it began"
                return CallResult(kind="died", error=story)
            began()
            value = function(**self.func_args)
            if is_awaitable(value):
                value = asyncio.run(awaited(value))
        except BaseException as error:
            return raised(error, Mask(self.secrets))
        return returned(value, Mask(self.secrets))


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """A worker process, which takes orders until none is to come; `folder` is where it stands."""

    folder: str = "."

    def _bootstrap(self, lifeline: int) -> int:  # pragma: no cover: runs in workers only
        """Be a worker process's supervisor; the fork server calls this.

        Its name is multiprocessing's. `lifeline` is the reading end of a pipe that the service
        holds open.
        """
        answer, printed, orders, status = multiprocessing.forkserver.get_inherited_fds() or [-1] * 4
        supervise(
            lambda: self._work(answer, printed, orders),
            lifeline=lifeline, status=status, others=(answer, printed, orders),
        )  # fmt: skip
        return 0

    def _work(
        self, answer: int, printed: int, orders: int
    ) -> None:  # pragma: no cover: runs in workers only
        """Be a worker process."""
        _forget_variables()
        _redirect(printed)
        take_fresh_code()
        with (
            Connection(answer, readable=False) as connection,
            Connection(orders, writable=False) as given,
        ):
            code = _Code()
            # End of file: no order is to come.
            with contextlib.suppress(EOFError):
                while self._take(pickle.loads(given.recv_bytes()), connection, code):
                    pass

    def _take(
        self, order: Order, connection: Connection, code: "_Code"
    ) -> bool:  # pragma: no cover: runs in workers only
        """Do what an order says, and tell how it came out; whether another one may follow."""
        if code.has_changed():
            connection.send_bytes(STALE)
            return False
        # The fork server may have been started where a function had changed to, or the last one
        # has changed to another place.
        with contextlib.suppress(OSError):
            os.chdir(self.folder)
        worker, before = os.getpid(), set[object]()

        def began() -> None:
            before.update(_goes_on())
            connection.send_bytes(BEGAN)

        outcome = order.perform(began)
        if os.getpid() != worker:
            os._exit(0)  # a copy that the function forked, and that came back from it
        last = bool(_goes_on() - before)
        if last:
            connection.send_bytes(LAST)
        else:
            code.note(order)
        connection.send_bytes(encode(outcome))
        return not last


class _Code:  # pragma: no cover: runs in workers only
    """The code of users that this process has imported."""

    def __init__(self) -> None:
        self._sources: dict[str, Sequence[Source]] = {}

    def note(self, order: Order) -> None:
        """Note the files of an order's function, as they are now."""
        with contextlib.suppress(Invalid):  # nothing was imported of it
            module, _ = Allowed(order.patterns).split(order.func_path)
            if module not in self._sources:
                self._sources[module] = sources_of(module)

    def has_changed(self) -> bool:
        """Whether some of it says something else by now."""
        return any(map(has_changed, self._sources.values()))


def _goes_on() -> set[object]:  # pragma: no cover: runs in workers only
    """The threads of this process, and what it has started, daemons of their own too."""
    found = set[object](threading.enumerate())
    for pid in (os.getpid(), os.getppid()):
        for file in Path(f"/proc/{pid}/task").glob("*/children"):
            with contextlib.suppress(OSError):  # the thread is gone
                found.update(file.read_text().split())
    return found


def encode(outcome: CallResult) -> bytes:
    """Return the message that tells an outcome."""
    return json.dumps([outcome.kind, outcome.result, outcome.error], ensure_ascii=False).encode()


def decode(message: bytes) -> CallResult:
    """Read a message; raises ValueError when it is none, for the function may have sent it."""
    match json.loads(message):
        case ["returned", str(result), None]:
            return CallResult(kind="returned", result=result)
        case ["raised" | "died" as kind, None, str(error)]:
            return CallResult(kind=kind, error=error)
    raise ValueError("a message of the wrong form")


def _forget_variables() -> None:  # pragma: no cover: runs in workers only
    """Leave the service's own variables to the service, however it came to have them."""
    for name in [name for name in os.environ if name.startswith(OWN_PREFIX)]:
        del os.environ[name]


def _redirect(printed: int) -> None:  # pragma: no cover: runs in workers only
    """Send standard output, standard error and the log to the pipe."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    for target, source in ((0, nothing), (1, printed), (2, printed)):
        os.dup2(source, target)
    sys.stdout, sys.stderr = _text(1), _text(2)
    faulthandler.enable(2)
    logging.basicConfig(level=logging.INFO, format=LOG_FORMAT, stream=sys.stderr, force=True)


def _text(descriptor: int) -> TextIO:  # pragma: no cover: runs in workers only
    # Nothing is buffered here: what was printed before a crash is not lost.
    raw = cast(IO[bytes], Unbuffered(descriptor))
    return io.TextIOWrapper(raw, encoding="utf-8", errors="replace", write_through=True)
