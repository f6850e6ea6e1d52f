"""A worker of Celery's with the service's settings, `python -m tests.engine.celery_process URL`.

It executes nothing, and prints a line for each message that it gets.
"""

import sys
import time

from taskservice.engine.celery.app import EXECUTE, make_app, queue

QUEUE = "some"

if __name__ == "__main__":
    app = make_app(sys.argv[1], is_amqp=False, queue=QUEUE, sends=False)
    app.conf.task_queues = [queue(QUEUE, is_amqp=False)]

    @app.task(name=EXECUTE)  # type: ignore[untyped-decorator]
    def execute(execution_id: str) -> None:
        """Say which execution it is, and take long enough for its place to be missed."""
        time.sleep(0.02)
        print(execution_id, flush=True)

    options = ["--concurrency", "1", "--without-gossip", "--without-mingle", "--loglevel", "ERROR"]
    app.worker_main(["--quiet", "worker", *options])
