"""Connections on a socket, in front of an app of the tests' own: their limits, and RFC 9112."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest
import uvicorn

from taskservice.web.connection import ConnectionLimits, Connections

LARGE = 30_000_000
GET = b"GET / HTTP/1.1\r\nHost: here\r\n\r\n"
LIMITS = ConnectionLimits(
    head_seconds=0.3, body_pause=0.3, body_seconds=1.5, linger_seconds=0.2, write_pause=0.5,
    spare_seconds=0.1, unread=1024 * 1024,
)  # fmt: skip


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answers with what it was asked; `/late` after a moment, `/large` with so many bytes."""
    path = scope["path"]
    body = b""
    if scope["method"] == "POST":
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
    if path == "/late":
        await asyncio.sleep(0.6)
    headers = {name.decode(): value.decode() for name, value in scope["headers"]}
    said = {"path": path, "body": body.decode(), "headers": headers}
    content = b"x" * LARGE if path == "/large" else json.dumps(said).encode()
    length = str(len(content)).encode()
    await send(
        {"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]}
    )
    await send({"type": "http.response.body", "body": content})


class Client:
    """A connection of a client that writes what no library would."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        try:
            await self.writer.drain()
        except ConnectionError:
            pass  # what was answered before can be read all the same

    async def answer(self) -> tuple[int, dict[str, Any], dict[str, str]]:
        """Status, body and headers of the next answer."""
        head = (await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 5)).decode()
        status, *lines = head.split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines if line)
        body = await self.reader.readexactly(int(headers["content-length"]))
        return int(status.split()[1]), json.loads(body), headers

    async def asked(self, data: bytes) -> tuple[int, dict[str, Any], dict[str, str]]:
        await self.send(data)
        return await self.answer()

    async def refused(self, data: bytes, status: int) -> str:
        """What a request is refused for: with problem details, after which the end comes."""
        got, problem, headers = await self.asked(data)
        assert (got, problem["status"]) == (status, status), problem
        assert headers["content-type"] == "application/problem+json"
        assert headers["connection"] == "close"
        assert await self.is_closed()
        return str(problem["detail"])

    async def is_closed(self) -> bool:
        """Whether nothing more comes, but the end."""
        try:
            return await asyncio.wait_for(self.reader.read(), 5) == b""
        except ConnectionError:
            return True


class _Uvicorn(uvicorn.Server):
    """Uvicorn that leaves signals alone."""

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


class Server:
    """What listens, and who has connected."""

    def __init__(self, running: uvicorn.Server) -> None:
        self.uvicorn = running
        self.port: int = running.servers[0].sockets[0].getsockname()[1]
        self._clients: list[Client] = []

    async def count(self, connections: int) -> None:
        """Wait until there are so many connections."""
        async with asyncio.timeout(5):
            # Uvicorn has no event for it, nor for its start.
            while len(self.uvicorn.server_state.connections) != connections:  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    async def client(self) -> Client:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=2**20)
        self._clients.append(Client(reader, writer))
        return self._clients[-1]

    def close(self) -> None:
        for client in self._clients:
            client.writer.close()


@asynccontextmanager
async def serving(limits: ConnectionLimits = LIMITS) -> AsyncIterator[Server]:
    """The app behind such connections."""
    made: Any = Connections(limits, every=0.05)
    config = uvicorn.Config(
        app, http=made.make, ws="none", lifespan="off", log_config=None, port=0,
        timeout_graceful_shutdown=1,
    )  # fmt: skip
    server = _Uvicorn(config)
    running = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    listening = Server(server)
    try:
        yield listening
    finally:
        listening.close()
        server.should_exit = True
        await running


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with serving() as listening:
        yield listening


async def test_requests_follow_one_another_on_a_connection(server: Server) -> None:
    client = await server.client()
    for number in range(30):
        status, said, _ = await client.asked(
            b"POST /%d HTTP/1.1\r\nHost: here\r\nContent-Length: 5\r\n\r\nhello" % number
        )
        assert (status, said["path"], said["body"]) == (200, f"/{number}", "hello")


def head_of(size: int, count: int = 1) -> bytes:
    """A request whose header lines have so many bytes, in so many lines beside `Host`."""
    rest = size - len(b"Host: here\r\n")
    lines = [b"X: " + b"y" * (rest // count - 5) + b"\r\n" for _ in range(count)]
    short = rest - sum(map(len, lines))
    return b"GET / HTTP/1.1\r\nHost: here\r\n" + b"".join(lines)[:-2] + b"y" * short + b"\r\n\r\n"


async def test_headers_have_64_kib_and_no_more(server: Server) -> None:
    for count in (1, 500):
        status, _, _ = await (await server.client()).asked(head_of(65536, count))
        assert status == 200
        refused = await (await server.client()).refused(head_of(65537, count), 431)
        assert "65536 bytes" in refused


async def test_too_many_headers_are_refused(server: Server) -> None:
    lines = b"GET / HTTP/1.1\r\nHost: here\r\n" + b"a:\r\n" * 50_000
    for head in (head_of(60_000, 1001), lines):
        await (await server.client()).refused(head, 431)


async def test_a_header_without_an_end_is_refused_before_more_of_it_comes(server: Server) -> None:
    client = await server.client()
    await client.send(b"GET / HTTP/1.1\r\nHost: here\r\nX: ")
    for _ in range(20):
        await client.send(b"y" * 8192)
    await client.refused(b"", 431)


async def test_line_breaks_without_a_request_come_to_an_end(server: Server) -> None:
    client = await server.client()
    for _ in range(20):
        await client.send(b"\r\n" * 4096)
    await client.refused(b"", 431)


async def test_a_line_has_8_kib_and_no_more(server: Server) -> None:
    path = b"/" + b"p" * (8192 - len(b"GET / HTTP/1.1\r\n"))
    status, _, _ = await (await server.client()).asked(
        b"GET %b HTTP/1.1\r\nHost: here\r\n\r\n" % path
    )
    assert status == 200
    longer = b"GET %bp HTTP/1.1\r\nHost: here\r\n\r\n" % path
    assert "8192 bytes" in await (await server.client()).refused(longer, 414)
    endless = await server.client()
    await endless.send(b"GET /")
    for _ in range(10):
        await endless.send(b"p" * 1000)
    await endless.refused(b"", 414)


HOST = b"Host: here\r\n"


UNSOUND = (
    (b"GET / HTTP/1.1\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400),
    (b"GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
    (b"GET / HTTP/2.0\r\n" + HOST + b"\r\n", 505),
    (b"GET /\r\n\r\n", 400),
    (b"nonsense\r\n\r\n", 400),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    (b"GET / HTTP/1.1\r\nHost : here\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\n" + HOST + b"X\x00: y\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\n" + HOST + b"X: a\r\n b\r\n\r\n", 400),
    (b"GET \xff\xfe HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    (b"GET /\xc3\xa9 HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    (b"CONNECT here:80 HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    (b"GET ftp://here/ HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    (b"GET http:///x HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    (b"GET http://a@b@c/ HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    (b"GET / HTTP/1.1\r\n" + HOST + b"Expect: wonders\r\n\r\n", 417),
    # Two lengths are two requests to somebody before this server (smuggling).
    (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n", 400),
    (
        b"POST / HTTP/1.1\r\n"
        + HOST
        + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    (
        b"POST / HTTP/1.1\r\n"
        + HOST
        + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        400,
    ),
    (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: +5\r\n\r\nhello", 400),
    (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 5, 5\r\n\r\nhello", 400),
    (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 99999999999999999999\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: gzip, chunked\r\n\r\n", 501),
    (b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: xchunked\r\n\r\n", 501),
    (b"POST / HTTP/1.0\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
    (b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n1\nab\r\n", 400),
)


async def test_what_is_no_sound_request_is_a_problem(server: Server) -> None:
    for request, status in UNSOUND:
        await (await server.client()).refused(request, status)


async def test_an_absolute_target_goes_before_the_host(server: Server) -> None:
    for target, path in ((b"http://there:1/a", "/a"), (b"HTTP://there:1", "/")):
        _, said, _ = await (await server.client()).asked(
            b"GET %b HTTP/1.1\r\nHost: here\r\n\r\n" % target
        )
        assert (said["path"], said["headers"]["host"]) == (path, "there:1")


async def test_http_1_0_needs_no_host_and_is_closed(server: Server) -> None:
    client = await server.client()
    status, _, _ = await client.asked(b"GET / HTTP/1.0\r\n\r\n")
    assert status == 200
    assert await client.is_closed()


async def test_another_protocol_is_not_spoken(server: Server) -> None:
    client = await server.client()
    status, _, headers = await client.asked(
        b"GET / HTTP/1.1\r\nHost: here\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n" + GET
    )
    assert (status, headers["connection"]) == (200, "close")
    assert await client.is_closed()


async def test_a_body_comes_when_it_is_asked_for(server: Server) -> None:
    client = await server.client()
    await client.send(
        b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 2\r\nExpect: 100-Continue\r\n\r\n"
    )
    assert await client.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert (await client.asked(b"ok"))[1]["body"] == "ok"


async def test_clients_without_haste_are_ended(server: Server) -> None:
    line = await server.client()
    await line.send(b"GET /")
    header = await server.client()
    await header.send(b"GET / HTTP/1.1\r\nHost: here\r\nX: ")
    body = await server.client()
    await body.send(b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 9\r\n\r\nhell")
    chunk = await server.client()
    await chunk.send(b"POST / HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe")
    silent = await server.client()
    for one, what in ((line, "headers"), (header, "headers"), (body, "body"), (chunk, "body")):
        assert what in await one.refused(b"", 408)
    assert await silent.is_closed()


async def test_a_head_or_a_body_that_drips_is_ended_at_last(server: Server) -> None:
    head = await server.client()
    body = await server.client()
    await head.send(b"GET / HTTP/1.1\r\nHost: here\r\n")
    await body.send(b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 90000\r\n\r\n")

    async def drip(client: Client, drop: bytes) -> int:
        answer = asyncio.create_task(client.answer())
        while not answer.done():
            await client.send(drop)
            await asyncio.sleep(0.05)
        return (await answer)[0]

    dripped: list[int] = list(await asyncio.gather(drip(head, b"a: b\r\n"), drip(body, b"x")))
    assert dripped == [408, 408]


async def test_what_takes_the_service_long_is_no_haste_of_the_client(server: Server) -> None:
    client = await server.client()
    status, _, _ = await client.asked(b"GET /late HTTP/1.1\r\nHost: here\r\n\r\n")
    assert status == 200
    assert (await client.asked(GET))[0] == 200


async def test_a_body_that_nobody_wants_is_passed_over(server: Server) -> None:
    client = await server.client()
    head = b"GET /one HTTP/1.1\r\nHost: here\r\nContent-Length: 300000\r\n\r\n"
    assert (await client.asked(head))[1]["path"] == "/one"
    await client.send(b"x" * 300_000)
    assert (await client.asked(GET))[0] == 200


async def test_a_body_that_nobody_wants_comes_to_an_end(server: Server) -> None:
    client = await server.client()
    chunked = b"GET / HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert (await client.asked(chunked))[0] == 200

    async def pour() -> None:
        while True:
            client.writer.write(b"10000\r\n" + b"x" * 65536 + b"\r\n")
            await client.writer.drain()

    with pytest.raises(ConnectionError):
        await asyncio.wait_for(pour(), 5)


async def test_chunks_of_little_but_their_frame_are_refused(server: Server) -> None:
    for chunks in (
        b"1\r\nx\r\n" * 40_000,
        b"1;" + b"e" * 600_000,
        (b"1;" + b"e" * 50_000 + b"\r\nx\r\n") * 12,
    ):
        client = await server.client()
        await client.send(
            b"POST / HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n"
        )
        assert "chunks" in await client.refused(chunks, 400)


async def test_trailers_are_bounded_and_no_headers(server: Server) -> None:
    chunked = b"POST / HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
    client = await server.client()
    _, said, _ = await client.asked(chunked + b"Authorization: Bearer x\r\n\r\n")
    assert "authorization" not in said["headers"]
    await client.refused(chunked + b"X: y\r\n" * 5_000, 431)
    await (await server.client()).refused(chunked + b"X: " + b"y" * 200_000, 400)


async def test_pipelined_requests_are_answered_in_their_order(server: Server) -> None:
    client = await server.client()
    late = b"GET /late HTTP/1.1\r\nHost: here\r\n\r\n"
    await client.send(late + b"".join(GET.replace(b"/ ", b"/%d " % one) for one in range(5)))
    for path in ("/late", "/0", "/1", "/2", "/3", "/4"):
        assert (await client.answer())[1]["path"] == path


async def test_what_is_wrong_behind_a_request_is_not_the_answer_to_it(server: Server) -> None:
    for wrong in (
        b"nonsense\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz",
    ):
        client = await server.client()
        await client.send(b"GET /late HTTP/1.1\r\nHost: here\r\n\r\n" + wrong)
        assert (await client.answer())[1]["path"] == "/late"
        assert await client.is_closed()


async def test_too_many_pipelined_requests_are_left_unanswered(server: Server) -> None:
    client = await server.client()
    await client.send(b"GET /late HTTP/1.1\r\nHost: here\r\n\r\n" + GET * 2000)
    for _ in range(1 + LIMITS.pipelined):
        assert (await client.answer())[0] == 200
    assert await client.is_closed()


async def test_a_client_that_does_not_read_is_left(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(b"GET /large HTTP/1.1\r\nHost: here\r\n\r\n")
        await server.count(1)
        await server.count(0)
        taken = 0
        while piece := client.recv(2**20):
            taken += len(piece)
    assert taken < LARGE


async def test_the_longest_idle_makes_room_for_another() -> None:
    limits = ConnectionLimits(connections=3, spare_seconds=0.2)
    async with serving(limits) as server:
        clients = [await server.client() for _ in range(3)]
        assert (await clients[1].asked(GET))[0] == 200
        await clients[2].send(b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 1\r\n\r\n")
        # All have been here but a moment: there is room for none, which is said at once.
        status, problem, headers = await (await server.client()).answer()
        assert (status, problem["status"], headers["retry-after"]) == (503, 503, "1")
        await asyncio.sleep(0.3)
        for one in (0, 1):
            assert (await (await server.client()).asked(GET))[0] == 200
            assert await clients[one].is_closed()
        assert (await clients[2].asked(b"x"))[1]["body"] == "x"


async def test_a_stop_waits_for_no_idle_client() -> None:
    async with serving() as server:
        idle, half = await server.client(), await server.client()
        assert (await idle.asked(GET))[0] == 200
        await half.send(b"GET /")
        await server.count(2)
        busy = await server.client()
        await busy.send(b"GET /late HTTP/1.1\r\nHost: here\r\n\r\n")
        await server.count(3)
        server.uvicorn.should_exit = True
        assert await idle.is_closed() and await half.is_closed()
        assert (await busy.answer())[2]["connection"] == "close"
