"""The bytes of one task file become authored tasks with positions, or faults.

The rules are those of section 4 of the contract that concern the file's own form; what the
fields mean is the domain's business. Positions are lines and columns, both from 1.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from taskservice.domain.errors import Fault
from taskservice.domain.fault_limits import of_file
from taskservice.domain.task import nearest
from taskservice.domain.task_id import id_fault
from taskservice.sync.text.scalars import kind_of, quoted
from taskservice.sync.text.task_files import MAX_BYTES
from taskservice.sync.text.yaml_walk import (
    LOADER,
    NOTHING,
    Loader,
    Path,
    Position,
    Stop,
    Walk,
    end_of,
    text_of,
)

_MAX_EXPANSION = 16 * MAX_BYTES  # of defaults that are merged into many tasks
_TASKS = ("tasks",)
_DEFAULTS = ("defaults",)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthoredTask:
    """One task as its author wrote it, the file's defaults merged under its own keys.

    `fields` holds plain JSON-able values, not yet validated; defaults are shared between the
    tasks of a file, so don't write to them. `line` and `column` are where the task stands:
    the file's first key, or its id in a file of several.
    """

    task_id: str
    fields: dict[str, object]
    line: int
    column: int
    places: Mapping[Path, Position] = field(repr=False, compare=False)
    roots: tuple[Path, ...] = field(repr=False, compare=False)

    def place(self, field: str | None) -> Position:
        """Line and column of a dotted field's key, else of its nearest known ancestor.

        The items of a list are numbered from 0 (`tags.0`). A field that came from the file's
        defaults is placed there. None, and a field nobody wrote, is where the task stands.
        """
        parts = tuple(field.split(".")) if field else ()
        for root in self.roots:
            for end in range(len(parts), 0, -1):
                if place := self.places.get(root + parts[:end]):
                    return place
        return self.line, self.column


@dataclass(frozen=True, slots=True, kw_only=True)
class FileContent:
    """What a file says: its sound tasks, its faults, and the ids it declares unsoundly.

    `faulty` are the ids with a fault in their declaration, none of them in `tasks`. A file
    that isn't `readable` has neither: nothing can be said about which tasks it declares.
    """

    tasks: tuple[AuthoredTask, ...]
    faults: tuple[Fault, ...]
    readable: bool
    faulty: frozenset[str]


def read_file(path: str, data: bytes, *, loader: Loader = LOADER) -> FileContent:
    """Read one task file; raises nothing, whatever `data` is.

    `path` is relative to the tasks folder, as shown to people; its stem is the id of the task
    in a file of one.
    """
    walk = Walk(loader)
    text = ""
    try:
        text = text_of(data)
        root = walk.document(text)
        return _several(path, walk, root) if "tasks" in root else _single(path, walk, root)
    except Stop as stop:
        # The parser takes a last line without a newline for ended.
        last = end_of(text)
        walk.note((), min(stop.place, last) if text else stop.place, stop.reason)
        return _unreadable(path, walk)


def _single(path: str, walk: Walk, root: dict[str, object]) -> FileContent:
    task_id = PurePosixPath(path).stem
    if "defaults" in root:
        reason = "'defaults' without 'tasks': a file of several has its tasks under 'tasks'"
        raise Stop(walk.places[_DEFAULTS], reason)
    first = walk.places[tuple(root)[:1]]
    if wrong := id_fault(task_id):
        walk.note((), first, f"the file's name gives the id {quoted(task_id)}: {wrong}")
    task = AuthoredTask(
        task_id=task_id,
        fields=root,
        line=first[0],
        column=first[1],
        places=walk.places,
        roots=((),),
    )
    return FileContent(
        tasks=() if walk.spoiled else (task,),
        faults=_faults(path, walk, task_id),
        readable=True,
        faulty=frozenset({task_id} if walk.spoiled else ()),
    )


def _several(path: str, walk: Walk, root: dict[str, object]) -> FileContent:
    authored = _authored(walk, root["tasks"])
    if authored is None:
        return _unreadable(path, walk)
    defaults = _defaults(walk, root, len(authored))
    for task_id, fields in authored.items():
        key = ("tasks", task_id)
        if not isinstance(fields, dict) and key not in walk.spoiled:
            reason = f"a task is a mapping of fields, not {kind_of(fields)}"
            walk.note(key, walk.places[key], reason)
        if wrong := id_fault(task_id):
            walk.note(key, walk.places[key], wrong)
    tasks = tuple(
        AuthoredTask(
            task_id=task_id,
            fields=defaults | fields,
            line=walk.places["tasks", task_id][0],
            column=walk.places["tasks", task_id][1],
            places=walk.places,
            roots=(("tasks", task_id), _DEFAULTS),
        )
        for task_id, fields in authored.items()
        if walk.spoiled.isdisjoint({(), ("tasks", task_id)}) and isinstance(fields, dict)
    )
    declared = authored.keys() | {part[1] for part in walk.spoiled if part}
    return FileContent(
        tasks=tasks,
        faults=_faults(path, walk),
        readable=True,
        faulty=frozenset(declared - {task.task_id for task in tasks}),
    )


def _authored(walk: Walk, authored: object) -> dict[str, object] | None:
    """What stands under `tasks`; None, and a note, if the ids in it can't be known."""
    if not isinstance(authored, dict):
        if not walk.noted(_TASKS):
            reason = f"must be a mapping of ids to tasks, not {kind_of(authored)}"
            walk.note(_TASKS, walk.places[_TASKS], reason)
    elif not authored and not any(part[:1] == _TASKS for part in walk.spoiled):
        walk.note(_TASKS, walk.places[_TASKS], NOTHING)
    elif _TASKS not in walk.spoiled:
        return authored
    return None


def _defaults(walk: Walk, root: dict[str, object], count: int) -> dict[str, object]:
    """What stands under `defaults`; notes what is wrong with it and with its neighbours."""
    for key in root:
        if key not in ("tasks", "defaults"):
            reason = "only 'defaults' stands beside 'tasks'" + nearest(key, ("tasks", "defaults"))
            walk.note((key,), walk.places[key,], reason)
    defaults = root.get("defaults", {})
    if not isinstance(defaults, dict):
        if not walk.noted(_DEFAULTS):
            reason = f"must be a mapping, not {kind_of(defaults)}"
            walk.note(_DEFAULTS, walk.places[_DEFAULTS], reason)
        return {}
    if len(json.dumps(defaults)) * count > _MAX_EXPANSION:
        reason = f"too large for {count} tasks: together at most {_MAX_EXPANSION} bytes"
        walk.note(_DEFAULTS, walk.places[_DEFAULTS], reason)
    return defaults


def _unreadable(path: str, walk: Walk) -> FileContent:
    return FileContent(tasks=(), faults=_faults(path, walk), readable=False, faulty=frozenset())


def _faults(path: str, walk: Walk, owner: str | None = None) -> tuple[Fault, ...]:
    """The notes as faults, by position; `owner` is the task of a file of one."""
    faults = []
    for note in walk.notes:
        task_id, keys = owner, note.path
        if owner is None and len(keys) > 1 and keys[0] == "tasks":
            task_id, keys = keys[1], keys[2:]
        line, column = note.place
        name = ".".join(keys) or None
        faults.append(
            Fault(
                reason=note.reason, field=name, task_id=task_id, path=path, line=line, column=column
            )
        )
    return tuple(of_file(faults))
