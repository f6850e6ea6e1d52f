"""What a worker's pool adds to Celery's."""

import sys
import time
from pathlib import Path

from taskservice.engine.celery.app import EXECUTE, make_app
from tests.acceptance.process import wait_for
from tests.brokers import Redis
from tests.engine.celery_process import QUEUE
from tests.processes import Group

COUNT = 30


def test_on_redis_the_next_message_is_fetched_as_soon_as_a_place_is_free(tmp_path: Path) -> None:
    """Celery alone fetches one a second and place, so long as all are busy."""
    log = tmp_path / "output"

    def taken() -> int:
        return len([line for line in log.read_text().splitlines() if line.startswith("id-")])

    with Redis() as redis:
        app = make_app(redis.url, is_amqp=False, queue=QUEUE, sends=True)
        app.send_task(EXECUTE, ("id-0",))
        worker = Group([sys.executable, "-m", "tests.engine.celery_process", redis.url], log=log)
        try:
            wait_for("the worker works", taken, seconds=60)
            began = time.monotonic()
            for number in range(1, COUNT):
                app.send_task(EXECUTE, (f"id-{number}",))
            wait_for("all are taken", lambda: taken() == COUNT, seconds=60)
            assert time.monotonic() - began < COUNT / 3
        finally:
            worker.kill()
            app.close()
