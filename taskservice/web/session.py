"""Sessions of browsers: a signed cookie that says who signed in, and what proves a form theirs.

Nothing is stored but that one was signed out of: the key that signs is made of the token that was
given at the sign-in. So a session holds over restarts and on every replica, and ends when its token
leaves the settings, is revoked, or is over. Those of people who signed in at the provider are
signed by the service's own key, and have the groups from which their role comes.
"""

import hmac
import json
import secrets
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

from litestar import Request
from litestar.exceptions import InternalServerException

from taskservice.domain.errors import Malformed
from taskservice.service import Credentials, People, Principal

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


def holder_of(
    credentials: Credentials, value: str, now: float, *, people: People | None = None
) -> Principal | None:
    """Whose session a cookie's value is; None where it is forged, over, or its token is gone."""
    if not value.isascii():
        return None  # such can't be compared in constant time
    said, _, signature = value.rpartition(".")
    name = _name(said)
    holder = _person(people, said) if name is None else credentials.named(name)
    if holder is None or not hmac.compare_digest(
        _sign(holder, "session", said).encode(), signature.encode()
    ):
        return None
    return holder if end_of(value) > now else None


def issue_to_person(person: Principal, groups: Sequence[str], now: float) -> str:
    """The same of somebody who signed in at the provider, with the groups that have a role."""
    told = json.dumps(groups).encode().hex()
    said = f"{int(now) + SECONDS}.{secrets.token_hex(8)}.{person.name.encode().hex()}.{told}"
    return f"{said}.{_sign(person, 'session', said)}"


def _person(people: People | None, said: str) -> Principal | None:
    """Who a session says it is of, with the role that the groups have by now."""
    try:
        _, _, name, groups = said.split(".")
        told = bytes.fromhex(name).decode(), json.loads(bytes.fromhex(groups))
    except ValueError:
        return None
    return people.principal(*told) if people else None


def seal(key: bytes, purpose: str, value: Mapping[str, str]) -> str:
    """A cookie's value that only this service can make, for one purpose; anybody may read it."""
    said = json.dumps(dict(value)).encode().hex()
    return f"{said}.{hmac.digest(key, f'{purpose} {said}'.encode(), 'sha256').hex()}"


def unseal(key: bytes, purpose: str, sealed: str) -> Mapping[str, str] | None:
    """What `seal` was given; None where it was not."""
    said, _, signature = sealed.partition(".")
    expected = hmac.digest(key, f"{purpose} {said}".encode(), "sha256").hex()
    if not hmac.compare_digest(expected.encode(), signature.encode()):
        return None
    found: dict[str, str] = json.loads(bytes.fromhex(said))
    return found


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
