"""Reading an answer that has no end, of the app itself, as a server would."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from tests.web.conftest import Client

LIMIT = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """One event of a stream."""

    id: str
    event: str
    data: Any


class Stream:
    """An answer that is being read; `ended` when it was sent to its end."""

    def __init__(self, messages: "asyncio.Queue[dict[str, Any]]") -> None:
        self._messages = messages
        self._text = ""
        self.status = 0
        self.headers: dict[str, str] = {}
        self.ended = False

    async def begin(self) -> None:
        """Wait for status and headers."""
        message = await asyncio.wait_for(self._messages.get(), LIMIT)
        self.status = message["status"]
        self.headers = {name.decode(): value.decode() for name, value in message["headers"]}

    async def block(self) -> str | None:
        """The next block of lines, without the empty one that ends it; None at the end."""
        while "\n\n" not in self._text and not self.ended:
            message = await asyncio.wait_for(self._messages.get(), LIMIT)
            self._text += message.get("body", b"").decode()
            self.ended = not message.get("more_body", False)
        block, found, self._text = self._text.partition("\n\n")
        return block if found else None

    async def next(self) -> Sent | None:
        """The next event, past comments and the rest; None at the end."""
        while (block := await self.block()) is not None:
            fields = dict(line.split(": ", 1) for line in block.splitlines())
            if "data" in fields:
                data = json.loads(fields["data"])
                return Sent(id=fields["id"], event=fields["event"], data=data)
        return None


@asynccontextmanager
async def listening(
    client: Client, url: str, headers: dict[str, str] | None = None, method: str = "GET"
) -> AsyncIterator[Stream]:
    """The answer to a request to the app behind a client, who hangs up at the end."""
    messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    hung_up = asyncio.Event()
    asked = False

    async def receive() -> dict[str, Any]:
        nonlocal asked
        if asked:
            await hung_up.wait()
            return {"type": "http.disconnect"}
        asked = True
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        await messages.put(message)
        if message["type"] == "http.response.body" and not message.get("more_body"):
            hung_up.set()

    parts = urlsplit(url)
    given = {"host": "127.0.0.1:8000", **(headers or {})}
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method,
        "scheme": "http", "path": parts.path, "raw_path": parts.path.encode(),
        "query_string": parts.query.encode(), "root_path": "",
        "headers": [(name.lower().encode(), value.encode()) for name, value in given.items()],
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 8000),
    }  # fmt: skip
    app: Any = client.app
    answering = asyncio.create_task(app(scope, receive, send))
    stream = Stream(messages)
    try:
        await stream.begin()
        yield stream
    finally:
        hung_up.set()
        await asyncio.wait_for(answering, LIMIT)
