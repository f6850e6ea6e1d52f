"""Where each value of a task comes from, over HTTP and with a real repository."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.sync.gitrepo.test_blame import commit, git
from tests.web.bodies import hourly

OPTIONAL = (
    "max_instances", "description", "tags", "paused", "misfire_grace_time", "coalesce", "timeout",
    "retries", "recover", "executor",
)  # fmt: skip

SEVERAL = """\
defaults:
  task_type: report
  func_path: taskservice.examples.simple_task
tasks:
  one:
    name: One
    trigger_type: interval
    trigger_args:
      hours: 1
    func_args: {message: hello}
    timeout: 30
  two: {name: Two, trigger_type: interval, trigger_args: {hours: 1}, func_args: {message: m}}
"""


@pytest.fixture
async def declared(client: httpx.AsyncClient, tasks_dir: Path) -> httpx.AsyncClient:
    git(tasks_dir, "init", "-q")
    (tasks_dir / "several.yaml").write_text(SEVERAL.replace("    timeout: 30\n", ""))
    commit(tasks_dir)
    (tasks_dir / "several.yaml").write_text(SEVERAL)
    commit(tasks_dir, author="Bob")
    assert (await client.post("/sync")).json()["errors"] == []
    return client


async def provenance(client: httpx.AsyncClient, task_id: str, **params: str) -> dict[str, Any]:
    answer = await client.get(f"/task-manage/{task_id}/overrides", params=params)
    assert answer.status_code == 200, answer.text
    return {one["field"]: one for one in answer.json()}


async def test_every_field_says_where_it_comes_from(
    declared: httpx.AsyncClient, tasks_dir: Path
) -> None:
    await declared.put(
        "/task-manage/one?reason=INC-42&until=2h", json={"timeout": 60, "tags": ["x"]}
    )
    found = await provenance(declared, "one", fields="all")
    head = git(tasks_dir, "rev-parse", "HEAD")
    first = git(tasks_dir, "rev-parse", "HEAD~1")
    places = {
        name: (one["origin"], one["line"], one["revision"], one["author"])
        for name, one in found.items()
    }
    assert places["task_type"] == ("file", 2, first, "Ann")
    assert places["name"] == ("file", 6, first, "Ann")
    assert places["trigger"] == ("file", 8, first, "Ann")
    assert places["func_args.message"] == ("file", 10, first, "Ann")
    assert places["max_instances"] == ("default", None, None, None)
    assert places["timeout"] == ("api", 11, head, "Bob")
    assert places["tags"] == ("api", None, None, None)
    timeout = found["timeout"]
    assert (timeout["value"], timeout["declared"], timeout["declared_when_set"]) == (60, 30, 30)
    assert (timeout["set_by"], timeout["reason"]) == ("anonymous", "INC-42")
    assert timeout["until"] > timeout["set_at"]
    assert timeout["date"] == "2023-11-14T22:13:20Z"
    assert found["name"]["path"] == "several.yaml"
    assert found["max_instances"]["value"] == 1
    assert (await provenance(declared, "one")).keys() == {"timeout", "tags"}


async def test_a_file_that_says_otherwise_by_now_tells_no_lines(
    declared: httpx.AsyncClient, tasks_dir: Path
) -> None:
    await declared.post("/task-manage/one/pause")
    (tasks_dir / "several.yaml").write_text("tasks: [\n")
    found = await provenance(declared, "one", fields="all")
    assert (found["name"]["path"], found["name"]["line"]) == ("several.yaml", 5)
    assert found["name"]["author"] is None


async def test_a_task_of_the_apis(client: httpx.AsyncClient) -> None:
    await client.post("/task-manage", json=hourly(id="t"))
    found = await provenance(client, "t", fields="all")
    assert (found["name"]["origin"], found["name"]["set_by"]) == ("api", "anonymous")
    assert found["name"]["path"] is None
    assert (found["coalesce"]["origin"], found["coalesce"]["set_by"]) == ("default", None)
    assert await provenance(client, "t") == {}


async def test_what_is_asked_wrongly(declared: httpx.AsyncClient) -> None:
    answer = await declared.get("/task-manage/one/overrides?fields=some")
    assert answer.status_code == 422
    assert "must be one of overridden, all" in answer.text
    assert (await declared.get("/task-manage/none/overrides?fields=all")).status_code == 404


async def test_a_task_put_back_as_it_was_read_has_no_override(declared: httpx.AsyncClient) -> None:
    """Its executor too: the default one, that the file does not name, is what it was read with."""
    read = (await declared.get("/task-manage/two")).json()
    body = {name: read[name] for name in read if name in hourly() or name in OPTIONAL}
    answer = await declared.put("/task-manage/two", json={**body, "max_instances": 2})
    assert answer.json()["overridden"] == ["max_instances"]
    answer = await declared.put("/task-manage/two", json={"executor": "process"})
    assert answer.json()["overridden"] == ["executor", "max_instances"]
    answer = await declared.put("/task-manage/two", json=body)
    assert answer.json()["overridden"] == []


async def test_the_default_executor_is_told_by_its_name(declared: httpx.AsyncClient) -> None:
    async def told() -> dict[str, Any]:
        answer = await declared.get("/task-manage/two/overrides?fields=all")
        [found] = [one for one in answer.json() if one["field"] == "executor"]
        return {name: found[name] for name in ("origin", "value", "declared")}

    assert await told() == {"origin": "default", "value": "local", "declared": "local"}
    await declared.put("/task-manage/two", json={"executor": "process"})
    assert await told() == {"origin": "api", "value": "process", "declared": "local"}
