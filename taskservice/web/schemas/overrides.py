"""Overrides, where values come from, and what to commit for a file to say the same."""

from datetime import datetime
from typing import Any, Literal, Self

import msgspec

from taskservice.service import Promotion as ServicePromotion
from taskservice.service import Promotions as ServicePromotions
from taskservice.service import Provenance
from taskservice.service import TaskOverride as ServiceTaskOverride
from taskservice.web.schemas.tasks import Source


class Override(msgspec.Struct, frozen=True, kw_only=True):
    """A field, and where its value comes from.

    `absent` tells a key that an override takes away from a null one. `path` to `date` are of
    the line that declares the field, as git knows it; `uncommitted`, if it doesn't yet.
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

    @classmethod
    def of(cls, found: Provenance) -> Self:
        """The answer for a field."""
        return msgspec.convert(found, cls, from_attributes=True)


class TaskOverride(Override, frozen=True, kw_only=True):
    """One field of one task that the API set."""

    task_id: str
    source: Source

    @classmethod
    def of_task(cls, found: ServiceTaskOverride) -> Self:
        """The answer for an override of any task."""
        shown = msgspec.structs.asdict(Override.of(found.override))
        return msgspec.convert({**shown, "task_id": found.task_id, "source": found.source}, cls)


class Author(msgspec.Struct, frozen=True, kw_only=True):
    """Who set some of the promoted fields, when (the last of them), why and until when."""

    name: str
    fields: list[str]
    reason: str | None
    until: datetime | None
    set_at: datetime


class LeftOut(msgspec.Struct, frozen=True, kw_only=True):
    """An override that ends by itself, and is promoted only when its field is named."""

    field: str
    until: datetime


class Promotion(msgspec.Struct, frozen=True, kw_only=True):
    """The change of a file that promotes overrides; its text is null where there is no file."""

    task_id: str
    path: str
    diff: str
    before: str | None
    after: str | None
    authors: list[Author]
    left_out: list[LeftOut]

    @classmethod
    def of(cls, promotion: ServicePromotion) -> Self:
        """The answer for a promotion."""
        return msgspec.convert(promotion, cls, from_attributes=True)


class FileChange(msgspec.Struct, frozen=True, kw_only=True):
    """The change of one file, and for which tasks it is; a text that is null is no file."""

    path: str
    task_ids: list[str]
    before: str | None
    after: str | None


class Contribution(msgspec.Struct, frozen=True, kw_only=True):
    """What one author set: the texts that come of it, by path, and a message to commit them with.

    The contributions before it are in the texts.
    """

    author: str
    set_at: datetime
    message: str
    files: dict[str, str | None]


class LeftOutOfTask(LeftOut, frozen=True, kw_only=True):
    """The same, and of which task."""

    task_id: str


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """Why a task, or what one author set of it, can't be promoted."""

    task_id: str
    detail: str


class Promotions(msgspec.Struct, frozen=True, kw_only=True):
    """The changes of files that promote several tasks, in all and author by author.

    `outdated` are the fields, by task, that their files have changed since they were overridden.
    """

    files: list[FileChange]
    contributions: list[Contribution]
    left_out: list[LeftOutOfTask]
    outdated: dict[str, list[str]]
    refused: list[Refusal]

    @classmethod
    def of(cls, promotions: ServicePromotions) -> Self:
        """The answer for a promotion of several tasks."""
        return msgspec.convert(promotions, cls, from_attributes=True)
