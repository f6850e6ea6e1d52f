"""Where each value of a task comes from: a default, a line of a file, or somebody by API."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from taskservice.domain import overlay
from taskservice.domain.overlay import Origin
from taskservice.domain.task import UNSET
from taskservice.storage.tasks import StoredTask
from taskservice.sync.folder.offline import authored_in
from taskservice.sync.gitrepo.blame import Blame, blame_lines
from taskservice.sync.text.reader import AuthoredTask


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """One field, its effective value, and where that comes from.

    `declared` is what the file says now (or the default), `declared_when_set` what it said when
    an override was set; `absent` says that the override takes the field (a key of `func_args`)
    away. `set_by`, `set_at`, `reason` and `until` are of who set it by API. `path`, `line`,
    `revision`, `author` and `date` are of the line that declares it, also of an overridden
    field, and `revision` is the commit that wrote the line as it is; `uncommitted` says that git
    does not have it yet. What is not so, or is not known, is None.
    """

    field: str
    origin: Literal["default", "file", "api"]
    value: Any
    declared: Any
    declared_when_set: Any
    set_at: datetime | None
    set_by: str | None
    reason: str | None
    until: datetime | None
    absent: bool
    path: str | None
    line: int | None
    revision: str | None
    author: str | None
    date: datetime | None
    uncommitted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskOverride:
    """An override, and of which task; `source` is `file`, or `api` where no file declares it."""

    task_id: str
    source: Literal["file", "api"]
    override: Provenance


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """Where a field stands in a file; `revision` is the commit that has it."""

    number: int | None
    author: Blame | None
    revision: str | None
    uncommitted: bool


def provenance_of(
    task_id: str, stored: StoredTask, root: Path, *, overridden: bool, executor: str
) -> list[Provenance]:
    """The provenance of every field, or of those overridden; `root` is the tasks folder. Blocks.

    `executor` is that of tasks which name none.
    """
    declaration = stored.declaration
    lines: dict[str, _Line] = {}
    # A root that is a link may be swapped meanwhile: read and blame the same tree.
    root = Path(os.path.realpath(root))
    if declaration.source == "file" and declaration.path is not None:
        authored = authored_in(root, declaration.path, task_id, declaration.fields)
        numbers = {field: _number(authored, field) for field in overlay.flatten(declaration.fields)}
        authors = blame_lines(root, declaration.path, [one for one in numbers.values() if one])
        for field, number in numbers.items():
            author = authors.get(number or 0)
            told = number in authors
            lines[field] = _Line(
                number=number or declaration.line,
                author=author,
                revision=author.commit if author else None if told else declaration.revision,
                uncommitted=told and author is None,
            )
    return [
        _provenance(origin, stored, lines.get(origin.field), executor)
        for origin in overlay.origins(declaration, stored.overrides)
        if origin.override or not overridden
    ]


def overrides_of(tasks: Mapping[str, StoredTask], *, executor: str) -> list[TaskOverride]:
    """The overrides of tasks, deleted ones too but no retired ones, by id and field.

    Of lines they tell no more than where the task begins: no file is read for it. `executor` is
    that of tasks which name none.
    """
    return [
        TaskOverride(
            task_id=task_id,
            source=stored.declaration.source,
            override=_provenance(origin, stored, None, executor),
        )
        for task_id, stored in sorted(tasks.items())
        if stored.state is None or stored.state.retired_at is None
        for origin in sorted(
            overlay.origins(stored.declaration, stored.overrides), key=lambda one: one.field
        )
        if origin.override
    ]


def _number(authored: AuthoredTask | None, field: str) -> int | None:
    """The line of a field; of a trigger that of its arguments, or of its type without any."""
    if authored is None:
        return None
    if field == "trigger":
        field = "trigger_args" if "trigger_args" in authored.fields else "trigger_type"
    return authored.place(field)[0]


def _provenance(
    origin: Origin, stored: StoredTask, line: _Line | None, executor: str
) -> Provenance:
    declaration, override = stored.declaration, origin.override
    default = executor if origin.field == "executor" else None
    created = origin.source == "api" and override is None
    author = line.author if line else None
    return Provenance(
        field=origin.field,
        origin=origin.source,
        value=_or_default(origin.value, default),
        declared=_or_default(origin.declared, default),
        declared_when_set=_or_default(override.declared_when_set, default) if override else None,
        set_at=override.set_at if override else stored.declared_at if created else None,
        set_by=override.set_by if override else stored.declared_by if created else None,
        reason=override.reason if override else None,
        until=override.until if override else None,
        absent=override is not None and override.value is UNSET,
        path=declaration.path if line else None,
        line=line.number if line else None,
        revision=line.revision if line else None,
        author=author.name if author else None,
        date=author.date if author else None,
        uncommitted=line is not None and line.uncommitted,
    )


def _or_default(value: Any, default: str | None) -> Any:
    return default if value is UNSET or value is None else value
