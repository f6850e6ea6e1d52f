"""What a watcher tells its subscribers, each of which has a queue of its own with an end."""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from taskservice.storage.executions import ExecutionRow
from taskservice.storage.rows import new_id
from taskservice.storage.shown import Shown

WAITING = 1000
"""How many events may wait for a subscriber; one who has more to read is told to reload."""

EventName = Literal["task", "task-gone", "execution", "sync", "reset"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, weakref_slot=True)
class Event:
    """Something changed: `data` is what there is now, and `task_id` the task that it is about.

    A `reset` says that more changed than is told: what is shown is to be read again.
    """

    name: EventName
    task_id: str | None = None
    data: Shown | ExecutionRow | Mapping[str, Any] = field(default_factory=dict)
    id: str = field(default_factory=new_id)


class Subscription:
    """Somebody who is told of events, or, with a `task_id`, of those that are about this task.

    `holds` says whether they may be told any more.
    """

    def __init__(
        self,
        task_id: str | None,
        leave: Callable[["Subscription"], None],
        *,
        holds: Callable[[], bool] = lambda: True,
    ) -> None:
        self.holds = holds
        self._task_id = task_id
        self._leave = leave
        self._waiting: deque[Event] = deque()
        self._news = asyncio.Event()
        self._over = False

    def tell(self, events: Sequence[Event]) -> None:
        """Have events read; where too many wait, a single reset instead of all of them."""
        wanted = [event for event in events if self._is_wanted(event)]
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

    def _is_wanted(self, event: Event) -> bool:
        if self._task_id is None or event.name == "reset":
            return True
        return event.task_id == self._task_id
