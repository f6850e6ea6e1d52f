"""A task's rows, and what becomes of columns that can't be read: the others stand.

A column that can't be read counts as not given, and is a fault of the task. Where it is of the
effective task, that is not scheduled until somebody changes or deletes it.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, get_args

from sqlalchemy import Row

from taskservice.domain import overlay
from taskservice.domain.check import Refused, describe
from taskservice.domain.errors import Fault
from taskservice.domain.overlay import DELETED, Declaration, Drift, Override
from taskservice.domain.run import TASK_STATUSES, Outcome
from taskservice.domain.state import TaskState
from taskservice.domain.task import FIELDS, OPTIONAL, REQUIRED, UNSET, Task
from taskservice.storage.damage import UNKNOWN_SINCE, Damaged

UNREADABLE = "what the database has of it can't be read"

Read = Callable[[Any], Any]


class _Wrong(Exception):
    """A value is not what its column should have."""


def _of(*kinds: type) -> Read:
    def read(value: Any) -> Any:
        # To Python a boolean is a number.
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            raise _Wrong
        return value

    return read


def _one_of(words: Iterable[str]) -> Read:
    known = frozenset(words)

    def read(value: Any) -> Any:
        if not isinstance(value, str) or value not in known:
            raise _Wrong
        return value

    return read


def _or(read: Read, default: Any = None) -> Read:
    return lambda value: default if value is None else read(value)


def _number(least: float) -> Read:
    def read(value: Any) -> float:
        number: float = _of(int, float)(value)
        if not least <= number < math.inf:
            raise _Wrong
        return int(number) if number == int(number) else number

    return read


def _words(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise _Wrong
    return tuple(value)


_TEXT = _of(str)
_MOMENT = _of(datetime)


def _field(name: str) -> Read:
    """How the column of a field is read: by its kind, and not for each rule of a task file."""
    type_ = FIELDS[name].type
    if type_.choices:
        read = _one_of(type_.choices)
    elif type_.json_type == "string":
        read = _TEXT
    elif type_.holds_words:
        read = _words
    elif type_.json_type == "number":
        read = _number(type_.schema["minimum"])
    elif type_.json_type == "object" and not FIELDS[name].own_override:
        read = _of(dict)
    else:
        read = _parsed(type_.parse)
    if name in REQUIRED or type_.json_type == "boolean":
        return read
    return _or(read, type_.parse(None) if type_.nullable else _DEFAULTS[name])


def _parsed(parse: Read) -> Read:
    def read(value: Any) -> Any:
        try:
            return parse(value)
        except Refused as refused:
            raise _Wrong from refused

    return read


_DEFAULTS = {name: FIELDS[name].type.parse(default) for name, default in OPTIONAL.items()}
_TASK: Mapping[str, Read] = {name: _field(name) for name in FIELDS}
_STATE: Mapping[str, Read] = {
    "status": _one_of(TASK_STATUSES),
    "source": _one_of(("file", "api")),
    "drift": _one_of(get_args(Drift)),
    "overridden": _or(_words, ()),
    "etag": _TEXT,
    "anchor": _or(_MOMENT),
    "next_run_time": _or(_MOMENT),
    "last_outcome": _or(_one_of(get_args(Outcome))),
    "retired_at": _or(_MOMENT),
    "create_time": _MOMENT,
    "update_time": _MOMENT,
}
_INSTEAD: Mapping[str, Any] = {
    **dict.fromkeys(REQUIRED, "?"), **_DEFAULTS, "trigger_type": "date", "paused": True,
    "status": "failed", "source": "api", "drift": "in_sync", "overridden": (), "etag": "",
    "create_time": UNKNOWN_SINCE, "update_time": UNKNOWN_SINCE,
}  # fmt: skip
"""What stands for columns that can't be read; for the others null does."""


def _read(row: Any, columns: Mapping[str, Read], faults: list[Fault]) -> dict[str, Any]:
    values = {}
    for name, read in columns.items():
        value = getattr(row, name)
        try:
            values[name] = read(value)
        except _Wrong:
            values[name] = _INSTEAD.get(name)
            faults.append(Fault(task_id=row.id, field=name, reason=_reason(value)))
    return values


def _reason(value: object) -> str:
    if isinstance(value, Damaged):
        value = value.text
    return f"{UNREADABLE}: {describe(value)}; save the task again, or delete it"


def state_of(row: Row[Any]) -> TaskState:
    """The state in a row of `task_manage`, with the faults that it has."""
    faults: list[Fault] = []
    task = Task(**_read(row, _TASK, faults))
    state = _read(row, _STATE, faults)
    state["anchor"] = state["anchor"] or state["create_time"]
    return TaskState(id=row.id, task=task, faults=tuple(faults), **state)


def columns_of(state: TaskState) -> dict[str, Any]:
    """A state as a row of `task_manage`, which is a live task's."""
    return {
        "id": state.id,
        **state.task.definition(),
        "source": state.source,
        "drift": state.drift,
        "overridden": list(state.overridden),
        "etag": state.etag,
        "anchor": state.anchor,
        "next_run_time": state.next_run_time,
        "status": state.status,
        "last_outcome": state.last_outcome,
        "retired_at": state.retired_at,
        "create_time": state.create_time,
        "update_time": state.update_time,
        "changed_at": datetime.now(UTC),
        "deleted_at": None,
    }


_DECLARATION: Mapping[str, Read] = {
    "source": _one_of(("file", "api")),
    "fields": _of(dict),
    "path": _or(_TEXT),
    "line": _or(_of(int)),
    "revision": _or(_TEXT),
    "fingerprint": _or(_TEXT),
    "set_at": _MOMENT,
    "set_by": _or(_TEXT),
}


def declaration_of(
    row: Any, state: TaskState | None
) -> tuple[Declaration, datetime, str | None, tuple[Fault, ...]]:
    """The declaration in a row, when and by whom it was made, and what is wrong with it.

    Fields that can't be read are taken to be those of the effective task.
    """
    faults: list[Fault] = []
    values = _read(_Renamed(row, {"id": "task_id"}), _DECLARATION, faults)
    values["set_at"] = values["set_at"] or UNKNOWN_SINCE
    if values["fields"] is None:
        values["fields"] = state.task.definition() if state else {}
    at, by = values.pop("set_at"), values.pop("set_by")
    return Declaration(**values), at, by, tuple(faults)


_OVERRIDE: Mapping[str, Read] = {
    "value": _of(dict),
    "declared_when_set": _of(dict),
    "set_at": _MOMENT,
    "set_by": _TEXT,
    "reason": _or(_TEXT),
    "until": _or(_MOMENT),
}


def override_of(row: Any, state: TaskState | None = None) -> tuple[Override, tuple[Fault, ...]]:
    """The override in a row that has the columns of `OVERRIDE`, and what is wrong with it.

    A value that can't be read is taken to be that of the effective task: the field stays as it is.
    """
    faults: list[Fault] = []
    names = {name: f"override_{name}" for name in _OVERRIDE}
    names |= {"id": "override_task_id", "until": "override_until_time"}
    values = _read(_Renamed(row, names), _OVERRIDE, faults)
    field = row.override_field
    if values["value"] is None:
        effective = overlay.flatten(state.task.definition()) if state else {}
        value = True if field == DELETED else effective.get(field, UNSET)
    else:
        value = values["value"].get("value", UNSET)
    found = Override(
        field=field,
        value=value,
        declared_when_set=(values["declared_when_set"] or {}).get("value", UNSET),
        set_at=values["set_at"] or UNKNOWN_SINCE,
        set_by=values["set_by"] or "?",
        reason=values["reason"],
        until=values["until"],
    )
    said = f"overrides.{field}"
    return found, tuple(
        Fault(task_id=one.task_id, field=f"{said}.{one.field}", reason=one.reason) for one in faults
    )


class _Renamed:
    """A row whose columns have other names."""

    def __init__(self, row: Any, names: Mapping[str, str]) -> None:
        self._row = row
        self._names = names

    def __getattr__(self, name: str) -> Any:
        return getattr(self._row, self._names.get(name, name))
