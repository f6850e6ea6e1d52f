"""A small load generator: a process that keeps some connections busy with ready-made requests.

As a program, `python -m benchmarks.load`, it reads a `Plan` as JSON from standard input and prints
an `Answers`. It waits for sockets and looks for the end of each answer, no more: so that, on a
machine that it shares with the server, it takes little of it.
"""

import base64
import itertools
import json
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from benchmarks.errors import Failed
from benchmarks.processes import ROOT, python
from benchmarks.stats import percentile

NUMBER = "{number:09}"
"""Stands in a request for a number that is another one each time, of nine digits always."""

_PLACE = b"@NUMBER@@"
_HEAD_END = b"\r\n\r\n"
_LENGTH = b"content-length:"
_PATIENCE = 10.0


def request(method: str, path: str, body: object = None) -> bytes:
    """A request as it goes over the wire; `NUMBER` may stand in its path and its body."""
    content = b"" if body is None else json.dumps(body).encode()
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    if content:
        head += "Content-Type: application/json\r\n"
    whole = f"{head}Content-Length: {_length(content)}\r\n\r\n".encode() + content
    return whole.replace(NUMBER.encode(), _PLACE)


def get(path: str) -> bytes:
    """A GET request."""
    return request("GET", path)


def _length(content: bytes) -> int:
    return len(content.replace(NUMBER.encode(), _PLACE))


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to do: these requests in turn on so many connections, each waiting for its answer.

    `number` is the first that stands for `NUMBER`. Requests are base64.
    """

    port: int
    requests: list[str]
    connections: int
    seconds: float
    number: int


@dataclass(slots=True, kw_only=True)
class Answers:
    """What came of it: answers a second, their latencies in seconds, and how many by status."""

    rate: float = 0.0
    p50: float = 0.0
    p99: float = 0.0
    statuses: dict[str, int] = field(default_factory=dict)


class Load:
    """The generator in a process of its own; use it as a context manager."""

    def __init__(
        self,
        port: int,
        requests: Sequence[bytes],
        connections: int,
        seconds: float,
        scratch: Path,
        *,
        number: int = 0,
    ) -> None:
        texts = [base64.b64encode(one).decode() for one in requests]
        plan = Plan(
            port=port, requests=texts, connections=connections, seconds=seconds, number=number
        )
        path = scratch / f"plan-{port}.json"
        path.write_text(json.dumps(asdict(plan)))
        with path.open("rb") as source:
            self._process = subprocess.Popen(
                python("benchmarks.load"), cwd=ROOT, stdin=source, stdout=subprocess.PIPE
            )
        self._limit = seconds + 60

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def result(self) -> dict[str, Any]:
        """Wait for the end; the fields of `Answers`. Raises `Failed` for answers that are none."""
        try:
            output, _ = self._process.communicate(timeout=self._limit)
        except subprocess.TimeoutExpired:
            raise Failed("the load generator did not come to its end") from None
        if self._process.returncode != 0:
            raise Failed(f"the load generator ended with {self._process.returncode}")
        answers: dict[str, Any] = json.loads(output)
        wrong = [status for status in answers["statuses"] if not status.startswith("2")]
        if wrong or not answers["statuses"]:
            raise Failed(f"the load generator was answered {answers['statuses']}")
        return answers


class _Connection:
    """One connection: at any time it waits for one answer."""

    def __init__(self, port: int, requests: Iterator[bytes]) -> None:
        self._requests = requests
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = b""
        self._sent = 0.0

    def send(self) -> None:
        self._sent = time.perf_counter()
        self.socket.sendall(next(self._requests))

    def receive(self) -> tuple[str, float] | None:
        """The status and the latency of an answer that is complete."""
        piece = self.socket.recv(1 << 18)
        if not piece:
            raise ConnectionError("the server closed a connection")
        self._buffer += piece
        end = self._buffer.find(_HEAD_END)
        if end < 0:
            return None
        head = self._buffer[:end].lower()
        place = head.find(_LENGTH)
        length = 0 if place < 0 else int(head[place + len(_LENGTH) :].split(b"\r\n", 1)[0])
        if len(self._buffer) < end + len(_HEAD_END) + length:
            return None
        self._buffer = b""
        return head[9:12].decode(), time.perf_counter() - self._sent


def _numbered(requests: Sequence[bytes], first: int) -> Iterator[bytes]:
    numbers = itertools.count(first)
    for one in itertools.cycle(requests):
        yield one.replace(_PLACE, b"%09d" % next(numbers)) if _PLACE in one else one


def generate(plan: Plan) -> Answers:
    """Send and wait for `plan.seconds`; answers that come after them don't count."""
    requests = _numbered([base64.b64decode(text) for text in plan.requests], plan.number)
    connections = [_Connection(plan.port, requests) for _ in range(plan.connections)]
    answers, latencies = Answers(), []
    with selectors.DefaultSelector() as selector:
        start = time.perf_counter()
        for one in connections:
            selector.register(one.socket, selectors.EVENT_READ, one)
            one.send()
        while (now := time.perf_counter()) < start + plan.seconds:
            ready = selector.select(min(start + plan.seconds - now, _PATIENCE))
            for key, _ in ready:
                answer = key.data.receive()
                if answer is None:
                    continue
                status, latency = answer
                latencies.append(latency)
                answers.statuses[status] = answers.statuses.get(status, 0) + 1
                key.data.send()
    for one in connections:
        one.socket.close()
    answers.rate = len(latencies) / plan.seconds
    answers.p50, answers.p99 = percentile(latencies, 0.5), percentile(latencies, 0.99)
    return answers


if __name__ == "__main__":
    print(json.dumps(asdict(generate(Plan(**json.load(sys.stdin))))))
