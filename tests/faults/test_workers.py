"""Executions on workers, on a real Redis and a real RabbitMQ, with everything breaking.

The failures are those of `storm`, in an order left to chance; they are judged together.
"""

import os
import time
from collections.abc import Callable

import pytest

from tests.acceptance.process import wait_for
from tests.brokers import Broker
from tests.faults.lab import Lab
from tests.faults.planted import eight_second_lease, planted
from tests.faults.service import COMMAND, Server
from tests.faults.site import Site
from tests.faults.storm import LONG, SHORT, Storm
from tests.faults.worker import WORKER

LIMIT_SECONDS = 24 * 3600 if os.environ.get("FAULTS_LENGTH") == "long" else 300


@pytest.mark.timeout(LIMIT_SECONDS)
def test_workers_in_a_storm(broker: Broker, server: Server, make_lab: Callable[[str], Lab]) -> None:
    lab = make_lab(server.create_database())
    site = Site(
        lab,
        broker,
        command=COMMAND if lab.is_long else planted(eight_second_lease),
        worker_command=WORKER if lab.is_long else planted(eight_second_lease, command="worker"),
    )
    storm = Storm(site, server)
    storm.start()
    to_do = list((LONG if lab.is_long else SHORT)[type(broker)])
    unserved = storm.trigger("by-hand-nobody")
    for _ in range(lab.length(1, 100)):
        lab.random.shuffle(to_do)
        for harm in to_do:
            began = time.monotonic()
            harm(storm)
            print(f"{harm.__name__} {time.monotonic() - began:.1f} s")
    given_up = site.ended(unserved)
    assert given_up.word == "unstarted", given_up
    # Its message is still there: nothing comes of it.
    late = site.worker(queues=site.nobodys_queue)
    site.ready(late)
    wait_for("it is taken", lambda: broker.waiting(site.nobodys_queue) == 0)
    site.finish(storm.service)
