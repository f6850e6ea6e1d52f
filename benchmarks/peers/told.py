"""APScheduler's executor for coroutines, which also tells a job when it was due.

Jobs don't learn that by themselves, and its lateness is what is measured. It costs a context
variable a fire; the rest is APScheduler's own.
"""

from contextvars import ContextVar
from datetime import datetime
from typing import Any

from apscheduler.executors.asyncio import AsyncIOExecutor

scheduled: ContextVar[datetime] = ContextVar("scheduled")
"""When the job that runs here was due."""


class ToldExecutor(AsyncIOExecutor):
    """Runs each job in a context that has its scheduled time."""

    def _do_submit_job(self, job: Any, run_times: list[datetime]) -> None:
        scheduled.set(run_times[-1])
        super()._do_submit_job(job, run_times)  # type: ignore[no-untyped-call]
