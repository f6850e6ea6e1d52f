"""POST /sync by a webhook: the secret stands for a token, and for nothing else."""

import hashlib
import hmac
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from tests.origin import Origin, task
from tests.web.conftest import Serve
from tests.web.test_web_auth import TOKENS, bearer

SECRET = "a long s3cret of the hook's"
BODY = b'{"ref": "refs/heads/main", "note": "\xe4\xb8\xad\xe6\x96\x87"}'


@pytest.fixture
def origin(tmp_path: Path) -> Origin:
    made = Origin(tmp_path / "elsewhere")
    made.commit({"a.yaml": task("one")})
    return made


@pytest.fixture
def settings(origin: Origin) -> dict[str, Any]:
    """Those of a service that follows the repository and takes webhooks and tokens."""
    return {
        "git_url": origin.url, "git_interval": 3600.0,
        "git_webhook_secret": SECRET, "api_tokens": TOKENS,
    }  # fmt: skip


@pytest.fixture
async def following(serve: Serve, settings: dict[str, Any]) -> AsyncIterator[httpx.AsyncClient]:
    async with serve(**settings) as client:
        yield client


def signed(body: bytes = BODY, secret: str = SECRET) -> dict[str, str]:
    """The header by which GitHub, Gitea and Forgejo sign."""
    made = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return {"X-Hub-Signature-256": f"sha256={made}", "X-GitHub-Event": "push"}


def test_the_signature_is_that_of_githubs_documentation() -> None:
    """The example for those who write their own: this secret, this payload, this result."""
    headers = signed(b"Hello, World!", "It's a Secret to Everybody")
    assert headers["X-Hub-Signature-256"] == (
        "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    )


async def test_a_commit_is_live_at_once(following: httpx.AsyncClient, origin: Origin) -> None:
    for number, headers in enumerate((signed(), {"X-Gitlab-Token": SECRET})):
        commit = origin.commit({"a.yaml": task(f"by hook {number}")})
        answer = await following.post("/sync", content=BODY, headers=headers)
        assert answer.status_code == 200, answer.text
        report = answer.json()
        assert report["revision"] == report["repository"]["live"] == commit
        shown = await following.get("/task-manage/a", headers=bearer("viewer"))
        assert shown.json()["name"] == f"by hook {number}"
        assert shown.json()["declared_in"]["revision"] == commit


WRONG = [
    signed(secret="another"),
    signed(b"another body"),
    signed(secret=""),
    {"X-Hub-Signature-256": ""},
    {"X-Hub-Signature-256": "sha256="},
    {"X-Hub-Signature-256": "sha256=中文".encode().decode("latin-1")},
    {"X-Hub-Signature-256": signed()["X-Hub-Signature-256"].removeprefix("sha256=")},
    {"X-Hub-Signature-256": SECRET},
    {"X-Hub-Signature-256": "sha256=", "X-Gitlab-Token": SECRET},
    {"X-Hub-Signature": signed()["X-Hub-Signature-256"]},
    {"X-Gitlab-Token": "another"},
    {"X-Gitlab-Token": ""},
    {"X-Gitlab-Token": signed()["X-Hub-Signature-256"]},
]


@pytest.mark.parametrize("headers", WRONG)
async def test_a_wrong_signature_is_refused(
    following: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    sent = httpx.Headers(headers, encoding="latin-1")
    answer = await following.post("/sync", content=BODY, headers=sent)
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert SECRET not in answer.text


@pytest.mark.parametrize("query", ["?prune=true", "?prune=false", "?PRUNE=true", "?x"])
async def test_a_signature_takes_no_parameters(
    following: httpx.AsyncClient, origin: Origin, query: str
) -> None:
    live = (await following.post("/sync", headers=signed(b""))).json()["repository"]["live"]
    rewritten = origin.commit({"a.yaml": task("two")}, amend=True)
    answer = await following.post(f"/sync{query}", content=BODY, headers=signed())
    assert answer.status_code == 403
    report = (await following.get("/sync", headers=bearer("viewer"))).json()
    assert report["repository"]["live"] == live
    answer = await following.post("/sync?prune=true", headers=bearer("admin"))
    assert answer.json()["repository"]["live"] == rewritten


async def test_a_signature_opens_nothing_else(following: httpx.AsyncClient) -> None:
    for headers in (signed(), {"X-Gitlab-Token": SECRET}):
        for method, path in (
            ("GET", "/sync"), ("GET", "/task-manage/"), ("POST", "/task-manage/"),
            ("DELETE", "/task-manage/a"), ("GET", "/schema"), ("POST", "/nope"),
        ):  # fmt: skip
            answer = await following.request(method, path, content=BODY, headers=headers)
            assert answer.status_code == 401, (method, path)


async def test_a_token_goes_before_a_signature(following: httpx.AsyncClient) -> None:
    for headers, status in (
        ({**signed(), **bearer("viewer")}, 403),
        ({**signed(secret="another"), **bearer("admin")}, 200),
        ({**signed(), "Authorization": "Bearer nobodys"}, 401),
    ):
        answer = await following.post("/sync", content=BODY, headers=headers)
        assert answer.status_code == status


async def test_without_a_secret_or_a_repository_no_webhook_is_taken(
    serve: Serve, settings: dict[str, Any]
) -> None:
    for lacking in ({"git_webhook_secret": ""}, {"git_url": ""}):
        async with serve(**{**settings, **lacking}) as client:
            for headers in (signed(), signed(secret=""), {"X-Gitlab-Token": ""}):
                answer = await client.post("/sync", content=BODY, headers=headers)
                assert answer.status_code == 401
            headers = {**signed(), **bearer("admin")}
            assert (await client.post("/sync", headers=headers)).status_code == 200


async def test_without_tokens_a_proxy_may_pass_webhooks_on_and_nothing_else(
    serve: Serve, settings: dict[str, Any]
) -> None:
    async with serve(**{**settings, "api_tokens": ()}) as client:
        host = {"Host": "tasks.example"}
        answer = await client.post("/sync", content=BODY, headers={**host, **signed()})
        assert answer.status_code == 200
        answer = await client.post("/sync", content=BODY, headers=host)
        assert answer.status_code == 403
        answer = await client.post("/sync", headers={**signed(secret="another")})
        assert answer.status_code == 401
        assert (await client.post("/sync", content=BODY)).status_code == 200


async def test_a_large_push_is_taken_and_an_endless_one_is_not(
    following: httpx.AsyncClient,
) -> None:
    body = b"x" * (5 * 1024 * 1024)
    answer = await following.post("/sync", content=body, headers=signed(body))
    assert answer.status_code == 200

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield body

    answer = await following.post("/sync", content=endless(), headers=signed(body))
    assert answer.status_code == 413
    assert answer.json()["detail"] == "the body is larger than 26214400 bytes"


async def test_the_secret_is_in_no_answer_and_no_log(
    serve: Serve, settings: dict[str, Any], tmp_path: Path
) -> None:
    texts = []
    with capture_logs() as logs:
        async with serve(**settings) as client:
            for headers in (signed(), signed(secret="another"), {"X-Gitlab-Token": SECRET}):
                for path in ("/sync", "/sync?prune=true"):
                    answer = await client.post(path, content=BODY, headers=headers)
                    texts.append(answer.text.encode())
            for path in ("/sync", "/schema"):
                texts.append((await client.get(path, headers=bearer("viewer"))).content)
    texts += [repr(logs).encode(), *contents(tmp_path)]
    assert not any(b"s3cret" in text for text in texts)


def contents(folder: Path) -> list[bytes]:
    return [file.read_bytes() for file in folder.rglob("*") if file.is_file()]
