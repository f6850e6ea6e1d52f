"""The audit trail, as the API shows it."""

from datetime import datetime
from math import ceil
from typing import Any, Self

import msgspec

from taskservice.domain.trail import Action, Via
from taskservice.storage.events import EventPage as Found
from taskservice.storage.events import StoredEvent


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What a field was and what it became; null too where it was, or is, absent.

    Fields are those of overrides, as `func_args.KEY` and `trigger`, and beside them `until.FIELD`
    (when the override of a field ends by itself), `deleted`, `retired_at`, `declared_in`,
    `execution`.
    """

    field: str
    old: Any
    new: Any


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One action: who did what, by what way, why, and what it changed.

    What a file does has its `path` and `line`, and the commit that did it with its `author`, where
    it was committed. What looks like a secret is `***`; what is long is cut.
    """

    id: str
    at: datetime
    task_id: str | None
    action: Action
    by: str
    via: Via
    reason: str | None
    changes: list[Change]
    path: str | None
    line: int | None
    revision: str | None
    author: str | None

    @classmethod
    def of(cls, found: StoredEvent) -> Self:
        """The answer for an event."""
        one = found.event
        return cls(
            id=found.id, at=found.at, task_id=one.task_id, action=one.action, by=one.by,
            via=one.via, reason=one.reason, path=one.path, line=one.line, revision=one.revision,
            author=one.author,
            changes=[Change(field=name, old=old, new=new) for name, old, new in one.changes],
        )  # fmt: skip


class EventPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the trail, newest first.

    `total` is counted to 10,000 at most; `more` says whether there are more. After `before`, where
    there is no `page`, it says whether anything follows.
    """

    items: list[Event]
    total: int
    more: bool
    page: int | None
    size: int
    pages: int

    @classmethod
    def of(cls, found: Found, *, page: int | None, size: int) -> Self:
        """The answer for a page."""
        return cls(
            items=[Event.of(one) for one in found.items], total=found.total, more=found.more,
            page=page, size=size, pages=ceil(found.total / size),
        )  # fmt: skip
