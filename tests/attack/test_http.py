"""Clients that harm by how they speak HTTP, against a service with few file descriptors."""

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.acceptance.process import Child, ServiceProcess, wait_for

DESCRIPTORS = 256
LATE = 1.0
"""Seconds that a fire may be late meanwhile, on a machine that has other work as well."""

TASK = """\
name: Each second
task_type: t
trigger_type: interval
trigger_args: {seconds: 1}
func_path: taskservice.examples.notification_task
func_args: {user_id: u, message: m, channel: email}
"""


class FewDescriptors(ServiceProcess):
    """A service that may have few files and connections open."""

    def _launch(self, environ: Mapping[str, str]) -> Child:
        limited = ["prlimit", f"--nofile={DESCRIPTORS}:{DESCRIPTORS}", sys.executable]
        return subprocess.Popen([*limited, "-m", "taskservice", "run"], env=dict(environ))


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    folder = tmp_path_factory.mktemp("tasks")
    (folder / "each-second.yaml").write_text(TASK)
    database: Path = tmp_path_factory.mktemp("database") / "taskservice.db"
    with FewDescriptors(f"sqlite+aiosqlite:///{database}", folder) as running:
        wait_for("the task fires", lambda: logs(running)["total"] > 1)
        yield running


def logs(service: ServiceProcess, **params: Any) -> Any:
    return service.get("/task-manage/each-second/logs", size=1000, **params)


def connect(service: ServiceProcess) -> socket.socket:
    return socket.create_connection(("127.0.0.1", service.port), timeout=20)


def answer(client: socket.socket) -> tuple[int, dict[str, Any]]:
    """Status and problem of an answer, up to the end of the connection."""
    text = b""
    try:
        while piece := client.recv(65536):
            text += piece
    except ConnectionError:
        pass  # what came before stands
    head, _, body = text.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


def test_headers_without_an_end_hold_nothing_up(service: ServiceProcess) -> None:
    begun = logs(service)["items"][0]["start_time"]
    over = threading.Event()
    refused: list[int] = []

    def pour() -> None:
        while not over.is_set():
            with connect(service) as client:
                try:
                    client.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n")
                    for _ in range(200):
                        client.sendall(b"X: " + b"y" * 1_000_000 + b"\r\n")
                except ConnectionError:
                    pass
                refused.append(answer(client)[0])

    pouring = [threading.Thread(target=pour) for _ in range(4)]
    for thread in pouring:
        thread.start()
    try:
        wait_for("the task fires meanwhile", lambda: logs(service, since=begun)["total"] > 4)
    finally:
        over.set()
        for thread in pouring:
            thread.join()
    assert set(refused) == {431}
    late = [
        datetime.fromisoformat(one["start_time"]) - datetime.fromisoformat(one["scheduled_time"])
        for one in logs(service, since=begun)["items"]
    ]
    assert max(late).total_seconds() < LATE


def test_half_requests_leave_room_and_are_ended(service: ServiceProcess) -> None:
    begun = logs(service)["items"][0]["start_time"]
    halves = []
    for number in range(DESCRIPTORS + 50):
        client = connect(service)
        client.sendall((b"GET /", b"POST /plan HTTP/1.1\r\nHost: 127.0.0.1\r\n")[number % 2])
        halves.append(client)
        if number % 20 == 0:
            asked = time.monotonic()
            wait_for("others are answered", lambda: is_ready(service), seconds=10)
            assert time.monotonic() - asked < 5
    statuses = []
    for client in halves:
        try:
            statuses.append(answer(client)[0])
        except (IndexError, ValueError):
            pass  # it made room for another
        client.close()
    assert set(statuses) <= {408, 503}
    assert 408 in statuses
    assert logs(service, since=begun)["total"] > 5


def is_ready(service: ServiceProcess) -> bool:
    """Whether somebody who comes new is answered."""
    try:
        with httpx.Client(base_url=service.http.base_url) as client:
            return client.get("/health/ready").status_code == 200
    except httpx.TransportError:
        return False


def test_a_body_that_is_too_large_is_told_so_while_it_comes(service: ServiceProcess) -> None:
    half = b"Host: 127.0.0.1\r\nExpect: 100-continue\r\nContent-Length: 99999999\r\n\r\n"
    for line in (b"POST /task-manage/", b"PUT /task-manage/each-second"):
        with connect(service) as client:
            client.sendall(line + b" HTTP/1.1\r\n" + half)
            assert answer(client)[0] == 413
    large = {"description": "#" * 50_000_000}
    assert service.http.put("/task-manage/each-second", json=large).status_code == 413
    assert service.http.get("/health/live").status_code == 200
