"""Webhooks of the places where repositories live: their secret stands for a token."""

import hmac
from typing import Any

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.exceptions import InternalServerException

from taskservice.domain.errors import Forbidden, Malformed, UnknownToken
from taskservice.settings import Settings

LARGEST_BODY = 25 * 1024 * 1024
"""GitHub sends no more than that."""

SIGNATURE = "x-hub-signature-256"
"""GitHub, Gitea and Forgejo sign the body with the secret (HMAC-SHA256)."""

TOKEN = "x-gitlab-token"
"""GitLab sends the secret itself."""

Connection = ASGIConnection[Any, Any, Any, Any]


def is_one(settings: Settings, connection: Connection) -> bool:
    """Whether a request comes as a webhook; with a token of its own it does not."""
    headers = connection.headers
    return bool(
        settings.git_url
        and settings.git_webhook_secret
        and "authorization" not in headers
        and (SIGNATURE in headers or TOKEN in headers)
    )


async def admit(settings: Settings, connection: Connection) -> None:
    """Let a webhook in that knows the secret; `scope["auth"]` says then that it is one.

    Raises UnknownToken for any other, and Forbidden where it asks for more than a sync: what
    is signed is the body alone.
    """
    secret = settings.git_webhook_secret.encode()
    signature = connection.headers.get(SIGNATURE)
    if signature is not None:
        right = f"sha256={await _signature(secret, connection)}".encode()
        sound = hmac.compare_digest(right, signature.encode())
    else:
        sound = hmac.compare_digest(secret, connection.headers[TOKEN].encode("latin-1"))
    if not sound:
        raise UnknownToken("the webhook's signature is not that of this body and the secret")
    if connection.scope["query_string"]:
        raise Forbidden("a webhook may sync, without parameters; anything else takes a token")
    connection.scope["user"] = connection.scope["auth"] = "webhook"


async def _signature(secret: bytes, connection: Connection) -> str:
    assert isinstance(connection, Request)  # the guard of a route sees the whole request
    made = hmac.new(secret, digestmod="sha256")
    try:
        async for chunk in connection.stream():
            made.update(chunk)
    except InternalServerException:
        raise Malformed("the connection ended before the body did") from None
    return made.hexdigest()
