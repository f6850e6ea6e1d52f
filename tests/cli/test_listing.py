"""`list` and `functions` against a real service."""

import json
from collections.abc import Iterator
from typing import get_args

import pytest

from taskservice.cli import arguments
from taskservice.cli.client import Client
from taskservice.cli.paging import all_pages
from taskservice.domain.overlay import Drift
from taskservice.domain.run import EXECUTION_STATUSES, OPEN, TASK_STATUSES
from taskservice.domain.trail import ACTIONS
from taskservice.web.schemas import Source, TriggerType
from tests.acceptance.process import ServiceProcess, wait_for
from tests.cli.conftest import Cli
from tests.web.bodies import hourly

CRON = """\
name: 每天
task_type: report
trigger_type: cron
trigger_args: {crontab: "0 7 * * *", timezone: Europe/Berlin}
func_path: taskservice.examples.simple_task
func_args: {message: hello}
tags: [billing]
"""


@pytest.fixture(scope="module", autouse=True)
def tasks(service: ServiceProcess) -> None:
    service.write("daily.yaml", CRON)
    service.send("POST", "/sync")
    service.send("POST", "/task-manage/", 201, json=hourly(id="beta", name="[red]Beta[/red]"))
    service.send("POST", "/task-manage/beta/pause")


@pytest.fixture
def many(service: ServiceProcess) -> Iterator[int]:
    """More tasks than a page takes."""
    names = "".join(f"  m{number:04}: {{name: m}}\n" for number in range(1001))
    defaults = CRON.replace("name: 每天\n", "").replace("billing", "many").replace("\n", "\n  ")
    service.write("many.yaml", f"defaults:\n  {defaults.rstrip()}\ntasks:\n{names}")
    service.send("POST", "/sync")
    yield 1001
    (service.folder / "many.yaml").unlink()


def ids(out: str) -> list[str]:
    """The first column of a table."""
    return [line.split()[0] for line in out.splitlines()[1:]]


def test_a_table_for_people(cli: Cli) -> None:
    heading, beta, daily = cli.ok("list", TZ="Europe/Berlin").splitlines()
    assert heading.split() == ["ID", "NAME", "STATUS", "NEXT", "FIRE", "TRIGGER", "SOURCE", "DRIFT"]
    for part in ("beta", "[red]Beta[/red]", "paused", " - ", "interval hours=1", "api"):
        assert part in beta
    for part in (
        "daily",
        "每天",
        "pending",
        "07:00:00+0",
        'crontab="0 7 * * *"',
        "file",
        "in_sync",
    ):
        assert part in daily
    assert " (in " in daily


def test_json_is_the_answer_of_the_api(cli: Cli, service: ServiceProcess) -> None:
    answer = service.get("/task-manage/", size=1000)
    assert json.loads(cli.ok("list", "--output", "json")) == answer
    assert "每天" in cli.ok("list", "-o", "json")


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        (["--status", "paused"], ["beta"]),
        (["--task-type", "report"], ["daily"]),
        (["--trigger-type", "interval"], ["beta"]),
        (["--source", "file"], ["daily"]),
        (["--drift", "in_sync", "--tag", "billing"], ["daily"]),
        (["-q", "每天"], ["daily"]),
        (["--search", "Beta"], ["beta"]),
        (["--sort", "-id"], ["daily", "beta"]),
    ],
)
def test_filters(cli: Cli, filters: list[str], found: list[str]) -> None:
    assert ids(cli.ok("list", *filters)) == found


def test_where_nothing_is_found_it_says_so_beside_the_output(cli: Cli) -> None:
    assert cli.run("list", "--tag", "none") == (0, "", "no task\n")


def test_retired_tasks_have_the_time_of_their_retirement(cli: Cli, service: ServiceProcess) -> None:
    for name in ("gone", *"abcd"):
        service.write(f"{name}.yaml", CRON)
    service.send("POST", "/sync")
    (service.folder / "gone.yaml").unlink()
    wait_for("the task is retired", lambda: service.send("POST", "/sync")["retired"])
    heading, gone = cli.ok("list", "--retired").splitlines()
    assert "RETIRED" in heading and "NEXT" not in heading
    assert gone.startswith("gone ") and " ago" in gone
    for name in "abcd":
        service.send("DELETE", f"/task-manage/{name}", 204)


def test_all_pages_are_listed(cli: Cli, many: int) -> None:
    page = json.loads(cli.ok("list", "--tag", "many", "--output", "json"))
    assert [task["id"] for task in page["items"]] == [f"m{number:04}" for number in range(many)]
    assert {key: page[key] for key in page if key != "items"} == {
        "total": many, "page": 1, "size": many, "pages": 1,
    }  # fmt: skip


def test_the_first_of_many_pages(cli: Cli, many: int) -> None:
    with Client(cli.server, None) as client:
        page = all_pages(client, "/task-manage/", "Tasks", limit=1001, tag="many")
        assert (len(page["items"]), page["size"], page["pages"]) == (1001, 1001, 1)
        page = all_pages(client, "/task-manage/", "Tasks", limit=7, tag="many")
        assert (len(page["items"]), page["size"], page["pages"]) == (7, 7, 143)


def test_on_a_terminal_states_are_coloured_and_nothing_is_cut(cli: Cli) -> None:
    status, shown = cli.on_terminal("list")
    assert status == 0
    assert "\x1b[33mpaused" in shown and "…" not in shown
    status, shown = cli.on_terminal("list", NO_COLOR="1")
    assert (status, "\x1b[33m" in shown) == (0, False)


def test_on_a_terminal_a_bar_shows_how_many_pages_there_are(cli: Cli, many: int) -> None:
    status, shown = cli.on_terminal("list", "--tag", "many", "-o", "json")
    assert (status, "Tasks" in shown) == (0, True)


def test_what_the_service_refuses_is_a_fault(cli: Cli) -> None:
    status, out, err = cli.run("list", "--sort", "nome")
    assert (status, out) == (1, "")
    assert err.startswith("taskservice: sort: 'nome' is no field to sort by")
    assert err.count("\n") == 1


def test_the_words_of_the_options_are_those_of_the_service() -> None:
    assert (arguments.TASK_STATUSES, arguments.EXECUTION_STATUSES) == (
        TASK_STATUSES,
        EXECUTION_STATUSES,
    )
    assert arguments.OPEN_STATUSES == OPEN
    assert arguments.ACTIONS == ACTIONS
    assert arguments.DRIFTS == get_args(Drift)
    assert arguments.SOURCES == get_args(Source)
    assert arguments.TRIGGER_TYPES == get_args(TriggerType)


def test_functions(cli: Cli, service: ServiceProcess) -> None:
    assert json.loads(cli.ok("functions", "--output", "json")) == service.get("/functions")
    heading, *rows = cli.ok("functions").splitlines()
    assert heading.split() == ["FUNCTION", "ARGUMENTS", "DESCRIPTION"]
    (row,) = [row for row in rows if row.startswith("taskservice.examples.simple_task ")]
    assert "(message: str) -> str" in row and "Print a message and return it." in row
