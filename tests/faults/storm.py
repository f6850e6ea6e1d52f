"""What is done to services, workers, brokers and databases, one thing after another.

Each function does one kind of harm, counts it, and returns when what it promises is there again;
whether every execution is accounted for is judged at the end of the round.
"""

import os
import re
import resource
import signal
from collections.abc import Callable, Mapping
from pathlib import Path

from celery import Celery

from tests.acceptance.process import wait_for
from tests.brokers import Broker, RabbitMQ, Redis
from tests.faults.checker import rewritten
from tests.faults.evidence import Run
from tests.faults.lab import moment
from tests.faults.log import read_log
from tests.faults.proxy import Proxy
from tests.faults.service import Server, Service
from tests.faults.site import CONCURRENCY, ON_AGAIN, Site
from tests.faults.worker import Worker

EXECUTE = "taskservice.execute"
"""The name of Celery's task, which each message has in it."""

AT_ONCE = 10.0
"""A child that dies closes its row at once; a busy machine needs some seconds."""

CLOSED_LIMIT = 60.0
POISON: tuple[tuple[object, ...], ...] = ((), (7,), (None,), ("no-such-id",), ("x" * 100_000,))


class Storm:
    """A round with two services, two workers, and a wire to the broker for either pair."""

    def __init__(self, site: Site, server: Server) -> None:
        self.site, self.lab, self.broker, self.server = site, site.lab, site.broker, server
        stack = self.lab.stack
        mark = EXECUTE.encode()
        self.services_wire = stack.enter_context(Proxy(self.broker.port, mark=mark))
        self.workers_wire = stack.enter_context(Proxy(self.broker.port))
        self.services = [
            site.service(broker_url=wired(self.broker, self.services_wire)) for _ in range(2)
        ]

    def start(self) -> None:
        """Start all of them; returns when executions run."""
        site = self.site
        site.declare_many()
        for _ in range(2):
            self.worker()
        for service in self.services:
            self.lab.start(service)
        site.ready()
        self.goes_on()

    def worker(self) -> Worker:
        """Another worker, which may not serve yet."""
        return self.site.worker(broker_url=wired(self.broker, self.workers_wire))

    @property
    def service(self) -> Service:
        """One of the services that live."""
        return next(service for service in self.services if service.alive)

    def trigger(self, task_id: str) -> str:
        """Run a task now; the execution's id."""
        return self.site.trigger(self.service, task_id)

    def goes_on(self, by: int = 6) -> None:
        """Wait until fires run again."""
        self.lab.grows(by=by, seconds=ON_AGAIN)


def child_killed(storm: Storm) -> None:
    """The row is closed at once, and says why."""
    run = _running(storm, "by-hand-long")
    assert run.child is not None
    os.kill(run.child, signal.SIGKILL)
    storm.lab.deaths[run.child] = moment()
    storm.lab.faults["kill -9 of the child in mid-run"] += 1
    row = storm.site.ended(run.execution, AT_ONCE)
    assert row.word == "interrupted", row


def worker_killed(storm: Storm) -> None:
    """Its rows are closed when its lease is over."""
    run = _running(storm, "by-hand-long")
    storm.site.kill(storm.site.worker_of(run))
    storm.site.ready(storm.worker())
    row = storm.site.ended(run.execution, CLOSED_LIMIT)
    assert row.word == "interrupted", row


def worker_out_of_memory(storm: Storm) -> None:
    """It may die of that or not; what it had is accounted for, and others go on."""
    worker = storm.lab.random.choice(storm.site.workers)
    limits = resource.prlimit(worker.pid, resource.RLIMIT_AS)
    size = int(Path(f"/proc/{worker.pid}/statm").read_text().split()[0]) * resource.getpagesize()
    resource.prlimit(worker.pid, resource.RLIMIT_AS, (size, limits[1]))
    # It may be too late with its lease.
    storm.lab.excused.add(worker.pid)
    storm.lab.faults["no more memory for a worker"] += 1
    storm.goes_on(12)
    if worker.alive:
        resource.prlimit(worker.pid, resource.RLIMIT_AS, limits)
        storm.site.consumes(worker, moment())
    else:
        storm.lab.deaths[worker.pid] = moment()
        storm.site.workers.remove(worker)
        storm.site.ready(storm.worker())


def worker_frozen(storm: Storm) -> None:
    """Frozen beyond its lease while a function's module is imported: it must not be called then."""
    site, lab = storm.site, storm.lab
    for _ in range(5):
        execution, worker = site.taken(storm.service)
        lab.excused.add(worker.pid)
        worker.freeze()
        if not any(run.execution == execution for run in site.runs()):
            break
        # On a busy machine it may come too late.
        worker.thaw()
        site.ended(execution)
    else:
        raise AssertionError("no worker could be frozen before it called the function")
    lab.faults["a worker frozen beyond its lease"] += 1
    row = site.ended(execution, CLOSED_LIMIT)
    assert row.word == "interrupted", row
    before = read_log(lab.url)
    thawed = moment()
    worker.thaw()
    storm.site.consumes(worker, thawed)
    lab.violations += rewritten(before, read_log(lab.url))


def delivered_again(storm: Storm) -> None:
    """While it runs its message comes again, from a broker and from elsewhere."""
    run = _running(storm, "by-hand-short")
    send_again(storm.site, run.execution, times=3)
    if isinstance(storm.broker, RabbitMQ):
        # What has not been acknowledged goes to whoever consumes.
        storm.workers_wire.reset()
        storm.lab.faults["redelivery by RabbitMQ while it runs"] += 1
    elif isinstance(storm.broker, Redis):
        with storm.broker.client() as client:
            for tag in client.zrange("unacked_index", 0, -1):
                client.zincrby("unacked_index", -1e9, tag)
                storm.lab.faults["redelivery by Redis while it runs"] += 1
    row = storm.site.ended(run.execution)
    assert row.status == "completed", row


def service_killed(storm: Storm) -> None:
    """At any moment: the other one goes on with what this one had begun."""
    victim = storm.lab.random.choice(storm.services)
    executions = [storm.site.trigger(victim, "by-hand") for _ in range(5)]
    storm.lab.pause(0, 0.1)
    with storm.site.trouble():
        storm.lab.kill(victim)
        storm.goes_on()
    storm.lab.start(victim)
    # What was not sent is sent after ten seconds: a short round goes on meanwhile.
    for execution in executions if storm.lab.is_long else []:
        row = storm.site.ended(execution)
        assert row.status == "completed", row


def service_killed_before_it_sends(storm: Storm) -> None:
    """Between the commit of a row and its message: it is sent by whoever schedules next."""
    victim = storm.lab.random.choice(storm.services)
    with storm.site.trouble():
        storm.broker.freeze()
        execution = storm.site.trigger(victim, "by-hand")
        storm.lab.kill(victim, "kill -9 of the service between commit and send")
        storm.broker.thaw()
        storm.lab.start(victim)
    row = storm.site.ended(execution)
    assert row.status == "completed", row


def broker_killed(storm: Storm) -> None:
    """Around the answer to what was sent to it."""
    with storm.site.trouble():
        storm.services_wire.cut_commits = 1
        storm.services_wire.wait_for_cuts()
        storm.broker.kill()
        storm.lab.faults["kill -9 of the broker before its answer"] += 1
        storm.broker.start()
        storm.goes_on()


def redis_restored(storm: Storm) -> None:
    """From an old snapshot: what was sent since is lost, what was taken since is there again."""
    assert isinstance(storm.broker, Redis)
    site = storm.site

    def many() -> list[str]:
        """More than the workers have places for, so that some wait as messages."""
        places = CONCURRENCY * len(site.workers)
        ahead = [storm.trigger("by-hand-short") for _ in range(places)]
        behind = [storm.trigger("by-hand") for _ in range(places)]
        wait_for("messages wait", lambda: storm.broker.waiting(site.queue) > 0, seconds=30)
        return ahead + behind

    old = many()
    snapshot = storm.broker.snapshot()
    storm.lab.faults["messages resurrected"] += storm.broker.waiting(site.queue)
    for execution in old:
        site.ended(execution)
    with site.trouble():
        new = many()
        storm.lab.faults["messages lost"] += storm.broker.waiting(site.queue)
        storm.broker.restore(snapshot)
        storm.lab.faults["Redis restored from a snapshot"] += 1
        storm.goes_on()
        for execution in new if storm.lab.is_long else []:
            site.ended(execution)


def black_hole(storm: Storm) -> None:
    """What is sent to the broker is swallowed, for longer than a sender waits, or not so long."""
    seconds = storm.lab.random.choice((2, 5, 13) if storm.lab.is_long else (2, 4))
    with storm.site.trouble():
        storm.services_wire.black = True
        execution = storm.trigger("by-hand")
        storm.lab.pause(seconds, seconds + 1)
        storm.services_wire.black = False
        storm.lab.faults["a broker that swallows what is sent"] += 1
        row = storm.site.ended(execution)
        assert row.word in (None, "unsent"), row
        storm.goes_on()


def connections_reset(storm: Storm) -> None:
    """The workers consume again unaided."""
    with storm.site.trouble():
        storm.workers_wire.reset()
        began = moment()
        storm.lab.faults["the workers' connections reset"] += 1
        for worker in storm.site.workers:
            storm.site.consumes(worker, began)


def database_away(storm: Storm) -> None:
    """At the end of a run: the end is written when it is back."""
    run = _running(storm, "by-hand-short")
    with storm.site.trouble():
        frozen = storm.lab.random.random() < 0.5
        if frozen:
            storm.server.freeze()
        else:
            storm.server.kill()
        storm.lab.faults["the database away at the end of a run"] += 1
        wait_for(
            "it comes to its end",
            lambda: any(one.execution == run.execution and one.end for one in storm.site.runs()),
        )
        if frozen:
            storm.server.thaw()
        else:
            storm.server.start()
        row = storm.site.ended(run.execution)
        assert row.status == "completed", row
        storm.goes_on()


def cancelled(storm: Storm) -> None:
    """Queued and running, and all workers restart meanwhile."""
    site = storm.site
    run = _running(storm, "by-hand-long")
    taken, _ = site.taken(storm.service)
    with site.trouble():
        _cancel(storm, run.execution, "a cancel while it runs")
        _cancel(storm, taken, "a cancel before its function is called")
        for worker in list(site.workers):
            site.kill(worker, "kill -9 of all workers")
        queued = storm.trigger("by-hand")
        _cancel(storm, queued, "a cancel in the queue")
        for _ in range(2):
            storm.worker()
        site.ready()
        storm.goes_on()


def worker_stopped(storm: Storm) -> None:
    """What ends within the grace does; the rest is marked, and what it had not begun others do."""
    site = storm.site
    runs = [_running(storm, task_id) for task_id in ("by-hand-long", "by-hand-short")]
    victims = {site.worker_of(run) for run in runs}
    for worker in victims:
        # What is queued behind what runs there is not its to begin.
        site.terminate(worker)
        storm.lab.faults["SIGTERM of a worker"] += 1
        storm.worker()
    site.ready()
    long, short = (site.ended(run.execution) for run in runs)
    assert (long.word, short.status) == ("interrupted", "completed"), (long, short)


def poisoned(storm: Storm) -> None:
    """Messages that mean nothing: the workers pass over them."""
    app = Celery(broker=storm.broker.url, set_as_current=False)
    with app.connection_for_write() as connection:
        given = {"queue": storm.site.queue, "connection": connection, "ignore_result": True}
        for arguments in POISON:
            app.send_task(EXECUTE, arguments, **given)
            app.send_task(EXECUTE, (), {"execution_id": "x", "more": 1}, **given)
        app.send_task("no.such.task", (), **given)
        producer = connection.Producer()
        for body, kind in ((b"\x80\x04N.", "application/x-python-serialize"), (b"{", "text/x")):
            producer.publish(
                body, routing_key=storm.site.queue, content_type=kind, content_encoding="binary"
            )
    storm.lab.faults["poison messages"] += 2 * len(POISON) + 3
    wait_for("all is taken", lambda: storm.broker.waiting(storm.site.queue) == 0, seconds=ON_AGAIN)
    began = moment()
    for worker in storm.site.workers:
        storm.site.consumes(worker, began)


def long_jobs_ahead(storm: Storm) -> None:
    """What waits behind them is begun in time, or given up in time."""
    places = CONCURRENCY * len(storm.site.workers)
    ahead = [storm.trigger("by-hand-short") for _ in range(places)]
    behind = [storm.trigger("by-hand") for _ in range(2 * places)]
    storm.lab.faults["executions behind long ones"] += len(behind)
    for execution in ahead + behind:
        storm.site.ended(execution)


def function_missing(storm: Storm) -> None:
    """The services have a function that no worker has: its row says so."""
    execution = storm.trigger("by-hand-missing")
    storm.lab.faults["a function that is missing on the worker"] += 1
    row = storm.site.ended(execution)
    assert row.status == "failed" and row.error and "service_fault_jobs" in row.error, row


Harm = Callable[[Storm], None]

ALL: tuple[Harm, ...] = (
    child_killed,
    worker_killed,
    worker_out_of_memory,
    worker_frozen,
    delivered_again,
    service_killed,
    service_killed_before_it_sends,
    broker_killed,
    black_hole,
    connections_reset,
    database_away,
    cancelled,
    worker_stopped,
    poisoned,
    function_missing,
    long_jobs_ahead,
)
LONG: Mapping[type[Broker], tuple[Harm, ...]] = {Redis: (*ALL, redis_restored), RabbitMQ: ALL}
SHORT: Mapping[type[Broker], tuple[Harm, ...]] = {
    Redis: (
        redis_restored,
        delivered_again,
        connections_reset,
        black_hole,
        worker_killed,
        worker_frozen,
        service_killed,
        cancelled,
    ),
    RabbitMQ: (
        broker_killed,
        delivered_again,
        connections_reset,
        service_killed_before_it_sends,
        database_away,
        worker_stopped,
        child_killed,
        function_missing,
        poisoned,
    ),
}
"""What is the same with each broker is done with one of them."""


def wired(broker: Broker, wire: Proxy) -> str:
    """The broker's URL by way of a wire."""
    return re.sub(rf":{broker.port}\b", f":{wire.port}", broker.url)


def send_again(site: Site, execution: str, *, times: int) -> None:
    """Send the message of an execution that runs, as anybody may who reaches the broker."""
    app = Celery(broker=site.broker.url, set_as_current=False)
    with app.connection_for_write() as connection:
        for _ in range(times):
            app.send_task(
                EXECUTE, (execution,), task_id=execution, queue=site.queue,
                connection=connection, ignore_result=True,
            )  # fmt: skip
            site.lab.faults["a message sent again while it runs"] += 1


def _running(storm: Storm, task_id: str) -> Run:
    """A run by hand that has begun."""
    return storm.site.begun(storm.trigger(task_id))


def _cancel(storm: Storm, execution: str, fault: str) -> None:
    task_id = storm.site.row(execution).task_id
    path = f"/task-manage/{task_id}/logs/{execution}/cancel"
    answer = storm.service.send("POST", path, 200)
    storm.lab.faults[fault] += 1
    assert answer["status"] == "cancelled", answer
    assert storm.site.row(execution).status == "cancelled"
