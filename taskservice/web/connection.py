"""A connection of the server, and what its client may cost before the app is asked.

Uvicorn parses with httptools and bounds neither the head of a request, nor its time, nor the
number of connections. This is its protocol with limits: what is beyond one, or is no request as
RFC 9112 has it, is answered with problem details, and the connection is closed.
"""

import asyncio
import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import httptools
import msgspec
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from taskservice.web.openapi import PROBLEM
from taskservice.web.schemas import Problem

_HOST = re.compile(rb"[A-Za-z0-9._~%!$&'()*+,;=:\[\]-]*")

_CRUMBS = "the body's chunks hold little but their own frame"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionLimits:
    """What a client may take; sizes are bytes, times are seconds.

    `line` and `headers` are of a request's first line and of all its header lines with their line
    ends, the trailers of a chunked body included. A head has `head_seconds`; a body has
    `body_seconds`, and may come to a stand for `body_pause`; beyond `small_chunks` its chunks have
    8 bytes each, taken together. `unread` is how much is read of a
    body that nobody wants. An answer may stand for `write_pause`, and is taken within
    `write_seconds`. `pipelined` requests wait for the one that is answered. With `connections`
    open the one that has been idle longest makes room for another, else that one is refused.
    """

    line: int = 8 * 1024
    headers: int = 64 * 1024
    header_count: int = 1000
    head_seconds: float = 10
    body_pause: float = 10
    body_seconds: float = 300
    small_chunks: int = 1000
    unread: int = 32 * 1024 * 1024
    linger_seconds: float = 2
    write_pause: float = 30
    write_seconds: float = 300
    pipelined: int = 8
    connections: int = 1000
    spare_seconds: float = 1


# What is expected of a client: a request, the rest of a head, or the rest of a body. Plain
# numbers, as they are looked at several times in each request.
_REQUEST, _HEAD, _BODY = range(3)

_FEW_BYTES = 4096
"""In so many bytes there can't be more headers than are allowed: they need not be counted."""

_CHECKED_HEADERS = frozenset((b"host", b"transfer-encoding", b"expect"))


class Connections:
    """All connections of a server; looks `every` so many seconds who takes too long."""

    def __init__(self, limits: ConnectionLimits, *, every: float = 1.0) -> None:
        self.limits = limits
        self._every = every
        self._open: set[Connection] = set()
        self._timer: asyncio.TimerHandle | None = None

    def make(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> "Connection":
        """A new connection: what uvicorn calls as the class of its protocol."""
        return Connection(self, config, server_state, app_state, _loop)

    def admit(self, connection: "Connection") -> bool:
        """Take a connection among those that are open, if there is room or can be made."""
        loop = connection.loop
        if len(self._open) >= self.limits.connections and not self._make_room(loop.time()):
            return False
        self._open.add(connection)
        if self._timer is None:
            self._timer = loop.call_later(self._every, self._look, loop)
        return True

    def leave(self, connection: "Connection") -> None:
        """Forget a connection that is closed."""
        self._open.discard(connection)

    def _make_room(self, now: float) -> bool:
        idle = [one for one in self._open if one.idle_for(now) >= self.limits.spare_seconds]
        if not idle:
            return False
        longest = max(idle, key=lambda one: one.idle_for(now))
        self._open.discard(longest)
        longest.abort()
        return True

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for connection in list(self._open):
            connection.look(now)
        self._timer = loop.call_later(self._every, self._look, loop) if self._open else None


class _Refused(Exception):
    """A request is not taken: a status and what is wrong."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


class _Output:
    """The transport as uvicorn's answers see it: to close it is the connection's business."""

    def __init__(self, connection: "Connection", transport: asyncio.Transport) -> None:
        self._connection = connection
        self.write = transport.write
        self.get_extra_info = transport.get_extra_info

    def close(self) -> None:
        self._connection.close()

    def is_closing(self) -> bool:
        return self._connection.closing


class Connection(HttpToolsProtocol):
    """One connection: uvicorn's, with the limits of `connections`."""

    def __init__(
        self,
        connections: Connections,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.closing = False
        self._all = connections
        self._limits = connections.limits
        self._raw: asyncio.Transport
        self._reading = _REQUEST
        self._since = self.loop.time()
        """When the client began what is expected of it, or sent the last of a body."""
        self._body_since = self._since
        self._unanswered = 0
        self._ending = False
        """To be closed when all that came is answered; nothing more is read."""
        self._head = 0
        self._headers = 0
        self._unparsed = 0
        self._parsed = self._counting = False
        self._host = b""
        """The last host that was sound: on one connection it is mostly the same."""
        self._now = self._since
        self._body = 0
        self._carried = 0
        self._chunks = 0
        self._dropped = 0
        self._unwritten = 0
        self._written_at = self._emptied_at = self._since

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._raw = transport
        output: Any = _Output(self, transport)
        self.transport = output
        if not self._all.admit(self):
            self._ending = self.closing = True
            detail = "there are too many connections; try again"
            transport.write(self._problem(503, detail, b"retry-after: 1\r\n"))
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._all.leave(self)
        self.closing = True
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._ending or self.closing:
            self._drop(len(data))
            return
        if self.timeout_keep_alive_task is not None:
            self._unset_keepalive_if_required()
        before = self._reading
        self._now = self.loop.time()
        self._parsed = False
        self._counting = before != _REQUEST or len(data) > _FEW_BYTES
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # What follows would be of another protocol, and there is none.
            self.cycle.keep_alive = False
            self._end_after_answers()
        except httptools.HttpParserError as error:
            detail = f"the request is not HTTP as RFC 9112 has it: {error}"
            # What a callback raises the parser gives as the context of its own error.
            refused = error.__context__
            self._refuse(refused if isinstance(refused, _Refused) else _Refused(400, detail))
        else:
            if self._reading != _REQUEST or not self._parsed:  # nor is a whole request weighed
                self._weigh(before, len(data))

    def _weigh(self, before: int, size: int) -> None:
        """Bound what the parser keeps to itself: headers without an end, and chunks' extensions."""
        if self._reading == _BODY:
            if self.cycle.response_complete:
                self._drop(size)
            elif before == _BODY:
                self._carried += size
                if self._carried > 2 * self._body + self._limits.headers:
                    self._refuse(_Refused(400, _CRUMBS))
        elif before != _BODY:
            if not self._parsed:
                self._unparsed += size
            if self._unparsed > self._limits.line + self._limits.headers:
                self._refuse(self._too_large())
            elif not self._counting and self._reading == _HEAD:
                # There is more to come: from here on it is counted.
                self._headers = len(self.headers)
                self._head = sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _drop(self, size: int) -> None:
        """Pass over what nobody wants, so that the client comes to read its answer."""
        self._dropped += size
        if self._dropped > self._limits.unread:
            self.abort()

    def on_message_begin(self) -> None:
        if len(self.pipeline) >= self._limits.pipelined:
            raise _Refused(503, "too many requests wait on this connection")
        super().on_message_begin()
        self._reading = _HEAD
        self._since = self._now
        self._head = self._headers = self._dropped = 0

    def on_url(self, url: bytes) -> None:
        self.url += url
        if not self._counting:
            return
        # The method before it and ` HTTP/1.1`, with the line's end, after it.
        line = len(self.parser.get_method()) + len(self.url) + 12
        if line > self._limits.line:
            most = self._limits.line
            raise _Refused(414, f"the request's first line has more than {most} bytes")

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._counting:
            self._headers += 1
            self._head += len(name) + len(value) + 4
            if self._head > self._limits.headers or self._headers > self._limits.header_count:
                raise self._too_large()
        if self._reading == _HEAD:  # trailers are passed over
            name = name.lower()
            if name == b"expect" and value.lower() == b"100-continue":
                self.expect_100_continue = True
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        self._check_head()
        self._reading = _BODY
        self._since = self._body_since = self._now
        self._body = self._carried = self._chunks = self._unparsed = 0
        self._parsed = True
        try:
            super().on_headers_complete()
        except (httptools.HttpParserInvalidURLError, UnicodeDecodeError):
            self._reading = _HEAD
            raise _Refused(400, "the request's target is no address") from None
        self._unanswered += 1

    def _check_head(self) -> None:
        """Refuse what RFC 9112 would have a server refuse, and the parser does not."""
        version = self.parser.get_http_version()
        if version not in ("1.1", "1.0"):
            # A line without a version is HTTP/0.9's.
            status = 400 if version == "0.9" else 505
            raise _Refused(status, "the versions of HTTP are 1.1 and 1.0 here")
        hosts = 0
        for name, value in self.headers:
            if name not in _CHECKED_HEADERS:
                continue
            if name == b"host":
                hosts += 1
                if value != self._host and not _HOST.fullmatch(value):
                    raise _Refused(400, "the header Host is no host")
                self._host = value
            elif name == b"transfer-encoding":
                if version == "1.0":
                    raise _Refused(400, "HTTP/1.0 has no Transfer-Encoding")
                if value.lower() != b"chunked":
                    raise _Refused(501, "the only Transfer-Encoding here is chunked")
                self._counting = True  # trailers may come
            elif name == b"expect" and value.lower() != b"100-continue":
                raise _Refused(417, "all that can be expected here is 100-continue")
        if hosts > 1 or (hosts == 0 and version == "1.1"):
            wrong = "more than one header Host" if hosts else "no header Host"
            raise _Refused(400, f"the request has {wrong}")
        if not self.url.startswith(b"/"):
            self._take_absolute_target()

    def _take_absolute_target(self) -> None:
        """An address with its host goes before the header `Host` (RFC 9112, section 3.2.2)."""
        if self.url == b"*" and self.parser.get_method() == b"OPTIONS":
            self.url = b"/"
            return
        scheme, separator, rest = self.url.partition(b"://")
        if not separator or scheme.lower() not in (b"http", b"https"):
            raise _Refused(400, "the request's target is no address")
        end = re.search(rb"[/?#]|$", rest)
        host = rest[: end.start()] if end else rest
        if not host or not _HOST.fullmatch(host):
            raise _Refused(400, "the host in the request's target is no host")
        path = rest[len(host) :]
        self.url = path if path.startswith(b"/") else b"/" + path
        self.headers[:] = [pair for pair in self.headers if pair[0] != b"host"]
        self.headers.append((b"host", host))

    def on_chunk_header(self) -> None:
        """Is told of each chunk of a body: it is not to be made of crumbs."""
        self._chunks += 1
        if self._chunks > self._limits.small_chunks and self._body < 8 * self._chunks:
            raise _Refused(400, _CRUMBS)

    def on_body(self, body: bytes) -> None:
        self._since = self._now
        self._body += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._reading = _REQUEST
        self._since = self._now
        super().on_message_complete()

    def on_response_complete(self) -> None:
        self._unanswered -= 1
        if self._reading == _REQUEST:
            self._since = self.loop.time()
        super().on_response_complete()
        if self._ending and not self._unanswered:
            self.close()

    def resume_writing(self) -> None:
        self._written_at = self._emptied_at = self.loop.time()
        super().resume_writing()

    def idle_for(self, now: float) -> float:
        """Seconds since it is the client's turn to send a request, or its head; else 0."""
        if self._unanswered or self.closing or self._reading == _BODY:
            return 0
        return now - self._since

    def look(self, now: float) -> None:
        """End what takes too long."""
        if self._stands(now):
            self.abort()
        elif self.closing:
            if not self._unwritten and now - self._since > self._limits.linger_seconds:
                self.abort()
        elif self.flow.read_paused or (self._reading == _REQUEST and self._unanswered):
            self._since = now  # it is not the client that is waited for
        elif self._reading == _BODY:
            paused = now - self._since > self._limits.body_pause
            if paused or now - self._body_since > self._limits.body_seconds:
                self._refuse(_Refused(408, "the request's body did not come in time"))
        elif now - self._since > self._limits.head_seconds:
            if self._reading == _HEAD:
                self._refuse(_Refused(408, "the request's headers did not come in time"))
            else:
                self.close()

    def _stands(self, now: float) -> bool:
        """Whether the client does not take what it is sent."""
        before, self._unwritten = self._unwritten, self._raw.get_write_buffer_size()
        if not self._unwritten:
            self._written_at = self._emptied_at = now
        elif self._unwritten < before:
            self._written_at = now
        paused = now - self._written_at > self._limits.write_pause
        return paused or now - self._emptied_at > self._limits.write_seconds

    def shutdown(self) -> None:
        if self._unanswered and not self.closing:
            super().shutdown()
        else:
            self.closing = True
            self._raw.close()

    def close(self) -> None:
        """Close it when all is written; where a request has not come whole, what comes is dropped.

        To close it at once would have the network take the answer back from under the client.
        """
        if self.closing:
            return
        self.closing = True
        self._since = self.loop.time()
        if self._raw.is_closing():
            return
        if self._reading == _REQUEST and not self._ending:
            self._raw.close()
            return
        self._raw.write_eof()
        self.flow.resume_reading()

    def abort(self) -> None:
        """Close it at once, whatever is not written."""
        self.closing = True
        self._raw.abort()

    def _end_after_answers(self) -> None:
        """Read nothing more, and close it when all that came before is answered."""
        self._ending = True
        if not self._unanswered:
            self.close()

    def _too_large(self) -> _Refused:
        limits = self._limits
        return _Refused(
            431,
            f"the request's headers have more than {limits.headers} bytes, or are more than "
            f"{limits.header_count}",
        )

    def _refuse(self, refusal: _Refused) -> None:
        """Answer a request that is not taken, unless others are before it, and close."""
        self._ending = True
        if self._reading == _BODY and not self.cycle.response_complete:
            # It is with the app already, or waits to be.
            if self.pipeline:
                self.pipeline.popleft()
            self._unanswered -= 1
            started = self.cycle.response_started
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            if started:
                self.abort()
                return
        elif self._reading == _BODY:
            self.close()
            return
        if not self._unanswered:
            self._raw.write(self._problem(refusal.status, str(refusal)))
            self.close()

    def _problem(self, status: int, detail: str, more: bytes = b"") -> bytes:
        """An answer that ends the connection."""
        title = HTTPStatus(status).phrase
        body = msgspec.json.encode(
            Problem(type="about:blank", title=title, status=status, detail=detail)
        )
        lines = [
            f"HTTP/1.1 {status} {title}\r\ncontent-type: {PROBLEM}\r\n".encode(),
            *(b"%b: %b\r\n" % header for header in self.server_state.default_headers),
            b"content-length: %d\r\nconnection: close\r\n" % len(body),
            more,
            b"\r\n",
            body,
        ]
        return b"".join(lines)
