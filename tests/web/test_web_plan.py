"""`POST /plan`: what a sync of a folder to come would do, and that asking changes nothing."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from taskservice.settings import Settings
from tests.web.conftest import Serve


def report(**fields: str) -> str:
    """A file that declares a daily report, with more or other lines."""
    lines = {
        "name": "Daily report",
        "task_type": "report",
        "trigger_type": "cron",
        "trigger_args": '{crontab: "0 7 * * *"}',
        "func_path": "taskservice.examples.simple_task",
        "func_args": "{message: hello}",
        **fields,
    }
    return "".join(f"{name}: {value}\n" for name, value in lines.items())


@pytest.fixture
async def declared(client: httpx.AsyncClient, tasks_dir: Path) -> httpx.AsyncClient:
    """A client of a service with six tasks in files of their own, r0 to r5."""
    for number in range(6):
        (tasks_dir / f"r{number}.yaml").write_text(report(name=f"Report {number}"))
    assert (await client.post("/sync")).json()["declared"] == 6
    return client


def folder(**changed: str | None) -> dict[str, str]:
    """The six files, with some of them otherwise or (None) gone."""
    files = {f"r{number}": report(name=f"Report {number}") for number in range(6)} | changed
    return {f"{name}.yaml": text for name, text in files.items() if text is not None}


async def plan(client: httpx.AsyncClient, files: dict[str, str]) -> Any:
    answer = await client.post("/plan", json={"files": files})
    assert answer.status_code == 200, answer.text
    return answer.json()


NOTHING: dict[str, Any] = {
    "create": [], "update": [], "retire": [], "refuse": [], "held": None, "overrides": []
}  # fmt: skip


async def test_the_folder_as_it_is_changes_nothing(declared: httpx.AsyncClient) -> None:
    assert await plan(declared, folder()) == NOTHING


async def test_another_form_and_another_place_change_nothing(declared: httpx.AsyncClient) -> None:
    files = {f"moved/{path}": f"# said again\n\n{text}" for path, text in folder().items()}
    assert await plan(declared, files) == NOTHING


async def test_every_kind_of_change_at_once(declared: httpx.AsyncClient) -> None:
    await declared.put("/task-manage/r1?reason=slow", json={"timeout": 60})
    answer = await plan(
        declared,
        folder(
            new=report(trigger_args='{crontab: "30 2 * * *", timezone: Europe/Berlin}'),
            r0=report(name="Report 0", trigger_args='{crontab: "0 8 * * 1-5"}'),
            r1=report(name="Report 1", timeout="30", description="slow"),
            r2=None,
            r3="name: [\n",
        ),
    )
    [created] = answer["create"]
    assert created["task_id"] == "new"
    assert (created["path"], created["line"]) == ("new.yaml", 1)
    assert created["fires_old"] == []
    assert len(created["fires_new"]) == 5
    assert created["runs_a_week"] == {"old": 0, "new": 7, "gained": 7, "lost": 0}
    assert [change["kind"] for change in created["clock_changes"]][:2] in (
        ["skipped", "repeated"],
        ["repeated", "skipped"],
    )
    assert created["clock_changes"][0]["time"] == "02:30"
    assert {change["field"]: change["new"] for change in created["changes"]}["name"] == (
        "Daily report"
    )

    rescheduled, hidden = answer["update"]
    assert rescheduled["task_id"] == "r0"
    assert rescheduled["changes"] == [
        {
            "field": "trigger",
            "old": {"trigger_type": "cron", "trigger_args": {"crontab": "0 7 * * *"}},
            "new": {"trigger_type": "cron", "trigger_args": {"crontab": "0 8 * * 1-5"}},
            "hidden": None,
            "override": None,
        }
    ]
    assert rescheduled["fires_old"][0][11:16] == "07:00"
    assert rescheduled["fires_new"][0][11:16] == "08:00"
    assert rescheduled["runs_a_week"] == {"old": 7, "new": 5, "gained": 5, "lost": 7}

    assert hidden["task_id"] == "r1"
    timeout, description = hidden["changes"]
    override = timeout.pop("override")
    assert timeout == {"field": "timeout", "old": None, "new": 30, "hidden": "timeout"}
    assert (override["set_by"], override["reason"], override["value"]) == ("anonymous", "slow", 60)
    assert (description["new"], description["hidden"]) == ("slow", None)

    [retired] = answer["retire"]
    assert (retired["task_id"], retired["path"], retired["changes"]) == ("r2", "r2.yaml", [])
    assert retired["fires_new"] == []
    [refused] = answer["refuse"]
    assert (refused["path"], refused["line"], refused["since"]) == ("r3.yaml", 2, None)
    assert answer["held"] is None
    assert [(one["task_id"], one["field"]) for one in answer["overrides"]] == [("r1", "timeout")]


async def test_nothing_is_changed_by_asking(declared: httpx.AsyncClient) -> None:
    before = (await declared.get("/task-manage")).json()
    await plan(declared, {})
    await plan(declared, folder(r0=report(name="Other"), r1=None))
    assert (await declared.get("/task-manage")).json() == before


async def test_many_that_would_go_are_held(declared: httpx.AsyncClient) -> None:
    answer = await plan(declared, folder(r0=None, r1=None, r2=None, r3=None))
    assert answer["held"] == {
        "reason": "4 of 6 declared tasks would be retired",
        "task_ids": ["r0", "r1", "r2", "r3"],
    }
    assert answer["retire"] == []


async def test_an_override_that_the_files_now_say_ends(declared: httpx.AsyncClient) -> None:
    await declared.put("/task-manage/r1", json={"timeout": 60})
    answer = await plan(declared, folder(r1=report(name="Report 1", timeout="60")))
    [entry] = answer["update"]
    assert [(one["field"], one["value"]) for one in entry["ends"]] == [("timeout", 60)]
    assert entry["fires_old"] == entry["fires_new"]
    assert answer["overrides"] == []


async def test_a_task_of_the_apis_that_a_file_comes_to_declare(client: httpx.AsyncClient) -> None:
    body = {
        "id": "r1", "name": "By hand", "task_type": "report", "trigger_type": "cron",
        "trigger_args": {"crontab": "0 7 * * *"}, "func_path": "taskservice.examples.simple_task",
        "func_args": {"message": "hello"},
    }  # fmt: skip
    assert (await client.post("/task-manage", json=body)).status_code == 201
    answer = await plan(client, {"r1.yaml": report()})
    [entry] = answer["update"]
    [change] = entry["changes"]
    assert (change["field"], change["old"], change["new"], change["hidden"]) == (
        "name", "By hand", "Daily report", "name"
    )  # fmt: skip
    assert answer["create"] == []


async def test_a_pause_is_named_though_nothing_changes(declared: httpx.AsyncClient) -> None:
    await declared.post("/task-manage/r4/pause?reason=INC-42&until=3d")
    answer = await plan(declared, folder())
    [override] = answer.pop("overrides")
    assert override["until"] > override["set_at"]
    assert (override["task_id"], override["field"], override["value"], override["reason"]) == (
        "r4", "paused", True, "INC-42"
    )  # fmt: skip
    assert answer == {name: value for name, value in NOTHING.items() if name != "overrides"}


async def test_an_override_that_no_longer_fits_is_refused(declared: httpx.AsyncClient) -> None:
    await declared.put("/task-manage/r1", json={"func_args": {"message": "bye"}})
    answer = await plan(
        declared,
        folder(r1=report(name="One", func_path="taskservice.examples.data_processing_task",
                         func_args="{data_id: d, process_type: p}")),
    )  # fmt: skip
    [refused] = answer["refuse"]
    assert (refused["task_id"], refused["path"]) == ("r1", "r1.yaml")
    assert "with the override of func_args.message" in refused["reason"]


async def test_files_that_are_no_task_files_are_passed_over(client: httpx.AsyncClient) -> None:
    files = {"README.md": "#", "_base.yaml": "x: 1\n", ".git/a.yaml": "[", "a.yaml~": "["}
    assert await plan(client, files) == NOTHING


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "files"),
        ({"files": ["a"]}, "files"),
        ({"files": {}, "prune": True}, "prune"),
        ({"files": {"../a.yaml": "x"}}, "files.../a.yaml"),
        ({"files": {"/a.yaml": "x"}}, "files./a.yaml"),
        ({"files": {"a//b.yaml": "x"}}, "files.a//b.yaml"),
        ({"files": {"": "x"}}, "files."),
        ({"files": {"a.yaml": 1}}, "files.a.yaml"),
    ],
)
async def test_bodies_that_are_refused(
    client: httpx.AsyncClient, body: dict[str, Any], field: str
) -> None:
    answer = await client.post("/plan", json=body)
    assert answer.status_code == 422, answer.text
    assert [error["field"] for error in answer.json()["errors"]] == [field]


async def test_a_folder_may_be_larger_than_other_bodies(client: httpx.AsyncClient) -> None:
    text = report() + "# " + "x" * 600_000 + "\n"
    answer = await plan(client, {f"r{number}.yaml": text for number in range(3)})
    assert len(answer["create"]) == 3
    huge = await plan(client, {"r.yaml": report() + "# " + "x" * 1_100_000 + "\n"})
    assert "at most 1 MiB" in huge["refuse"][0]["reason"]


async def test_a_viewer_may_ask(serve: Serve) -> None:
    tokens = Settings.from_environment({"TASKSERVICE_API_TOKENS": "ci:viewer:secret"}).api_tokens
    async with serve(api_tokens=tokens) as http:
        assert (await http.post("/plan", json={"files": {}})).status_code == 401
        headers = {"Authorization": "Bearer secret"}
        answer = await http.post("/plan", json={"files": {}}, headers=headers)
        assert answer.status_code == 200
