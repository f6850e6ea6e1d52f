"""The audit trail: what was done to a task, and by whom, as events.

An event tells field by field what it changed. The fields are those that overrides have, as
`func_args.KEY` and `trigger`, and beside them `until.FIELD` (when the override of a field ends by
itself), `deleted` (the API's deletion of a declared task), `retired_at`, and `declared_in`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal, NamedTuple, get_args

from taskservice.domain import overlay
from taskservice.domain.overlay import DELETED, Declaration, Override, same
from taskservice.domain.sight import ALL, Sight
from taskservice.domain.state import Resolution
from taskservice.domain.task import UNSET

Via = Literal["api", "console", "file", "service"]

Action = Literal[
    "created", "changed", "overridden", "reverted", "expired", "paused", "resumed", "deleted",
    "restored", "retired", "returned", "pruned", "triggered", "cancelled", "backfilled",
    "silenced", "unsilenced", "adopted", "declared", "frozen", "unfrozen", "synced",
    "token_created", "token_revoked", "signed_in", "refused",
]  # fmt: skip
ACTIONS: tuple[Action, ...] = get_args(Action)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """Who does something (a name, `file` or `service`), by what way, and why.

    `reverting` says that overrides are taken back, where a value alone could not tell; a task
    out of `sight` is none to them.
    """

    by: str
    via: Via
    reason: str | None = None
    reverting: bool = False
    sight: Sight = ALL


FILE = Cause(by="file", via="file")
EXPIRY = Cause(by="service", via="service", reason="its time is over")


class Change(NamedTuple):
    """What a field was and what it became, as JSON has it; None too where it was, or is, absent."""

    field: str
    old: Any
    new: Any


class Author(NamedTuple):
    """Who made a commit, by the name that stands there."""

    revision: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One action of the trail; `task_id` is None where it is about no task.

    What a file does has the file's `path` and the `line` that the task stands in there, and, where
    it is committed, the `revision` that did it and its `author`.
    """

    action: Action
    task_id: str | None = None
    by: str
    via: Via
    reason: str | None = None
    changes: tuple[Change, ...] = ()
    path: str | None = None
    line: int | None = None
    revision: str | None = None
    author: str | None = None


def event_of(
    action: Action, cause: Cause, *, task_id: str | None = None, changes: Iterable[Change] = ()
) -> Event:
    """The event of an action with its cause, which is no file."""
    return Event(
        action=action, task_id=task_id, by=cause.by, via=cause.via, reason=cause.reason,
        changes=tuple(changes),
    )  # fmt: skip


class _Stand:
    """What is said of a task at a moment: declared, and overridden by field."""

    def __init__(self, declaration: Declaration, overrides: Iterable[Override]) -> None:
        self.declaration = declaration
        self.declared = overlay.declared_values(declaration)
        self.overrides = {one.field: one for one in overrides}

    def value(self, name: str) -> Any:
        """The effective value of a field."""
        override = self.overrides.get(name)
        return self.declared(name) if override is None else override.value

    def until(self, name: str) -> datetime | None:
        """When the override of a field ends by itself."""
        override = self.overrides.get(name)
        return override.until if override else None

    def names(self) -> dict[str, None]:
        """Every field of which something is said."""
        named = dict.fromkeys((*overlay.flatten(self.declaration.fields), *self.overrides))
        named.pop(DELETED, None)
        return named


def events_of(
    made: Resolution,
    declaration: Declaration | None,
    overrides: Iterable[Override],
    cause: Cause,
    *,
    now: datetime,
    author: Author | None = None,
) -> list[Event]:
    """What a change made of a task, from what was declared of it and overridden before.

    `declaration` is None of a task that there was not; `author` made the commit that is the cause.
    Empty where nothing that means anything is otherwise than it was.
    """
    told = _Told(made.id, cause, made.declaration, author)
    if declaration is None:
        fields = overlay.flatten(made.declaration.fields)
        told.note("created", (Change(name, None, _plain(fields[name])) for name in fields))
        return told.events()
    before, after = _Stand(declaration, overrides), _Stand(made.declaration, made.overrides)
    retired_at = made.previous.retired_at if made.previous else None
    # The row that a deleted task has left says so as well.
    if retired_at and DELETED not in before.overrides:
        told.note("returned", [Change("retired_at", _plain(retired_at), None)])
    if cause.via in ("file", "service"):
        _expire(told, before, after, now)
    if DELETED in before.overrides.keys() ^ after.overrides.keys():
        action: Action = "deleted" if DELETED in after.overrides else "restored"
        told.note(action, _changes(DELETED, before, after))
    walk = _declare if cause.via == "file" else _override
    walk(told, before, after)
    return told.events()


def retirement(
    task_id: str, declaration: Declaration, at: datetime, cause: Cause, author: Author | None = None
) -> Event:
    """The event of a declaration's end; `author` made the commit that ended it."""
    change = Change("retired_at", None, _plain(at))
    event = event_of("retired", cause, task_id=task_id, changes=[change])
    return replace(
        event,
        path=declaration.path,
        line=declaration.line,
        revision=author and author.revision,
        author=author and author.name,
    )


def end_of(
    task_id: str, declaration: Declaration | None, overrides: Iterable[Override], cause: Cause
) -> Event:
    """The event of a task's end for good, with all that it was, where that is known."""
    action: Action = "deleted" if cause.via in ("api", "console") else "pruned"
    if declaration is None:
        return event_of(action, cause, task_id=task_id)
    before = _Stand(declaration, overrides)
    changes = [Change(name, _plain(before.value(name)), None) for name in before.names()]
    return event_of(action, cause, task_id=task_id, changes=changes)


class _Told:
    """The events of one task while they are found: the changes of an action are one event."""

    def __init__(
        self, task_id: str, cause: Cause, declaration: Declaration, author: Author | None
    ) -> None:
        self._task_id = task_id
        self.cause = cause
        self._declaration = declaration
        self._author = author
        self._found: dict[tuple[Action, Cause], list[Change]] = {}

    def note(self, action: Action, changes: Iterable[Change], cause: Cause | None = None) -> None:
        """Note changes by an action, which is told of even where there are none."""
        self._found.setdefault((action, cause or self.cause), []).extend(changes)

    def events(self) -> list[Event]:
        """All that was noted, in the order in which each action first was."""
        return [
            self._placed(event_of(action, cause, task_id=self._task_id, changes=changes))
            for (action, cause), changes in self._found.items()
        ]

    def _placed(self, event: Event) -> Event:
        if event.via != "file":
            return event
        declaration, author = self._declaration, self._author
        return replace(
            event,
            path=declaration.path,
            line=declaration.line,
            revision=author.revision if author else declaration.revision,
            author=author and author.name,
        )


def _expire(told: _Told, before: _Stand, after: _Stand, now: datetime) -> None:
    """Note the overrides whose time was over, and take them from what was before."""
    bare = _Stand(before.declaration, ())
    for name, one in list(before.overrides.items()):
        if one.until and one.until <= now and name not in after.overrides:
            told.note("expired", _changes(name, before, bare), EXPIRY)
            del before.overrides[name]


def _declare(told: _Told, before: _Stand, after: _Stand) -> None:
    """Note what a file says otherwise than what was declared before."""
    adopting = before.declaration.source != after.declaration.source
    if adopting:
        told.note("adopted", ())
    if before.declaration.path != after.declaration.path:
        moved = Change("declared_in", before.declaration.path, after.declaration.path)
        told.note("adopted" if adopting else "changed", [moved])
    for name in before.names() | after.names():
        old, new = before.declared(name), after.declared(name)
        ended = name in before.overrides and name not in after.overrides
        if same(name, old, new) and not ended:
            continue
        action: Action = "adopted" if adopting or ended else "changed"
        if name in after.overrides or DELETED in after.overrides:
            action = "declared"
        ends = _until(name, before, after) if ended else ()
        told.note(action, (Change(name, _plain(old), _plain(new)), *ends))


def _override(told: _Told, before: _Stand, after: _Stand) -> None:
    """Note what somebody set otherwise, over what is declared or in a declaration of the API's."""
    for name in before.names() | after.names():
        was, now = before.overrides.get(name), after.overrides.get(name)
        old, new = before.declared(name), after.declared(name)
        # What a change leaves alone is the very same value, however large.
        if not _is_renewed(was, now) and (old is new or same(name, old, new)):
            continue
        action: Action = "overridden"
        if name == "paused" and not told.cause.reverting:
            action = "paused" if after.value(name) else "resumed"
        elif now is None:
            action = "changed" if was is None else "reverted"
        told.note(action, _changes(name, before, after))


def _changes(name: str, before: _Stand, after: _Stand) -> Iterator[Change]:
    yield Change(name, _plain(before.value(name)), _plain(after.value(name)))
    yield from _until(name, before, after)


def _until(name: str, before: _Stand, after: _Stand) -> Iterator[Change]:
    old, new = before.until(name), after.until(name)
    if old != new:
        yield Change(f"until.{name}", _plain(old), _plain(new))


def _is_renewed(was: Override | None, now: Override | None) -> bool:
    """Whether an override came, went, or is otherwise than it was."""
    if was is None or now is None or was is now:
        return was is not now
    told = [(one.set_at, one.set_by, one.reason, one.until) for one in (was, now)]
    return told[0] != told[1] or not (
        same(was.field, was.value, now.value)
        and same(was.field, was.declared_when_set, now.declared_when_set)
    )


def _plain(value: Any) -> Any:
    """A value as JSON has it."""
    if value is UNSET:
        return None
    return value.isoformat() if isinstance(value, datetime) else value
