"""Everything that can be wrong, in one file and one shape."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

LONGEST_REASON = 1000
LONGEST_FIELD = 300
LONGEST_ID = 100
LONGEST_PATH = 4096
"""Characters of a fault's texts, which may quote what somebody else wrote."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that is wrong with an input, told to the person who wrote it.

    `field` is dotted (`trigger_args.hour`, `func_args.user_id`); `path`, `line`
    and `column` (both from 1) are filled in where the input is a file. `more` is 0, or how many
    faults this one stands for that are only counted: `fault_limits` makes such.

    Its texts are made so that they can be told: they are cut where they are too long, and what
    no encoding has (half of a surrogate pair) is replaced.
    """

    reason: str
    field: str | None = None
    task_id: str | None = None
    path: str | None = None
    line: int | None = None
    column: int | None = None
    more: int = 0

    def __post_init__(self) -> None:
        for name, longest in _LONGEST:
            text = getattr(self, name)
            if text is None or (len(text) <= longest and text.isascii()):
                continue
            if len(text) > longest:
                text = f"{text[: longest - 1]}…"
            object.__setattr__(self, name, text.encode(errors="replace").decode())

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.path, self.line, self.column) if part)
        said = f"{self.field}: {self.reason}" if self.field else self.reason
        return f"{place}: {said}" if place else said

    @property
    def place(self) -> tuple[str, int, int]:
        """Where it is, to sort by."""
        return self.path or "", self.line or 0, self.column or 0

    def as_json(self) -> dict[str, Any]:
        """What programs are told of it."""
        return {name: getattr(self, name) for name in _TOLD}


_LONGEST = (
    ("reason", LONGEST_REASON),
    ("field", LONGEST_FIELD),
    ("task_id", LONGEST_ID),
    ("path", LONGEST_PATH),
)
_TOLD = ("reason", "field", "task_id", "path", "line", "column")


class Pending(Fault):
    """A fault only for now: whether there is one is told later, with nothing being changed."""

    __slots__ = ()


def is_pending(faults: Iterable[Fault]) -> bool:
    """Whether some of these faults are only for now."""
    return any(isinstance(fault, Pending) for fault in faults)


class TaskserviceError(Exception):
    """The base of every error that is meant for a person; its text is one line."""


class Invalid(TaskserviceError):
    """An input that can't be taken, with every fault found in it."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("; ".join(str(fault) for fault in faults))
        self.faults = tuple(faults)


class Malformed(TaskserviceError):
    """A request that can't even be read."""


class NotFound(TaskserviceError):
    """There is no such task, execution or override."""


def no_task(task_id: str) -> NotFound:
    """The error where there is no such task, or none that is seen."""
    return NotFound(f"no task {task_id[:100]!r}")


class Conflict(TaskserviceError):
    """The request doesn't fit the state that the task is in."""


class PreconditionFailed(TaskserviceError):
    """The task has changed since the caller read it (RFC 9110, section 13.1.1)."""


class Unauthenticated(TaskserviceError):
    """No token, or one that is not known."""


class UnknownToken(Unauthenticated):
    """A token, or a webhook's signature, was given and is wrong."""


class Forbidden(TaskserviceError):
    """The token's role does not allow this."""


def out_of_sight(tags: Iterable[str]) -> Forbidden:
    """The error where a task would bear none of the tags that somebody is narrowed to."""
    return Forbidden(f"the task must bear one of the tags of this token: {', '.join(tags)}")


class TooManyRequests(TaskserviceError):
    """Others ask for as much already; `retry_after` is how many seconds to wait."""

    def __init__(self, reason: str, *, retry_after: int = 1) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class Unavailable(TaskserviceError):
    """The database can't be reached or the service is stopping; trying again may help."""


class StartError(TaskserviceError):
    """Why the service can't start: a setting, a folder, a port or a database."""
