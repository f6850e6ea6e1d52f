"""A network of hosts on one machine: namespaces of the kernel's, and a wire between each two.

What the test process itself asks for goes through doors, which no cut concerns.
"""

import asyncio
import ctypes
import itertools
import os
import socket
import subprocess
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

NETWORK_NAMESPACE = 0x40000000
"""CLONE_NEWNET of setns(2)."""

BOTH_WAYS, THERE, BACK = "both ways", "there", "back"
_numbers = itertools.count()


class NoNetwork(Exception):
    """Namespaces can't be made here; the text is the program's own word."""


class Link:
    """A wire between two hosts, each with an address on it."""

    def __init__(self, near: str, far: str, number: int, names: tuple[str, str]) -> None:
        self.near, self.far = near, far
        self.address = f"10.77.{number}.2"
        self._device = f"link{number}"
        self._names = names
        first, second = names
        _run("ip", "-n", first, "link", "add", self._device, "type", "veth",
             "peer", "name", self._device, "netns", second)  # fmt: skip
        for name, end in zip(names, (1, 2), strict=True):
            address = f"10.77.{number}.{end}/30"
            _run("ip", "-n", name, "address", "add", address, "dev", self._device)
            _run("ip", "-n", name, "link", "set", self._device, "up")

    def __str__(self) -> str:
        return f"{self.near} – {self.far}"

    def cut(self, ways: str) -> None:
        """Have it lose all that is sent, and tell nobody: both ways, or only there or back."""
        for name, way in zip(self._names, (THERE, BACK), strict=True):
            if ways in (way, BOTH_WAYS):
                # No packet is so small that this queue has room for it.
                _run("tc", "-n", name, "qdisc", "add", "dev", self._device,
                     "root", "bfifo", "limit", "1")  # fmt: skip

    def heal(self) -> None:
        """Have it carry again what is sent."""
        for name in self._names:
            command = ["tc", "-n", name, "qdisc", "del", "dev", self._device, "root"]
            subprocess.run(command, capture_output=True, check=False)


class Network:
    """Hosts and the links between them; a context manager. Raises `NoNetwork`.

    What is started on a host must end before the network does.
    """

    def __init__(self, hosts: Sequence[str], pairs: Sequence[tuple[str, str]]) -> None:
        self._names = {host: f"faults-{os.getpid()}-{next(_numbers)}" for host in hosts}
        self._pairs = pairs
        self.links: dict[tuple[str, str], Link] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        try:
            for name in self._names.values():
                _run("ip", "netns", "add", name)
                self._stack.callback(_run, "ip", "netns", "delete", name)
                _run("ip", "-n", name, "link", "set", "lo", "up")
            for number, (near, far) in enumerate(self._pairs):
                names = self._names[near], self._names[far]
                self.links[near, far] = Link(near, far, number, names)
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def on(self, host: str) -> tuple[str, ...]:
        """The command that runs another one on a host."""
        return ("ip", "netns", "exec", self._names[host])

    def open(self, host: str, port: int) -> None:
        """Make a port on a host's loopback reachable under the same number on this machine's."""
        self._stack.enter_context(_Door(Path("/run/netns") / self._names[host], port))


class _Door:
    """Forwards from a port here to the same port in a namespace, which its thread has entered."""

    def __init__(self, namespace: Path, port: int) -> None:
        self._namespace, self._port = namespace, port
        self._listener = socket.create_server(("127.0.0.1", port))
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._listener.close()

    def _run(self) -> None:
        descriptor = os.open(self._namespace, os.O_RDONLY)
        try:
            if ctypes.CDLL(None, use_errno=True).setns(descriptor, NETWORK_NAMESPACE):
                raise OSError(ctypes.get_errno(), "setns")
        finally:
            os.close(descriptor)
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._accept, sock=self._listener)
        await self._stop.wait()
        server.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._port)
        except OSError:
            writer.transport.abort()
            return
        await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    try:
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
    except OSError:
        pass
    finally:
        sink.close()


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NoNetwork(f"{' '.join(command)}: {done.stderr.strip()}")
