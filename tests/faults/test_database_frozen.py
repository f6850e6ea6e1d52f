"""MariaDB frozen with SIGSTOP: it holds every connection and answers nothing."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx

from tests.acceptance.process import wait_for
from tests.faults.evidence import read_runs
from tests.faults.lab import Lab, moment
from tests.faults.load import Load
from tests.faults.service import Server, Service

POOL = 16
"""The service's connections to the database, in all its pools together, at most."""

ANSWER_LIMIT = 40.0
"""Seconds within which a request is answered: the pool's time limit and two of the driver's."""

LIVE_LIMIT = 5.0
THREADS_BESIDE = 30
"""Threads that it may have beside one for each instance of a task that may run: late fires of a
task that doesn't fold begin together. A leak would add some for each freeze."""


def test_database_frozen(server: Server, make_lab: Callable[[str], Lab]) -> None:
    lab = make_lab(server.create_database())
    lab.declare_many(10)
    service = lab.service()
    spans = [5.0, 30.0, 90.0] * 5 if lab.is_long else [13.0]
    threads: list[int] = []
    with Load(lab, service) as load:
        lab.start(service)
        load.go_on()
        lab.grows(by=2 * len(lab.expected))
        threads.append(service.threads())
        for span in spans:
            began = moment()
            server.freeze()
            frozen = moment()
            lab.faults[f"MariaDB frozen for {span:.0f} s"] += 1
            try:
                slowest, statuses, live = _ask(service, span)
            finally:
                server.thaw()
            quiet = moment()
            lab.troubles.append((began, quiet))
            assert 500 not in statuses, statuses
            assert 503 in statuses or span < 10, statuses
            assert slowest < ANSWER_LIMIT
            assert live < LIVE_LIMIT
            unrecorded = [
                run for run in read_runs(lab.evidence)
                if run.fire and run.fire > frozen and run.begin < quiet
            ]  # fmt: skip
            assert not unrecorded, f"FAULTS_SEED={lab.seed}: ran unrecorded: {unrecorded[:3]}"
            lab.grows()
            service.wait_until_ready()
            lab.troubles[-1] = (began, moment())
            load.go_on()
            wait_for("the pool is as before", lambda: server.connections(lab.url) <= POOL)
            threads.append(service.threads())
        lab.seen.append(f"/health/live within {live:.2f} s, others within {slowest:.1f} s")
    lab.seen.append(f"threads {threads[0]} before, {threads[-1]} after")
    most = THREADS_BESIDE + sum(
        task.max_instances for task in lab.expected.values() if task.oracle is not None
    )
    wait_for("no thread is left over", lambda: service.threads() <= most)
    lab.finish()
    load.check()


def _ask(service: Service, span: float) -> tuple[float, set[int], float]:
    """Ask for this long; the slowest answer, the statuses, and the slowest of `/health/live`."""
    end = time.monotonic() + span
    paths = ("/task-manage/", "/task-manage/task-1", "/health/ready", "/sync")
    with httpx.Client(base_url=service.http.base_url, timeout=2 * ANSWER_LIMIT) as client:

        def get(path: str) -> tuple[float, int]:
            began = time.monotonic()
            status = client.get(path).status_code
            return time.monotonic() - began, status

        def ask(path: str) -> list[tuple[float, int]]:
            answers = []
            while time.monotonic() < end:
                answers.append(get(path))
            return answers

        live = 0.0
        with ThreadPoolExecutor(len(paths)) as pool:
            asked = [pool.submit(ask, path) for path in paths]
            while time.monotonic() < end:
                seconds, status = get("/health/live")
                assert status == 200
                live = max(live, seconds)
                time.sleep(0.2)
            answers = [answer for one in asked for answer in one.result()]
    return max(answers)[0], {status for _, status in answers}, live
