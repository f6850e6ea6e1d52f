"""The task: its fields, their defaults, and the parsing that names every fault at once."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from typing import Any

from taskservice.domain.check import (
    NO_SPACE,
    Check,
    Refused,
    boolean,
    check_parts,
    has_controls,
    is_plain,
    json_value,
    number,
    or_null,
    refuse_surrogates,
    text,
)
from taskservice.domain.check import describe as describe
from taskservice.domain.check import nearest as nearest
from taskservice.domain.errors import Fault, Invalid
from taskservice.domain.fault_limits import of_each, of_task
from taskservice.domain.trigger import TRIGGER_KEYS, TRIGGER_SCHEMAS, parse_trigger

EXECUTORS = ("local", "process")
DEFAULT_GRACE = 3600

_MAX_SECONDS = 100 * 366 * 86400
_MAX_KEY = 200  # with `func_args.` in front it is the name of an override's field
_MAX_TAG = 50
_MOST_ARGUMENTS = 5000
_MOST_TAGS = 1000


class _Unset:
    """Not given at all, where null would be a value."""

    def __repr__(self) -> str:
        return "UNSET"


UNSET = _Unset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Retries:
    """How often, and after how many seconds, a failed execution is tried again."""

    max: int
    delay: float = 0
    backoff: float = 1
    max_delay: float | None = None

    def wait(self, attempt: int) -> float | None:
        """Seconds from the failure of attempt number `attempt` (from 1) to the next; None: over."""
        if attempt > self.max:
            return None
        limit = _MAX_SECONDS if self.max_delay is None else self.max_delay
        return min(self.delay * self.backoff ** (attempt - 1), limit)

    def as_json(self) -> dict[str, object]:
        """The mapping that a task file would say it with."""
        shown: dict[str, object] = {"max": self.max, "delay": self.delay, "backoff": self.backoff}
        return shown if self.max_delay is None else {**shown, "max_delay": self.max_delay}


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A definition that has passed every check; `definition` gives it back as plain values."""

    name: str
    task_type: str
    trigger_type: str
    trigger_args: Mapping[str, Any] = field(default_factory=dict)
    func_path: str
    func_args: Mapping[str, Any] = field(default_factory=dict)
    max_instances: int = 1
    description: str | None = None
    tags: tuple[str, ...] = ()
    paused: bool = False
    misfire_grace_time: float | None = DEFAULT_GRACE
    coalesce: bool = True
    timeout: float | None = None
    retries: Retries | None = None
    recover: bool = False
    executor: str | None = None

    def definition(self) -> dict[str, Any]:
        """Every field with its value, JSON-able, in the order people write them."""
        values: dict[str, Any] = {name: getattr(self, name) for name in FIELDS}
        values["trigger_args"] = dict(self.trigger_args)
        values["func_args"] = dict(self.func_args)
        values["tags"] = list(self.tags)
        values["retries"] = self.retries.as_json() if self.retries else None
        return values


def parse_task(fields: Mapping[str, object], *, zone: tzinfo, now: datetime) -> Task:
    """Make a task of the fields somebody wrote.

    `zone` is that of times which name none. `now` serves only to try the trigger out;
    the result does not depend on it. Raises `Invalid` with every fault.
    """
    faults = [
        Fault(field=name, reason=f"is required, {REQUIRED[name]}")
        for name in REQUIRED
        if name not in fields
    ]
    faults += unknown_fields(fields)
    taken: dict[str, Any] = {}
    for name, check in FIELDS.items():
        if name not in fields:
            continue
        try:
            taken[name] = check(fields[name])
        except Refused as refused:
            faults += refused.faults(name)
    if {"trigger_type", "trigger_args"}.isdisjoint(fault.field for fault in faults):
        try:
            parse_trigger(
                taken["trigger_type"], taken.get("trigger_args", {}), zone=zone, anchor=now
            )
        except Invalid as invalid:
            faults.extend(invalid.faults)
    if faults:
        raise Invalid(of_task(faults))
    return Task(**taken)


def unknown_fields(names: Iterable[object]) -> list[Fault]:
    """A fault for each name that is no field of a task; beyond some, one for the rest."""
    return of_each([name for name in names if name not in FIELDS], _unknown)


def _unknown(name: object) -> Fault:
    if name in TRIGGER_KEYS:
        return Fault(field=str(name), reason="is not a field of a task: it belongs in trigger_args")
    if is_plain(name):
        return Fault(field=name, reason=f"is not a field of a task{nearest(name, FIELDS)}")
    return Fault(reason=f"{describe(name)} is not a field of a task")


def _arguments(value: object) -> dict[str, Any]:
    """A mapping of JSON values, as keyword arguments must be to be stored and shown."""
    if not isinstance(value, Mapping):
        raise Refused(f"must be a mapping, not {describe(value)}")
    if len(value) > _MOST_ARGUMENTS:
        raise Refused(f"has {len(value)} keys; at most {_MOST_ARGUMENTS} are allowed")
    return check_parts(_argument, value.items())


def _argument(key: str, item: object) -> object:
    refuse_surrogates(key)
    if len(key) > _MAX_KEY:
        raise Refused(f"is too long: {len(key)} characters, at most {_MAX_KEY} are allowed")
    if key.endswith(" "):
        # Databases that pad what they compare would take it for the key without the space.
        raise Refused("must not end with a space")
    json_value(item, 2)
    return item


def _tags(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise Refused(f"must be a list of words, not {describe(value)}")
    if len(value) > _MOST_TAGS:
        raise Refused(f"has {len(value)} words; at most {_MOST_TAGS} are allowed")
    numbered = ((str(index), tag) for index, tag in enumerate(value))
    return tuple(check_parts(_tag, numbered).values())


def _tag(_index: str, tag: object) -> str:
    if not isinstance(tag, str):
        raise Refused(f"must be a word, not {describe(tag)}")
    refuse_surrogates(tag)
    if not 0 < len(tag) <= _MAX_TAG or has_controls(tag) or any(one.isspace() for one in tag):
        raise Refused(f"must be a word of 1 to {_MAX_TAG} characters, without spaces")
    return tag


_RETRIES: dict[str, Check] = {
    "max": number(0, 100, whole=True),
    "delay": number(0, _MAX_SECONDS),
    "backoff": number(1, 100),
    "max_delay": or_null(number(0, _MAX_SECONDS)),
}


def _retries(value: object) -> Retries:
    if not isinstance(value, Mapping):
        raise Refused(f"must be a mapping with the key max, not {describe(value)}")
    if "max" not in value:
        raise Refused("needs the key max: how often to try again")
    return Retries(**check_parts(_retry, value.items()))


def _retry(key: str, item: object) -> object:
    if key not in _RETRIES:
        known = ", ".join(_RETRIES)
        raise Refused(f"is not known; allowed are {known}{nearest(key, _RETRIES)}")
    return _RETRIES[key](item)


def _executor(value: object) -> str:
    if value == "celery":
        raise Refused(f"celery is not available in this version; allowed are {_EXECUTOR_NAMES}")
    if value not in EXECUTORS:
        raise Refused(f"must be one of {_EXECUTOR_NAMES}, not {describe(value)}")
    return str(value)


def _trigger_type(value: object) -> object:
    return value


def _trigger_args(value: object) -> object:
    return {} if value is None else value


_EXECUTOR_NAMES = ", ".join(EXECUTORS)

REQUIRED: Mapping[str, str] = {
    "name": "text of at most 100 characters",
    "task_type": "text of at most 50 characters",
    "trigger_type": "one of date, interval, cron",
    "func_path": "package.module.function or package.module:function",
}
"""The fields without which there is no task, with what each should be."""

_TRIGGER_TYPE = Check(_trigger_type, {"type": "string", "enum": list(TRIGGER_SCHEMAS)})
_TRIGGER_ARGS = Check(
    _trigger_args,
    {"type": "object", "anyOf": [one for each in TRIGGER_SCHEMAS.values() for one in each]},
)
_ARGUMENTS = Check(
    _arguments,
    {
        "type": "object",
        "maxProperties": _MOST_ARGUMENTS,
        "propertyNames": {"maxLength": _MAX_KEY, "pattern": "(^|[^ ])$"},
    },
)
_TAGS = Check(
    _tags,
    {
        "type": "array",
        "maxItems": _MOST_TAGS,
        "items": {
            "type": "string",
            "minLength": 1,
            "maxLength": _MAX_TAG,
            "pattern": f"^{NO_SPACE}+$",
        },
    },
)
_TRIES = Check(
    _retries,
    {
        "type": "object",
        "properties": {name: check.schema for name, check in _RETRIES.items()},
        "additionalProperties": False,
        "required": ["max"],
    },
)
_EXECUTOR = Check(_executor, {"type": "string", "enum": list(EXECUTORS)})

FIELDS: dict[str, Check] = {
    "name": text(100),
    "task_type": text(50),
    "description": or_null(text(65535, lines=True)),
    # The trigger's two fields make sense only together: parse_trigger checks them.
    "trigger_type": _TRIGGER_TYPE,
    "trigger_args": _TRIGGER_ARGS,
    "func_path": text(255),
    "func_args": or_null(_ARGUMENTS, {}),
    "max_instances": number(1, 10000, whole=True),
    "tags": or_null(_TAGS, ()),
    "paused": boolean,
    "misfire_grace_time": or_null(number(0.001, _MAX_SECONDS)),
    "coalesce": boolean,
    "timeout": or_null(number(0.001, _MAX_SECONDS)),
    "retries": or_null(_TRIES),
    "recover": boolean,
    "executor": or_null(_EXECUTOR),
}
