"""Who may do what: tokens with roles, as bearer or by a session; or this machine's own users."""

import ipaddress
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from taskservice.domain.errors import Forbidden, Unauthenticated, UnknownToken
from taskservice.service import EndedSessions
from taskservice.settings import ROLES, ApiToken, Role, Settings
from taskservice.web import session, webhook
from taskservice.web.guesses import Guesses
from taskservice.web.rules import Rule, rule_of

Connection = ASGIConnection[Any, Any, Any, Any]

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks; `csrf` is what a change must carry, None where no session's cookie let it in."""

    name: str
    role: Role
    csrf: str | None = None

    def may(self, needed: Role) -> bool:
        """Whether the caller's role allows what needs that one."""
        return ROLES.index(self.role) >= ROLES.index(needed)


def guard(settings: Settings) -> Callable[[Connection, BaseRouteHandler], Awaitable[None]]:
    """The guard of the whole app: it denies what no rule of `web/rules.py` allows.

    The caller's name is left in `scope["user"]`, the caller in `scope["auth"]`.
    """

    # Litestar would have a thread call what is not a coroutine.
    async def check(connection: Connection, _handler: BaseRouteHandler) -> None:
        if session.COOKIE in connection.cookies and settings.api_tokens:
            await ended_sessions_of(connection).refresh()
        try:
            await admit_to(connection, rule_of(connection))
        except UnknownToken:
            if guesses_of(connection).count(address_of(connection)):
                await guesses_of(connection).hold(address_of(connection))
            raise

    async def admit_to(connection: Connection, rule: Rule) -> None:
        if rule.webhook and webhook.is_one(settings, connection):
            await webhook.admit(settings, connection)
        elif rule.needs is not None:
            caller = admit(settings, connection, rule.needs)
            if caller.csrf and _method(connection) not in SAFE_METHODS:
                await _refuse_forged(connection, caller.csrf)
            connection.scope["user"], connection.scope["auth"] = caller.name, caller

    return check


def admit(
    settings: Settings, connection: Connection, needed: Role, *, can_hold: bool = True
) -> Caller:
    """The caller, who has the role that is needed.

    Raises Unauthenticated without a known token or session, TooManyRequests after many unknown
    ones, and Forbidden where the role, or
    the web page that sent the request, does not allow it. Where a wrong token can't be held,
    it is refused the earlier.
    """
    if not settings.api_tokens:
        _refuse_other_sites(connection)
        return Caller(name="anonymous", role="admin")
    known, csrf = _known(settings, connection, can_hold)
    caller = Caller(name=known.name, role=known.role, csrf=csrf)
    if not caller.may(needed):
        raise Forbidden(f"{known.name} is {known.role}; this needs {needed}")
    return caller


def _known(
    settings: Settings, connection: Connection, can_hold: bool
) -> tuple[ApiToken, str | None]:
    """Whose token or session this is, and the CSRF token of a session."""
    given = connection.headers.get("authorization", "")
    cookie = connection.cookies.get(session.COOKIE)
    if not given and cookie:
        known = session.holder(settings, cookie, time.time())
        if known is None or session.id_of(cookie) in ended_sessions_of(connection):
            raise Unauthenticated("this session is over: sign in again")
        return known, session.csrf_token(known, cookie)
    scheme, _, token = given.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthenticated("a token is required: send it as `Authorization: Bearer TOKEN`")
    return holder_of(settings, connection, token.strip(), can_hold=can_hold), None


def holder_of(
    settings: Settings, connection: Connection, token: str, *, can_hold: bool = True
) -> ApiToken:
    """Whose token this is. Raises UnknownToken, which the caller counts, and TooManyRequests."""
    guesses = guesses_of(connection)
    known = settings.principal_of(token)
    address = address_of(connection)
    closed = guesses.is_closed(address) if can_hold else guesses.is_slowed(address)
    if closed and not (known and guesses.was_right(known.token_hash)):
        guesses.refuse(address)
    if known is None:
        raise UnknownToken("this token is not known")
    guesses.right(known.token_hash)
    return known


def guesses_of(connection: Connection) -> Guesses:
    """The wrong tokens that came lately."""
    guesses: Guesses = connection.app.state.guesses
    return guesses


def ended_sessions_of(connection: Connection) -> EndedSessions:
    """The sessions that were signed out of."""
    ended: EndedSessions = connection.app.state.service.ended_sessions
    return ended


def address_of(connection: Connection) -> str | None:
    """Where a request comes from: a proxy's address, where there is one before the service."""
    return connection.client.host if connection.client else None


async def _refuse_forged(connection: Connection, csrf: str) -> None:
    """Keep out what a page of another site has a signed-in user's browser send."""
    refuse_foreign_origin(connection)
    assert isinstance(connection, Request)  # the guard of a route sees the whole request
    if not await session.carries(connection, csrf):
        raise Forbidden(
            "the request lacks the page's token (the header X-CSRF-Token, or the form's field "
            "csrf): load the page again"
        )


def _refuse_other_sites(connection: Connection) -> None:
    """Keep web pages of other sites out, whose requests a user's browser sends from here.

    A page whose host name is made to point at this machine gives itself away by `Host`;
    any other by `Origin` or `Sec-Fetch-Site`.
    """
    headers = connection.headers
    host = headers.get("host")
    if host is not None and not _is_loopback(host):
        raise Forbidden(
            f"without tokens only this machine is answered (127.0.0.1, ::1 or localhost), "
            f"not {host[:100]!r}"
        )
    if _method(connection) not in SAFE_METHODS:
        refuse_foreign_origin(connection)


def refuse_foreign_origin(connection: Connection) -> None:
    """Raise Forbidden where a browser says that a page of another site sends this."""
    headers = connection.headers
    origin = headers.get("origin")
    _, _, page_host = (origin or "").partition("://")
    foreign = origin is not None and page_host.lower() != headers.get("host", "").lower()
    if foreign or headers.get("sec-fetch-site") == "cross-site":
        raise Forbidden("a page of another site may not change anything here")


def _method(connection: Connection) -> str:
    scope: Any = connection.scope
    method: str = scope["method"]
    return method


@lru_cache(maxsize=100)  # it is the same few on every request
def _is_loopback(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
