"""Fires and executions: their states, the moves allowed, and how late fires are accounted for."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, get_args

from taskservice.domain.trigger import CronTrigger, IntervalTrigger, Trigger, upcoming

TaskStatus = Literal["pending", "running", "paused", "completed", "failed"]
Outcome = Literal["completed", "failed", "cancelled"]
ExecutionStatus = Literal[
    "queued", "running", "completed", "failed", "skipped", "missed", "cancelled"
]

ErrorKind = Literal[
    "raised", "timed out", "interrupted", "skipped", "missed", "cancelled", "unsent", "unstarted"
]
"""Why an execution didn't complete: the word that its error begins with."""

TASK_STATUSES: tuple[str, ...] = ("pending", "running", "paused", "completed", "failed")
EXECUTION_STATUSES: tuple[str, ...] = get_args(ExecutionStatus)
OPEN: tuple[str, ...] = ("queued", "running")
"""The statuses of executions that have not ended."""

NEVER_RAN: tuple[str, ...] = ("skipped", "missed")
"""The statuses of executions that only say why there was none."""

ERROR_KINDS: tuple[str, ...] = get_args(ErrorKind)

MOVES: Mapping[str, tuple[str, ...]] = {
    "queued": ("running", "failed", "cancelled"),
    "running": ("completed", "failed", "cancelled"),
}
"""From which status to which an execution may move; every other one is final."""

KEPT_APART = 100
"""Fires of one task, late at once and not coalesced, that get a row each; older ones fold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Accounted:
    """What becomes of a fire (and of the `folded` ones before it that count in its row)."""

    scheduled_time: datetime
    folded: int
    missed: bool


def account(
    trigger: Trigger,
    first: datetime,
    now: datetime,
    *,
    coalesce: bool,
    grace: float | None,
    jitter: float = 0,
) -> tuple[list[Accounted], datetime | None]:
    """Account for every fire due from `first` up to `now`, and give the next fire after them.

    With `coalesce` all of them fold into the latest, as APScheduler has it. A fire is missed
    when it is more than `grace` seconds late (None: never); `jitter` seconds of lateness were
    the task's own wish.
    """
    keep = 1 if coalesce else KEPT_APART
    total, fire = _fold(trigger, first, now, keep)
    latest: deque[datetime] = deque(maxlen=keep)
    while fire is not None and fire <= now:
        latest.append(fire)
        total += 1
        fire = trigger.next_fire(fire)
    folded = total - len(latest)
    oldest_allowed = None if grace is None else now - timedelta(seconds=grace + jitter)
    accounted = []
    for scheduled in latest:
        missed = oldest_allowed is not None and scheduled < oldest_allowed
        accounted.append(Accounted(scheduled_time=scheduled, folded=folded, missed=missed))
        folded = 0
    return accounted, fire


def _fold(
    trigger: Trigger, first: datetime, now: datetime, keep: int
) -> tuple[int, datetime | None]:
    """Count fires from `first` on that fold anyway, without going through them one by one.

    How many they are, and the first fire after them: `keep` fires up to `now` are left at least,
    if there are so many.
    """
    if isinstance(trigger, IntervalTrigger):
        last = now if trigger.end is None else min(now, trigger.end)
        total = max((last - first) // trigger.every + 1 - keep, 0)
        return total, first + total * trigger.every
    if isinstance(trigger, CronTrigger):
        back = timedelta(days=2)
        while now - back > first:
            total, fire = trigger.count(first, now - back)
            if fire is not None and _has_fires(trigger, fire, now, keep):
                return total, fire
            back *= 8
    return 0, first


def _has_fires(trigger: Trigger, first: datetime, now: datetime, count: int) -> bool:
    fires = upcoming(trigger, first, count - 1)
    return len(fires) == count - 1 and max([first, *fires]) <= now


def task_status(
    *,
    running: bool,
    paused: bool,
    next_run_time: datetime | None,
    last_outcome: Outcome | None,
) -> TaskStatus:
    """The status of a task; running goes before paused, and paused before the rest."""
    if running:
        return "running"
    if paused:
        return "paused"
    if last_outcome == "failed":
        return "failed"
    return "completed" if next_run_time is None else "pending"
