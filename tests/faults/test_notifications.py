"""Incidents over replicas that are killed, with a database that is, and receivers that misbehave.

Every incident is told, once but for repetitions under its own id, and no minute has more than three
messages a channel.
"""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import httpx

from tests.acceptance.process import wait_for
from tests.faults import log
from tests.faults.lab import Lab
from tests.faults.receiver import SECRET, Came, Receiver, receiving
from tests.faults.service import Server, Service

MISBEHAVES = {"takes": 60, "answers 500": 15, "refuses": 10, "is late": 10, "hangs": 5}


def test_incidents_are_told(server: Server, make_lab: Callable[[str], Lab]) -> None:
    url = server.create_database()
    lab = make_lab(url)
    incidents, channels = lab.length(4, 1000), lab.length(2, 50)
    with receiving(lab.random) as receiver:
        environ = {
            f"TASKSERVICE_CHANNEL_C{number}": receiver.url(f"c{number}")
            for number in range(channels)
        }
        environ["TASKSERVICE_WEBHOOK_SECRET"] = SECRET
        for number in range(incidents):
            lab.declare(f"t{number}", function="fail", notify=f"c{number % channels}")
        services = [lab.service(environ) for _ in range(lab.length(2, 3))]
        for service in services:
            lab.start(service)
        receiver.weights = {"answers 500": 1} if not lab.is_long else MISBEHAVES
        for number in range(incidents):
            _fail(services, f"t{number}", lab)
            if lab.is_long and number % 50 == 25:
                victim = lab.random.choice(services)
                lab.kill(victim)
                lab.pause(0, 3)
                lab.start(victim)
            if lab.is_long and number % 250 == 100:
                server.kill()
                lab.faults["kill -9 of the database"] += 1
                lab.pause(0, 3)
                server.start()
        wait_for("all have failed", lambda: len(_failed(url)) == incidents, seconds=120)
        lab.kill(services[0])
        if not lab.is_long:
            wait_for("something came", lambda: receiver.came, seconds=60)
            receiver.weights = {"takes": 1}
        wait_for("all is told", lambda: _all_told(url, incidents), seconds=lab.length(120, 3000))
        receiver.weights = {"takes": 1}
        _check(lab, receiver, url, incidents)
        lab.start(services[0])
        for service in services:
            assert service.terminate() == 0


def _fail(services: Sequence[Service], task_id: str, lab: Lab) -> None:
    """Have a task fail, by whichever service takes it."""

    def begun() -> bool:
        service = lab.random.choice(services)
        if not service.alive:
            return False
        try:
            answer = service.http.post(f"/task-manage/{task_id}/trigger", timeout=20)
        except httpx.HTTPError:
            return False
        return answer.status_code in (202, 409)

    wait_for(f"{task_id} is run", begun, seconds=120)


def _failed(url: str) -> set[str]:
    query = "SELECT DISTINCT task_id FROM task_execution_log WHERE status = 'failed'"
    return {row[0] for row in log.query(url, query)}


def _messages(url: str) -> list[dict[str, Any]]:
    names = ("id", "channel", "task_id", "kind", "state", "attempts", "gathered_in")
    rows = log.query(url, f"SELECT {', '.join(names)} FROM task_message")
    return [dict(zip(names, row, strict=True)) for row in rows]


def _all_told(url: str, incidents: int) -> bool:
    try:
        found = _messages(url)
    except Exception:
        return False  # the database was killed
    failures = [one for one in found if one["kind"] == "failure"]
    return len(failures) >= incidents and all(one["state"] != "waiting" for one in found)


def _check(lab: Lab, receiver: Receiver, url: str, incidents: int) -> None:
    """What was promised is so, by what the receiver has and what the tables say."""
    told = _messages(url)
    by_id = {one["id"]: one for one in told}
    wrong = lab.violations
    counts = Counter(one["task_id"] for one in told if one["kind"] == "failure")
    wrong += [f"{key} was told {count} times" for key, count in counts.items() if count > 1]
    wrong += [f"{task} failed and was not told" for task in _failed(url) - counts.keys()]
    arrived: dict[str, list[Came]] = {}
    for one in receiver.came:
        arrived.setdefault(one.id, []).append(one)
    wrong += [f"{key} is nobody's" for key in arrived.keys() - by_id.keys()]
    taken = {key for key, several in arrived.items() if any(one.taken for one in several)}
    named = {
        message["id"]
        for key in taken
        for message in json.loads(arrived[key][0].body)["data"].get("messages", ())
    }
    lost = [key for key in by_id if key not in taken | named]
    wrong += [f"{key} is {by_id[key]['state']}, and did not arrive" for key in lost]
    wrong += [
        f"{key} came with different bodies"
        for key, several in arrived.items()
        if len({one.body for one in several}) > 1
    ]
    wrong += [f"a signature was wrong: {told}" for told in receiver.forged]
    for channel in {one.channel for one in receiver.came}:
        came = [one for one in receiver.came if one.channel == channel]
        for first in came:
            # Sent within a minute they may come a little apart.
            within = {one.id for one in came if 0 <= one.at - first.at < 45}
            if len(within) > 3:
                wrong.append(f"{channel} had {len(within)} messages within a minute")
                break
    lab.fires, lab.rows, lab.runs = incidents, len(told), len(receiver.came)
    again = sum(len(several) - 1 for several in arrived.values())
    lab.seen.append(f"{len(taken)} messages taken, {again} came again under their ids")
    lab.verdict()
