"""What the audit trail is told of decisions over tasks."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from taskservice.domain.overlay import Declaration, Override
from taskservice.domain.redaction import Hiding
from taskservice.domain.trail import Cause, Event, end_of, event_of, events_of, retirement
from taskservice.storage import events
from taskservice.storage.decisions import Decision
from taskservice.storage.tasks import StoredTask

FEW = 200
"""How many fields are compared on the event loop: it takes a few milliseconds."""


async def rows(
    made: Sequence[tuple[Cause, Decision]],
    stored: Mapping[str, StoredTask],
    repaired: Sequence[str],
    *,
    now: datetime,
    hiding: Callable[[Iterable[object]], Hiding | None],
) -> list[dict[str, Any]]:
    """The rows of all that decisions come to, each by its cause, from what is stored of the tasks.

    `repaired` are those of which a mark of deletion was taken away. `hiding` gives what takes out
    of texts what placeholders in arguments stand for.
    """

    def work() -> list[dict[str, Any]]:
        told: list[Event] = []
        hidings: dict[str, Hiding] = {}
        for cause, decision in made:
            told += _events(cause, decision, stored, repaired, now)
        for task_id, arguments in _arguments(made, stored).items():
            if found := hiding(arguments):
                hidings[task_id] = found
        return events.rows_of(told, now, hidings)

    size = sum(_size(decision) for _, decision in made)
    return await asyncio.to_thread(work) if size > FEW else work()


def _events(
    cause: Cause,
    decision: Decision,
    stored: Mapping[str, StoredTask],
    repaired: Sequence[str],
    now: datetime,
) -> list[Event]:
    """What becomes of tasks by a decision, and what happens beside it."""
    found = list(decision.events)
    for made in decision.resolutions:
        declaration, overrides = _said(stored.get(made.id))
        author = decision.authors.get(made.id)
        found += events_of(made, declaration, overrides, cause, now=now, author=author)
    for state in decision.retired:
        author = decision.authors.get(state.id)
        found.append(retirement(state.id, stored[state.id].declaration, now, cause, author))
    found += [end_of(one, *_said(stored.get(one)), cause) for one in decision.forgotten]
    found += [
        event_of("restored", cause, task_id=one) for one in decision.unmarked if one in repaired
    ]
    return found


def _said(stored: StoredTask | None) -> tuple[Declaration | None, Sequence[Override]]:
    return (stored.declaration, stored.overrides) if stored else (None, ())


def _arguments(
    made: Iterable[tuple[Cause, Decision]], stored: Mapping[str, StoredTask]
) -> dict[str, list[object]]:
    """By task, all arguments that it has or had, in which placeholders may stand."""
    found: dict[str, list[object]] = {}
    for _, decision in made:
        said = [(one.id, one.declaration, one.overrides) for one in decision.resolutions]
        gone = [one for one in decision.forgotten if one in stored]
        for task_id in [one.id for one in decision.resolutions if one.id in stored] + gone:
            said.append((task_id, stored[task_id].declaration, stored[task_id].overrides))
        for task_id, declaration, overrides in said:
            several = found.setdefault(task_id, [])
            several.append(declaration.fields.get("func_args"))
            several += [one.value for one in overrides]
    return found


def _size(decision: Decision) -> int:
    """About how many fields are to be compared."""
    said = [one.declaration.fields for one in decision.resolutions]
    arguments = [fields.get("func_args") for fields in said]
    given = sum(len(one) for one in arguments if isinstance(one, Mapping))
    return sum(map(len, said)) + given + len(decision.forgotten)
