"""Sessions of browsers: a signed cookie that says who signed in, and what proves a form theirs.

Nothing is stored but that one was signed out of: the key that signs is made of the token that was
given at the sign-in. So a session holds over restarts and on every replica, and ends when its token
leaves the settings, is revoked, or is over.
"""

import hmac
import secrets
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from litestar import Request
from litestar.exceptions import InternalServerException

from taskservice.domain.errors import Malformed
from taskservice.service import Credentials, Principal

COOKIE = "taskservice_session"
SECONDS = 12 * 3600
"""How long one stays signed in."""

CSRF_HEADER = "x-csrf-token"
CSRF_FIELD = "csrf"
FORM = "application/x-www-form-urlencoded"


def issue(holder: Principal, now: float) -> str:
    """The value of a new session's cookie; `now` is in seconds since 1970."""
    said = f"{int(now) + SECONDS}.{secrets.token_hex(8)}.{holder.name.encode().hex()}"
    return f"{said}.{_sign(holder, 'session', said)}"


def holder_of(credentials: Credentials, value: str, now: float) -> Principal | None:
    """Whose session a cookie's value is; None where it is forged, over, or its token is gone."""
    if not value.isascii():
        return None  # such can't be compared in constant time
    said, _, signature = value.rpartition(".")
    name = _name(said)
    holder = None if name is None else credentials.named(name)
    if holder is None or not hmac.compare_digest(_sign(holder, "session", said), signature):
        return None
    return holder if end_of(value) > now else None


def id_of(value: str) -> str:
    """What names the session of a cookie's value that is known to be sound."""
    return value.split(".")[1]


def end_of(value: str) -> float:
    """When that session is over by itself, in seconds since 1970."""
    return float(value.split(".")[0])


def _name(said: str) -> str | None:
    """The name that a session says it is of."""
    try:
        _, _, name = said.split(".")
        return bytes.fromhex(name).decode()
    except ValueError:
        return None


def csrf_token(holder: Principal, value: str) -> str:
    """What a change must carry that a session's page asks for: no other site can know it."""
    return _sign(holder, "csrf", value)


async def carries(request: Request[Any, Any, Any], expected: str) -> bool:
    """Whether a request has the CSRF token of its session, in its header or its form."""
    given = request.headers.get(CSRF_HEADER)
    if given is None and request.headers.get("content-type", "").partition(";")[0] == FORM:
        given = (await form_of(request)).get(CSRF_FIELD)
    return given is not None and hmac.compare_digest(given.encode(), expected.encode())


async def form_of(request: Request[Any, Any, Any]) -> Mapping[str, str]:
    """The fields of a form, the last of each name; raises Malformed."""
    return dict(await fields_of(request))


async def fields_of(request: Request[Any, Any, Any]) -> list[tuple[str, str]]:
    """The fields of a form as they were sent, each name as often as it stands there."""
    try:
        body = await request.body()
    except InternalServerException:
        raise Malformed("the connection ended before the body did") from None
    try:
        return parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=5000)
    except ValueError:
        raise Malformed("the body is not a form in UTF-8") from None


def _sign(holder: Principal, purpose: str, text: str) -> str:
    key = hmac.digest(holder.token_hash, f"taskservice {purpose}".encode(), "sha256")
    return hmac.digest(key, text.encode(), "sha256").hex()
