"""Tokens with roles; without tokens, only this machine's own users and pages."""

import inspect
import re

import httpx
from litestar.routes import HTTPRoute

from taskservice.settings import Settings
from taskservice.web import auth
from taskservice.web.app import create_app
from tests.web.bodies import hourly
from tests.web.conftest import Client, Serve

TOKENS = Settings.from_environment(
    {
        "TASKSERVICE_API_TOKENS": "vic:viewer:viewer-secret,"
        "olga:operator:operator-secret,ann:admin:admin-secret"
    }
).api_tokens
ROLES = ("viewer", "operator", "admin")
OPERATIONS = [
    (method, re.sub(r"{(\w+?)(_id)?:\w+}", r"no-\1", route.path))
    for route in create_app(Settings()).routes
    if isinstance(route, HTTPRoute)
    for method in sorted(route.methods)
]
ENDLESS = {("GET", "/events")}
"""Whose answers, once one is admitted, have no end: test_web_events reads them."""
OPEN = {
    ("GET", "/health/live"), ("GET", "/health/ready"), ("GET", "/sign-in"), ("POST", "/sign-in"),
    ("GET", "/static/no-digest/no-name"),
    ("GET", "/sign-in/begin"), ("GET", "/sign-in/callback"),
}  # fmt: skip
OPERATORS = re.compile(r"/(pause|resume|trigger|cancel|again|(un)?silence)$")


def bearer(role: str) -> dict[str, str]:
    """The header of somebody with this role."""
    return {"Authorization": f"Bearer {role}-secret"}


READING = ("/plan", "/promotion", "/sign-out")
"""What is asked by POST and changes nothing."""


def may(role: str, method: str, path: str) -> bool:
    """What issue and contract say of roles."""
    if method in ("GET", "OPTIONS") or path in READING:
        return True
    return role == "admin" or (role == "operator" and bool(OPERATORS.search(path)))


def test_the_operations_were_found() -> None:
    assert ("POST", "/task-manage/no-task/logs/no-log/cancel") in OPERATIONS
    assert ("GET", "/schema/openapi.json") in OPERATIONS
    assert len(OPERATIONS) > 40


async def test_every_operation_asks_for_a_token_and_for_the_role(serve: Serve) -> None:
    async with serve(api_tokens=TOKENS) as client:
        for method, path in OPERATIONS:
            answer = await client.request(method, path)
            if (method, path) in OPEN:
                assert answer.status_code in (200, 404) or "/sign-in" in path, (method, path)
                continue
            assert answer.status_code == 401, (method, path)
            assert answer.headers["www-authenticate"] == "Bearer"
            for role in ROLES if (method, path) not in ENDLESS else ():
                answer = await client.request(method, path, headers=bearer(role))
                refused = answer.status_code == 403
                assert refused is not may(role, method, path), (method, path, role)
                assert answer.status_code != 401


NO_TOKENS = (
    "", "Bearer", "Bearer ", "Bearer nobodys-secret", "Basic admin-secret", "admin-secret",
    "Bearer admin-secret,", "Bearer ADMIN-SECRET", "Bearer \xff",
)  # fmt: skip


async def test_without_a_known_token_nothing_is_told(serve: Serve) -> None:
    async with serve(api_tokens=TOKENS) as client:
        for value in NO_TOKENS:
            headers = httpx.Headers({"Authorization": value}, encoding="latin-1")
            for path in ("/task-manage/", "/schema", "/nope", "/"):
                for method in ("GET", "PATCH"):
                    answer = await client.request(method, path, headers=headers)
                    assert answer.status_code == 401, (method, path, value)
                    assert answer.headers["content-type"] == "application/problem+json"
        assert (await client.patch("/health/live")).status_code == 405


async def test_the_scheme_is_written_as_one_likes(serve: Serve) -> None:
    async with serve(api_tokens=TOKENS) as client:
        answer = await client.get("/sync", headers={"Authorization": "bearer  viewer-secret"})
        assert answer.status_code == 200


async def test_a_refusal_says_who_and_what_is_needed(serve: Serve) -> None:
    async with serve(api_tokens=TOKENS) as client:
        answer = await client.delete("/task-manage/x", headers=bearer("operator"))
        assert answer.json()["detail"] == "olga is operator; this needs admin"


async def test_the_callers_name_is_kept(serve: Serve) -> None:
    async with serve(api_tokens=TOKENS) as client:
        body = hourly(id="t")
        await client.post("/task-manage/", json=body, headers=bearer("admin"))
        ran = await client.post("/task-manage/t/trigger", headers=bearer("operator"))
        assert ran.status_code == 202
        assert ran.json()["triggered_by"] == "olga"


STRANGE_HOSTS = (
    "evil.example", "evil.example:8000", "127.0.0.1.evil.example", "192.168.0.7:8000",
    "[fe80::1]:8000", "local host", "[::1",
)  # fmt: skip


async def test_a_host_name_bent_to_this_machine_is_refused(client: httpx.AsyncClient) -> None:
    for host in STRANGE_HOSTS:
        for path in ("/task-manage/", "/nope"):
            answer = await client.get(path, headers={"Host": host})
            assert answer.status_code == 403, host
    probe = await client.get("/health/live", headers={"Host": "10.0.0.7:8000"})
    assert probe.status_code == 200


async def test_this_machines_names_are_answered(client: httpx.AsyncClient) -> None:
    for host in ("127.0.0.1", "localhost:8000", "LOCALHOST", "[::1]:80", "127.1.2.3"):
        assert (await client.get("/task-manage/", headers={"Host": host})).status_code == 200


async def test_a_page_of_another_site_changes_nothing(client: httpx.AsyncClient) -> None:
    for headers in (
        {"Origin": "https://evil.example"},
        {"Origin": "http://127.0.0.1:3000"},
        {"Origin": "http://[::1"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
    ):
        answer = await client.post("/task-manage/", json=hourly(), headers=headers)
        assert answer.status_code == 403, headers
    assert (await client.get("/task-manage/")).json()["total"] == 0


async def test_a_page_of_its_own_does(client: httpx.AsyncClient) -> None:
    headers = {"Origin": "http://127.0.0.1:8000", "Sec-Fetch-Site": "same-origin"}
    answer = await client.post("/task-manage/", json=hourly(), headers=headers)
    assert answer.status_code == 201


async def test_apps_of_one_process_keep_their_own_rules() -> None:
    guarded, free = create_app(Settings(api_tokens=TOKENS)), create_app(Settings())
    for app, status in ((guarded, 401), (free, 200), (guarded, 401)):
        async with Client(app) as client:
            assert (await client.get("/schema")).status_code == status
            assert (await client.get("/functions")).status_code == status


def test_the_guard_needs_no_thread() -> None:
    """Litestar has threads call guards that are plain functions, on every request."""
    assert inspect.iscoroutinefunction(auth.guard(Settings()))
