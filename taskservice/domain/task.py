"""The task: its fields, their defaults, and the parsing that names every fault at once."""

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import tzinfo
from typing import Annotated, Any

from taskservice.domain.check import Refused, is_plain
from taskservice.domain.check import describe as describe
from taskservice.domain.check import nearest as nearest
from taskservice.domain.errors import Fault, Invalid
from taskservice.domain.fault_limits import of_each, of_task
from taskservice.domain.field import Field, defaults_of, fields_of
from taskservice.domain.field_types import (
    FieldType,
    arguments,
    boolean,
    choice,
    number,
    or_null,
    queue_name,
    text,
    words,
)
from taskservice.domain.retries import MAX_SECONDS, RETRIES
from taskservice.domain.retries import Retries as Retries
from taskservice.domain.rules import NOTIFY
from taskservice.domain.rules import Notify as Notify
from taskservice.domain.trigger import TRIGGER_KEYS, TRIGGER_SCHEMAS, Trigger, parse_trigger

EXECUTORS = ("local", "process", "celery")


class _Unset:
    """Not given at all, where null would be a value."""

    def __repr__(self) -> str:
        return "UNSET"


UNSET = _Unset()

_SECONDS = number(0.001, MAX_SECONDS)


# The trigger's two fields make sense only together: parse_trigger checks them.
_TRIGGER_TYPE = FieldType(lambda value: value, {"type": "string", "enum": list(TRIGGER_SCHEMAS)})
_TRIGGER_ARGS = FieldType(
    lambda value: {} if value is None else value,
    {"type": "object", "anyOf": [one for each in TRIGGER_SCHEMAS.values() for one in each]},
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A definition that has passed every check; `definition` gives it back as plain values.

    This is the table of fields: to add one is an entry here, a migration that adds its column, and
    what it does.
    """

    # fmt: off
    name: Annotated[str, Field(
        text(100), "What people call the task.", title="Name",
        needed="text of at most 100 characters",
    )]
    task_type: Annotated[str, Field(
        text(50), "A word of your own to sort tasks by.", title="Type",
        needed="text of at most 50 characters",
    )]
    trigger_type: Annotated[str, Field(
        _TRIGGER_TYPE,
        "`date`: once. `interval`: again and again after so much time. `cron`: by the calendar.",
        title="Trigger", needed="one of date, interval, cron", own_override=False,
        section="trigger",
    )]
    trigger_args: Annotated[Mapping[str, Any], Field(
        _TRIGGER_ARGS, "When the trigger fires; the keys depend on `trigger_type`.",
        title="Times", own_override=False, section="trigger",
    )] = dataclasses.field(default_factory=dict)
    func_path: Annotated[str, Field(
        text(255), "`package.module.function`, one of those that TASKSERVICE_FUNCTIONS allows.",
        title="Function", needed="package.module.function or package.module:function",
        section="function",
    )]
    func_args: Annotated[Mapping[str, Any], Field(
        or_null(arguments, {}),
        "Keyword arguments of the function. `${NAME}` and `${NAME:-default}` inside a text are "
        "replaced from the environment at each run.",
        title="Arguments", own_override=False, section="function",
    )] = dataclasses.field(default_factory=dict)
    max_instances: Annotated[int, Field(
        number(1, 10000, whole=True), "Executions of the task that may run at the same time.",
        title="Most at a time", section="run", label="At a time",
        hint="executions of this task, over all replicas",
    )] = 1
    description: Annotated[str | None, Field(
        or_null(text(65535, lines=True)), "Any text, for people.", title="Description",
    )] = None
    tags: Annotated[tuple[str, ...], Field(
        or_null(words, ()), "Words to find the task by.", title="Tags",
        hint="words with blanks between",
    )] = ()
    paused: Annotated[bool, Field(
        boolean, "Whether the task waits until somebody lets it go on.", title="Paused",
        section=None,
    )] = False
    misfire_grace_time: Annotated[float | None, Field(
        or_null(_SECONDS),
        "Seconds by which a fire may be late and still run; null: however late.", title="Grace",
        section="run", hint="seconds a fire may be late; empty: however late",
    )] = 3600
    coalesce: Annotated[bool, Field(
        boolean, "Whether several fires that are late at once run once.", title="Coalesce",
        section="run", hint="several fires that are late at once run once",
    )] = True
    timeout: Annotated[float | None, Field(
        or_null(_SECONDS),
        "Seconds after which an execution is stopped and has failed; null: never.",
        title="Timeout", section="run", hint="seconds; empty: none",
    )] = None
    retries: Annotated[Retries | None, Field(
        or_null(RETRIES), "How a failed execution is tried again; null: it is not.",
        title="Retries", section="run", label="Retries, as JSON",
        hint='For example {"max": 3, "delay": 10, "backoff": 2}; empty: none.',
    )] = None
    recover: Annotated[bool, Field(
        boolean, "Whether an execution that died with its process is run again.", title="Recover",
        section="run", hint="an execution that died with its process is run again",
    )] = False
    executor: Annotated[str | None, Field(
        or_null(choice(EXECUTORS)),
        "`local`: in the service. `process`: in a process of its own, which a timeout or a "
        "cancel kills. `celery`: on a worker, on any machine. null: as TASKSERVICE_EXECUTOR says.",
        title="Executor", section="run",
    )] = None
    queue: Annotated[str | None, Field(
        or_null(queue_name),
        "The queue that an execution with the executor `celery` is sent to; null: "
        "TASKSERVICE_CELERY_QUEUE.",
        title="Queue", section="run", hint="for the executor celery; empty: the setting's",
    )] = None
    notify: Annotated[Notify | None, Field(
        or_null(NOTIFY),
        "Who is told of failures and the like: a channel's name, or a list of rules "
        "(docs/notifications.md); `[]`: nobody; null: as TASKSERVICE_NOTIFY says.",
        title="Notify", section="run", label="Notify, as JSON",
        hint='A channel such as "ops", or [{"to": "ops", "after": 3}]; []: nobody; '
        "empty: as the setting says.",
    )] = None
    # fmt: on
    _parsed: tuple[tzinfo, Trigger] | None = dataclasses.field(
        default=None, init=False, repr=False, compare=False
    )

    def trigger(self, zone: tzinfo) -> Trigger:
        """When it fires, with no anchor yet; parsed once. `zone` is that of times which name none.

        Raises `Invalid` where it can't be read (any more: its time zone may be gone).
        """
        if self._parsed and self._parsed[0] == zone:
            return self._parsed[1]
        trigger = parse_trigger(self.trigger_type, self.trigger_args, zone=zone)
        self._keep(zone, trigger)
        return trigger

    def _keep(self, zone: tzinfo, trigger: Trigger) -> None:
        object.__setattr__(self, "_parsed", (zone, trigger))

    def definition(self) -> dict[str, Any]:
        """Every field with its value, JSON-able, in the order people write them."""
        return {name: _as_json(getattr(self, name)) for name in FIELDS}


def _as_json(value: Any) -> Any:
    match value:
        case str() | int() | float() | None:
            return value
        case tuple():
            return list(value)
        case Retries() | Notify():
            return value.as_json()
    return dict(value)


FIELDS: Mapping[str, Field] = fields_of(Task)
"""The fields of a task by name, in the order in which people write them."""

REQUIRED: Mapping[str, str] = {name: one.needed for name, one in FIELDS.items() if one.needed}
"""The fields without which there is no task, with what each should be."""

OPTIONAL: Mapping[str, Any] = defaults_of(Task)
"""The other fields, with the defaults that they have as JSON."""


def parse_task(fields: Mapping[str, object], *, zone: tzinfo) -> Task:
    """Make a task of the fields somebody wrote; `zone` is that of times which name none.

    Raises `Invalid` with every fault.
    """
    faults = [
        Fault(field=name, reason=f"is required, {needed}")
        for name, needed in REQUIRED.items()
        if name not in fields
    ]
    faults += unknown_fields(fields)
    taken: dict[str, Any] = {}
    for name, one in FIELDS.items():
        if name not in fields:
            continue
        try:
            taken[name] = one.type.parse(fields[name])
        except Refused as refused:
            faults += refused.faults(name)
    trigger = None
    if {"trigger_type", "trigger_args"}.isdisjoint(fault.field for fault in faults):
        try:
            trigger = parse_trigger(taken["trigger_type"], taken.get("trigger_args", {}), zone=zone)
        except Invalid as invalid:
            faults.extend(invalid.faults)
    if faults or trigger is None:
        raise Invalid(of_task(faults))
    task = Task(**taken)
    task._keep(zone, trigger)
    return task


def unknown_fields(names: Iterable[object]) -> list[Fault]:
    """A fault for each name that is no field of a task; beyond some, one for the rest."""
    return of_each([name for name in names if name not in FIELDS], _unknown)


def _unknown(name: object) -> Fault:
    if name in TRIGGER_KEYS:
        return Fault(field=str(name), reason="is not a field of a task: it belongs in trigger_args")
    if is_plain(name):
        return Fault(field=name, reason=f"is not a field of a task{nearest(name, FIELDS)}")
    return Fault(reason=f"{describe(name)} is not a field of a task")
