"""Who may do what: tokens with roles, as bearer or by a session; or this machine's own users."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from taskservice.domain.errors import Forbidden, Unauthenticated, UnknownToken, no_task
from taskservice.domain.sight import ALL, Sight
from taskservice.service import (
    FRESH_SECONDS,
    Credentials,
    EndedSessions,
    People,
    Principal,
    Service,
    now_utc,
)
from taskservice.settings import ROLES, Role, Settings, is_loopback
from taskservice.web import session, webhook
from taskservice.web.guesses import Guesses
from taskservice.web.rules import REFUSED, Rule, rule_of

Connection = ASGIConnection[Any, Any, Any, Any]

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")

_KNOWN = "taskservice.known"
"""Key in the scope of a request: its caller, from when it is known who that is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks, by what token, which nobody has where none is needed.

    `session` is the cookie of the session that let it in, `csrf` what a change must carry then.
    """

    name: str
    role: Role
    principal: Principal | None = None
    session: str | None = field(default=None, repr=False)
    csrf: str | None = field(default=None, repr=False)

    @property
    def sight(self) -> Sight:
        """Which tasks the caller sees."""
        return self.principal.sight if self.principal else ALL

    def may(self, needed: Role) -> bool:
        """Whether the caller's role allows what needs that one."""
        return ROLES.index(self.role) >= ROLES.index(needed)


def guard(settings: Settings) -> Callable[[Connection, BaseRouteHandler], Awaitable[None]]:
    """The guard of the whole app: it denies what no rule of `web/rules.py` allows.

    The caller's name is left in `scope["user"]`, the caller in `scope["auth"]`.
    """

    # Litestar would have a thread call what is not a coroutine.
    async def check(connection: Connection, _handler: BaseRouteHandler) -> None:
        await freshen(connection)
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
            caller = admit(connection, rule.needs)
            if caller.csrf and _method(connection) not in SAFE_METHODS:
                await _refuse_forged(connection, caller.csrf)
            if caller.sight.is_narrowed:
                await _refuse_out_of_sight(connection, rule, caller)
            connection.scope["user"], connection.scope["auth"] = caller.name, caller

    return check


async def freshen(connection: Connection) -> None:
    """Have it known whether the token, or the session, of a request is good. Raises Unavailable."""
    credentials = credentials_of(connection)
    if token := _bearer(connection):
        if not guesses_of(connection).is_closed(address_of(connection)):
            await credentials.freshen(token)
    elif credentials.are_needed and session.COOKIE in connection.cookies:
        await ended_sessions_of(connection).refresh()
        await credentials.refresh(seconds=FRESH_SECONDS)


async def _refuse_out_of_sight(connection: Connection, rule: Rule, caller: Caller) -> None:
    """Raise NotFound for a task that the caller doesn't see, and Forbidden for what is not theirs.

    Which routes are about one task is seen by their addresses, so that none is left out.
    """
    task_id = connection.path_params.get("task_id")
    service: Service = connection.app.state.service
    if task_id is not None and not await service.tasks.sees(task_id, caller.sight):
        raise no_task(task_id)
    if rule.narrowed == REFUSED:
        raise Forbidden(f"{caller.name} is for tasks with certain tags; this concerns all tasks")


def sight_of(connection: Connection) -> Sight:
    """Which tasks the caller of a request sees, who was let in; of a webhook it says nothing."""
    caller = connection.scope.get("auth")
    return caller.sight if isinstance(caller, Caller) else ALL


def admit(connection: Connection, needed: Role, *, can_hold: bool = True) -> Caller:
    """The caller, who has the role that is needed.

    Raises Unauthenticated without a known token or session, TooManyRequests after many unknown
    ones, and Forbidden where the role, or
    the web page that sent the request, does not allow it. Where a wrong token can't be held,
    it is refused the earlier.
    """
    if not credentials_of(connection).are_needed:
        _refuse_other_sites(connection)
        return Caller(name="anonymous", role="admin")
    caller = _known(connection, can_hold)
    scope: Any = connection.scope
    scope[_KNOWN] = caller
    if not caller.may(needed):
        raise Forbidden(f"{caller.name} is {caller.role}; this needs {needed}")
    return caller


def known_of(connection: Connection) -> Caller | None:
    """Whose token or session a request brings, whether or not that was let in."""
    caller = connection.scope.get(_KNOWN)
    return caller if isinstance(caller, Caller) else None


def holds(connection: Connection) -> Callable[[], bool]:
    """What says whether the caller of a request that was let in may still be answered."""
    caller: Caller = connection.scope["auth"]
    credentials, ended = credentials_of(connection), ended_sessions_of(connection)

    def may_be_told() -> bool:
        if caller.principal is None:
            return not credentials.are_needed
        cookie = caller.session
        if cookie and (session.id_of(cookie) in ended or session.end_of(cookie) <= time.time()):
            return False
        return credentials.holds(caller.principal)

    return may_be_told


def _known(connection: Connection, can_hold: bool) -> Caller:
    """Whose token or session this is."""
    cookie = connection.cookies.get(session.COOKIE)
    credentials, csrf = credentials_of(connection), None
    if "authorization" not in connection.headers and cookie:
        known = session.holder_of(credentials, cookie, time.time(), people=people_of(connection))
        if known is None or session.id_of(cookie) in ended_sessions_of(connection):
            raise Unauthenticated("this session is over: sign in again")
        csrf = session.csrf_token(known, cookie)
    else:
        token, cookie = _bearer(connection), None
        if not token:
            raise Unauthenticated("a token is required: send it as `Authorization: Bearer TOKEN`")
        known = holder_of(connection, token, can_hold=can_hold)
    credentials.note_use(known)
    return Caller(name=known.name, role=known.role, principal=known, session=cookie, csrf=csrf)


def _bearer(connection: Connection) -> str:
    """The token that a request brings, or an empty text."""
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def holder_of(connection: Connection, token: str, *, can_hold: bool = True) -> Principal:
    """Whose token this is. Raises UnknownToken, which the caller counts, and TooManyRequests."""
    guesses = guesses_of(connection)
    known = credentials_of(connection).find(token)
    address = address_of(connection)
    closed = guesses.is_closed(address) if can_hold else guesses.is_slowed(address)
    if closed and not (known and guesses.was_right(known.token_hash)):
        guesses.refuse(address)
    if known is None:
        raise UnknownToken("this token is not known")
    if known.is_over(now_utc()):
        raise UnknownToken("the time of this token is over")
    guesses.right(known.token_hash)
    return known


def guesses_of(connection: Connection) -> Guesses:
    """The wrong tokens that came lately."""
    guesses: Guesses = connection.app.state.guesses
    return guesses


def credentials_of(connection: Connection) -> Credentials:
    """The tokens that there are."""
    credentials: Credentials = connection.app.state.service.credentials
    return credentials


def people_of(connection: Connection) -> People:
    """Those who may sign in at the provider."""
    people: People = connection.app.state.service.people
    return people


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
        return is_loopback(urlsplit(f"//{host}").hostname or "")
    except ValueError:
        return False
