"""What would have to be committed for a file to say what the API changed."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from taskservice.domain import overlay
from taskservice.domain.errors import Conflict, NotFound
from taskservice.domain.overlay import Override
from taskservice.storage.tasks import StoredTask
from taskservice.sync.folder.confined import LEADS_OUT, LeadsOut, status
from taskservice.sync.folder.listing import VANISHED
from taskservice.sync.folder.parsed_file import read_bytes, signature_of, unfit
from taskservice.sync.text.diff import unified_diff
from taskservice.sync.text.promotion import new_file, promoted
from taskservice.sync.text.reader import read_file


@dataclass(frozen=True, slots=True, kw_only=True)
class Author:
    """Who set some of the fields that are promoted, when (the last of them), and why."""

    name: str
    fields: tuple[str, ...]
    reason: str | None
    until: datetime | None
    set_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A field whose override ends by itself at `until`, and was not asked for by name."""

    field: str
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Promotion:
    """The change of one file; `before` and `after` are its text, None where there is no file.

    `path` is relative to the tasks folder. Where nothing is to be promoted, both are the same.
    """

    task_id: str
    path: str
    before: str | None
    after: str | None
    authors: tuple[Author, ...]
    left_out: tuple[LeftOut, ...]

    @property
    def diff(self) -> str:
        """The change as a unified diff, empty where there is none."""
        return unified_diff(self.path, self.before, self.after)


def promotion_of(
    folder: Path, task_id: str, stored: StoredTask, fields: Sequence[str], now: datetime
) -> Promotion:
    """The change that promotes these overridden fields of a task. Blocks.

    Without any it is all of them but those that end by themselves.

    Raises `NotFound` for a field that is not overridden, and `Conflict` where the folder does
    not have what is stored, or its file can't be edited.
    """
    declaration = stored.declaration
    overrides = overlay.standing(declaration, stored.overrides, now)
    known = {override.field: override for override in overrides}
    for field in fields:
        if field not in known:
            raise NotFound(
                f"no override of {field[:100]!r}; there are: {', '.join(known) or 'none'}"
            )
    chosen, left_out = [], []
    for override in overrides:
        if override.field in fields or (not fields and override.until is None):
            chosen.append(override)
        elif not fields and override.until is not None:
            left_out.append(LeftOut(field=override.field, until=override.until))
    # A root that is a link may be swapped meanwhile.
    root = os.path.realpath(folder)
    if declaration.path is None:
        path, data = new_file(
            task_id, declaration.fields, chosen, lambda name: os.path.lexists(f"{root}/{name}")
        )
        made = Author(
            name=stored.declared_by or "api", fields=tuple(declaration.fields),
            reason=None, until=None, set_at=stored.declared_at,
        )  # fmt: skip
        return Promotion(
            task_id=task_id, path=path, before=None, after=data.decode(),
            authors=(made, *_authors(chosen)), left_out=tuple(left_out),
        )  # fmt: skip
    before = _read(root, declaration.path, task_id, declaration.fields)
    after = promoted(declaration.path, before, task_id, chosen) if chosen else before
    return Promotion(
        task_id=task_id, path=declaration.path, before=before.decode(),
        after=None if after is None else after.decode(), authors=_authors(chosen),
        left_out=tuple(left_out),
    )  # fmt: skip


def _authors(overrides: Sequence[Override]) -> tuple[Author, ...]:
    """The overrides by who set them, with the same reason and end; the earliest first."""
    groups: dict[tuple[object, ...], list[Override]] = {}
    for override in sorted(overrides, key=lambda one: (one.set_at, one.field)):
        groups.setdefault((override.set_by, override.reason, override.until), []).append(override)
    return tuple(
        Author(
            name=several[0].set_by, fields=tuple(sorted(one.field for one in several)),
            reason=several[0].reason, until=several[0].until, set_at=several[-1].set_at,
        )
        for several in groups.values()
    )  # fmt: skip


def _read(root: str, path: str, task_id: str, fields: Mapping[str, object]) -> bytes:
    """The bytes of a file that says of a task what is stored. Raises `Conflict`."""
    try:
        found = status(root, path)
        wrong = unfit(found)
        data = None if wrong else read_bytes(root, path, signature_of(found))
    except VANISHED:
        raise Conflict(
            f"{path}, which declares the task, is not in the tasks folder of this service: ask "
            "one that has it"
        ) from None
    except LeadsOut:
        raise Conflict(f"{path} {LEADS_OUT}") from None
    except OSError as error:
        raise Conflict(f"{path} can't be read: {error.strerror}") from None
    if wrong:
        raise Conflict(f"{path}: {wrong}")
    if data is None:
        raise Conflict(f"{path} is changing right now: try again in a moment")
    declared = {task.task_id: task.fields for task in read_file(path, data).tasks}
    if overlay.digest(declared.get(task_id)) != overlay.digest(fields):
        raise Conflict(
            f"{path} has changed and what it says of the task now is not synced: mend what "
            "GET /sync tells of it, or try again after a sync"
        )
    return data
