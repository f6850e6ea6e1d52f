"""What would have to be committed for files to say what the API changed."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from taskservice.domain import overlay
from taskservice.domain.errors import Conflict, NotFound
from taskservice.domain.overlay import Override
from taskservice.domain.sight import ALL, Sight
from taskservice.storage.tasks import StoredTask
from taskservice.sync.folder.confined import (
    LEADS_OUT,
    LeadsOut,
    read_bytes,
    signature_of,
    status,
    unfit,
)
from taskservice.sync.folder.listing import VANISHED
from taskservice.sync.text.diff import unified_diff
from taskservice.sync.text.promotion import new_file, promoted
from taskservice.sync.text.reader import FileContent, read_file

MOST_BYTES = 8 * 1024 * 1024
"""How much text is gone through at most, but for the last file."""

TOO_MUCH = (
    "it is more than one promotion takes: promote the others first, then this one, or name it alone"
)


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

    task_id: str
    field: str
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Promotion:
    """The change of the file of one task; its texts are None where there is no file.

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
    folder: Path,
    task_id: str,
    stored: StoredTask,
    fields: Sequence[str],
    now: datetime,
    sight: Sight = ALL,
) -> Promotion:
    """The change that promotes these overridden fields of a task. Blocks.

    Without any it is all of them but those that end by themselves.

    Raises `NotFound` for a field that is not overridden, and `Conflict` where the folder does
    not have what is stored, or its file can't be edited, or has tasks out of `sight` too.
    """
    chosen, left_out = chosen_overrides(task_id, stored, fields, now)
    files, authors = DeclaringFiles(folder, sight=sight), _authors(chosen)
    after: bytes | None
    if stored.declaration.path is None:
        path, after = files.add(task_id, stored, chosen)
        made = Author(
            name=stored.declared_by or "api", fields=tuple(stored.declaration.fields),
            reason=None, until=None, set_at=stored.declared_at,
        )  # fmt: skip
        authors = (made, *authors)
    else:
        path, after = stored.declaration.path, files.read(task_id, stored)
        if chosen:
            after = promoted(path, after, {task_id: chosen})
    return Promotion(
        task_id=task_id, path=path, before=decoded(files.texts[path]), after=decoded(after),
        authors=authors, left_out=tuple(left_out),
    )  # fmt: skip


class DeclaringFiles:
    """Files of the tasks folder, each read once; `texts` has them by path, None for a new one.

    Once they have `most_bytes`, further ones raise `Conflict`, and so do those with tasks that
    are out of `sight`: whoever is shown a file is shown all of them.
    """

    def __init__(self, folder: Path, *, sight: Sight = ALL, most_bytes: int = MOST_BYTES) -> None:
        self._sight = sight
        self._left = most_bytes
        # A root that is a link may be swapped meanwhile.
        self._root = os.path.realpath(folder)
        self._digests: dict[str, dict[str, str]] = {}
        self.texts: dict[str, bytes | None] = {}

    def add(
        self, task_id: str, stored: StoredTask, overrides: Sequence[Override]
    ) -> tuple[str, bytes]:
        """Path and text of a new file for a task of the API's. Raises `Conflict`."""
        self._check_left()
        path, data = new_file(
            task_id, stored.declaration.fields, overrides,
            lambda name: name in self.texts or os.path.lexists(f"{self._root}/{name}"),
        )  # fmt: skip
        self.texts[path] = None
        self._left -= len(data)
        return path, data

    def read(self, task_id: str, stored: StoredTask) -> bytes:
        """The text of the file that says of a task what is stored. Raises `Conflict`."""
        path = stored.declaration.path or ""
        data = self.texts.get(path)
        if data is None:
            self._check_left()
            data = _read(self._root, path)
            self._left -= len(data)
            content = read_file(path, data)
            if self._sight.is_narrowed and not self._is_seen(content):
                raise Conflict(
                    f"{path} declares tasks of others too, or has faults: somebody who sees all "
                    "tasks may promote it"
                )
            self.texts[path] = data
            self._digests[path] = {
                task.task_id: overlay.digest(task.fields) for task in content.tasks
            }
        if self._digests[path].get(task_id) != overlay.digest(stored.declaration.fields):
            raise Conflict(
                f"{path} has changed and what it says of the task now is not synced: mend what "
                "GET /sync tells of it, or try again after a sync"
            )
        return data

    def _is_seen(self, content: FileContent) -> bool:
        """Whether all that a file declares is in sight by what it says itself."""
        tags = [task.fields.get("tags") for task in content.tasks]
        return not content.faults and all(
            isinstance(some, list) and self._sight.sees([one for one in some if type(one) is str])
            for some in tags
        )

    def _check_left(self) -> None:
        if self._left <= 0:
            raise Conflict(TOO_MUCH)


def chosen_overrides(
    task_id: str, stored: StoredTask, fields: Sequence[str], now: datetime
) -> tuple[list[Override], list[LeftOut]]:
    """The overrides to promote, and those that end by themselves. Raises `NotFound`."""
    overrides = overlay.standing(stored.declaration, stored.overrides, now)
    known = {override.field: override for override in overrides}
    for field in fields:
        if field not in known:
            raise NotFound(
                f"no override of {field[:100]!r}; there are: {', '.join(known) or 'none'}"
            )
    if fields:
        return [override for override in overrides if override.field in fields], []
    return [override for override in overrides if override.until is None], [
        LeftOut(task_id=task_id, field=override.field, until=override.until)
        for override in overrides
        if override.until is not None
    ]


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


def _read(root: str, path: str) -> bytes:
    """The bytes of a file. Raises `Conflict`."""
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
    return data


def decoded(data: bytes | None) -> str | None:
    """The text of a file, None where there is none."""
    return None if data is None else data.decode()
