"""Who may do what: bearer tokens with roles, or, without tokens, this machine's own users."""

import ipaddress
from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from taskservice.domain.errors import Forbidden, Unauthenticated
from taskservice.settings import ROLES, Role, Settings
from taskservice.web import webhook

Connection = ASGIConnection[Any, Any, Any, Any]

OPEN = {"open": True}
"""`opt` of a handler that everybody may call."""

OPERATOR = {"role": "operator"}
"""`opt` of a handler that changes something, and that an operator may call."""

WEBHOOK = {"webhook": True}
"""`opt` of a handler that a webhook may call too, by its secret alone."""

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")


def guard(settings: Settings) -> Callable[[Connection, BaseRouteHandler], Awaitable[None]]:
    """The guard of the whole app: it denies what no rule allows.

    Reading takes a viewer and anything else an admin, unless the handler's `opt` says
    otherwise. The caller's name is left in `scope["user"]`.
    """

    # Litestar would have a thread call what is not a coroutine.
    async def check(connection: Connection, handler: BaseRouteHandler) -> None:
        if handler.opt.get("webhook") and webhook.is_one(settings, connection):
            await webhook.admit(settings, connection)
        elif not handler.opt.get("open"):
            by_method = "viewer" if _method(connection) in SAFE_METHODS else "admin"
            needed = handler.opt.get("role", by_method)
            connection.scope["user"] = admit(settings, connection, needed)

    return check


def admit(settings: Settings, connection: Connection, needed: Role) -> str:
    """The name of the caller, who has the role that is needed.

    Raises Unauthenticated without a known token, and Forbidden where the role, or the
    web page that sent the request, does not allow it.
    """
    if not settings.api_tokens:
        _refuse_other_sites(connection)
        return "anonymous"
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthenticated("a token is required: send it as `Authorization: Bearer TOKEN`")
    known = settings.principal_of(token.strip())
    if known is None:
        raise Unauthenticated("this token is not known")
    if ROLES.index(known.role) < ROLES.index(needed):
        raise Forbidden(f"{known.name} is {known.role}; this needs {needed}")
    return known.name


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
    if _method(connection) in SAFE_METHODS:
        return
    origin = headers.get("origin")
    _, _, page_host = (origin or "").partition("://")
    foreign = origin is not None and page_host.lower() != (host or "").lower()
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
