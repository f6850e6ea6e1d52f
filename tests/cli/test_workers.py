"""`workers` against a real service, and what it says of a queue that nobody serves."""

import json

import pytest

from taskservice.cli.workers import queue_row, worker_row
from tests.acceptance.process import ServiceProcess
from tests.cli.conftest import Cli
from tests.web.bodies import hourly


def test_the_service_and_the_queues_are_listed(cli: Cli, service: ServiceProcess) -> None:
    assert cli.ok("workers").count("\n") == 2
    service.send("POST", "/task-manage/", 201, json=hourly(id="t", queue="reports"))
    heading, row, blank, queues, queue = cli.ok("workers").splitlines()
    assert heading.split() == ["NAME", "KIND", "STATE", "QUEUES", "RUNNING", "SINCE", "HEARD"]
    assert row.split()[1:5] == ["service", "alive", "-", "0"]
    assert (blank, queues) == ("", "QUEUE    WORKERS  WAITING  THE FIRST SINCE")
    assert queue.split() == ["reports", "0", "0", "-"]
    found = json.loads(cli.ok("workers", "--output", "json"))
    assert [one["name"] for one in found["queues"]] == ["reports"]
    assert [one["kind"] for one in found["workers"]] == ["service"]


@pytest.mark.parametrize(("serving", "told"), [(0, "none"), (2, 2)])
def test_a_queue_that_nobody_serves_says_so(serving: int, told: object) -> None:
    queue = {"name": "q", "workers": serving, "waiting": 3, "oldest": None}
    assert queue_row(queue) == ("q", told, 3, "-")


def test_a_worker_tells_its_places() -> None:
    worker = {
        "name": "host:1:a", "kind": "worker", "state": "dead", "queues": ["a", "b"],
        "running_count": 3, "concurrency": 4, "since": None, "heard_at": None,
    }  # fmt: skip
    _, kind, state, queues, running, *_ = worker_row(worker)
    assert (kind, str(state), queues, running) == ("worker", "dead", "a, b", "3 of 4")
