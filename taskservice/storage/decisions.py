"""What becomes of tasks, as a value: whoever changes them decides it, and the gate writes it."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from taskservice.domain.state import Resolution, TaskState
from taskservice.domain.trail import Author, Event
from taskservice.storage.tasks import StoredTask


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What becomes of tasks.

    `resolutions` are written, with their declarations where `declare` says so; `retired` are the
    states of tasks whose declarations are gone; of `forgotten` tasks everything is deleted.
    `revisions` are the commits at which files declare tasks as they are stored; `unmarked` are
    tasks from which marks of deletion are taken that can't be read. `authors` made the commits
    that are the cause, by task; `events` happen with it, beside what becomes of the tasks.
    """

    resolutions: Sequence[Resolution] = ()
    declare: bool = True
    retired: Sequence[TaskState] = ()
    forgotten: Sequence[str] = ()
    revisions: Mapping[str | None, Sequence[str]] = field(default_factory=dict)
    unmarked: Sequence[str] = ()
    authors: Mapping[str, Author] = field(default_factory=dict)
    events: Sequence[Event] = ()


Decide = Callable[[Mapping[str, StoredTask], datetime], Awaitable[Decision]]
"""Decides over what is stored of tasks, by id, at a moment; perhaps more than once.

What it raises ends the transaction; after `FireDue` it is asked again, once the fires are claimed.
"""
