"""The only user of AsyncIOScheduler: a timer that says which tasks are due."""

import functools
import inspect
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from apscheduler.executors.base import BaseExecutor
from apscheduler.job import Job
from apscheduler.jobstores.base import JobLookupError
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.date import DateTrigger

from taskservice.domain.trigger import Trigger

LONGEST_SLEEP = 1.0
"""Seconds after which the clock is looked at again: the loop's timer doesn't see it stepped."""

SHORTEST_SLEEP = 0.001
"""uvloop's timers are in whole milliseconds: a shorter wait would return early, and spin."""


_SIGNATURE = inspect.Signature([inspect.Parameter("key", inspect.Parameter.POSITIONAL_ONLY)])


class Scheduler:
    """Calls `due(task_id)` on the event loop when a task's next fire has come.

    It decides nothing: which fires are claimed is a matter of the database. Everything here is
    in memory and can be set again at any time, once it was started.
    """

    def __init__(self, due: Callable[[str], None]) -> None:
        self._due = _with_signature(due)
        self._timer: AsyncIOScheduler = _Timer()

    def start(self) -> None:
        """Begin to call; needs a running event loop."""
        self._timer.start()

    def stop(self) -> None:
        """Call no more."""
        if self._timer.running:
            self._timer.shutdown(wait=False)

    def quiet(self) -> "_Quiet":
        """A `with` block in which many tasks are set with one wake-up at its end."""
        return _Quiet(self._timer)

    def set(self, task_id: str, when: datetime, trigger: Trigger) -> None:
        """Make `when` the next fire of a task; those after it follow its trigger."""
        self._add(task_id, when, _Following(trigger), self._due)

    def once(self, key: str, when: datetime, call: Callable[[str], None]) -> None:
        """Call `call(key)` at `when`; `key` must not be a task's id."""
        self._add(key, when, DateTrigger(when), _with_signature(call))

    def remove(self, task_id: str) -> None:
        """Forget a task's fires."""
        try:
            self._timer.remove_job(task_id)
        except JobLookupError:
            pass

    def next_fire(self, task_id: str) -> datetime | None:
        """The fire a task waits for, as far as it is set here."""
        job = self._timer.get_job(task_id)
        return job.next_run_time.astimezone(UTC) if job else None

    def _add(self, key: str, when: datetime, trigger: Any, call: Callable[[str], None]) -> None:
        self._timer.add_job(
            call, trigger, args=(key,), id=key, name=key, next_run_time=when,
            misfire_grace_time=None, coalesce=False, max_instances=1, replace_existing=True,
        )  # fmt: skip


def _with_signature(call: Callable[[str], None]) -> Callable[[str], None]:
    """The same with its signature beside it.

    APScheduler looks at the signature of each job's function, which of a bound method takes 90 µs
    of the 107 that `add_job` does: a second for ten thousand tasks. So it takes 18.
    """
    made: Any = functools.partial(call)
    made.__signature__ = _SIGNATURE
    return made  # type: ignore[no-any-return]


class _Timer(AsyncIOScheduler):
    def __init__(self) -> None:
        super().__init__(  # type: ignore[no-untyped-call]
            timezone=UTC,
            executors={"default": _Submit()},  # type: ignore[no-untyped-call]
        )

    def _start_timer(self, wait_seconds: float | None) -> None:
        # There is no public way to make a wait longer; `wakeup` would only make it shorter.
        super()._start_timer(bounded(wait_seconds))  # type: ignore[no-untyped-call]


def bounded(wait_seconds: float | None) -> float | None:
    """How long is really waited where a wait of so long is asked for; None: until woken."""
    if wait_seconds is None:
        return None
    return min(max(wait_seconds, SHORTEST_SLEEP), LONGEST_SLEEP)


class _Quiet:
    def __init__(self, timer: AsyncIOScheduler) -> None:
        self._timer = timer

    def __enter__(self) -> None:
        if self._timer.running:
            self._timer.pause()

    def __exit__(self, *_: object) -> None:
        if self._timer.running:
            self._timer.resume()


class _Following(BaseTrigger):
    """A task's trigger as APScheduler asks it: from a fire on, the first one after now.

    Fires between the two are late; they are found and accounted for when the task is claimed.
    """

    __slots__ = ("trigger",)

    def __init__(self, trigger: Trigger) -> None:
        self.trigger = trigger

    def get_next_fire_time(
        self, previous_fire_time: datetime | None, now: datetime
    ) -> datetime | None:
        after = max(previous_fire_time, now) if previous_fire_time else now
        return self.trigger.next_fire(after)


class _Submit(BaseExecutor):
    """Calls the job's function at once: it only notes that a task is due."""

    def submit_job(self, job: Job, run_times: list[datetime]) -> None:
        job.func(*job.args)

    def _do_submit_job(self, job: Job, run_times: list[datetime]) -> None:
        raise NotImplementedError("submit_job does all there is to do")
