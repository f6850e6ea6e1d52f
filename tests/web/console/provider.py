"""A real OpenID provider on loopback, whose answers a test may bend."""

import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey
from werkzeug.serving import make_server

CLIENT = "taskservice"
PEOPLE = {
    "ann@example.org": ["ops-admins", "everybody"],
    "bob@example.org": ["ops"],
    "cai@example.org": ["watchers", "ops"],
    "eve@example.org": ["OPS", "everybody"],
}
"""Who is known there, and in which groups."""

Claims = dict[str, Any]


class Provider:
    """The package `oidc-provider-mock`, whose tokens and pages are as a test has them.

    `bend` changes the claims of the next tokens, `token` makes another text of a token that is
    signed, `header` is put beside what stands in its header; `asked` counts requests by path.
    """

    def __init__(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it uses a part of Authlib that is to go
            from oidc_provider_mock import User, app

            users = [
                User(sub=name, claims={"email": name, "groups": groups})
                for name, groups in PEOPLE.items()
            ]
            self._app = app(user_claims=users)
        self.bend: Callable[[Claims], Claims] = lambda claims: claims
        self.token: Callable[[str], str] = lambda token: token
        self.header: dict[str, Any] = {}
        self.told: dict[str, Callable[[Any], Any]] = {}
        self.asked: list[str] = []
        self.keys: list[RSAKey] = []
        self.rotate()
        self._app.after_request(self._bent)
        self._server = make_server("127.0.0.1", 0, self._app, threaded=True)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread: threading.Thread | None = None

    def rotate(self) -> None:
        """Sign with another key from now on, and publish no older one."""
        self.keys = [RSAKey.generate_key(2048, {"kid": f"key-{time.monotonic_ns()}"})]

    def start(self) -> None:
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Be away; it can't be started again."""
        if self._thread:
            self._server.shutdown()
            self._thread.join()
            self._thread = None
            self._server.server_close()

    def _bent(self, answer: Any) -> Any:
        from flask import request

        self.asked.append(request.path)
        if request.path == "/jwks":
            answer.set_data(_text(KeySet(list(self.keys)).as_dict(private=False)))
        elif request.path == "/oauth2/token" and answer.status_code == 200:
            told = answer.get_json()
            [_, body, _] = told["id_token"].split(".")
            claims = self.bend({"iss": self.url, **_claims(body)})
            header = {"alg": "RS256", "kid": self.keys[0].kid, **self.header}
            told["id_token"] = self.token(jwt.encode(header, claims, self.keys[0]))
            answer.set_data(_text(told))
        if request.path in self.told:
            answer = self.told[request.path](answer)
        return answer


@contextmanager
def running() -> Iterator[Provider]:
    """A provider, for as long as the block lasts."""
    provider = Provider()
    provider.start()
    try:
        yield provider
    finally:
        provider.stop()


def _claims(body: str) -> Claims:
    import base64
    import json

    found: Claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return found


def _text(value: Any) -> str:
    import json

    return json.dumps(value)
