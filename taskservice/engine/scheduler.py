"""The only user of AsyncIOScheduler: a timer that says which tasks are due."""

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


_NO_ARGUMENTS: dict[str, Any] = {}


class Scheduler:
    """Calls `due(task_id)` on the event loop when a task's next fire has come.

    It decides nothing: which fires are claimed is a matter of the database. Everything here is
    in memory and can be set again at any time, once it was started.
    """

    def __init__(self, due: Callable[[str], None]) -> None:
        self._due = due
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
        self._add(task_id, when, _Following(trigger), self._due, task_id)

    def once(self, key: str, when: datetime, call: Callable[[str], None]) -> None:
        """Call `call(key)` at `when`; `key` must not be a task's id."""
        self._add(key, when, DateTrigger(when), call, key)

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

    def _add(self, key: str, when: datetime, trigger: Any, call: Any, argument: str) -> None:
        # As `add_job` does it, but for the checks: they look at the function's signature anew for
        # each job, which takes most of the time to schedule thousands.
        job = Job.__new__(Job)
        job._scheduler = self._timer
        job.id = job.name = key
        job.func, job.func_ref = call, None
        job.args, job.kwargs = (argument,), _NO_ARGUMENTS
        job.trigger = trigger
        job.executor = "default"
        job.misfire_grace_time, job.coalesce, job.max_instances = None, False, 1
        job.next_run_time = when
        self._timer._real_add_job(job, "default", True)


class _Timer(AsyncIOScheduler):
    def __init__(self) -> None:
        super().__init__(  # type: ignore[no-untyped-call]
            timezone=UTC,
            executors={"default": _Submit()},  # type: ignore[no-untyped-call]
        )

    def _start_timer(self, wait_seconds: float | None) -> None:
        if wait_seconds is not None:
            wait_seconds = min(max(wait_seconds, SHORTEST_SLEEP), LONGEST_SLEEP)
        super()._start_timer(wait_seconds)  # type: ignore[no-untyped-call]


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
