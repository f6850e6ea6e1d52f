"""`export`: what it writes is what the service runs."""

from pathlib import Path
from typing import Any

import pytest

from taskservice.sync.text.reader import read_file
from tests.acceptance.process import ServiceProcess
from tests.cli.conftest import Cli
from tests.web.bodies import hourly

IDS = ("_hidden", "own", "true", "每天", "1e3", "with:colon")
DESCRIPTION = 'first\n\n  second: "quoted"\n\tthird # no comment\n\n'


@pytest.fixture(scope="module", autouse=True)
def tasks(service: ServiceProcess) -> None:
    for task_id in IDS:
        body = hourly(id=task_id, description=DESCRIPTION)
        service.send("POST", "/task-manage/", 201, json=body)


def read(path: str, text: str) -> dict[str, Any]:
    """The tasks that a file of this text declares, by id."""
    content = read_file(path, text.encode())
    assert content.faults == ()
    return {task.task_id: dict(task.fields) for task in content.tasks}


def test_one_task_is_printed_as_the_service_gives_it(cli: Cli, service: ServiceProcess) -> None:
    assert cli.ok("export", "own") == service.http.get("/task-manage/own/yaml").text


def test_several_are_printed_as_one_file(cli: Cli) -> None:
    found = read("any.yaml", cli.ok("export"))
    assert set(found) == set(IDS)
    alone = read("own.yaml", cli.ok("export", "own"))["own"]
    assert alone["description"] == DESCRIPTION
    assert all(fields == alone for fields in found.values())
    assert set(read("any.yaml", cli.ok("export", "own", "true", "own"))) == {"own", "true"}


def test_a_directory_gets_a_file_a_task(cli: Cli, tmp_path: Path) -> None:
    target = tmp_path / "new" / "backup"
    found = cli.run("export", "--directory", str(target))
    assert found == (0, "", f"{len(IDS)} written to {target}\n")
    names = {f"{task_id}.yaml" for task_id in IDS} - {"_hidden.yaml"} | {"task_hidden.yaml"}
    assert {path.name for path in target.iterdir()} == names
    declared = [read(path.name, path.read_text("utf-8")) for path in target.iterdir()]
    assert {task_id for tasks in declared for task_id in tasks} == set(IDS)
    (target / "own.yaml").write_text("older")
    cli.run("export", "own", "--directory", str(target))
    assert "own" in read("own.yaml", (target / "own.yaml").read_text())


def test_on_a_terminal_a_bar_goes_with_it(cli: Cli, tmp_path: Path) -> None:
    status, shown = cli.on_terminal("export", "--directory", str(tmp_path))
    assert (status, "Exporting" in shown) == (0, True)


def test_a_directory_that_can_not_be_written_is_told(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    status, out, err = cli.run("export", "own", "--directory", str(tmp_path / "file" / "below"))
    assert (status, out) == (1, "")
    assert err.startswith(f"taskservice: can't write {tmp_path}") and err.count("\n") == 1


def test_a_task_that_is_not_there_is_a_fault(cli: Cli) -> None:
    assert cli.run("export", "nobody") == (1, "", "taskservice: no task 'nobody'\n")


def test_without_a_task_there_is_nothing_to_export(cli: Cli, service: ServiceProcess) -> None:
    for task_id in IDS:
        service.send("DELETE", f"/task-manage/{task_id}", 204)
    assert cli.ok("export") == ""
