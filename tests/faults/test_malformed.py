"""Malformed files in the folder of a service that runs: it goes on, and its loop is not held up."""

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.acceptance.process import wait_for
from tests.faults.lab import Lab
from tests.faults.service import Server, Service

SAMPLE = b"""\
tasks:
  a: {name: A, task_type: t, trigger_type: interval, trigger_args: {hours: 1}}
  b: &x {name: "B", func_path: a.b.c, func_args: {text: |
    several lines, tags: [x, y]}}
"""
HOSTILE = (
    b"[" * 500_000,
    b"a: " * 300_000,
    b"{" + b'"k": 1, ' * 120_000,
    b"x: &a [1]\n" + b"y: *a\n" * 100_000,
    b"- " * 400_000 + b"\n",
    b"\xff\xfe" * 400_000,
    b"name: '" + "早".encode() * 300_000,
)
LIMIT = 3.0
"""Seconds in which it must say that it lives, on a machine that has other work as well."""


def test_malformed_files_do_not_hold_it_up(server: Server, make_lab: Callable[[str], Lab]) -> None:
    lab = make_lab(server.create_database())
    lab.declare_many(20)
    service = lab.service()
    lab.start(service)
    count = lab.length(300, 10_000)
    with _watching(service) as delays:
        for number in range(count):
            # A few at a time, as somebody's broken script would leave them.
            path = lab.tasks_dir / f"bent-{number % 100}.yaml"
            path.write_bytes(_bent(lab.random, number))
        wait_for("the faults are told", lambda: len(service.get("/sync")["errors"]) >= 100)
        lab.grows(by=20)
    lab.faults["malformed files"] += count
    delays.sort()
    slowest, usual = delays[-1], delays[len(delays) * 99 // 100]
    lab.seen.append(f"/health/live within {usual:.3f} s for 99 of 100, {slowest:.3f} s at most")
    assert slowest < LIMIT
    for path in lab.tasks_dir.glob("bent-*.yaml"):
        path.unlink()
    lab.finish()


def _bent(chance: random.Random, number: int) -> bytes:
    """A text that is no task file: some are large, the others samples with a piece of chance."""
    if number % 50 == 0:
        return HOSTILE[number // 50 % len(HOSTILE)]
    start = chance.randrange(len(SAMPLE))
    return SAMPLE[:start] + chance.randbytes(chance.randrange(1, 8)) + SAMPLE[start + 5 :] + b"]\n"


@contextmanager
def _watching(service: Service) -> Iterator[list[float]]:
    """How long each answer of `/health/live` takes meanwhile, in seconds."""
    delays: list[float] = []
    over = threading.Event()

    def ask() -> None:
        while not over.wait(0.02):
            began = time.monotonic()
            service.http.get("/health/live").raise_for_status()
            delays.append(time.monotonic() - began)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        yield delays
    finally:
        over.set()
        asking.join()
