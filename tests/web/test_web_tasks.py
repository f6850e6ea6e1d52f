"""Tasks over HTTP: create, list, read, change, pause, delete."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from taskservice.settings import Settings
from taskservice.web.app import create_app
from tests.web.bodies import fields_at_fault, hourly
from tests.web.conftest import Client

COLUMNS = (
    "id", "name", "task_type", "status", "trigger_type", "trigger_args", "func_path", "func_args",
    "next_run_time", "max_instances", "description", "create_time", "update_time",
)  # fmt: skip
OPTIONAL = (
    "tags", "paused", "misfire_grace_time", "coalesce", "timeout", "retries", "recover",
    "executor",
    "queue", "notify",
)  # fmt: skip
ORIGIN = ("source", "drift", "overridden", "declared_in", "retired_at", "unreturned")


async def create(client: httpx.AsyncClient, **fields: Any) -> dict[str, Any]:
    """The hourly task with these fields, created."""
    answer = await client.post("/task-manage/", json=hourly(**fields))
    assert answer.status_code == 201, answer.text
    task: dict[str, Any] = answer.json()
    return task


async def test_a_created_task_is_shown_whole(client: httpx.AsyncClient) -> None:
    before = datetime.now(UTC)
    answer = await client.post("/task-manage/", json=hourly())
    assert answer.status_code == 201
    task = answer.json()
    assert tuple(task) and set(task) == {*COLUMNS, *OPTIONAL, *ORIGIN}
    assert task["name"] == "周期性任务"
    assert task["status"] == "pending"
    assert task["executor"] == "local"
    assert task["source"] == "api"
    assert task["drift"] == "in_sync"
    assert task["misfire_grace_time"] == 3600
    assert task["declared_in"] is task["retired_at"] is None
    fire = datetime.fromisoformat(task["next_run_time"])
    assert timedelta(0) <= fire - before - timedelta(hours=1) < timedelta(minutes=1)
    assert answer.headers["location"] == f"/task-manage/{task['id']}"
    read = await client.get(answer.headers["location"])
    assert read.json() == task
    assert read.headers["etag"] == answer.headers["etag"]


@pytest.mark.parametrize("content_type", ["application/x-www-form-urlencoded", "text/plain", ""])
async def test_a_body_is_read_as_json_whatever_it_is_called(
    client: httpx.AsyncClient, content_type: str
) -> None:
    answer = await client.post(
        "/task-manage", json=hourly(), headers={"Content-Type": content_type}
    )
    assert answer.status_code == 201


async def test_an_id_may_be_given_once(client: httpx.AsyncClient) -> None:
    assert (await create(client, id="定时-1"))["id"] == "定时-1"
    again = await client.post("/task-manage/", json=hourly(id="定时-1"))
    assert again.status_code == 409
    read = await client.get("/task-manage/%E5%AE%9A%E6%97%B6-1/")
    assert read.status_code == 200
    wrong = await client.post("/task-manage/", json=hourly(id="a/b"))
    assert fields_at_fault(wrong) == ["id"]


async def test_pages_of_a_sorted_list(client: httpx.AsyncClient) -> None:
    assert (await client.get("/task-manage/")).json() == {
        "items": [], "total": 0, "page": 1, "size": 50, "pages": 0,
    }  # fmt: skip
    for name in ("b", "c", "a"):
        await create(client, id=name, name=name.upper())
    page = (await client.get("/task-manage?size=2&sort=-name")).json()
    assert [task["id"] for task in page.pop("items")] == ["c", "b"]
    assert page == {"total": 3, "page": 1, "size": 2, "pages": 2}
    page = (await client.get("/task-manage?size=2&sort=-name&page=2")).json()
    assert [task["id"] for task in page.pop("items")] == ["a"]
    assert page == {"total": 3, "page": 2, "size": 2, "pages": 2}
    page = (await client.get("/task-manage?page=1000000000&size=1000")).json()
    assert (page["items"], page["total"]) == ([], 3)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ["one", "two"]),
        ("status=paused", ["two"]),
        ("status=pending&trigger_type=interval", ["one"]),
        ("task_type=report", ["two"]),
        ("trigger_type=cron", ["two"]),
        ("source=api", ["one", "two"]),
        ("source=file", []),
        ("drift=in_sync", ["one", "two"]),
        ("drift=conflict", []),
        ("tag=night", ["two"]),
        ("tag=nigh", []),
        ("q=two", ["two"]),
        ("q=每小时", ["one", "two"]),
        ("q=%25", []),
        ("task_ids=two,none,two,", ["two"]),
        ("task_ids=", []),
        ("retired=true", []),
        ("retired=false", ["one", "two"]),
    ],
)
async def test_filters(client: httpx.AsyncClient, query: str, found: list[str]) -> None:
    await create(client, id="one")
    await create(
        client, id="two", task_type="report", tags=["night"], paused=True,
        trigger_type="cron", trigger_args={"crontab": "0 7 * * *"},
    )  # fmt: skip
    page = (await client.get(f"/task-manage/?{query}")).json()
    assert [task["id"] for task in page["items"]] == found
    assert page["total"] == len(found)


async def test_put_changes_the_fields_given_and_no_other(client: httpx.AsyncClient) -> None:
    before = await create(client, id="t", retries={"max": 2, "delay": 10})
    answer = await client.put(
        "/task-manage/t", json={"description": None, "max_instances": 3, "timeout": 1.5}
    )
    assert answer.status_code == 200
    after = answer.json()
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {"description", "max_instances", "timeout", "update_time"}
    assert after["retries"] == {"max": 2, "delay": 10, "backoff": 1, "max_delay": None}


async def test_what_a_task_shows_can_be_put_back(client: httpx.AsyncClient) -> None:
    task = await create(client, id="t", retries={"max": 2, "delay": 10}, tags=["a"])
    fields = {name: task[name] for name in task if name not in (*ORIGIN, "id", "status",
              "next_run_time", "create_time", "update_time")}  # fmt: skip
    answer = await client.put("/task-manage/t", json={**fields, "executor": None})
    assert answer.json() == task


async def test_a_wrong_change_changes_nothing(client: httpx.AsyncClient) -> None:
    task = await create(client, id="t")
    answer = await client.put("/task-manage/t", json={"max_instances": 0, "descripton": "x"})
    assert answer.status_code == 422
    answer = await client.put("/task-manage/t", json={"func_path": "os.system", "func_args": {}})
    assert fields_at_fault(answer) == ["func_path"]
    assert (await client.get("/task-manage/t")).json() == task


@pytest.mark.parametrize(
    ("if_match", "status"),
    [
        ("{}", 200),
        ("W/{}", 200),
        ("{strong}", 200),
        ('"other", {}', 200),
        ("*", 200),
        ('"other"', 412),
        ('"other", "one"', 412),
        ("", 412),
    ],
)
async def test_if_match_lets_only_the_known_task_be_changed(
    client: httpx.AsyncClient, if_match: str, status: int
) -> None:
    await create(client, id="t")
    tag = (await client.get("/task-manage/t")).headers["etag"]
    headers = {"If-Match": if_match.format(tag, strong=tag.removeprefix("W/"))}
    answer = await client.put("/task-manage/t", json={"description": "x"}, headers=headers)
    assert answer.status_code == status
    assert (answer.headers.get("etag") not in (None, tag)) is (status == 200)


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/pause"), ("POST", "/resume"), ("DELETE", "")]
)
async def test_if_match_guards_the_other_changes_too(
    client: httpx.AsyncClient, method: str, path: str
) -> None:
    await create(client, id="t", paused=path == "/resume")
    tag = (await client.get("/task-manage/t")).headers["etag"]
    stale = await client.request(method, f"/task-manage/t{path}", headers={"If-Match": '"x"'})
    assert stale.status_code == 412
    fresh = await client.request(method, f"/task-manage/t{path}", headers={"If-Match": tag})
    assert fresh.status_code in (200, 204)
    missing = await client.request(method, f"/task-manage/u{path}", headers={"If-Match": '"x"'})
    assert missing.status_code == 404


async def test_the_tag_is_weak_and_nothing_is_stored(client: httpx.AsyncClient) -> None:
    await create(client, id="t")
    for answer in (await client.get("/task-manage/t"), await client.head("/task-manage/t")):
        assert answer.headers["etag"].startswith('W/"')
        assert answer.headers["cache-control"] == "no-store"


async def test_what_is_known_is_not_sent_again(client: httpx.AsyncClient) -> None:
    await create(client, id="t")
    tag = (await client.get("/task-manage/t")).headers["etag"]
    for known in (tag, tag.removeprefix("W/"), f'"other", {tag}', "*"):
        for method in ("GET", "HEAD"):
            headers = {"If-None-Match": known}
            answer = await client.request(method, "/task-manage/t", headers=headers)
            assert (answer.status_code, answer.content) == (304, b""), known
            assert answer.headers["etag"] == tag
    other = await client.get("/task-manage/t", headers={"If-None-Match": '"other"'})
    assert other.json()["id"] == "t"
    missing = await client.get("/task-manage/u", headers={"If-None-Match": "*"})
    assert missing.status_code == 404


async def test_if_match_is_minded_by_a_get(client: httpx.AsyncClient) -> None:
    await create(client, id="t")
    tag = (await client.get("/task-manage/t")).headers["etag"]
    for wanted, status in ((tag, 200), ("*", 200), ('"other"', 412)):
        answer = await client.get("/task-manage/t", headers={"If-Match": wanted})
        assert answer.status_code == status
    both = {"If-Match": tag, "If-None-Match": tag}
    assert (await client.get("/task-manage/t", headers=both)).status_code == 304


@pytest.mark.parametrize(
    ("method", "path"), [("PUT", ""), ("POST", "/pause"), ("POST", "/resume"), ("DELETE", "")]
)
async def test_if_none_match_keeps_what_there_is(
    client: httpx.AsyncClient, method: str, path: str
) -> None:
    await create(client, id="t")
    tag = (await client.get("/task-manage/t")).headers["etag"]
    body = {"description": "x"} if method == "PUT" else None

    async def ask(known: str) -> httpx.Response:
        headers = {"If-None-Match": known}
        return await client.request(method, f"/task-manage/t{path}", json=body, headers=headers)

    for known in ("*", tag):
        assert (await ask(known)).status_code == 412
    assert (await client.get("/task-manage/t")).headers["etag"] == tag
    assert (await ask('"other"')).status_code in (200, 204)


async def test_pause_and_resume(client: httpx.AsyncClient) -> None:
    await create(client, id="t")
    paused = (await client.post("/task-manage/t/pause")).json()
    assert (paused["status"], paused["paused"], paused["next_run_time"]) == ("paused", True, None)
    assert (await client.get("/task-manage/t/fires")).json() == []
    resumed = (await client.post("/task-manage/t/resume")).json()
    assert (resumed["status"], resumed["paused"]) == ("pending", False)
    assert resumed["next_run_time"]


async def test_a_pause_of_the_apis_own_task_takes_until_and_a_change_does_not(
    client: httpx.AsyncClient,
) -> None:
    await create(client, id="t")
    answer = await client.post("/task-manage/t/pause?until=2h&reason=maintenance")
    assert answer.status_code == 200
    (override,) = (await client.get("/task-manage/t/overrides")).json()
    assert override["field"] == "paused"
    assert override["reason"] == "maintenance"
    assert override["set_by"] == "anonymous"
    for wrong in ("", "2 h", "tomorrow", "-1h"):
        answer = await client.post("/task-manage/t/pause", params={"until": wrong})
        assert fields_at_fault(answer) == ["until"]
    answer = await client.put("/task-manage/t?until=2h", json={"description": "x"})
    assert fields_at_fault(answer) == ["until"]


async def test_deleted_is_gone(client: httpx.AsyncClient) -> None:
    await create(client, id="t")
    answer = await client.delete("/task-manage/t")
    assert (answer.status_code, answer.content) == (204, b"")
    assert (await client.get("/task-manage/t")).status_code == 404
    assert (await client.delete("/task-manage/t")).status_code == 404


async def test_fires_are_a_list_of_times(client: httpx.AsyncClient) -> None:
    task = await create(client, id="t")
    fires = (await client.get("/task-manage/t/fires?count=3")).json()
    assert fires[0] == task["next_run_time"]
    first, second, third = map(datetime.fromisoformat, fires)
    assert third - second == second - first == timedelta(hours=1)
    assert len((await client.get("/task-manage/t/fires")).json()) == 10
    assert len((await client.get("/task-manage/t/fires?count=1000")).json()) == 1000


async def test_yaml_is_a_file_of_the_task(client: httpx.AsyncClient) -> None:
    await create(client, id="t")
    answer = await client.get("/task-manage/t/yaml")
    assert answer.headers["content-type"].startswith("application/yaml")
    assert "周期性任务" in answer.text


async def test_functions_are_listed(client: httpx.AsyncClient) -> None:
    functions = {f["func_path"]: f for f in (await client.get("/functions")).json()}
    known = functions["taskservice.examples.simple_task"]
    assert known.keys() == {"func_path", "name", "signature", "description", "changed_on_disk"}
    assert "message" in known["signature"]


async def test_health(client: httpx.AsyncClient) -> None:
    assert (await client.get("/health/live?probe=1")).json() == {"status": "ok"}
    ready = await client.get("/health/ready/")
    assert ready.json() == {"database": "ok", "scheduler": "ok", "broker": None}


async def test_an_app_without_a_service_makes_and_ends_its_own(
    tmp_path: Path, tasks_dir: Path
) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path / 'own.db'}"
    app = create_app(Settings(database_url=url, tasks_dir=tasks_dir))
    async with Client(app) as client:
        async with app.lifespan():
            assert (await client.get("/health/ready")).status_code == 200
        assert (await client.get("/health/ready")).status_code == 503
