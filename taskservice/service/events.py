"""What a watcher tells its subscribers, each of which has a queue of its own with an end."""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from taskservice.domain.sight import ALL, Sight
from taskservice.storage.executions import ExecutionRow
from taskservice.storage.rows import new_id
from taskservice.storage.shown import Shown

WAITING = 1000
"""How many events may wait for a subscriber; one who has more to read is told to reload."""

EventName = Literal["task", "task-gone", "execution", "sync", "reset"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, weakref_slot=True)
class Event:
    """Something changed: `data` is what there is now, and `task_id` the task that it is about.

    `tags` are those that the task bears, as JSON, where there is still such a task.
    A `reset` says that more changed than is told: what is shown is to be read again.
    """

    name: EventName
    task_id: str | None = None
    tags: str | None = None
    data: Shown | ExecutionRow | Mapping[str, Any] = field(default_factory=dict)
    id: str = field(default_factory=new_id)


class Subscription:
    """Somebody who is told of events, or, with a `task_id`, of those that are about this task.

    `holds` says whether they may be told any more. Of tasks out of `sight` they are told nothing,
    but that one of `known`, which were in it, is gone.
    """

    def __init__(
        self,
        task_id: str | None,
        leave: Callable[["Subscription"], None],
        *,
        sight: Sight = ALL,
        holds: Callable[[], bool] = lambda: True,
    ) -> None:
        self.holds = holds
        self.known: set[str] = set()
        self._sight = sight
        self._task_id = task_id
        self._leave = leave
        self._waiting: deque[Event] = deque()
        self._news = asyncio.Event()
        self._over = False

    def tell(self, events: Sequence[Event]) -> None:
        """Have events read; where too many wait, a single reset instead of all of them."""
        wanted = [told for event in events if (told := self._told(event))]
        if len(self._waiting) + len(wanted) > WAITING:
            self._waiting.clear()
            wanted = [Event(name="reset")]
        self._waiting.extend(wanted)
        if wanted:
            self._news.set()

    async def next(self, seconds: float) -> list[Event] | None:
        """The events that wait, or come within `seconds`, else none; None when there is an end."""
        if not self._waiting and not self._over:
            try:
                await asyncio.wait_for(self._news.wait(), seconds)
            except TimeoutError:
                return []
        if self._over and not self._waiting:
            return None
        self._news.clear()
        events = list(self._waiting)
        self._waiting.clear()
        return events

    def end(self) -> None:
        """Tell that nothing comes any more."""
        self._over = True
        self._news.set()

    def refuse(self) -> None:
        """Tell nothing more, not even what waits."""
        self._waiting.clear()
        self.end()

    def close(self) -> None:
        """Be told no more."""
        self._leave(self)

    def _told(self, event: Event) -> Event | None:
        """What is told of an event, if anything."""
        task_id = event.task_id
        if event.name == "reset":
            return event
        if self._task_id is not None and task_id != self._task_id:
            return None
        if task_id is None or not self._sight.is_narrowed:
            return event
        if event.name != "task-gone" and self._sight.sees(_words(event.tags)):
            self.known.add(task_id)
            return event
        if event.name == "execution" or task_id not in self.known:
            return None
        # It may be there still, but for others.
        self.known.discard(task_id)
        return Event(name="task-gone", task_id=task_id, data={"id": task_id})


def _words(tags: str | None) -> Sequence[str]:
    """The tags in a column's JSON, which can be read: a task that is shown is sound."""
    return (tags and msgspec.json.decode(tags)) or ()
