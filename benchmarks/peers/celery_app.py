"""A Celery application whose beat has many entries of one second; for `celery --app`.

The variables below say how many entries there are and on which port Redis listens.
"""

import os

from celery import Celery

from benchmarks.peers import CELERY_ENTRIES_VARIABLE, REDIS_PORT_VARIABLE
from benchmarks.record import from_environment, now

_writer = from_environment()
_redis = f"redis://127.0.0.1:{os.environ[REDIS_PORT_VARIABLE]}/0"


def noop() -> None:
    """Notes that it was called: Celery tells a task nothing of when it was due."""
    if _writer:
        moment = now()
        _writer.note(moment, moment)


app = Celery("benchmarks", broker=_redis)
app.task(noop, name="noop", ignore_result=True)
app.conf.update(
    redbeat_redis_url=_redis,
    worker_hijack_root_logger=False,
    beat_schedule={
        f"entry-{index:05}": {"task": "noop", "schedule": 1.0}
        for index in range(int(os.environ[CELERY_ENTRIES_VARIABLE]))
    },
)
