"""Clients that go in the midst of a request, while others ask and must get their own answers."""

import asyncio
import json
import random
import socket
import struct
from collections.abc import Callable

import httpx

from tests.acceptance.process import wait_for
from tests.faults.lab import Lab
from tests.faults.service import Server, Service

AT_ONCE = 20
"""Requests under way at a time: more than there are connections to the database."""

POOL = 17
"""Eight connections to write with, eight to read with, and the scheduler's lock."""

TASKS = 30


def test_clients_that_go_midway(server: Server, make_lab: Callable[[str], Lab]) -> None:
    lab = make_lab(server.create_database())
    for number in range(TASKS):
        lab.declare(f"task-{number}", every=1, max_instances=999)
    service = lab.service()
    lab.start(service)
    count = lab.length(150, 2000)
    asyncio.run(_storm(lab, service, count))
    lab.faults["requests aborted"] += count
    _all_answers_are_right(service)
    wait_for("no connection is left over", lambda: server.connections(lab.url) <= POOL)
    wait_for("nobody is connected", lambda: _established(service.port) == 0)
    lab.grows(by=TASKS)
    lab.finish()


async def _storm(lab: Lab, service: Service, count: int) -> None:
    """Abort so many requests, and between them ask for tasks and look at what is answered."""
    numbers = iter(range(count))
    stop = asyncio.Event()

    async def abort() -> None:
        for number in numbers:
            await _abort_one(service.port, lab.random, number)

    async def ask(client: httpx.AsyncClient) -> None:
        while not stop.is_set():
            task_id = f"task-{lab.random.randrange(TASKS)}"
            answer = await client.get(f"/task-manage/{task_id}")
            # So many at once may have to wait too long for a connection, and be told so.
            if answer.status_code != 503:
                _is_about(answer, task_id)

    async with httpx.AsyncClient(base_url=service.http.base_url, timeout=30) as client:
        asking = [asyncio.create_task(ask(client)) for _ in range(3)]
        await asyncio.gather(*(abort() for _ in range(AT_ONCE)))
        stop.set()
        await asyncio.gather(*asking)


async def _abort_one(port: int, chance: random.Random, number: int) -> None:
    """Send a request, the whole of it or a part, and go after a moment, with a reset or not."""
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    request = _request(f"task-{number % TASKS}", chance)
    if chance.random() < 0.2:
        request = request[: chance.randrange(1, len(request))]
    writer.write(request)
    await asyncio.sleep(chance.choice((0.0, 0.003, 0.01, 0.03, 0.1, 0.3)))
    if chance.random() < 0.5:
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.close()


def _request(task_id: str, chance: random.Random) -> bytes:
    body = json.dumps({"description": str(chance.random())}).encode()
    method, path, content = chance.choice(
        (
            ("GET", f"/task-manage/{task_id}", b""),
            ("GET", "/task-manage/?size=1000", b""),
            ("GET", f"/task-manage/{task_id}/logs", b""),
            ("GET", "/sync", b""),
            ("PUT", f"/task-manage/{task_id}", body),
            ("POST", f"/task-manage/{task_id}/trigger", b""),
        )
    )
    kind = "Content-Type: application/json\r\n" if content else ""
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"{kind}Content-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


def _all_answers_are_right(service: Service) -> None:
    """Each question has its own answer, on connections that saw others go."""
    for round_ in range(3):
        for number in range(TASKS):
            task_id = f"task-{number}"
            _is_about(service.http.get(f"/task-manage/{task_id}"), task_id)
            text = f"{round_} of {task_id}"
            changed = service.http.put(f"/task-manage/{task_id}", json={"description": text})
            _is_about(changed, task_id)
            assert changed.json()["description"] == text
            logs = service.http.get(f"/task-manage/{task_id}/logs", params={"size": 5})
            assert {one["task_id"] for one in logs.json()["items"]} <= {task_id}


def _is_about(answer: httpx.Response, task_id: str) -> None:
    assert answer.status_code == 200, answer.text
    assert answer.json()["id"] == task_id


def _established(port: int) -> int:
    """How many connections to this port of loopback are open at its end, by the kernel's list."""
    with open("/proc/net/tcp", encoding="ascii") as table:
        fields = [line.split() for line in table.readlines()[1:]]
    near = f"0100007F:{port:04X}"
    return sum(1 for one in fields if one[1] == near and one[3] in ("01", "08"))
