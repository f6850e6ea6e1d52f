"""What every executor takes and gives: a call, a handle on it, and how it came out."""

import json
import math
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Literal, Protocol

from taskservice import Execution
from taskservice.domain.output import without_middle
from taskservice.engine.masking import NO_MASK, Mask
from taskservice.engine.output import Output

LIMIT = 60 * 1024
"""The longest result and error, in bytes of UTF-8: both fit a TEXT column."""

UNSHOWABLE = "an exception that can't be shown"
"""The error where nothing of what was raised can be told, not even its class."""

RESULT_MARK = " [result cut at 60 KiB]"

_qualname_of: Callable[[type], str] = type.__dict__["__qualname__"].__get__
_traceback_of: Callable[[BaseException], TracebackType | None] = BaseException.__dict__[
    "__traceback__"
].__get__

_encoder = json.JSONEncoder(ensure_ascii=False, allow_nan=False, default=str)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A function to call for an execution.

    `func_args` has its placeholders filled in. `function` is what `func_path`
    stands for; an executor that runs elsewhere finds it there itself. What the function
    prints goes to `output`, and what it returns or raises is told through `mask`. It is not to
    begin after `begin_before()`, by the clock of `owner.seconds_now`: this process may have been
    frozen, and taken for dead.
    """

    execution: Execution
    func_path: str
    func_args: Mapping[str, object]
    function: Callable[..., object] | None
    output: Output = field(default_factory=Output)
    mask: Mask = NO_MASK
    begin_before: Callable[[], float] = lambda: math.inf


@dataclass(frozen=True, slots=True, kw_only=True)
class CallResult:
    """How a call ended.

    `returned`: `result` is the value as JSON text. `raised`: `error` is
    `Type: message`, then the traceback from the user's function on. `died`: its
    process ended without an answer, and `error` says how. `stopped`: it ended
    because `stop()` was called.
    """

    kind: Literal["returned", "raised", "died", "stopped"]
    result: str | None = None
    error: str | None = None


class Handle(Protocol):
    """A call that was started."""

    def stop(self) -> None:
        """Ask it to end; called on the event loop, and more than once does no harm.

        A process is killed with its process group and a coroutine cancelled. For a
        plain function on a thread nothing can be done.
        """


class Executor(Protocol):
    """A place where functions run under this process, which owns their executions.

    They don't survive it: whoever finds it dead closes their rows. With `finds_functions` a
    function is found where it runs, and its module not imported here.
    """

    finds_functions: bool
    survives: Literal[False]

    @property
    def waiting(self) -> int:
        """How many calls wait for a place to run."""

    def start(
        self,
        call: Call,
        done: Callable[[CallResult], None],
        began: Callable[[], None] | None = None,
    ) -> Handle:
        """Start a call without waiting for anything; called on the event loop.

        `began` is called on the event loop when the function is really called: after
        the wait for a place to run and the import of its module; not at all where it
        comes to no call. `done` is called once, on the event loop and after that, when
        the function has really ended, after a `stop()` too. Raises RuntimeError after
        `close()`.
        """

    async def close(self) -> None:
        """Give up idle threads and processes, and kill the running processes.

        What still waited to run is `stopped`.
        """


class RemoteExecutor(Protocol):
    """A way to workers, who may be on other machines and live on when this process dies.

    What is sent is no call but an execution's id: the row is the truth. Until a worker takes it
    (`Engine.take`) the row is `queued` and nobody's. Then it is the worker's, under a lease of its
    own: the worker finds the function, fills in the arguments, minds the timeout, and writes
    output and end. Whoever schedules by then needs no more than the row to be attached to it.
    """

    finds_functions: Literal[True]
    survives: Literal[True]

    @property
    def waiting(self) -> int:
        """How many executions wait to be sent."""

    @property
    def away(self) -> str | None:
        """While the broker can't be reached, how that shows; as was found when it was asked."""

    def send(
        self, execution_id: str, queue: str, unsent: Callable[[str], None] | None = None
    ) -> None:
        """Have a worker take an execution, without waiting for anything; on the event loop.

        A message that comes twice, or late, does no harm. `unsent` is called on the event loop,
        with the reason, where it is known that none went out within a bounded time; where that is
        not known, or `unsent` is None, nothing is said.
        """

    async def lengths(self, queues: Sequence[str]) -> Mapping[str, int] | None:
        """How many messages wait in each of these queues; None where that can't be known now."""

    async def check(self) -> None:
        """Ask the broker whether it is there."""

    async def close(self) -> None:
        """Send what waits, within seconds, and no more."""


AnyExecutor = Executor | RemoteExecutor


def returned(value: object, mask: Mask = NO_MASK) -> CallResult:
    """Make the outcome of a function that returned `value`; never raises.

    What JSON has no form for becomes a string: `str` of a single thing (a date, a
    not-a-number), `repr` of the whole where that doesn't help.
    """
    return CallResult(kind="returned", result=_fit(mask.text(_json(value))))


def raised(error: BaseException, mask: Mask = NO_MASK) -> CallResult:
    """Make the outcome of a function that raised; never raises itself.

    Of a long traceback the begin and the end are told: what happened stands at its end.

    Nothing of an exception is trusted: its class may have a metaclass, its text be of a class of
    its own, and its notes and causes may raise when they are looked at.
    """
    try:
        text = _error_text(error)
    except BaseException:
        text = UNSHOWABLE
    return CallResult(kind="raised", error=without_middle(mask.text(text), LIMIT))


def _error_text(error: BaseException) -> str:
    kind, message = _name_of(error), _as_text(str, error)
    text = f"{kind}: {message}" if message else kind
    try:
        # Not by the attribute, which a class may hide under one of its own.
        trace = _users_part(_traceback_of(error))
        if trace is not None:
            lines = traceback.format_exception(type(error), error, trace)
            text += "\n" + "".join(lines).rstrip()
    except BaseException:
        text += "\n[its traceback can't be shown]"
    return text


def cut(text: str, limit: int, mark: str) -> str:
    """Return `text` without lone surrogates and, when over `limit` bytes, cut with a mark."""
    data = text.encode("utf-8", "replace")
    if len(data) <= limit:
        return data.decode("utf-8")
    return data[: limit - len(mark.encode())].decode("utf-8", "ignore") + mark


def _json(value: object) -> str:
    try:
        return _encoder.encode(value)
    except ValueError:  # a not-a-number, an infinity, or a value that contains itself
        try:
            return _encoder.encode(_without_nan(value))
        except BaseException:
            return _encoder.encode(_as_text(repr, value))
    except BaseException:
        return _encoder.encode(_as_text(repr, value))


def _fit(text: str) -> str:
    data = text.encode("utf-8", "replace")
    if len(data) <= LIMIT:
        return data.decode("utf-8")
    # Quoting makes text longer, at most six times: shorten until the quoted text fits.
    limit = LIMIT
    while len((quoted := _encoder.encode(cut(text, limit, RESULT_MARK))).encode()) > LIMIT:
        limit = limit * 7 // 8
    return quoted


def _without_nan(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {_without_nan(key): _without_nan(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(each) for each in value]
    return value


def _as_text(show: Callable[[object], str], value: object) -> str:
    try:
        # A plain copy: `show` may give text of a class of its own.
        return "".join(("", show(value)))
    except BaseException:
        return f"<{_name_of(value)} that can't be shown>"


def _name_of(value: object) -> str:
    """The name of a value's class, whatever its metaclass says."""
    return "".join(("", _qualname_of(type(value))))


def _users_part(trace: TracebackType | None) -> TracebackType | None:
    """Skip the frames of the service and of asyncio that stand before the user's function."""
    while trace is not None:
        module = str(trace.tb_frame.f_globals.get("__name__"))
        if not module.startswith(("taskservice.engine.", "asyncio.")):
            break
        trace = trace.tb_next
    return trace
