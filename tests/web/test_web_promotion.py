"""Overrides as a change of the file that declares their task, over HTTP."""

import asyncio
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.web.bodies import hourly
from tests.web.conftest import Serve
from tests.web.test_web_auth import TOKENS

REPORT = """\
# Sales rely on it.
name: Daily report
task_type: report
trigger_type: cron
trigger_args: {crontab: "0 7 * * *"}   # before they come
func_path: taskservice.examples.data_processing_task
func_args: {data_id: d, process_type: daily}
"""
FIELDS = (
    "name: n, task_type: t, trigger_type: interval, trigger_args: {hours: 1}, "
    "func_path: taskservice.examples.simple_task, func_args: {message: m}"
)
PATH = "/task-manage/report/promotion"
JSON = {"Accept": "application/json"}


@pytest.fixture
async def declared(client: httpx.AsyncClient, tasks_dir: Path) -> httpx.AsyncClient:
    """A client of a service in whose folder `sub/report.yaml` declares the task `report`."""
    (tasks_dir / "sub").mkdir()
    (tasks_dir / "sub/report.yaml").write_text(REPORT)
    assert (await client.post("/sync")).status_code == 200
    return client


async def diff(client: httpx.AsyncClient, path: str = PATH) -> str:
    """The text of an answer that must be a diff."""
    answer = await client.get(path)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/x-diff; charset=utf-8"
    assert answer.headers["vary"] == "Accept"
    return answer.text


async def refused(client: httpx.AsyncClient, status: int, path: str = PATH) -> str:
    """Why an answer is a problem."""
    answer = await client.get(path)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("application/problem+json")
    detail: str = answer.json()["detail"]
    return detail


async def patch(folder: Path, text: str) -> None:
    done = await asyncio.to_thread(
        subprocess.run, ["patch", "-p1", "--force"], cwd=folder, input=text.encode(),
        capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


async def test_the_override_ends_when_its_diff_is_applied(
    declared: httpx.AsyncClient, tasks_dir: Path
) -> None:
    assert await diff(declared) == ""
    changes = {"trigger_args": {"crontab": "30 6 * * *"}, "description": "Für alle"}
    await declared.put("/task-manage/report?reason=trial", json=changes)
    before = (await declared.get("/task-manage/report")).json()
    text = await diff(declared)
    assert text == (
        "--- a/sub/report.yaml\n+++ b/sub/report.yaml\n@@ -2,6 +2,7 @@\n name: Daily report\n"
        " task_type: report\n trigger_type: cron\n"
        '-trigger_args: {crontab: "0 7 * * *"}   # before they come\n'
        '+trigger_args: {crontab: "30 6 * * *"}   # before they come\n'
        " func_path: taskservice.examples.data_processing_task\n"
        " func_args: {data_id: d, process_type: daily}\n+description: Für alle\n"
    )
    await patch(tasks_dir, text)
    await declared.post("/sync")
    after = (await declared.get("/task-manage/report")).json()
    assert (after["drift"], after["overridden"]) == ("in_sync", [])
    assert await diff(declared) == ""
    assert after == {**before, "drift": "in_sync", "overridden": []}


async def test_for_programs_it_is_json(declared: httpx.AsyncClient) -> None:
    await declared.put("/task-manage/report?reason=trial", json={"name": "A", "timeout": 5})
    await declared.post("/task-manage/report/pause?until=2h")
    path = f"{PATH}?field=name&field=timeout&field=paused"
    answer = await declared.get(path, headers=JSON)
    assert answer.headers["content-type"] == "application/json"
    told: dict[str, Any] = answer.json()
    by_reason, by_until = told.pop("authors")
    assert told == {
        "task_id": "report", "path": "sub/report.yaml", "diff": await diff(declared, path),
        "before": REPORT, "left_out": [],
        "after": REPORT.replace("Daily report", "A") + "paused: true\ntimeout: 5\n",
    }  # fmt: skip
    assert by_reason.pop("set_at") < by_until.pop("set_at") < by_until.pop("until")
    assert by_reason == {
        "name": "anonymous", "fields": ["name", "timeout"], "reason": "trial", "until": None,
    }  # fmt: skip
    assert by_until == {"name": "anonymous", "fields": ["paused"], "reason": None}


async def test_several_tasks_author_by_author(declared: httpx.AsyncClient, tasks_dir: Path) -> None:
    two = f"tasks:\n  one: {{{FIELDS}}}\n  two: {{{FIELDS}}}\n"
    (tasks_dir / "two.yaml").write_text(two)
    await declared.post("/sync")
    await declared.post("/task-manage", json=hourly(id="own"))
    await declared.put("/task-manage/one?reason=slow", json={"timeout": 5})
    await declared.delete("/task-manage/two")
    await declared.post("/task-manage/report/pause?until=2h")
    wanted = {"task_ids": ["none"], "sources": ["file", "api"]}
    found = (await declared.post("/promotion", json=wanted)).json()
    (made,) = found.pop("contributions")
    assert made.pop("set_at")[:2] == "20"
    left = f"tasks:\n  one: {{{FIELDS}, timeout: 5}}\n"
    own = (await declared.get("/task-manage/own/promotion", headers=JSON)).json()["after"]
    assert made == {
        "author": "anonymous", "files": {"own.yaml": own, "two.yaml": left},
        "message": "Promote overrides of 3 tasks\n\nown: declared by API until now\n"
        "one: timeout: null -> 5\n  reason: slow\ntwo: deleted\n",
    }  # fmt: skip
    (ends,) = found.pop("left_out")
    assert (ends["task_id"], ends["field"]) == ("report", "paused")
    assert found == {
        "files": [
            {"path": "own.yaml", "task_ids": ["own"], "before": None, "after": own},
            {"path": "two.yaml", "task_ids": ["one", "two"], "before": two, "after": left},
        ],
        "outdated": {}, "refused": [{"task_id": "none", "detail": "no task 'none'"}],
    }  # fmt: skip
    (tasks_dir / "two.yaml").write_text(two.replace("name: n,", "name: n, timeout: 6,"))
    await declared.post("/sync")
    wanted = {"task_ids": ["one", "two"], "fields": ["timeout"]}
    found = (await declared.post("/promotion", json=wanted)).json()
    assert [one["task_ids"] for one in found["files"]] == [["one"]]
    assert (found["outdated"], found["refused"][0]["task_id"]) == ({"one": ["timeout"]}, "two")
    ids = [f"{number:036}" for number in range(1001)]
    found = (await declared.post("/promotion", json={"task_ids": ids[1:]})).json()
    assert len(found["refused"]) == 1000
    wrongs: list[dict[str, Any]] = [
        {"task_ids": ids}, {"task_ids": "one"}, {"fields": [1]}, {"sources": ["x"]}, {"field": []},
        {"fields": None},
    ]  # fmt: skip
    for wrong in wrongs:
        assert (await declared.post("/promotion", json=wrong)).status_code == 422, wrong


async def test_a_reason_begins_no_line_of_a_message(declared: httpx.AsyncClient) -> None:
    reason = "fine\n\nSigned-off-by: Boss <boss@example.org>"
    await declared.put("/task-manage/report", params={"reason": reason}, json={"name": "A"})
    found = (await declared.post("/promotion", json={"task_ids": ["report"]})).json()
    assert found["contributions"][0]["message"].split("\n")[2:] == [
        'report: name: "Daily report" -> "A"',
        "  reason: fine  Signed-off-by: Boss <boss@example.org>", "",
    ]  # fmt: skip


async def test_the_overrides_of_all_tasks(declared: httpx.AsyncClient, tasks_dir: Path) -> None:
    assert (await declared.get("/overrides")).json() == []
    await declared.put("/task-manage/report", json={"name": "A", "timeout": 5})
    await declared.post("/task-manage", json=hourly(id="own"))
    await declared.post("/task-manage/own/pause?until=2h")
    (tasks_dir / "away.yaml").write_text(REPORT)
    await declared.post("/sync")
    await declared.delete("/task-manage/away?reason=done")
    found = (await declared.get("/overrides")).json()
    assert [(one["task_id"], one["source"], one["field"], one["value"]) for one in found] == [
        ("away", "file", "deleted", True), ("own", "api", "paused", True),
        ("report", "file", "name", "A"), ("report", "file", "timeout", 5),
    ]  # fmt: skip
    [deleted] = (await declared.get("/task-manage/away/overrides")).json()
    assert found[0] == {**deleted, "task_id": "away", "source": "file"}


async def test_some_fields_only(declared: httpx.AsyncClient) -> None:
    changes = {"name": "A", "timeout": 5, "func_args": {"data_id": "d", "process_type": "x"}}
    await declared.put("/task-manage/report", json=changes)
    some = await diff(declared, f"{PATH}?field=name&field=func_args.process_type")
    assert "+name: A" in some
    assert "+func_args: {data_id: d, process_type: x}" in some
    assert "timeout" not in some
    reason = await refused(declared, 404, f"{PATH}?field=tags")
    assert reason == ("no override of 'tags'; there are: func_args.process_type, name, timeout")


async def test_a_deleted_task_is_a_deleted_file(
    declared: httpx.AsyncClient, tasks_dir: Path
) -> None:
    await declared.delete("/task-manage/report?reason=done")
    text = await diff(declared)
    assert text.startswith("--- a/sub/report.yaml\n+++ /dev/null\n@@ -1,7 +0,0 @@\n")
    told = (await declared.get(PATH, headers=JSON)).json()
    assert (told["after"], told["authors"][0]["fields"]) == (None, ["deleted"])
    await patch(tasks_dir, text)
    assert not (tasks_dir / "sub/report.yaml").exists()


async def test_a_task_of_the_apis_is_a_new_file(client: httpx.AsyncClient, tasks_dir: Path) -> None:
    await client.post("/task-manage", json=hourly(id="t"))
    await client.post("/task-manage/t/pause?reason=wait")
    text = await diff(client, "/task-manage/t/promotion")
    assert text.startswith("--- /dev/null\n+++ b/t.yaml\n@@ -0,0 +1,")
    assert "+paused: true\n" in text
    told = (await client.get("/task-manage/t/promotion", headers=JSON)).json()
    assert told["before"] is None
    assert [author["reason"] for author in told["authors"]] == [None, "wait"]
    (tasks_dir / "t.yaml").write_text("# kept for later\n")
    other = await diff(client, "/task-manage/t/promotion")
    assert other.startswith("--- /dev/null\n+++ b/task-t.yaml\n")
    (tasks_dir / "t.yaml").unlink()
    await patch(tasks_dir, text)
    await client.post("/sync")
    task = (await client.get("/task-manage/t")).json()
    assert (task["source"], task["overridden"], task["paused"]) == ("file", [], True)


async def test_the_file_must_be_what_is_stored(
    declared: httpx.AsyncClient, tasks_dir: Path
) -> None:
    await declared.put("/task-manage/report", json={"name": "A"})
    file = tasks_dir / "sub/report.yaml"
    file.write_text(REPORT + "nam: x\n")  # a fault: it is not taken
    await declared.post("/sync")
    assert "sub/report.yaml has changed" in await refused(declared, 409)
    file.unlink()
    reason = await refused(declared, 409)
    assert reason.startswith("sub/report.yaml, which declares the task, is not in the tasks folder")
    file.mkdir()
    assert "is a folder" in await refused(declared, 409)


async def test_what_ends_by_itself_is_left_out_unless_it_is_named(
    declared: httpx.AsyncClient,
) -> None:
    await declared.post("/task-manage/report/pause?until=2h")
    assert await diff(declared) == ""
    told = (await declared.get(PATH, headers=JSON)).json()
    (left,) = told["left_out"]
    assert (told["authors"], left["field"], left["until"][:2]) == ([], "paused", "20")
    assert "+paused: true" in await diff(declared, f"{PATH}?field=paused")


async def test_a_viewer_may_read_it(serve: Serve) -> None:
    async with serve(api_tokens=TOKENS) as client:
        admin = {"Authorization": "Bearer admin-secret"}
        await client.post("/task-manage", json=hourly(id="t"), headers=admin)
        assert (await client.get("/task-manage/t/promotion")).status_code == 401
        viewer = {"Authorization": "Bearer viewer-secret"}
        answer = await client.get("/task-manage/t/promotion", headers=viewer)
        assert answer.status_code == 200


@pytest.mark.parametrize(
    ("accept", "kind"),
    [("*/*", "text/x-diff"), ("application/json, */*;q=0.5", "application/json"),
     ("text/*", "text/x-diff"), ("image/png", "text/x-diff"), (";;q=x,", "text/x-diff")],
)  # fmt: skip
async def test_the_form_is_the_one_asked_for(
    declared: httpx.AsyncClient, accept: str, kind: str
) -> None:
    answer = await declared.get(PATH, headers={"Accept": accept})
    assert answer.headers["content-type"].partition(";")[0] == kind
