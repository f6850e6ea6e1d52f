"""Three services on one MariaDB: one schedules, all serve; they are killed, frozen, and out of
time with one another."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from tests.acceptance.process import wait_for
from tests.faults.clock import Clock
from tests.faults.evidence import SECOND, Run, read_runs
from tests.faults.lab import Lab, moment
from tests.faults.planted import planted, short_lease
from tests.faults.service import COMMAND, Server, Service

REPLICAS = 3
AHEAD_SECONDS = 5
KILL_LIMIT, FREEZE_LIMIT, CHANGE_LIMIT = 20.0, 80.0, 15.0
"""What is promised is 2 s after a kill, 40 s after a freeze, and 1 s after a change, at rest."""


def test_replicas_killed(server: Server, clock: Clock, make_lab: Callable[[str], Lab]) -> None:
    lab = make_lab(server.create_database())
    lab.declare_many(10)
    # One of the three is five seconds ahead of the others.
    clock.set(AHEAD_SECONDS)
    services = [lab.service(), lab.service(), lab.service(clock.environ)]
    for service in services:
        lab.start(service)
    slowest = 0.0
    for _ in range(lab.length(3, 100)):
        lab.pause(1, lab.length(3, 10))
        leader = _leader(services)
        victim = leader if lab.random.random() < 0.6 else lab.random.choice(services)
        began = moment()
        lab.kill(victim, "kill -9 of the one that schedules" if victim is leader else "kill -9")
        if victim is leader:
            seconds = _taken_over(lab, services, leader, KILL_LIMIT + AHEAD_SECONDS)
            # After the one that was ahead, there is nothing due to the others for that long.
            slowest = max(slowest, 0 if victim is services[-1] else seconds)
        else:
            lab.grows(by=5)
        lab.troubles.append((began, moment()))
        lab.start(victim)
    assert slowest < KILL_LIMIT
    lab.seen.append(f"takeover {slowest:.1f} s after a kill at most")
    lab.finish(skew=AHEAD_SECONDS * SECOND)


def test_replica_frozen(server: Server, make_lab: Callable[[str], Lab]) -> None:
    lab = make_lab(server.create_database())
    lab.declare_many(10)
    command = COMMAND if lab.is_long else planted(short_lease)
    services = [lab.service(command=command) for _ in range(REPLICAS)]
    for service in services:
        lab.start(service)
    slowest = 0.0
    for _ in range(lab.length(1, 5)):
        lab.grows(by=10)
        leader = _leader(services)
        began = moment()
        leader.freeze()
        lab.faults["the one that schedules frozen"] += 1
        lab.excused.add(leader.pid)
        slowest = max(slowest, _taken_over(lab, services, leader, FREEZE_LIMIT))
        lab.pause(0, lab.length(5, 20))
        leader.thaw()
        lab.troubles.append((began, moment()))
        leader.wait_until_ready()
        _leader(services)
        lab.grows(by=10)
    lab.seen.append(f"takeover {slowest:.1f} s after a freeze at most")
    lab.finish()


def test_replicas_all_serve(server: Server, make_lab: Callable[[str], Lab]) -> None:
    """What is changed through any of them is scheduled; what is triggered there runs there."""
    lab = make_lab(server.create_database())
    lab.declare("by-hand", max_instances=99)
    services = [lab.service() for _ in range(REPLICAS)]
    for service in services:
        lab.start(service)
    _leader(services)
    slowest = 0.0
    for number in range(lab.length(2, 20)):
        for index, service in enumerate(services):
            task_id = f"changed-{number}-{index}"
            lab.declare(task_id, every=0.5)
            # The file's task is paused and resumed through one replica, and known to all.
            wait_for("it runs", partial(_runs_of, lab, task_id, 0))
            service.send("POST", f"/task-manage/{task_id}/pause", 200)
            wait_for("it is quiet", partial(_is_quiet, lab, task_id), seconds=CHANGE_LIMIT)
            before = len(_runs_of(lab, task_id, 0))
            began = time.monotonic()
            service.send("POST", f"/task-manage/{task_id}/resume", 200)
            wait_for("it runs again", partial(_runs_of, lab, task_id, before), seconds=CHANGE_LIMIT)
            slowest = max(slowest, time.monotonic() - began)
            service.send("POST", f"/task-manage/{task_id}/pause", 200)
            # A task that was paused now and then has no oracle; all else holds for it.
            lab.expected[task_id] = replace(lab.expected[task_id], oracle=None)
            _runs_where_it_was_asked(lab, service)
    lab.seen.append(f"a change is live after {slowest:.1f} s at most")
    lab.finish()


def _runs_where_it_was_asked(lab: Lab, service: Service) -> None:
    execution = service.send("POST", "/task-manage/by-hand/trigger", 202)["id"]
    found = wait_for(
        "it ran",
        lambda: [run for run in read_runs(lab.evidence) if run.execution == execution and run.end],
    )
    lab.faults["triggered by hand"] += 1
    if [run.pid for run in found] != [service.pid]:
        lab.violations.append(f"elsewhere: {service.pid} was asked, and it ran in {found}")


def _leader(services: Sequence[Service]) -> Service:
    """The one that schedules, by the word of all that live."""

    def agreed() -> Service | None:
        answers = [one.http.get("/sync") for one in services if one.alive]
        # While it is taken over there may be none for a moment.
        named = {one.json()["scheduler"] for one in answers if one.status_code == 200}
        if len(named) != 1 or None in named:
            return None
        pid = int(named.pop().rpartition(":")[2])
        return next((one for one in services if one.alive and one.pid == pid), None)

    return wait_for("all name one of them as the scheduler", agreed, seconds=FREEZE_LIMIT)


def _taken_over(lab: Lab, services: Sequence[Service], gone: Service, limit: float) -> float:
    """Wait until others than the one that is gone run what comes due; how long that took."""
    others = {one.pid for one in services if one.alive and one is not gone}
    began = time.monotonic()

    def runs() -> int:
        return sum(1 for run in read_runs(lab.evidence) if run.pid in others and run.fire)

    before = runs()
    wait_for("another one schedules", lambda: runs() > before, seconds=limit)
    return time.monotonic() - began


def _runs_of(lab: Lab, task_id: str, more_than: int) -> list[Run]:
    """Its runs, if there are more than so many."""
    found = [run for run in read_runs(lab.evidence) if run.task_id == task_id]
    return found if len(found) > more_than else []


def _is_quiet(lab: Lab, task_id: str) -> bool:
    """Whether it has not begun for two of its intervals."""
    last = max(run.begin for run in _runs_of(lab, task_id, 0))
    return moment() - last > 1_200_000
