"""Signing in at a provider: a real one on loopback, sound and bent."""

import base64
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from taskservice.service import TrailFilter
from taskservice.web import session
from tests.service.conftest import until
from tests.web.bodies import hourly
from tests.web.conftest import BASE, Client, Serve
from tests.web.console.pages import BROWSER, parse
from tests.web.console.provider import CLIENT, Claims, Provider, running
from tests.web.console.test_console_session import ORIGIN
from tests.web.test_web_auth import TOKENS

# The provider's package uses a part of Authlib that is to go.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

ROLES = (("ops-admins", "admin"), ("ops", "operator"), ("watchers", "viewer"))
NOT_FOR_THIS = "token is not one for this sign-in"


@pytest.fixture
def provider() -> Iterator[Provider]:
    with running() as made:
        yield made


@asynccontextmanager
async def app(serve: Serve, provider: Provider | str, **more: Any) -> AsyncIterator[Client]:
    """The app with a provider, and without any token."""
    issuer = provider if isinstance(provider, str) else provider.url
    usual: dict[str, Any] = {
        "url": BASE, "oidc_issuer": issuer, "oidc_client_id": CLIENT,
        "oidc_client_secret": "planted-secret", "oidc_roles": ROLES,
    }  # fmt: skip
    async with serve(**{**usual, **more}) as client:
        yield client


async def at_provider(address: str, person: str) -> str:
    """Sign in on the provider's page; where it leads back to."""
    async with httpx.AsyncClient() as browser:
        page = await browser.get(address)
        assert page.status_code == 200, page.text
        answer = await browser.post(address, data={"sub": person})
    assert answer.status_code == 302, answer.text
    back: str = answer.headers["location"]
    assert back.startswith(f"{BASE}/sign-in/callback?")
    return back.removeprefix(BASE)


async def begin(client: Client, following: str = "/timeline") -> str:
    """The address of the provider's page, to which the sign-in leads."""
    answer = await client.get("/sign-in/begin", params={"next": following}, headers=BROWSER)
    assert answer.status_code == 303, answer.text
    address: str = answer.headers["location"]
    return address


async def signed_in(client: Client, person: str) -> httpx.Response:
    """The answer to somebody who comes back from the provider."""
    back = await at_provider(await begin(client), person)
    return await client.get(back, headers=BROWSER)


@pytest.mark.parametrize(
    ("person", "role"),
    [
        ("ann@example.org", "admin"),
        ("bob@example.org", "operator"),
        ("cai@example.org", "operator"),
    ],
)
async def test_a_person_has_the_highest_role_of_the_groups(
    serve: Serve, provider: Provider, person: str, role: str
) -> None:
    async with app(serve, provider) as client:
        answer = await signed_in(client, person)
        assert (answer.status_code, answer.headers["location"]) == (303, "/timeline")
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie and "SameSite=lax" in cookie
        page = parse((await client.get("/", headers=BROWSER)).text)
        csrf = page.one("input", name="csrf").attributes["value"]
        headers = {**ORIGIN, session.CSRF_HEADER: csrf or ""}
        made = await client.post("/task-manage/", json=hourly(id="a"), headers=headers)
        assert made.status_code == (201 if role == "admin" else 403)
        if role == "admin":
            assert (await client.post("/task-manage/a/pause", headers=headers)).status_code == 200


async def test_it_begins_with_code_pkce_state_and_nonce(serve: Serve, provider: Provider) -> None:
    async with app(serve, provider) as client:
        one, two = [parse_qs(urlsplit(await begin(client)).query) for _ in range(2)]
    assert one["response_type"] == ["code"] and one["code_challenge_method"] == ["S256"]
    assert one["redirect_uri"] == [f"{BASE}/sign-in/callback"] and one["client_id"] == [CLIENT]
    for name in ("state", "nonce", "code_challenge"):
        assert len(one[name][0]) >= 32 and one[name] != two[name]


async def test_without_a_token_or_a_session_all_is_closed(serve: Serve, provider: Provider) -> None:
    async with app(serve, provider) as client:
        assert (await client.get("/task-manage/")).status_code == 401
        answer = await client.get("/", headers=BROWSER)
        assert answer.headers["location"].startswith("/sign-in")
        page = (await client.get("/sign-in", headers=BROWSER)).text
        assert "Sign in with 127.0.0.1" in page


async def test_who_has_no_role_is_refused(serve: Serve, provider: Provider) -> None:
    """Groups are compared exactly: `OPS` is not `ops`."""
    async with app(serve, provider) as client:
        answer = await signed_in(client, "eve@example.org")
        assert answer.status_code == 403
        assert "eve@example.org is in no group" in answer.text
        assert session.COOKIE not in client.cookies
        assert (await signed_in(client, "bob@example.org")).status_code == 303
        came, refused = (await client.service.trail.page(TrailFilter(), size=5)).items
        told = [(one.event.action, one.event.by, one.event.via) for one in (came, refused)]
        assert told == [
            ("signed_in", "bob@example.org", "console"), ("refused", "eve@example.org", "console"),
        ]  # fmt: skip


async def test_groups_may_be_told_by_userinfo_alone(serve: Serve, provider: Provider) -> None:
    provider.bend = lambda claims: {k: v for k, v in claims.items() if k != "groups"}
    async with app(serve, provider) as client:
        assert (await signed_in(client, "bob@example.org")).status_code == 303

        def of_somebody_else(answer: Any) -> Any:
            answer.set_data(json.dumps({"sub": "ann@example.org", "groups": ["ops-admins"]}))
            return answer

        provider.told["/userinfo"] = of_somebody_else
        client.cookies.clear()
        answer = await signed_in(client, "eve@example.org")
        assert answer.status_code == 403 and "tells of somebody else" in answer.text


def changed(**claims: Any) -> Callable[[Claims], Claims]:
    return lambda given: {**given, **claims}


def none_signed(token: str) -> str:
    """The same with `alg: none`, and no signature."""
    header = base64.urlsafe_b64encode(b'{"alg":"none"}').rstrip(b"=").decode()
    return f"{header}.{token.split('.')[1]}."


def other_body(token: str) -> str:
    """The signature of one claim under others."""
    header, body, signature = token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=="))
    claims["groups"] = ["ops-admins"]
    forged = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return f"{header}.{forged}.{signature}"


BENT: dict[str, dict[str, Any]] = {
    "another audience": {"bend": changed(aud="another")},
    "several audiences, for somebody else": {
        "bend": changed(aud=[CLIENT, "another"], azp="another"),
    },
    "another issuer": {"bend": changed(iss="https://evil.example")},
    "no issuer": {"bend": lambda claims: {k: v for k, v in claims.items() if k != "iss"}},
    "expired": {"bend": lambda claims: {**claims, "exp": int(time.time()) - 120}},
    "no end": {"bend": lambda claims: {k: v for k, v in claims.items() if k != "exp"}},
    "of tomorrow": {"bend": lambda claims: {**claims, "iat": int(time.time()) + 86400}},
    "another nonce": {"bend": changed(nonce="of another attempt")},
    "no nonce": {"bend": lambda claims: {k: v for k, v in claims.items() if k != "nonce"}},
    "alg none": {"token": none_signed},
    "another signature": {"token": other_body},
    "no token": {"token": lambda _token: ""},
    "garbage": {"token": lambda _token: "a.b.c"},
    "a text without end": {"token": lambda token: token + "A" * 100_000},
    "nobody": {"bend": changed(sub="")},
}


async def test_a_bent_token_lets_nobody_in(serve: Serve, provider: Provider) -> None:
    sound = {"bend": provider.bend, "token": provider.token}
    async with app(serve, provider) as client:
        for how, bent in BENT.items():
            for name, value in {**sound, **bent}.items():
                setattr(provider, name, value)
            answer = await signed_in(client, "ann@example.org")
            assert answer.status_code == 403, how
            assert session.COOKIE not in client.cookies, how
        assert (await client.get("/task-manage/")).status_code == 401


async def test_a_key_in_the_tokens_own_header_counts_for_nothing(
    serve: Serve, provider: Provider
) -> None:
    async with app(serve, provider) as client:
        assert (await signed_in(client, "bob@example.org")).status_code == 303
        published = list(provider.keys)
        provider.rotate()
        provider.header = {"jwk": provider.keys[0].as_dict(private=False)}
        forged = provider.keys

        def published_alone(answer: Any) -> Any:
            from joserfc.jwk import KeySet

            answer.set_data(json.dumps(KeySet(list(published)).as_dict(private=False)))
            return answer

        provider.told["/jwks"] = published_alone
        assert provider.keys is forged
        client.cookies.clear()
        assert (await signed_in(client, "ann@example.org")).status_code == 403


async def test_a_clock_that_differs_by_a_minute_does_no_harm(
    serve: Serve, provider: Provider
) -> None:
    async with app(serve, provider) as client:
        for seconds in (-50, 50):
            moment = int(time.time()) + seconds
            provider.bend = changed(iat=moment, exp=moment + 40)
            assert (await signed_in(client, "bob@example.org")).status_code == 303


async def test_what_comes_back_can_be_used_once(serve: Serve, provider: Provider) -> None:
    async with app(serve, provider) as client:
        address = await begin(client)
        kept = dict(client.cookies)
        back = await at_provider(address, "bob@example.org")
        assert (await client.get(back, headers=BROWSER)).status_code == 303
        client.cookies.clear()
        # With the cookie of the attempt, as a thief may have both.
        client.cookies.update(kept)
        answer = await client.get(back, headers=BROWSER)
        assert answer.status_code == 400
        assert "This sign-in is over" in answer.text
        # The code of another attempt, by this one's state.
        address = await begin(client)
        state = parse_qs(urlsplit(address).query)["state"][0]
        code = parse_qs(urlsplit(back).query)["code"][0]
        answer = await client.get(
            "/sign-in/callback", params={"code": code, "state": state}, headers=BROWSER
        )
        assert answer.status_code == 403
        assert "does not take the code" in answer.text


async def test_nobody_is_signed_in_by_somebody_elses_attempt(
    serve: Serve, provider: Provider
) -> None:
    """Login CSRF: the thief's code, in the victim's browser, which began nothing or another one."""
    async with app(serve, provider) as client:
        back = await at_provider(await begin(client), "eve@example.org")
        client.cookies.clear()
        assert (await client.get(back, headers=BROWSER)).status_code == 400
        await begin(client)
        assert (await client.get(back, headers=BROWSER)).status_code == 400
        client.cookies.clear()
        cookie = "taskservice_sign_in=\xe9.zz".encode("latin-1")
        raw = [(name.encode(), value.encode()) for name, value in BROWSER.items()]
        answer = await client.get(back, headers=[*raw, (b"Cookie", cookie)])
        assert answer.status_code == 400


async def test_a_key_that_was_rotated_is_fetched_and_not_each_time(
    serve: Serve, provider: Provider
) -> None:
    async with app(serve, provider) as client:
        assert (await signed_in(client, "bob@example.org")).status_code == 303
        assert (await signed_in(client, "bob@example.org")).status_code == 303
        asked = provider.asked
        assert asked.count("/jwks") == 1
        assert asked.count("/.well-known/openid-configuration") == 1
        provider.rotate()

        async def lets_in() -> bool:
            return (await signed_in(client, "bob@example.org")).status_code == 303

        await until(lets_in)


async def test_who_says_no_there_is_not_let_in_here(serve: Serve, provider: Provider) -> None:
    async with app(serve, provider) as client:
        # As RFC 6749, section 4.1.2.1, has it.
        state = parse_qs(urlsplit(await begin(client)).query)["state"][0]
        said = {"error": "access_denied", "state": state}
        answer = await client.get("/sign-in/callback", params=said, headers=BROWSER)
        assert answer.status_code == 403
        assert "The provider let nobody in: access_denied" in answer.text


async def test_a_provider_that_goes_away_is_told_soon(serve: Serve, provider: Provider) -> None:
    async with app(serve, provider) as client:
        assert "Sign in with" in (await client.get("/sign-in", headers=BROWSER)).text
        provider.stop()

        async def told() -> bool:
            return "127.0.0.1 is away" in (await client.get("/sign-in", headers=BROWSER)).text

        await until(told)


async def test_a_provider_that_is_away_is_told_and_tokens_go_on(
    serve: Serve, provider: Provider
) -> None:
    provider.stop()
    async with app(serve, provider, api_tokens=TOKENS) as client:
        page = await client.get("/sign-in", headers=BROWSER)
        assert page.status_code == 200
        assert "127.0.0.1 is away" in page.text and "Sign in with" not in page.text
        assert (await client.get("/sign-in/begin", headers=BROWSER)).status_code == 503
        allowed = {"Authorization": "Bearer viewer-secret"}
        assert (await client.get("/task-manage/", headers=allowed)).status_code == 200


@pytest.mark.parametrize(
    "bent",
    [
        {"issuer": "https://evil.example"},
        {"token_endpoint": "http://evil.example/token"},
        {"jwks_uri": 7},
        {"pad": "x" * 2_000_000},
    ],
    ids=lambda bent: next(iter(bent)),
)
async def test_a_provider_that_tells_nonsense_of_itself_is_away(
    serve: Serve, provider: Provider, bent: dict[str, Any]
) -> None:
    def other(answer: Any) -> Any:
        answer.set_data(json.dumps({**answer.get_json(), **bent}))
        return answer

    provider.told["/.well-known/openid-configuration"] = other
    async with app(serve, provider) as client:
        assert "is away" in (await client.get("/sign-in", headers=BROWSER)).text


async def test_a_session_ends_by_signing_out_and_lives_on_over_a_restart(
    serve: Serve, provider: Provider
) -> None:
    async with app(serve, provider) as client:
        assert (await signed_in(client, "ann@example.org")).status_code == 303
        value = client.cookies[session.COOKIE]
    async with app(serve, provider) as client:
        client.cookies.set(session.COOKIE, value)
        page = await client.get("/", headers=BROWSER)
        assert page.status_code == 200
        csrf = parse(page.text).one("input", name="csrf").attributes["value"]
        await client.post("/sign-out", data={"csrf": csrf}, headers=ORIGIN)
        client.cookies.set(session.COOKIE, value)
        assert (await client.get("/task-manage/")).status_code == 401
    # A group that has no role any more is worth nothing, whatever its sessions say.
    async with app(serve, provider) as client:
        assert (await signed_in(client, "bob@example.org")).status_code == 303
        value = client.cookies[session.COOKIE]
    async with app(serve, provider, oidc_roles=(("ops", "viewer"),)) as client:
        client.cookies.set(session.COOKIE, value)
        assert (await client.get("/task-manage/")).status_code == 200
    async with app(serve, provider, oidc_roles=(("others", "admin"),)) as client:
        client.cookies.set(session.COOKIE, value)
        assert (await client.get("/task-manage/")).status_code == 401


async def test_a_person_is_never_called_as_a_token_is(serve: Serve, provider: Provider) -> None:
    async with app(serve, provider, api_tokens=TOKENS) as client:
        provider.bend = changed(email="vic")
        assert (await signed_in(client, "ann@example.org")).status_code == 303
        page = parse((await client.get("/", headers=BROWSER)).text)
        csrf = page.one("input", name="csrf").attributes["value"]
        headers = {**ORIGIN, session.CSRF_HEADER: csrf or ""}
        await client.post("/task-manage/", json=hourly(id="a"), headers=headers)
        answer = await client.post("/task-manage/a/trigger", headers=headers)
        assert answer.json()["triggered_by"] == "vic (127.0.0.1)"
