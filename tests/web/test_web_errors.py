"""Every error has one shape, and says what is wrong, where, and what is allowed."""

from typing import Any

import httpx
import pytest
from litestar import get
from structlog.testing import capture_logs

from tests.web.bodies import fields_at_fault, hourly
from tests.web.conftest import Client

MIB = 1024 * 1024


def check_problem(answer: httpx.Response, status: int) -> dict[str, Any]:
    """The problem that an answer holds, which has the shape of RFC 9457."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert {"type", "title", "status", "detail"} <= problem.keys()
    assert problem["status"] == status
    assert problem["detail"]
    return problem


MALFORMED = (
    b"",
    b"{",
    b"[" * 500_000,
    b'{"name": "\xff"}',
    '{"name": "a"}'.encode("utf-16"),
    b"[]",
    b'"text"',
    b"null",
    b'{"a": NaN}',
    b'{"a": 1e999}',
)


async def test_a_body_that_is_no_json_object_is_malformed(client: httpx.AsyncClient) -> None:
    for body in MALFORMED:
        check_problem(await client.post("/task-manage/", content=body), 400)


async def test_all_faults_of_a_body_come_at_once(client: httpx.AsyncClient) -> None:
    body = hourly(nam="x", max_instances=0, trigger_args={"hours": "1"}, retries={"max": 1.5})
    answer = await client.post("/task-manage/", json=body)
    problem = check_problem(answer, 422)
    assert {"nam", "max_instances", "trigger_args.hours", "retries.max"} == set(
        fields_at_fault(answer)
    )
    assert "did you mean 'name'" in problem["errors"][0]["reason"]
    assert "(and 3 more)" in problem["detail"]


async def test_a_body_beyond_the_limit_is_refused(client: httpx.AsyncClient) -> None:
    within = await client.post("/task-manage/", json=hourly(description="x" * (MIB - 1000)))
    check_problem(within, 422)
    problem = check_problem(await client.post("/task-manage/", content=b" " * (MIB + 1)), 413)
    assert "1048576 bytes" in problem["detail"]


async def test_unknown_addresses_and_methods(client: httpx.AsyncClient) -> None:
    for path in ("/nope", "/task-manage/x/nope", "/task-manage/x/logs/y/nope"):
        check_problem(await client.get(path), 404)
    answer = await client.patch("/task-manage/x")
    check_problem(answer, 405)
    assert set(answer.headers["allow"].split(", ")) == {"DELETE", "GET", "HEAD", "OPTIONS", "PUT"}


TASK_OPERATIONS = (
    ("GET", ""),
    ("PUT", ""),
    ("DELETE", ""),
    ("POST", "/pause"),
    ("POST", "/resume"),
    ("POST", "/trigger"),
    ("GET", "/logs"),
    ("GET", "/logs/no-such-log"),
    ("POST", "/logs/no-such-log/cancel"),
    ("GET", "/fires"),
    ("GET", "/overrides"),
    ("DELETE", "/overrides"),
    ("GET", "/promotion"),
    ("GET", "/yaml"),
    ("POST", "/restore"),
)
UNKNOWN = ("no-such-task", "%00%ff%ed%a0%80", "x" * 5000, "任务", "' OR 1")


@pytest.mark.parametrize("task_id", UNKNOWN, ids=range(len(UNKNOWN)))
async def test_an_unknown_task_is_not_found(client: httpx.AsyncClient, task_id: str) -> None:
    for method, path in TASK_OPERATIONS:
        body = {"description": "x"} if method == "PUT" else None
        answer = await client.request(method, f"/task-manage/{task_id}{path}", json=body)
        check_problem(answer, 404)


WRONG_PARAMETERS = (
    ("/task-manage/?page=0", "page", "from 1"),
    ("/task-manage/?page=1.5", "page", "whole number"),
    (f"/task-manage/?page={10**30}", "page", "to 1000000000"),
    ("/task-manage/?size=1001", "size", "from 1 to 1000"),
    ("/task-manage/?size=", "size", "from 1 to 1000"),
    ("/task-manage/?status=done", "status", "pending, running, paused, completed, failed"),
    ("/task-manage/?page=null", "page", "whole number"),
    ("/task-manage/?status=null", "status", "pending"),
    ("/task-manage/?trigger_type=crontab", "trigger_type", "date, interval, cron"),
    ("/task-manage/?source=files", "source", "file, api"),
    ("/task-manage/?drift=none", "drift", "in_sync, overridden, conflict"),
    ("/task-manage/?retired=maybe", "retired", "true or false"),
    ("/task-manage/?sort=nmae", "sort", "did you mean 'name'"),
    ("/task-manage/?sort=etag", "sort", "no field to sort by"),
    ("/task-manage/?statsu=failed", "statsu", "did you mean 'status'"),
    ("/task-manage/?size=1&size=2", "size", "more than once"),
    (f"/task-manage/?q={'x' * 201}", "q", "at most 200 characters"),
    (f"/task-manage/?task_ids={','.join(map(str, range(1001)))}", "task_ids", "at most 1000"),
    ("/task-manage/x/fires?count=0", "count", "from 1 to 1000"),
    ("/task-manage/x/fires?count=1001", "count", "from 1 to 1000"),
    ("/task-manage/x/logs?status=pending", "status", "running, completed, failed"),
    ("/task-manage/x/logs?since=yesterday", "since", "ISO 8601"),
    ("/task-manage/x?verbose=1", "verbose", "no parameter"),
    ("/functions?module=a", "module", "no parameter"),
    ("/sync?prune=true", "prune", "no parameter"),
)


async def test_a_wrong_parameter_is_named_with_what_is_allowed(client: httpx.AsyncClient) -> None:
    for path, field, allowed in WRONG_PARAMETERS:
        answer = await client.get(path)
        check_problem(answer, 422)
        assert fields_at_fault(answer) == [field], path
        assert allowed in answer.json()["errors"][0]["reason"], path


async def test_a_text_to_look_for_may_be_null(client: httpx.AsyncClient) -> None:
    await client.post("/task-manage/", json=hourly())
    assert (await client.get("/task-manage/?q=null")).json()["total"] == 0


async def test_an_outage_says_that_trying_again_may_help(without_database: Client) -> None:
    answer = await without_database.get("/task-manage/x")
    problem = check_problem(answer, 503)
    assert problem["detail"].startswith("the database does not answer")
    assert answer.headers["retry-after"] == "1"


async def test_a_mistake_of_the_service_is_logged_and_not_shown(client: Client) -> None:
    @get("/broken")
    async def broken() -> str:
        return "reached"

    client.app.register(broken)  # it has no rule, so the guard can't say who may
    with capture_logs() as logged:
        answer = await client.get("/broken")
    problem = check_problem(answer, 500)
    assert "broken" not in str(problem)
    assert [entry["event"] for entry in logged] == ["request_failed"]
    assert "GET /broken" in str(logged[0]["exc_info"])


async def test_head_is_get_without_a_body_and_options_tells_the_methods(
    client: httpx.AsyncClient,
) -> None:
    got, head = await client.get("/task-manage/"), await client.head("/task-manage/")
    assert head.status_code == 200
    assert head.content == b""
    assert head.headers["content-length"] == str(len(got.content))
    check_problem(await client.get("/task-manage/x"), 404)
    assert (await client.head("/task-manage/x")).status_code == 404
    options = await client.options("/task-manage/")
    assert options.status_code == 204
    assert options.headers["allow"] == "GET, HEAD, OPTIONS, POST"
