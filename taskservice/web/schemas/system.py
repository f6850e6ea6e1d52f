"""What is no task: functions, health, and why a request failed."""

from typing import Literal, Self

import msgspec

from taskservice.service import FunctionInfo


class Function(msgspec.Struct, frozen=True, kw_only=True):
    """A function that tasks may call.

    `changed_on_disk`: its code has changed since the service loaded it for `executor: local`,
    which runs what was loaded until the service is started again.
    """

    func_path: str
    name: str
    signature: str
    description: str
    changed_on_disk: bool

    @classmethod
    def of(cls, info: FunctionInfo) -> Self:
        """The answer for a function."""
        return msgspec.convert(info, cls, from_attributes=True)


class Live(msgspec.Struct, frozen=True, kw_only=True):
    """The process answers."""

    status: Literal["ok"] = "ok"


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """The parts that the service needs, each `ok`; `broker` is null where there is none.

    A broker that is away is told of here, and the service is ready all the same.
    """

    database: str
    scheduler: str
    broker: str | None = None


class FieldError(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong with one field; `field` is dotted, and null where it is the whole."""

    field: str | None
    reason: str


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why a request failed (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[FieldError] = []
