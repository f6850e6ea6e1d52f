"""A Celery application whose beat has many entries of one second, for the same work as ours.

The variables say how many entries there are and which broker it has. Unlike what a user would
write, the scheduler tells each message when its entry was due: a second after it was sent last.
"""

import copy
import os
import time
from typing import Any

from celery import Celery
from celery.beat import PersistentScheduler

from benchmarks.peers import BROKER_VARIABLE, CELERY_ENTRIES_VARIABLE
from benchmarks.record import note_shared

app = Celery("benchmarks", broker=os.environ[BROKER_VARIABLE])
app.conf.update(
    broker_connection_retry_on_startup=True,
    task_ignore_result=True,
    worker_hijack_root_logger=False,
    beat_schedule={
        f"entry-{index:05}": {"task": "sent", "schedule": 1.0}
        for index in range(int(os.environ[CELERY_ENTRIES_VARIABLE]))
    },
)


@app.task(name="sent", bind=True)  # type: ignore[untyped-decorator]
def sent(task: Any) -> None:
    """Notes its fire."""
    called = time.time()
    note_shared(float(task.request.due), called)


class Told(PersistentScheduler):  # type: ignore[misc]
    """Beat's own scheduler, whose messages say when they were due."""

    def apply_async(self, entry: Any, *args: Any, **options: Any) -> Any:
        """Send an entry's message."""
        due = entry.last_run_at.timestamp() + entry.schedule.run_every.total_seconds()
        # A copy: the schedule would be compared as a changed one, and all of it sorted anew.
        told = copy.copy(entry)
        told.options = {**entry.options, "headers": {"due": due}}
        return super().apply_async(told, *args, **options)
