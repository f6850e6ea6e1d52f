"""Overrides as the smallest change of the file that declares their task."""

import json
import re
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from taskservice.domain.errors import Conflict
from taskservice.domain.overlay import (
    DELETED,
    Declaration,
    Override,
    declared_values,
    flatten,
    merge,
    same,
)
from taskservice.domain.task import UNSET
from taskservice.sync.text.dump import dump_task
from taskservice.sync.text.edit import edit, remove
from taskservice.sync.text.reader import FileContent, read_file
from taskservice.sync.text.spans import CannotEdit, newline_of, quote_of
from taskservice.sync.text.task_files import passed_over
from taskservice.sync.text.yaml_walk import Path, Position, Walk, text_of

_LINE_END = re.compile("\r\n|[\r\n\x85\u2028\u2029]")  # as YAML parsers count lines
_BOM = b"\xef\xbb\xbf"


def promoted(path: str, data: bytes, changes: Mapping[str, Sequence[Override]]) -> bytes | None:
    """The file's bytes after which it says of tasks what their overrides say; None: no file.

    `data` declares these tasks soundly; one that is deleted is alone. All else that the file says
    stays, and so do the lines that need not change. Raises `Conflict` where the text can't be
    brought to that.
    """
    before = read_file(path, data)
    text = text_of(data)
    walk = Walk()
    root = walk.document(text)
    several = root["tasks"] if "tasks" in root else None
    if any(is_deletion(overrides) for overrides in changes.values()):
        [task_id] = changes
        if not isinstance(several, dict) or several.keys() == {task_id}:
            return None
        return _first_sound(path, data, before, changes, [lambda: remove(text, ("tasks", task_id))])
    fields = _fields(before)
    wanted: dict[Path, dict[str, Any]] = {}
    for task_id, overrides in changes.items():
        place: Path = ("tasks", task_id) if isinstance(several, dict) else ()
        own: Any = several[task_id] if isinstance(several, dict) else root
        wanted[place] = _wanted(own, fields[task_id], overrides)
    attempts = [lambda: _edit_alone(text, wanted, walk.places)]
    if len(wanted) == 1:
        attempts.append(lambda: edit(text, place, wanted[place]))
    return _first_sound(path, data, before, changes, attempts)


def is_deletion(overrides: Iterable[Override]) -> bool:
    """Whether a task is deleted by what the API set of it."""
    return any(override.field == DELETED for override in overrides)


def _edit_alone(
    text: str, wanted: Mapping[Path, dict[str, Any]], places: Mapping[Path, Position]
) -> str:
    """Edit tasks of a file of several by their own lines: others may be a megabyte."""
    if () in wanted:
        raise CannotEdit("a file of one task")
    starts = sorted(at for key, at in places.items() if len(key) <= 2)
    lines = [0, *(found.end() for found in _LINE_END.finditer(text))]
    head, quote = f"tasks:{newline_of(text)}", quote_of(text)
    # From the last one on: what stands above it stays in its place.
    for place in sorted(wanted, key=places.__getitem__, reverse=True):
        below = bisect_right(starts, places[place])
        begin = lines[places[place][0] - 1]
        end = lines[starts[below][0] - 1] if below < len(starts) else len(text)
        after = edit(head + text[begin:end], place, wanted[place], quote)
        text = text[:begin] + after.removeprefix(head) + text[end:]
    return text


def new_file(
    task_id: str,
    fields: Mapping[str, Any],
    overrides: Iterable[Override],
    is_taken: Callable[[str], bool],
) -> tuple[str, bytes]:
    """The path and the bytes of a new file for a task that only the API declared.

    `is_taken` says whether there is a file of a name already. Raises `Conflict`.
    """
    merged = merge(Declaration(source="api", fields=fields), overrides)
    path, text = f"{task_id}.yaml", dump_task(task_id, merged)
    if passed_over(path) or is_taken(path) or is_taken(f"{task_id}.yml"):
        # The file's name can't give the id, so it stands in the text.
        names = (f"task-{task_id}{number}.yaml" for number in ("", *range(-2, -100, -1)))
        found = next((name for name in names if not is_taken(name)), None)
        if found is None:
            raise Conflict(f"no name is free in the tasks folder for a file of task {task_id!r}")
        path, text = found, dump_task(task_id, merged, named=False)
    data = text.encode()
    content = read_file(path, data)
    [task] = content.tasks or [None]
    if task is None or task.task_id != task_id or not _says(task.fields, flatten(merged)):
        raise Conflict(f"task {task_id!r} can't be written as a file")
    return path, data


def faulty_texts(data: bytes, task_ids: Collection[str]) -> dict[str, str]:
    """What the author wrote of tasks that are at fault, and so have no fields, by their ids.

    `data` is readable and declares them. Comments and signs between tasks are left out.
    """
    text = text_of(data)
    walk = Walk()
    if "tasks" not in walk.document(text):
        return dict.fromkeys(task_ids, text)
    lines = [0, *(found.end() for found in _LINE_END.finditer(text))]
    starts = {
        key: lines[line - 1] + column - 1
        for key, (line, column) in walk.places.items() if len(key) <= 2
    }  # fmt: skip
    ends = [*sorted(starts.values()), len(text)]
    found = {}
    for task_id in task_ids:
        begin = starts["tasks", task_id]
        own = text[begin : ends[bisect_right(ends, begin)]].split("\n")
        while own and not own[-1].partition("#")[0].strip(" \t\r,}"):
            own.pop()
        found[task_id] = "\n".join(own).rstrip(" \t\r,}")
    return found


def _first_sound(
    path: str,
    data: bytes,
    before: FileContent,
    changes: Mapping[str, Sequence[Override]],
    attempts: Iterable[Callable[[], str]],
) -> bytes:
    """What the first attempt comes to that says what it should, and is read again to see that."""
    for attempt in attempts:
        try:
            after = attempt().encode()
        except CannotEdit:
            continue
        if data.startswith(_BOM):
            after = _BOM + after
        if is_promoted(before, read_file(path, after), changes):
            return after
    raise Conflict(
        f"{path} is written in a way that can't be edited by itself: edit it by hand, "
        "then the overrides that it agrees with end"
    )


def _faults(content: FileContent) -> list[tuple[str | None, str | None]]:
    return sorted(((one.task_id, one.field) for one in content.faults), key=repr)


def _fields(content: FileContent) -> dict[str, dict[str, object]]:
    return {task.task_id: task.fields for task in content.tasks}


def is_promoted(
    before: FileContent, after: FileContent, changes: Mapping[str, Sequence[Override]]
) -> bool:
    """Whether a file says of tasks what overrides say by now, and all else as before."""
    was, now = _fields(before), _fields(after)
    others = [
        {task_id: as_text(fields) for task_id, fields in one.items() if task_id not in changes}
        for one in (was, now)
    ]
    if (
        not after.readable
        or _faults(after) != _faults(before)
        or after.faulty != before.faulty
        or others[0] != others[1]
    ):
        return False
    return all(
        _is_changed(was[task_id], now.get(task_id), overrides)
        for task_id, overrides in changes.items()
    )


def _is_changed(
    before: Mapping[str, Any], after: Mapping[str, Any] | None, overrides: Sequence[Override]
) -> bool:
    """Whether the fields of a task, None if it is gone, are what overrides say."""
    if after is None or is_deletion(overrides):
        return after is None and is_deletion(overrides)
    return _says(after, flatten(before) | {one.field: one.value for one in overrides})


def as_text(value: object) -> str:
    """A value of a file as a text that tells it from all others: of `1`, `1.0` and `true`, too."""
    return json.dumps(value, sort_keys=True)


def _says(fields: Mapping[str, Any], expected: Mapping[str, Any]) -> bool:
    """Whether a task's fields mean, each by itself, what is expected of them."""
    declares = declared_values(Declaration(source="file", fields=fields))
    return all(same(name, declares(name), value) for name, value in expected.items()) and set(
        flatten(fields)
    ) <= set(expected)


def _wanted(
    own: Mapping[str, Any], effective: Mapping[str, Any], overrides: Iterable[Override]
) -> dict[str, Any]:
    """What the task's own mapping in the file should be.

    `effective` has the file's defaults too: of a mapping that stands in these, the task gets the
    whole.
    """
    wanted = dict(own)
    declares = declared_values(Declaration(source="file", fields=effective))
    func_args, changed = dict(effective.get("func_args") or {}), False
    for override in overrides:
        field, value = override.field, override.value
        if same(field, value, declares(field)):
            continue
        if field == "trigger":
            wanted |= _wanted_trigger(effective, value)
        elif field.startswith("func_args."):
            changed = True
            name = field.removeprefix("func_args.")
            if value is UNSET:
                del func_args[name]
            else:
                func_args[name] = value
        else:
            wanted[field] = _least(field, effective.get(field), value)
    return {**wanted, "func_args": func_args} if changed else wanted


def _wanted_trigger(effective: Mapping[str, Any], value: Mapping[str, Any]) -> dict[str, Any]:
    kind, before = value["trigger_type"], effective.get("trigger_args") or {}

    def means_it(args: Mapping[str, Any]) -> bool:
        return same("trigger", {"trigger_type": kind, "trigger_args": args}, value)

    wanted = {} if effective.get("trigger_type") == kind else {"trigger_type": kind}
    args = _nearest(before, value["trigger_args"], means_it)
    return wanted if args == before else {**wanted, "trigger_args": args}


def _least(field: str, before: Any, value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    return _nearest(before or {}, value, lambda one: same(field, one, value))


def _nearest(
    before: Mapping[str, Any],
    value: Mapping[str, Any],
    means_it: Callable[[Mapping[str, Any]], bool],
) -> dict[str, Any]:
    """What means the same as `value`, and differs from `before` in as few keys as can be."""
    nearest = dict(value)
    for key in [*before, *value]:
        trial = {name: item for name, item in nearest.items() if name != key}
        if key in before:
            trial[key] = before[key]
        if means_it(trial):
            nearest = trial
    return nearest
