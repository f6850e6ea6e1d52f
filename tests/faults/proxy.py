"""A wire to MariaDB or to a broker that can be slow, cut, or silent."""

import asyncio
import re
import threading
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar

from tests.acceptance.process import wait_for
from tests.faults.lab import Lab, moment
from tests.faults.load import Load
from tests.faults.service import Service
from tests.processes import steady_port

COMMIT = b"\x03COMMIT"
"""A commit as the protocol has it: the command byte of a query, and its text."""

FIRING_LIMIT = 60.0
"""A connection that swallows everything is given up after the driver's ten seconds."""

T = TypeVar("T")


class Proxy:
    """Forwards `port` to the server's port, on an event loop of its own; a context manager.

    `delay` are seconds that each piece waits on its way, both ways. While `black` is set, what is
    sent is swallowed, for good: a connection that lost something never speaks again. `refuse`
    ends each new connection at once. With `cut_commits` set to n, the answers to the next n
    commits are lost together with their connections; a commit is what has the `mark` in it.
    """

    def __init__(self, server_port: int, *, mark: bytes = COMMIT) -> None:
        self.mark = mark
        self.port = steady_port()
        self.delay = 0.0
        self.black = False
        self.refuse = False
        self.cut_commits = 0
        self._server_port = server_port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._wires: dict[_Wire, asyncio.Task[None]] = {}

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = self._call(asyncio.start_server(self._accept, "127.0.0.1", self.port))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def reset(self) -> None:
        """Cut every connection that there is, with a reset."""
        self._call(self._abort())

    def wait_for_cuts(self) -> None:
        """Wait until `cut_commits` have been cut."""
        wait_for("commits are cut", lambda: self.cut_commits == 0, seconds=30)

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _abort(self) -> None:
        for wire in list(self._wires):
            wire.abort()

    async def _close(self) -> None:
        self._server.close()
        await self._abort()
        # Pumps come to their end by themselves, once their ends are gone.
        await asyncio.gather(*self._wires.values(), return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refuse:
            writer.transport.abort()
            return
        try:
            far = await asyncio.open_connection("127.0.0.1", self._server_port)
        except OSError:
            writer.transport.abort()
            return
        wire = _Wire(self, (reader, writer), far)
        self._wires[wire] = asyncio.create_task(wire.run())
        try:
            await self._wires[wire]
        finally:
            del self._wires[wire]


Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class _Wire:
    """One connection through the proxy."""

    def __init__(self, proxy: Proxy, near: Ends, far: Ends) -> None:
        self._proxy, self._near, self._far = proxy, near, far
        self._lost = self._cut = False

    def abort(self) -> None:
        """Reset both ends."""
        for _, writer in (self._near, self._far):
            writer.transport.abort()

    async def run(self) -> None:
        """Forward until an end goes."""
        await asyncio.gather(
            self._pump(self._near[0], self._far[1], asked=True),
            self._pump(self._far[0], self._near[1], asked=False),
        )

    async def _pump(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, asked: bool
    ) -> None:
        try:
            while data := await source.read(65536):
                if self._proxy.black or self._lost:
                    self._lost = True
                    continue
                if self._proxy.delay:
                    await asyncio.sleep(self._proxy.delay)
                if asked and self._proxy.mark in data and self._proxy.cut_commits:
                    self._proxy.cut_commits -= 1
                    self._cut = True
                if self._cut and not asked:
                    break  # It is the answer: the server has done what it was told.
                sink.write(data)
                await sink.drain()
        except OSError:
            pass
        self.abort()


def behind(lab: Lab, proxy: Proxy) -> Service:
    """A service that reaches its database through the proxy only."""
    return lab.service(url=re.sub(r":\d+/", f":{proxy.port}/", lab.url))


def recover(lab: Lab, load: Load, began: int) -> None:
    """Wait until it fires and answers again, without a restart; what was since `began` is noted."""
    lab.grows(by=5, seconds=FIRING_LIMIT)
    load.go_on(FIRING_LIMIT)
    lab.troubles.append((began, moment()))
