"""Every route there is, asked by who may not, and in every hostile way by who may."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

import httpx
import pytest

from tests.acceptance.warm import WarmService
from tests.attack import values
from tests.attack.surface import Route, form_fields, routes
from tests.web.bodies import hourly

ROUTES = routes()
FORM = "application/x-www-form-urlencoded"
SECONDS = 20.0
"""How long an answer may take, on a machine that has much else to do."""

TOKENS = {
    "viewer": "vv-0123456789abcdef",
    "operator": "oo-0123456789abcdef",
    "admin": "aa-0123456789abcdef",
}
SECRET = "canary-e5c1b7a9"
MINE = "mine"
OTHERS = "others"

OPEN = {
    "GET /health/live",
    "GET /health/ready",
    "GET /sign-in",
    "POST /sign-in",
    "GET /static/{digest}/{name}",
}
"""What answers without a token; anything else that does is a hole."""

VIEWER_CHANGES = {"POST /plan", "POST /promotion", "POST /sign-in", "POST /sign-out"}
"""What a viewer may ask by a method that could change something: these change no task."""

OPERATOR_CHANGES = VIEWER_CHANGES | {
    "POST /task-manage/{task_id}/pause",
    "POST /task-manage/{task_id}/resume",
    "POST /task-manage/{task_id}/trigger",
    "POST /task-manage/{task_id}/silence",
    "DELETE /task-manage/{task_id}/silence",
    "POST /task-manage/{task_id}/logs/{log_id}/cancel",
    "POST /tasks/{task_id}/pause",
    "POST /tasks/{task_id}/resume",
    "POST /tasks/{task_id}/trigger",
    "POST /tasks/{task_id}/silence",
    "POST /tasks/{task_id}/unsilence",
    "POST /tasks/{task_id}/executions/{log_id}/cancel",
    "POST /tasks/{task_id}/executions/{log_id}/again",
    "POST /bulk/pause",
    "POST /bulk/resume",
    "POST /bulk/trigger",
}
"""What an operator may change: section 6 of the contract."""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WarmService]:
    """A service with a token of each role."""
    folder = tmp_path_factory.mktemp("routes")
    tasks = folder / "tasks.d"
    tasks.mkdir()
    tokens = ",".join(f"{role}:{role}:{token}" for role, token in TOKENS.items())
    environ = {"TASKSERVICE_API_TOKENS": tokens, "CANARY": SECRET}
    url = f"sqlite+aiosqlite:///{folder / 'taskservice.db'}"
    with WarmService(url, tasks, environ) as running:
        running.http.follow_redirects = False
        yield running


def test_the_lists_name_what_there_is() -> None:
    """A route that is gone must not stay in a list and hide another one later."""
    there = {str(route) for route in ROUTES}
    assert OPEN | OPERATOR_CHANGES <= there
    assert len(ROUTES) > 50
    assert {"field", "reason", "next", "name"} <= set(form_fields())


@pytest.mark.parametrize("route", ROUTES, ids=str)
def test_who_may_ask(service: WarmService, route: Route) -> None:
    answer = _ask(service, route, token=None)
    if str(route) in OPEN:
        assert answer.status_code not in (401, 403) or str(route) == "POST /sign-in"
    elif answer.status_code == 303:
        assert answer.headers["location"].startswith("/sign-in")
        assert route.console
    else:
        assert answer.status_code == 401, f"{route}: {answer.status_code}"
    if route.changes:
        for role, allowed in (("viewer", VIEWER_CHANGES), ("operator", OPERATOR_CHANGES)):
            answer = _ask(service, route, token=TOKENS[role], body=b"{}")
            assert (answer.status_code == 403) == (str(route) not in allowed), f"{role}: {route}"
    _lives(service)


def test_no_other_token_is_taken(service: WarmService) -> None:
    """One guard stands before all routes; who tries many tokens is slowed, so few are tried."""
    [route] = [one for one in ROUTES if str(one) == "GET /task-manage"]
    for bearer in ("x", f"{TOKENS['admin']}x", TOKENS["admin"][:-1], TOKENS["admin"].upper()):
        assert _ask(service, route, token=bearer).status_code == 401


@pytest.mark.parametrize("route", ROUTES, ids=str)
def test_hostile_requests(service: WarmService, route: Route) -> None:
    before = _prepared(service)
    admin = TOKENS["admin"]
    # A third of them is tried on each route, another third on the next one: together they are all.
    # To the sign-in each is a wrong token, which it holds for a second.
    first, every = (0, 9) if str(route) == "POST /sign-in" else (ROUTES.index(route) % 3, 3)
    texts = values.TEXTS[first::every]
    for name in route.path_parameters:
        for text in texts:
            _check(route, _ask(service, route, token=admin, path={name: text}))
    for text in texts:
        for query in _queries(route, text):
            _check(route, _ask(service, route, token=admin, query=query))
    for headers in values.HEADERS[first::every]:
        _check(route, _ask(service, route, token=admin, headers=headers))
    if route.changes:
        kind = FORM if route.console else "application/json"
        for body in values.BODIES[first::every]:
            headers = {"Content-Type": kind}
            _check(route, _ask(service, route, token=admin, body=body, headers=headers))
        for text in texts if route.console else ():
            form = urlencode(dict.fromkeys(form_fields(), text)).encode()
            headers = {"Content-Type": FORM}
            _check(route, _ask(service, route, token=admin, body=form, headers=headers))
    _lives(service)
    assert _task(service, OTHERS) == before, "a request altered a task that is not its own"


def _queries(route: Route, text: str) -> list[dict[str, str]]:
    """The text in each parameter by itself; a page, which passes over what is wrong, has all.

    A target can't be longer than a line may be.
    """
    unknown = {"no-such-parameter": text}
    if route.console:
        some = route.query_parameters if len(text) < 50 else route.query_parameters[::10]
        return [dict.fromkeys(some, text) | unknown]
    return [unknown, *({name: text} for name in route.query_parameters)]


def _ask(
    service: WarmService,
    route: Route,
    *,
    token: str | None,
    path: dict[str, str] | None = None,
    query: dict[str, str] | None = None,
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
) -> httpx.Response:
    """What a route answers; a stream of events is left after its head."""
    known = {"task_id": MINE, "log_id": "no-such-log", "digest": "0", "name": "console.css"}
    filled = {
        name: quote(text.encode("utf-8", "surrogatepass"), safe="")
        for name, text in {**known, "path": "x", **(path or {})}.items()
    }
    target = route.path.format(**filled)
    if query:
        target += "?" + urlencode(query, errors="surrogatepass")
    allowed = {} if token is None else {"Authorization": f"Bearer {token}"}
    with service.http.stream(
        route.method, target, content=body, headers={**allowed, **(headers or {})}, timeout=SECONDS
    ) as answer:
        if not answer.headers.get("content-type", "").startswith("text/event-stream"):
            answer.read()
    return answer


def _check(route: Route, answer: httpx.Response) -> None:
    """An answer of the service's own: no mistake, nothing injected, nothing given away."""
    told = f"{answer.request.method} {answer.request.url.raw_path[:300]!r}: {answer.status_code}"
    assert answer.status_code < 500, told
    assert "x-injected" not in answer.headers, told
    kind = answer.headers.get("content-type", "")
    if kind.startswith("text/event-stream"):
        return
    text = answer.text
    assert SECRET not in text, told
    assert not any(token in text for token in TOKENS.values()), told
    assert "Traceback (most recent call last)" not in text, told
    assert "root:x:0" not in text, told
    if kind.startswith("text/html"):
        assert "<script>alert" not in text, told
        assert "<img src=x" not in text, told
    elif answer.status_code >= 400:
        assert kind == "application/problem+json", f"{told} {kind}"
        problem: dict[str, Any] = json.loads(text)
        assert problem["status"] == answer.status_code, told
        assert problem["detail"], told
        assert len(text) < 100_000, f"{told}: an error of {len(text)} characters"


def _prepared(service: WarmService) -> dict[str, Any]:
    """The task that requests are about is there, and another one, which must stay as it is."""
    allowed = {"Authorization": f"Bearer {TOKENS['admin']}"}
    for task_id in (MINE, OTHERS):
        made = service.http.post("/task-manage/", json={**hourly(), "id": task_id}, headers=allowed)
        assert made.status_code in (201, 409), made.text
    return _task(service, OTHERS)


def _task(service: WarmService, task_id: str) -> dict[str, Any]:
    allowed = {"Authorization": f"Bearer {TOKENS['admin']}"}
    answer = service.http.get(f"/task-manage/{task_id}", headers=allowed)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def _lives(service: WarmService) -> None:
    assert service.http.get("/health/live").status_code == 200
    assert service.http.get("/health/ready").status_code == 200
