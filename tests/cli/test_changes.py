"""The commands that change a task, and what those that show it make of that."""

import json
import re

import pytest

from tests.acceptance.process import ServiceProcess
from tests.cli.conftest import NOTICE, Cli
from tests.web.bodies import hourly


@pytest.fixture(autouse=True)
def notice(service: ServiceProcess) -> None:
    """A declared task without overrides, and one of the API's own."""
    service.write("notice.yaml", NOTICE)
    service.send("POST", "/sync")
    service.http.post("/task-manage/notice/restore")
    service.send("DELETE", "/task-manage/notice/overrides")
    service.http.post("/task-manage/", json=hourly(id="own"))


def test_a_pause_is_kept_with_its_reason_and_end(cli: Cli, service: ServiceProcess) -> None:
    told = cli.ok("pause", "notice", "--reason", "INC-42 坏了", "--until", "2h")
    assert told == "notice: paused; overridden: paused\n"
    (override,) = service.get("/task-manage/notice/overrides")
    assert (override["field"], override["reason"]) == ("paused", "INC-42 坏了")
    heading, row = cli.ok("overrides", "notice").splitlines()
    assert heading.split() == [
        *("FIELD", "VALUE", "THE", "FILE", "SAYS", "SET", "BY", "SET", "UNTIL", "REASON"),
    ]
    assert row.split()[:4] == ["paused", "true", "false", "anonymous"]
    assert "(in 120 min)" in row and row.endswith("INC-42 坏了")
    assert json.loads(cli.ok("overrides", "notice", "-o", "json")) == [override]
    told = cli.ok("resume", "notice", TZ="Asia/Shanghai")
    assert told.startswith("notice: pending; fires next ")
    assert "+08:00 (in 60 min)" in told
    assert cli.run("overrides", "notice") == (0, "", "no override\n")


def test_several_tasks_are_taken_one_by_one(cli: Cli, service: ServiceProcess) -> None:
    status, out, err = cli.run("pause", "notice", "nobody", "own")
    assert (status, err) == (1, "taskservice: nobody: no task 'nobody'\n")
    assert out == "notice: paused; overridden: paused\nown: paused\n"
    both = json.loads(cli.ok("resume", "notice", "own", "--output", "json"))
    assert [(task["id"], task["paused"]) for task in both] == [("notice", False), ("own", False)]
    one = json.loads(cli.ok("pause", "own", "--output", "json"))
    assert one == service.get("/task-manage/own")
    cli.ok("resume", "own")


def test_what_no_task_would_take_is_said_once(cli: Cli) -> None:
    status, out, err = cli.run("pause", "notice", "own", "--until", "soon")
    assert (status, out, err.count("taskservice: ")) == (1, "", 1)
    assert err.startswith("taskservice: until: must be a time of ISO 8601 or a span like 30s")


def test_a_revert_of_one_field_and_of_all(cli: Cli, service: ServiceProcess) -> None:
    change = {"func_args": {"message": "late"}, "description": "x", "max_instances": 2}
    service.send("PUT", "/task-manage/notice", json=change)
    told = cli.ok("revert", "notice", "--field", "func_args.message")
    assert "; overridden: " in told and "func_args.message" not in told
    task = json.loads(cli.ok("revert", "notice", "--output", "json"))
    assert (task["overridden"], task["description"]) == ([], None)
    status, _, err = cli.run("revert", "notice", "--field", "func_args.message")
    assert status == 1 and "func_args.message" in err


def test_a_deletion_is_an_override_and_can_be_taken_back(cli: Cli) -> None:
    assert cli.ok("delete", "notice", "--reason", "too loud") == "notice: deleted\n"
    _, row = cli.ok("overrides", "notice").splitlines()
    assert row.split()[0] == "deleted" and row.endswith("too loud")
    status, _, err = cli.run("show", "notice")
    assert status == 1
    assert err.startswith("taskservice: task 'notice' was deleted by anonymous, ")
    assert "too loud" in err and "`taskservice restore notice` takes that back" in err
    assert cli.ok("restore", "notice").startswith("notice: pending; fires next ")
    status, _, err = cli.run("restore", "notice")
    assert (status, err) == (1, "taskservice: the task is not deleted\n")
    assert cli.ok("delete", "own", "--output", "json") == ""
    assert cli.run("show", "own") == (1, "", "taskservice: no task 'own'\n")
    assert cli.run("delete", "own") == (1, "", "taskservice: no task 'own'\n")


def test_show_tells_of_each_field_where_it_comes_from(cli: Cli, service: ServiceProcess) -> None:
    change = {"func_args": {"message": "5"}, "trigger_args": {"hours": 2}, "name": "[b]新"}
    service.send("PUT", "/task-manage/notice?reason=INC-42&until=3d", json=change)
    service.send("POST", "/task-manage/notice/trigger", 202)
    out = cli.ok("show", "notice")
    head, fields, fires, log = out.split("\n\n")
    assert head.splitlines()[0].split() == ["notice", "[b]新"]
    assert "\ndeclared  notice.yaml:1\n" in head and "\ndrift     overridden\n" in head
    rows = {line.split()[0]: line for line in fields.splitlines()}
    assert rows["task_type"].split() == ["task_type", "notification", "notice.yaml:2"]
    name = rows["name"]
    assert "API: by anonymous, " in name and "; reason: INC-42; the file says Notice" in name
    assert "; until " in name and "(in 3 d)" in name
    assert "interval hours=2" in rows["trigger"]
    assert rows["trigger"].endswith("the file says interval hours=1")
    assert rows["func_args.message"].split()[1] == '"5"'
    assert len(fires.splitlines()) == 1 + 5
    assert "anonymous" in log.splitlines()[1]
    assert json.loads(cli.ok("show", "notice", "-o", "json")) == service.get("/task-manage/notice")


def test_show_tells_of_an_argument_that_is_taken_away(cli: Cli, service: ServiceProcess) -> None:
    service.write("notice.yaml", NOTICE.replace("{message: hello}", "{message: hi, loud: yes}"))
    report = service.send("POST", "/sync")
    assert report["errors"], "the example takes no such argument"
    change = {
        "func_path": "taskservice.examples.data_processing_task",
        "func_args": {"data_id": "", "process_type": " x"},
    }
    service.send("PUT", "/task-manage/notice", json=change)
    out = cli.ok("show", "notice")
    rows = {line.split()[0]: line for line in out.splitlines() if line}
    assert rows["func_args.message"].split()[1] == "(absent)"
    assert rows["func_args.message"].endswith("the file says hello")
    assert rows["func_args.data_id"].split()[1] == '""'
    assert '" x"' in rows["func_args.process_type"]


def test_show_tells_how_many_executions_there_are_beside_the_last_ones(
    cli: Cli, service: ServiceProcess
) -> None:
    for _ in range(6):
        cli.ok("trigger", "own", "--wait")
    total = service.get("/task-manage/own/logs")["total"]
    assert cli.ok("show", "own").endswith(f"\nand {total - 5} more: taskservice logs own\n")
    service.send("DELETE", "/task-manage/own", 204)


def test_a_conflict_tells_what_the_file_said_before(cli: Cli, service: ServiceProcess) -> None:
    service.send("PUT", "/task-manage/notice", json={"func_args": {"message": "late"}})
    service.write("notice.yaml", NOTICE.replace("hello", "good evening"))
    service.send("POST", "/sync")
    assert "drift     conflict" in cli.ok("show", "notice")
    _, row = cli.ok("overrides", "notice").splitlines()
    assert "good evening (it said hello then)" in row


def test_show_of_a_task_of_the_apis_own_that_never_ran_and_will_not(
    cli: Cli, service: ServiceProcess
) -> None:
    cli.ok("pause", "own")
    out = cli.ok("show", "own")
    assert "\ndeclared  by API\n" in out
    rows = {line.split()[0]: line for line in out.splitlines() if line}
    assert " API: by anonymous, " in rows["task_type"]
    assert "the file says" not in rows["task_type"]
    assert "\nIt is paused: taskservice resume own lets it fire.\n" in out
    assert "\nIt has not run yet.\n" in out
    cli.ok("resume", "own")
    cli.ok("pause", "own", "--until", "2h")
    told = r"\nIt is paused until .* \(in \d+ (min|h)\), and fires again then\.\n"
    assert re.search(told, cli.ok("show", "own"))
    cli.ok("resume", "own")


def test_fires(cli: Cli, service: ServiceProcess) -> None:
    times = service.get("/task-manage/notice/fires", count=3)
    assert json.loads(cli.ok("fires", "notice", "--count", "3", "-o", "json")) == times
    heading, *rows = cli.ok("fires", "notice", TZ="Asia/Kolkata").splitlines()
    assert (heading, len(rows)) == ("FIRE", 10)
    assert all("+05:30  in " in row for row in rows)
    cli.ok("pause", "notice")
    assert cli.run("fires", "notice") == (0, "", "no fire\n")
