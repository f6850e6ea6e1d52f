"""Signing in: what the cookie is good for, when it ends, and what a change must carry."""

import time
from http.cookies import SimpleCookie

import httpx
import pytest

from taskservice.service import Credentials, Principal
from taskservice.settings import ApiToken, Settings
from taskservice.storage.database import Database
from taskservice.web import session
from tests.web.bodies import hourly
from tests.web.conftest import BASE, Serve
from tests.web.console.pages import BROWSER, is_strict, parse
from tests.web.test_web_auth import OPEN, OPERATIONS, TOKENS, bearer

ORIGIN = {"Origin": BASE}


async def sign_in(client: httpx.AsyncClient, role: str) -> str:
    """Signs in as who has this role; the CSRF token of the session."""
    form = {"token": f"{role}-secret", "next": "/"}
    answer = await client.post("/sign-in", data=form, headers=ORIGIN)
    assert answer.status_code == 303, answer.text
    page = parse((await client.get("/", headers=BROWSER)).text)
    return page.one("meta", name="csrf-token").attributes["content"]


async def test_a_page_leads_to_the_sign_in_and_back(serve: Serve) -> None:
    async with serve(api_tokens=TOKENS) as client:
        answer = await client.get("/?status=failed", headers=BROWSER)
        assert answer.status_code == 303
        assert answer.headers["location"] == "/sign-in?next=/%3Fstatus%3Dfailed"
        page = parse((await client.get(answer.headers["location"], headers=BROWSER)).text)
        is_strict(page)
        assert page.one("input", name="next").attributes["value"] == "/?status=failed"
        form = {"token": "viewer-secret", "next": "/?status=failed"}
        answer = await client.post("/sign-in", data=form, headers=ORIGIN)
        assert (answer.status_code, answer.headers["location"]) == (303, "/?status=failed")
        page = parse((await client.get("/", headers=BROWSER)).text)
        assert "vic" in page.one("form", class_="who").text


async def test_the_cookie_is_for_this_site_alone_and_holds_no_token(serve: Serve) -> None:
    async with serve(api_tokens=TOKENS) as client:
        form = {"token": "admin-secret"}
        answer = await client.post("/sign-in", data=form, headers=ORIGIN)
        cookie = SimpleCookie(answer.headers["set-cookie"])[session.COOKIE]
        assert cookie["httponly"] and not cookie["secure"]
        assert (cookie["samesite"].lower(), cookie["path"]) == ("lax", "/")
        assert "secret" not in cookie.value
        assert TOKENS[2].token_hash.hex() not in cookie.value
        over_tls = await client.post(
            "/sign-in", data=form, headers={"Origin": "https://127.0.0.1:8000"}
        )
        assert SimpleCookie(over_tls.headers["set-cookie"])[session.COOKIE]["secure"]


async def test_a_wrong_token_is_told(serve: Serve) -> None:
    async with serve(api_tokens=TOKENS) as client:
        for token in ("nobodys", "", "viewer-secret,", "\x00"):
            answer = await client.post("/sign-in", data={"token": token}, headers=ORIGIN)
            assert answer.status_code == 401
            assert "This token is not known." in answer.text
            assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    "following",
    ["//evil.example", "https://evil.example/", "/\\evil.example", "evil", "", "/\t/evil", "/\n/e"],
)
async def test_a_sign_in_leads_to_no_other_site(serve: Serve, following: str) -> None:
    async with serve(api_tokens=TOKENS) as client:
        form = {"token": "viewer-secret", "next": following}
        answer = await client.post("/sign-in", data=form, headers=ORIGIN)
        assert (answer.status_code, answer.headers["location"]) == (303, "/")


async def test_another_site_signs_nobody_in(serve: Serve) -> None:
    async with serve(api_tokens=TOKENS) as client:
        for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
            form = {"token": "viewer-secret"}
            answer = await client.post("/sign-in", data=form, headers=headers)
            assert answer.status_code == 403
            assert "set-cookie" not in answer.headers


async def test_the_api_takes_the_cookie(serve: Serve) -> None:
    async with serve(api_tokens=TOKENS) as client:
        csrf = await sign_in(client, "admin")
        assert (await client.get("/task-manage/")).status_code == 200
        headers = {"X-CSRF-Token": csrf, **ORIGIN}
        made = await client.post("/task-manage/", json=hourly(id="t"), headers=headers)
        assert made.status_code == 201
        ran = await client.post("/task-manage/t/trigger", headers=headers)
        assert ran.json()["triggered_by"] == "ann"


async def test_a_change_by_cookie_carries_the_token_of_its_session(serve: Serve) -> None:
    async with serve(api_tokens=TOKENS) as client:
        csrf = await sign_in(client, "admin")
        other = session.csrf_token(principal(TOKENS[2]), "another session")
        refused: list[tuple[dict[str, str], dict[str, str]]] = [
            (ORIGIN, {}),
            ({**ORIGIN, "X-CSRF-Token": ""}, {}),
            ({**ORIGIN, "X-CSRF-Token": other}, {}),
            ({**ORIGIN, "X-CSRF-Token": "\xff"}, {}),
            ({**ORIGIN, "X-CSRF-Token": "wrong"}, {"csrf": csrf}),
            (ORIGIN, {"csrf": other}),
            ({"X-CSRF-Token": csrf, "Origin": "https://evil.example"}, {}),
            ({"X-CSRF-Token": csrf, "Origin": "null"}, {}),
            ({"X-CSRF-Token": csrf, "Sec-Fetch-Site": "cross-site"}, {}),
        ]
        for headers, form in refused:
            sent = httpx.Headers(headers, encoding="latin-1")
            answer = await client.post("/sync", data=form or None, headers=sent)
            assert answer.status_code == 403, (headers, form)
        answer = await client.post("/sync", headers={"X-CSRF-Token": csrf})
        assert answer.status_code == 200
        assert (await client.post("/sign-out", data={"csrf": csrf})).status_code == 303


async def test_no_change_by_cookie_goes_without_it(serve: Serve) -> None:
    changes = [one for one in OPERATIONS if one[0] not in ("GET", "OPTIONS") and one not in OPEN]
    assert len(changes) > 20
    async with serve(api_tokens=TOKENS) as client:
        await sign_in(client, "admin")
        for method, path in changes:
            answer = await client.request(method, path, headers=ORIGIN)
            assert answer.status_code == 403, (method, path)
            assert "X-CSRF-Token" in answer.json()["detail"]


async def test_a_form_field_counts_in_a_form_only(serve: Serve) -> None:
    async with serve(api_tokens=TOKENS) as client:
        csrf = await sign_in(client, "admin")
        answer = await client.post(
            "/sync", content=f"csrf={csrf}", headers={"Content-Type": "text/plain"}
        )
        assert answer.status_code == 403


async def test_a_bearer_token_needs_no_other(serve: Serve) -> None:
    async with serve(api_tokens=TOKENS) as client:
        await sign_in(client, "viewer")
        answer = await client.post("/task-manage/", json=hourly(), headers=bearer("admin"))
        assert answer.status_code == 201


async def test_a_role_is_kept_to(serve: Serve) -> None:
    async with serve(api_tokens=TOKENS) as client:
        csrf = await sign_in(client, "viewer")
        headers = {"X-CSRF-Token": csrf, **ORIGIN}
        answer = await client.post("/task-manage/", json=hourly(), headers=headers)
        assert answer.status_code == 403
        assert answer.json()["detail"] == "vic is viewer; this needs admin"
        assert (await client.post("/plan", json={"files": {}}, headers=headers)).status_code == 200


async def test_signing_out_ends_the_session_in_this_browser(serve: Serve) -> None:
    async with serve(api_tokens=TOKENS) as client:
        csrf = await sign_in(client, "viewer")
        answer = await client.post("/sign-out", data={"csrf": csrf}, headers=ORIGIN)
        assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in")
        assert session.COOKIE not in client.cookies
        assert (await client.get("/", headers=BROWSER)).status_code == 303


def known_to(tokens: tuple[ApiToken, ...]) -> Credentials:
    """What knows these tokens, and no stored ones."""
    settings = Settings(api_tokens=tokens)
    return Credentials(settings, Database(settings.database_url))


def principal(token: ApiToken) -> Principal:
    """Whose a token is."""
    return Principal(name=token.name, role=token.role, token_hash=token.token_hash)


def held(value: str, now: float) -> str | None:
    """The name of whose session this is."""
    known = session.holder_of(known_to(TOKENS), value, now)
    return known.name if known else None


def test_a_session_ends_by_its_time() -> None:
    value = session.issue(principal(TOKENS[0]), 1_000_000)
    assert held(value, 1_000_000) == "vic"
    assert held(value, 1_000_000 + session.SECONDS - 1) == "vic"
    assert held(value, 1_000_000 + session.SECONDS) is None


def test_a_session_that_was_altered_is_none() -> None:
    value = session.issue(principal(TOKENS[0]), 1_000_000)
    expiry, chance, name, signature = value.split(".")
    ann = TOKENS[2].name.encode().hex()
    for altered in (
        "", ".", "..", "a.b.c", "é.b.c", value + "0", value[:-1],
        f"{int(expiry) + 1}.{chance}.{name}.{signature}",
        f"{expiry}.{'0' * 16}.{name}.{signature}",
        f"{expiry}.{chance}.{ann}.{signature}",
        f"{expiry}.{chance}.zz.{signature}", f"{expiry}.{chance}.{name}.é",
        f"{expiry}.{chance}.ff.{signature}",
        f"{expiry}.{chance}.{signature}",
        f"{expiry}.{chance}.{name}."
        + session.csrf_token(principal(TOKENS[0]), f"{expiry}.{chance}.{name}"),
    ):  # fmt: skip
        assert held(altered, 1_000_000) is None, altered


def test_a_session_ends_with_its_token_and_with_no_other() -> None:
    value = session.issue(principal(TOKENS[0]), 1_000_000)
    for tokens, name in ((TOKENS[:1], "vic"), (TOKENS[1:], None), ((), None)):
        known = session.holder_of(known_to(tokens), value, 1_000_000)
        assert (known.name if known else None) == name
    changed = Settings.from_environment({"TASKSERVICE_API_TOKENS": "vic:viewer:new-secret"})
    assert session.holder_of(known_to(changed.api_tokens), value, 1_000_000) is None
    promoted = Settings.from_environment({"TASKSERVICE_API_TOKENS": "vic:admin:viewer-secret"})
    known = session.holder_of(known_to(promoted.api_tokens), value, 1_000_000)
    assert known is not None
    assert known.role == "admin"


async def test_a_session_that_is_over_is_told(serve: Serve) -> None:
    async with serve(api_tokens=TOKENS) as client:
        over = session.issue(principal(TOKENS[0]), time.time() - session.SECONDS - 1)
        for value in (over, "forged.0.0"):
            client.cookies.set(session.COOKIE, value)
            answer = await client.get("/task-manage/")
            assert answer.status_code == 401
            assert "sign in again" in answer.json()["detail"]
            assert (await client.get("/", headers=BROWSER)).status_code == 303


async def test_a_session_that_was_signed_out_of_is_over(serve: Serve) -> None:
    async with serve(api_tokens=TOKENS) as client:

        async def sign_in() -> str:
            form = {"token": "admin-secret"}
            answer = await client.post("/sign-in", data=form, headers=ORIGIN)
            return SimpleCookie(answer.headers["set-cookie"])[session.COOKIE].value

        ended, other = await sign_in(), await sign_in()
        client.cookies.set(session.COOKIE, ended)
        page = parse((await client.get("/", headers=BROWSER)).text)
        csrf = page.one("form", action="/sign-out").one("input", name="csrf").attributes["value"]
        assert (await client.post("/sign-out", data={"csrf": csrf}, headers=ORIGIN)).is_redirect
        for value, status in ((ended, 401), (other, 200)):
            client.cookies.clear()
            client.cookies.set(session.COOKIE, value)
            assert (await client.get("/task-manage/")).status_code == status
    # It is over after a restart, too.
    async with serve(api_tokens=TOKENS) as client:
        for value, status in ((ended, 401), (other, 200)):
            client.cookies.clear()
            client.cookies.set(session.COOKIE, value)
            assert (await client.get("/task-manage/")).status_code == status


async def test_without_tokens_nobody_signs_in(client: httpx.AsyncClient) -> None:
    answer = await client.get("/sign-in?next=/timeline", headers=BROWSER)
    assert (answer.status_code, answer.headers["location"]) == (303, "/timeline")
    answer = await client.post("/sign-in", data={"token": "x"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    page = parse((await client.get("/", headers=BROWSER)).text)
    assert list(page.all("form", class_="who")) == []
    foreign = await client.post("/sign-out", headers={"Origin": "https://evil.example"})
    assert foreign.status_code == 403
