"""Signing in by token or at the provider, and out."""

import hmac
import time
from typing import Any
from urllib.parse import urlencode

from litestar import Response, get, post
from litestar.datastructures import Cookie

from taskservice.domain.errors import UnknownToken
from taskservice.domain.trail import Cause, Change, event_of
from taskservice.service import Principal, Service
from taskservice.web import auth, session
from taskservice.web.api.parameters import ServiceDep
from taskservice.web.console.render import (
    CONSOLE,
    SECURITY,
    AnyRequest,
    caller_of,
    language_of,
    local,
    page,
    redirect,
    settings_of,
)
from taskservice.web.provider import (
    Attempt,
    NotBelieved,
    Provider,
    ProviderAway,
    new_attempt,
)

BY_HAND = 10
"""How much more a token weighs that is typed: a program may ask often before it is mended."""

ATTEMPT = "taskservice_sign_in"
"""The cookie of a sign-in at the provider that has begun, and the purpose of its seal."""

ATTEMPT_SECONDS = 600

LARGEST_FORM = 16 * 1024
"""Bytes of a form that anybody may send."""


@get("/sign-in", opt=CONSOLE)
async def show_sign_in(request: AnyRequest) -> Response[Any]:
    """The form that takes a token."""
    following = local(request.query_params.get("next"))
    if not auth.credentials_of(request).are_needed:
        return redirect(request, following)
    return await _form(request, following)


@post("/sign-in", opt=CONSOLE, request_max_body_size=LARGEST_FORM)
async def sign_in(request: AnyRequest, service: ServiceDep) -> Response[Any]:
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
        return await _form(request, following, wrong=wrong, status=401)
    await _note_sign_in(service, known)
    value = session.issue(known, time.time())
    return redirect(request, following, cookies=[_cookie(request, value, session.SECONDS)])


@get("/sign-in/begin", opt=CONSOLE)
async def begin_at_provider(request: AnyRequest) -> Response[Any]:
    """Leads to the provider's own page; a cookie has what must come back from there."""
    following = local(request.query_params.get("next"))
    provider = _provider_of(request)
    if provider is None:
        return redirect(request, "/sign-in")
    attempt = new_attempt()
    try:
        address = await provider.begin(attempt)
    except ProviderAway:
        return await _form(request, following, status=503)
    sealed = session.seal(
        auth.people_of(request).key,
        ATTEMPT,
        {
            "id": attempt.id, "state": attempt.state, "nonce": attempt.nonce,
            "verifier": attempt.verifier, "next": following,
            "end": str(int(time.time()) + ATTEMPT_SECONDS),
        },
    )  # fmt: skip
    cookie = _cookie(request, sealed, ATTEMPT_SECONDS, key=ATTEMPT)
    return Response(
        None, status_code=303, headers={**SECURITY, "Location": address}, cookies=[cookie]
    )


@get("/sign-in/callback", opt=CONSOLE)
async def come_back_from_provider(request: AnyRequest, service: ServiceDep) -> Response[Any]:
    """Begins a session, where the provider says who has come back, and a group has a role."""
    provider = _provider_of(request)
    if provider is None:
        return redirect(request, "/sign-in")
    language = language_of(request)
    given = request.query_params
    begun = session.unseal(service.people.key, ATTEMPT, request.cookies.get(ATTEMPT, ""))
    await service.ended_sessions.refresh()
    if (
        begun is None
        or not hmac.compare_digest(begun["state"].encode(), given.get("state", "").encode())
        or float(begun["end"]) <= time.time()
        or begun["id"] in service.ended_sessions
    ):
        told = language.gettext("This sign-in is over, or was begun elsewhere: begin again.")
        return await _form(request, "/", refused=told, status=400)
    # Whatever comes of it, it can't be used again.
    await service.ended_sessions.end(begun["id"], float(begun["end"]))
    following = local(begun["next"])
    if "code" not in given:
        told = language.gettext("The provider let nobody in: %(reason)s")
        reason = given.get("error", "no code")[:100]
        return await _form(request, following, refused=told % {"reason": reason}, status=403)
    attempt = Attempt(
        id=begun["id"], state=begun["state"], nonce=begun["nonce"], verifier=begun["verifier"]
    )
    try:
        person = await provider.finish(attempt, given["code"])
    except ProviderAway:
        return await _form(request, following, status=503)
    except NotBelieved as refused:
        return await _form(request, following, refused=str(refused), status=403)
    groups = service.people.known_groups(person.groups)
    name = service.people.name_of(person.name)
    principal = service.people.principal(name, groups)
    if principal is None:
        why = f"the groups of {name} have no role here"
        cause = Cause(by=name, via="console", reason=why)
        await service.trail.note_refusal(cause, task_id=None)
        told = language.gettext("%(name)s is in no group that may come in here.")
        return await _form(request, following, refused=told % {"name": name}, status=403)
    await _note_sign_in(service, principal)
    value = session.issue_to_person(principal, groups, time.time())
    cookies = [
        _cookie(request, value, session.SECONDS),
        _cookie(request, "", 0, key=ATTEMPT),
    ]
    return redirect(request, following, cookies=cookies)


async def _note_sign_in(service: Service, principal: Principal) -> None:
    cause = Cause(by=principal.name, via="console")
    changes = [Change("role", None, principal.role)]
    await service.trail.note(event_of("signed_in", cause, changes=changes))


async def _form(
    request: AnyRequest,
    following: str,
    *,
    wrong: str | None = None,
    refused: str | None = None,
    status: int = 200,
) -> Response[Any]:
    """The form that takes a token, with the way to the provider, or that this is away.

    `wrong` is told of the token, `refused` of the provider's answer.
    """
    provider = _provider_of(request)
    away = await provider.away() if provider else None
    return page(
        request, "sign-in.html", status=status, following=following, wrong=wrong, refused=refused,
        provider=provider.name if provider else None, away=away,
        begin=f"/sign-in/begin?{urlencode({'next': following})}",
    )  # fmt: skip


def _provider_of(request: AnyRequest) -> Provider | None:
    """The provider of the settings, if there is one."""
    provider: Provider | None = request.app.state.provider
    return provider


@post("/sign-out", opt=CONSOLE)
async def sign_out(request: AnyRequest, service: ServiceDep) -> Response[None]:
    """Ends the session: in this browser, and for whoever else has its cookie."""
    caller, value = caller_of(request), request.cookies.get(session.COOKIE)
    if caller and caller.csrf and value:
        await service.ended_sessions.end(session.id_of(value), session.end_of(value))
    return redirect(request, "/sign-in", cookies=[_cookie(request, "", 0)])


def _cookie(request: AnyRequest, value: str, seconds: int, *, key: str = session.COOKIE) -> Cookie:
    # Behind a proxy that speaks HTTPS only the browser knows what it speaks.
    addresses = str(request.url), request.headers.get("origin", ""), settings_of(request).url
    return Cookie(
        key=key,
        value=value,
        max_age=seconds,
        httponly=True,
        samesite="lax",
        secure=any(one.startswith("https://") for one in addresses),
    )


HANDLERS = (show_sign_in, sign_in, begin_at_provider, come_back_from_provider, sign_out)
