"""A real receiver of webhooks on loopback, which answers as a test wants it to."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@dataclass(frozen=True, kw_only=True)
class Received:
    """A request: its headers by lower-case names, and its body."""

    at: datetime
    target: str
    headers: dict[str, str]
    body: str

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]


@dataclass(kw_only=True)
class Receiver:
    """What came; `answer` gives for each request what is written back (None: it hangs)."""

    port: int = 0
    received: list[Received] = field(default_factory=list)
    answer: Callable[[Received], bytes | None] = lambda _: ok()

    came: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def count(self, number: int) -> None:
        """Wait until so many requests have come."""
        async with self.came:
            await self.came.wait_for(lambda: len(self.received) >= number)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook?token=planted-secret"


def ok() -> bytes:
    return status(204, "No Content")


def status(code: int, reason: str = "x", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {code} {reason}", "Content-Length: 0", "Connection: close", *headers]
    return "\r\n".join([*lines, "", ""]).encode()


@asynccontextmanager
async def receiving(tls: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
    receiver = Receiver()
    hanging: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            first, *lines = head.strip().split("\r\n")
            headers = {
                name.lower(): value.strip()
                for name, _, value in (line.partition(":") for line in lines)
            }
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            found = Received(
                at=datetime.now(UTC), target=first.split(" ")[1], headers=headers,
                body=body.decode(),
            )  # fmt: skip
            receiver.received.append(found)
            async with receiver.came:
                receiver.came.notify_all()
            answer = receiver.answer(found)
            if answer is None:
                await asyncio.sleep(3600)
            else:
                writer.write(answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def on_client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        hanging.add(task)
        try:
            await serve(reader, writer)
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            hanging.discard(task)

    server = await asyncio.start_server(on_client, "127.0.0.1", 0, ssl=tls)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
        for one in list(hanging):
            one.cancel()
        await asyncio.gather(*hanging, return_exceptions=True)
        await server.wait_closed()
