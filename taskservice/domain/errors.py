"""Everything that can be wrong, in one file and one shape."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that is wrong with an input, told to the person who wrote it.

    `field` is dotted (`trigger_args.hour`, `func_args.user_id`); `path`, `line`
    and `column` (both from 1) are filled in where the input is a file.
    """

    reason: str
    field: str | None = None
    task_id: str | None = None
    path: str | None = None
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.path, self.line, self.column) if part)
        said = f"{self.field}: {self.reason}" if self.field else self.reason
        return f"{place}: {said}" if place else said


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


class Conflict(TaskserviceError):
    """The request doesn't fit the state that the task is in."""


class PreconditionFailed(TaskserviceError):
    """The task has changed since the caller read it (RFC 9110, section 13.1.1)."""


class Unauthenticated(TaskserviceError):
    """No token, or one that is not known."""


class Forbidden(TaskserviceError):
    """The token's role does not allow this."""


class Unavailable(TaskserviceError):
    """The database can't be reached or the service is stopping; trying again may help."""


class StartError(TaskserviceError):
    """Why the service can't start: a setting, a folder, a port or a database."""
