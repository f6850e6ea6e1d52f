"""A task, as the API shows it."""

from collections.abc import Callable
from datetime import datetime
from operator import itemgetter
from typing import Any, Literal, Self, get_type_hints

import msgspec

from taskservice.domain import task as domain
from taskservice.domain.field import defaults_of, fields_of
from taskservice.domain.overlay import Drift
from taskservice.domain.rules import Topic
from taskservice.domain.run import TaskStatus
from taskservice.settings import Executor
from taskservice.storage.shown import Shown
from taskservice.web.schemas.paging import Page

TriggerType = Literal["date", "interval", "cron"]
Source = Literal["file", "api"]


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a task is declared; `revision` is the git commit, null if none declares it so."""

    path: str
    line: int | None
    revision: str | None


class _Designed(msgspec.Struct, frozen=True):
    """What a task had in the design that started the project, in its order."""

    id: str
    name: str
    task_type: str
    status: TaskStatus
    trigger_type: TriggerType
    trigger_args: dict[str, Any]
    func_path: str
    func_args: dict[str, Any]
    next_run_time: datetime | None
    max_instances: int
    description: str | None
    create_time: datetime
    update_time: datetime


def _retries() -> Any:
    hints = get_type_hints(domain.Retries)
    columns = [(name, hints[name]) for name in fields_of(domain.Retries)]
    return msgspec.defstruct(
        "Retries", columns, frozen=True, kw_only=True, module=__name__,
        namespace={"__doc__": domain.Retries.__doc__},
    )  # fmt: skip


class NotifyRule(msgspec.Struct, frozen=True, kw_only=True):
    """Whom to tell and of what, with what was given of it; times are spans, or seconds."""

    to: str
    on: list[Topic] | str | None = None
    after: int | None = None
    late: str | float | None = None
    long: str | float | None = None
    short: str | float | None = None
    remind: str | float | None = None


def _added() -> list[tuple[str, Any]]:
    """The other fields of a task, with what the API answers."""
    hints = get_type_hints(domain.Task)
    known = {
        "executor": Executor, "retries": _retries() | None,
        "notify": list[NotifyRule] | str | None,
    }  # fmt: skip
    return [
        (name, list[str] if field.type.holds_words else known.get(name, hints[name]))
        for name, field in domain.FIELDS.items()
        if name not in _Designed.__struct_fields__
    ]


_Fields = msgspec.defstruct("_Fields", _added(), bases=(_Designed,), frozen=True)


# mypy follows no class that is made at run time.
class Task(_Fields, frozen=True):  # type: ignore[misc, valid-type, call-arg]
    """The effective task, and how it came about.

    `unreturned` counts executions that were cancelled or timed out and have not returned: each
    keeps one of `max_instances` until it does.
    """

    source: Source
    drift: Drift
    overridden: list[str]
    declared_in: Place | None
    retired_at: datetime | None
    unreturned: int

    @classmethod
    def of(cls, shown: Shown, executor: Executor) -> Self:
        """The answer for a task; `executor` is that of tasks which name none."""
        values = list(_in_order(shown))
        for place, read in _READ:
            values[place] = read(values[place])
        values[_EXECUTOR] = shown.executor or executor
        if shown.path is not None:
            declared_in = Place(path=shown.path, line=shown.line, revision=shown.revision)
            values[_DECLARED_IN] = declared_in
        return cls(*values)


def _whole(number: float | None) -> float | None:
    return int(number) if number is not None and number == int(number) else number


def _json(default: Any) -> Callable[[str | None], Any]:
    """What lets JSON go out as it is stored."""
    return lambda text: default if text in (None, "null") else msgspec.Raw(text)


def _record(record: Any) -> Callable[[str | None], Any]:
    names, defaults = tuple(fields_of(record)), defaults_of(record)

    def read(text: str | None) -> Any:
        given = None if text is None else msgspec.json.decode(text)
        return {name: given.get(name, defaults.get(name)) for name in names} if given else None

    return read


def _reader(name: str) -> Callable[[Any], Any] | None:
    """What makes of a column's value what the API answers; None: it goes out as it is."""
    field, default = domain.FIELDS[name], domain.OPTIONAL.get(name)
    match field.type.json_type:
        case "number":
            return _whole
        case "integer":
            return lambda value: default if value is None else value
        case "object" if field.own_override:
            return _record(domain.Retries)
        case "array" | "object":
            return _json(default)
    return None


_READERS = {name: read for name in domain.FIELDS if (read := _reader(name))}
_READERS["overridden"] = _json([])
# By places, not by names: a page has many rows.
_NAMES = Task.__struct_fields__
_READ = [(place, _READERS[name]) for place, name in enumerate(_NAMES) if name in _READERS]
_EXECUTOR, _DECLARED_IN = _NAMES.index("executor"), _NAMES.index("declared_in")
_in_order = itemgetter(
    *(Shown._fields.index("path" if name == "declared_in" else name) for name in _NAMES)
)


class TaskPage(Page, frozen=True, kw_only=True):
    """A page of tasks."""

    items: list[Task]
