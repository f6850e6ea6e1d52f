"""Signing in by token, and out."""

import time
from typing import Any

from litestar import Response, get, post
from litestar.datastructures import Cookie

from taskservice.domain.errors import UnknownToken
from taskservice.web import auth, session
from taskservice.web.api.parameters import ServiceDep
from taskservice.web.console.render import (
    CONSOLE,
    AnyRequest,
    caller_of,
    language_of,
    local,
    page,
    redirect,
)

BY_HAND = 10
"""How much more a token weighs that is typed: a program may ask often before it is mended."""

LARGEST_FORM = 16 * 1024
"""Bytes of a form that anybody may send."""


@get("/sign-in", opt=CONSOLE)
async def show_sign_in(request: AnyRequest) -> Response[Any]:
    """The form that takes a token."""
    following = local(request.query_params.get("next"))
    if not auth.credentials_of(request).are_needed:
        return redirect(request, following)
    return page(request, "sign-in.html", following=following, wrong=None)


@post("/sign-in", opt=CONSOLE, request_max_body_size=LARGEST_FORM)
async def sign_in(request: AnyRequest) -> Response[Any]:
    """Begins a session, where the token is known."""
    auth.refuse_foreign_origin(request)
    form = await session.form_of(request)
    following = local(form.get("next"))
    if not auth.credentials_of(request).are_needed:
        return redirect(request, following)
    address = auth.address_of(request)
    token = form.get("token", "").strip()
    if not auth.guesses_of(request).is_closed(address):
        await auth.credentials_of(request).freshen(token)
    try:
        known = auth.holder_of(request, token)
    except UnknownToken:
        if auth.guesses_of(request).count(address, weight=BY_HAND):
            await auth.guesses_of(request).hold(address)
        wrong = language_of(request).gettext("This token is not known.")
        return page(request, "sign-in.html", status=401, following=following, wrong=wrong)
    value = session.issue(known, time.time())
    return redirect(request, following, cookies=[_cookie(request, value, session.SECONDS)])


@post("/sign-out", opt=CONSOLE)
async def sign_out(request: AnyRequest, service: ServiceDep) -> Response[None]:
    """Ends the session: in this browser, and for whoever else has its cookie."""
    caller, value = caller_of(request), request.cookies.get(session.COOKIE)
    if caller and caller.csrf and value:
        await service.ended_sessions.end(session.id_of(value), session.end_of(value))
    return redirect(request, "/sign-in", cookies=[_cookie(request, "", 0)])


def _cookie(request: AnyRequest, value: str, seconds: int) -> Cookie:
    # Behind a proxy that speaks HTTPS only the browser knows what it speaks.
    origin = request.headers.get("origin", "")
    return Cookie(
        key=session.COOKIE,
        value=value,
        max_age=seconds,
        httponly=True,
        samesite="lax",
        secure=request.url.scheme == "https" or origin.startswith("https://"),
    )


HANDLERS = (show_sign_in, sign_in, sign_out)
