"""A receiver of webhooks that hangs, refuses, answers 500 and answers late, as chance has it."""

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from standardwebhooks.webhooks import Webhook

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@dataclass(frozen=True, kw_only=True)
class Came:
    """A request: when, to which channel, with which id and body, and whether it was taken."""

    at: float
    channel: str
    id: str
    body: str
    taken: bool


@dataclass(kw_only=True)
class Receiver:
    """What came; `manners` gives how the next request is treated."""

    random: random.Random
    port: int = 0
    came: list[Came] = field(default_factory=list)
    forged: list[str] = field(default_factory=list)
    weights: dict[str, int] = field(default_factory=lambda: {"takes": 1})

    def manner(self) -> str:
        """How a request is treated, by chance."""
        return self.random.choices(list(self.weights), list(self.weights.values()))[0]

    def url(self, channel: str) -> str:
        """Where the messages of a channel go."""
        return f"http://127.0.0.1:{self.port}/{channel}?private=yes"


@contextmanager
def receiving(chance: random.Random) -> Iterator[Receiver]:
    """A receiver on a free port of loopback."""
    receiver = Receiver(random=chance)
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            manner = receiver.manner()
            try:
                Webhook(SECRET).verify(body, dict(self.headers.items()))
            except Exception as error:
                receiver.forged.append(str(error))
            if manner == "hangs":
                over.wait(15)
            elif manner == "is late":
                time.sleep(receiver.random.uniform(1, 4))
            taken = manner in ("takes", "is late")
            channel, key = self.path.strip("/"), str(self.headers["webhook-id"])
            receiver.came.append(
                Came(at=time.time(), channel=channel, id=key, body=body, taken=taken)
            )
            if manner in ("hangs", "refuses"):
                self.close_connection = True
                return
            self.send_response(204 if taken else 500)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

        def handle(self) -> None:
            try:
                super().handle()
            except OSError:
                pass  # the service that called was killed

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        receiver.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield receiver
        over.set()
        server.shutdown()
