"""A private Redis server, as its defaults have it but for the port and the folder."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.errors import Missing
from benchmarks.processes import Process, free_port, listens


@contextmanager
def redis_process(scratch: Path) -> Iterator[tuple[Process, int]]:
    """A server that lives as long as the block, and its port; raises `Missing`."""
    program = shutil.which("redis-server")
    if program is None:
        raise Missing("redis-server is not installed: apt-get install redis-server")
    port = free_port()
    arguments = [program, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(scratch)]
    with Process(arguments, scratch / "redis.log") as process:
        process.wait_until(lambda: listens(port), seconds=20)
        yield process, port
        process.terminate()


@contextmanager
def redis(scratch: Path) -> Iterator[int]:
    """The port of such a server."""
    with redis_process(scratch) as (_, port):
        yield port
