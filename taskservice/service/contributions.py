"""What several tasks' overrides change in files, author by author: a commit for each of them."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from taskservice.domain import overlay
from taskservice.domain.check import has_controls
from taskservice.domain.errors import Conflict, NotFound, no_task
from taskservice.domain.overlay import DELETED, Override
from taskservice.domain.sight import ALL, Sight
from taskservice.service.promoting import (
    MOST_BYTES,
    TOO_MUCH,
    DeclaringFiles,
    LeftOut,
    chosen_overrides,
    decoded,
)
from taskservice.service.provenance import TaskOverride, overrides_of
from taskservice.storage.tasks import StoredTask
from taskservice.sync.text.promotion import is_deletion, promoted

_LONGEST_VALUE = 200
_LONGEST_LINE = 1500
_MOST_LINES = 500
"""Of a message, whose length is bounded by the two."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileChange:
    """The change of a file in which some of the tasks are; a text that is None is no file."""

    path: str
    task_ids: tuple[str, ...]
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Contribution:
    """What one author set, the last of it at `set_at`; `message` is for a commit of it.

    `files` are the texts that come of it, by path, after the contributions before it.
    """

    author: str
    set_at: datetime
    message: str
    files: Mapping[str, str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a task, or what one author set of it, can't be promoted."""

    task_id: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Promotions:
    """How files change that promote several tasks, in all and author by author.

    `outdated` are the fields, by task, that their files have changed since they were overridden.
    """

    files: tuple[FileChange, ...]
    contributions: tuple[Contribution, ...]
    left_out: tuple[LeftOut, ...]
    outdated: Mapping[str, Sequence[str]]
    refused: tuple[Refusal, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """What one author set of one task.

    `lines` tell of it in a message. Of a task that the author declared by API, `new` is the whole
    file instead of `overrides`.
    """

    author: str
    at: datetime
    path: str
    task_id: str
    lines: tuple[str, ...]
    overrides: tuple[Override, ...] = ()
    new: bytes | None = None


def promotions_of(
    folder: Path,
    tasks: Mapping[str, StoredTask | None],
    fields: Sequence[str],
    now: datetime,
    *,
    executor: str,
    sight: Sight = ALL,
    most_bytes: int = MOST_BYTES,
) -> Promotions:
    """How files change that promote these fields of several tasks, as `promotion_of`. Blocks.

    Who set something first comes before the others, with all that they set. A task that is None
    is not there; `executor` is that of tasks which name none. Once the files have `most_bytes`,
    or those that are changed, each counted for each author, further tasks are refused.
    """
    files = DeclaringFiles(folder, sight=sight, most_bytes=most_bytes)
    steps: list[_Step] = []
    left_out: list[LeftOut] = []
    outdated: dict[str, Sequence[str]] = {}
    refused: list[Refusal] = []
    for task_id, stored in tasks.items():
        try:
            if stored is None:
                raise no_task(task_id)
            chosen, left = chosen_overrides(task_id, stored, fields, now)
            own = list(_steps(files, task_id, stored, chosen, executor))
        except (NotFound, Conflict) as error:
            refused.append(Refusal(task_id=task_id, detail=str(error)))
            continue
        steps += own
        left_out += left
        if stored.declaration.path is not None:
            conflicts = list(overlay.conflicts(stored.declaration, chosen))
            if conflicts:
                outdated[task_id] = conflicts
    edited = _Edited(files.texts, most_bytes)
    by_author: dict[str, list[_Step]] = {}
    for step in sorted(steps, key=lambda one: (one.at, one.path, one.task_id)):
        by_author.setdefault(step.author, []).append(step)
    done: dict[str, set[str]] = {}
    contributions = []
    for author, own in by_author.items():
        made = {id(step) for some in _groups(own) for step in edited.make(some, refused)}
        effective = [step for step in own if id(step) in made]
        if effective:
            contributions.append(
                Contribution(
                    author=author, set_at=max(step.at for step in effective),
                    message=_message(effective),
                    files={step.path: decoded(edited.texts[step.path]) for step in effective},
                )
            )  # fmt: skip
            for step in effective:
                done.setdefault(step.path, set()).add(step.task_id)
    return Promotions(
        files=tuple(
            FileChange(
                path=path, before=decoded(before), after=decoded(edited.texts[path]),
                task_ids=tuple(sorted(done[path])),
            )
            for path, before in sorted(files.texts.items()) if edited.texts[path] != before
        ),
        contributions=tuple(contributions), left_out=tuple(left_out),
        outdated=outdated, refused=tuple(refused),
    )  # fmt: skip


def _steps(
    files: DeclaringFiles,
    task_id: str,
    stored: StoredTask,
    overrides: Sequence[Override],
    executor: str,
) -> Iterator[_Step]:
    """A step for each author; where the task was deleted, nothing else counts."""
    path = stored.declaration.path
    if path is None:
        path, data = files.add(task_id, stored, overrides)
        yield _Step(
            author=stored.declared_by or "api", at=stored.declared_at, path=path, task_id=task_id,
            lines=(f"{task_id}: declared by API until now",), new=data,
        )  # fmt: skip
        return
    if not overrides:  # its file may be in any state
        return
    files.read(task_id, stored)
    deleted = [override for override in overrides if override.field == DELETED]
    lines = {
        one.override.field: tuple(_lines(one))
        for one in overrides_of({task_id: stored}, executor=executor)
    }
    by_author: dict[str, list[Override]] = {}
    for override in deleted or overrides:
        by_author.setdefault(override.set_by, []).append(override)
    for author, own in by_author.items():
        yield _Step(
            author=author, at=max(one.set_at for one in own), path=path, task_id=task_id,
            lines=tuple(line for one in own for line in lines[one.field]), overrides=tuple(own),
        )  # fmt: skip


class _Edited:
    """The `texts` of files by path, as steps change them."""

    def __init__(self, texts: Mapping[str, bytes | None], most_bytes: int) -> None:
        self.texts = dict(texts)
        self._left = most_bytes

    def make(self, steps: Sequence[_Step], refused: list[Refusal]) -> Sequence[_Step]:
        """Change a file by steps, and give back those that changed it; into `refused` the others.

        What can't be changed at once is tried by halves.
        """
        path = steps[0].path
        before = self.texts[path]
        try:
            self.texts[path] = self._after(steps, before)
        except Conflict as conflict:
            if half := len(steps) // 2:
                return [*self.make(steps[:half], refused), *self.make(steps[half:], refused)]
            refused.append(Refusal(task_id=steps[0].task_id, detail=str(conflict)))
            return ()
        return steps if self.texts[path] != before else ()

    def _after(self, steps: Sequence[_Step], before: bytes | None) -> bytes | None:
        """The text of a file after steps; a file that is gone stays so. Raises `Conflict`."""
        if self._left <= 0:
            raise Conflict(TOO_MUCH)
        if (new := steps[0].new) is not None:
            self._left -= len(new)
            return new
        self._left -= len(before or b"")
        changes = {step.task_id: step.overrides for step in steps}
        return before and promoted(steps[0].path, before, changes)


def _groups(steps: Iterable[_Step]) -> Iterable[list[_Step]]:
    """The steps of each file, which are made at once; a deletion by itself."""
    groups: dict[tuple[str, str | None], list[_Step]] = {}
    for step in steps:
        alone = step.task_id if is_deletion(step.overrides) else None
        groups.setdefault((step.path, alone), []).append(step)
    return groups.values()


def _message(steps: Sequence[_Step]) -> str:
    """What a commit says: the tasks, each field old and new, why, and until when."""
    ids = sorted({step.task_id for step in steps})
    what = ids[0] if len(ids) == 1 else f"{len(ids)} tasks"
    lines = [line for step in steps for line in step.lines]
    if (more := len(lines) - _MOST_LINES) > 0:
        lines[_MOST_LINES:] = [f"  … and {more} lines more"]
    return "\n".join([f"Promote overrides of {what}", "", *map(_on_one_line, lines), ""])


def _on_one_line(text: str) -> str:
    """What somebody wrote, without what would begin another line or control a terminal."""
    text = text if len(text) <= _LONGEST_LINE else f"{text[: _LONGEST_LINE - 1]}…"
    return "".join(" " if has_controls(one) else one for one in text)


def _lines(found: TaskOverride) -> Iterator[str]:
    one = found.override
    if one.field == DELETED:
        yield f"{found.task_id}: deleted"
    else:
        new = "absent" if one.absent else _in_short(one.value)
        yield f"{found.task_id}: {one.field}: {_in_short(one.declared)} -> {new}"
    if one.reason:
        yield f"  reason: {one.reason}"
    if one.until:
        yield f"  until: {one.until.isoformat().replace('+00:00', 'Z')}"


def _in_short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}…"
