"""A folder in a git work tree: a task tells at which commit its declaration stands."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.process import ServiceProcess

FILE = """\
name: n
task_type: t
trigger_type: interval
trigger_args: {hours: 1}
func_path: taskservice.examples.simple_task
func_args: {message: %s}
"""


@pytest.fixture
def service(database_url: str, tmp_path: Path) -> Iterator[ServiceProcess]:
    folder = tmp_path / "repository" / "tasks.d"
    folder.mkdir(parents=True)
    git(folder, "init", "--quiet")
    with ServiceProcess(database_url, folder) as running:
        yield running


def test_the_revision_is_the_commit(service: ServiceProcess) -> None:
    service.write("a.yaml", FILE % "one")
    service.write("b.yaml", FILE % "one")
    service.send("POST", "/sync")
    assert revision(service, "a") is None
    first = commit(service)
    assert [revision(service, "a"), revision(service, "b")] == [first, first]

    # A commit that leaves the task as it is: its declaration stands there too, unwritten.
    before = service.get("/task-manage/a")
    service.write("b.yaml", FILE % "two")
    second = commit(service)
    after = service.get("/task-manage/a")
    assert after["declared_in"].pop("revision") == second
    assert before["declared_in"].pop("revision") == first
    assert after == before

    # A commit that breaks the file: what is declared is what the commit before said.
    service.write("a.yaml", "name: [half\n")
    third = commit(service)
    assert [revision(service, "a"), revision(service, "b")] == [second, third]
    assert service.get("/sync")["revision"] == third


def test_what_is_not_committed_is_said_to_be_so(service: ServiceProcess) -> None:
    service.write("a.yaml", FILE % "one")
    service.write("b.yaml", FILE % "one")
    first = commit(service)
    service.write("a.yaml", FILE % "two" + "timeout: 5\n")
    service.write("c.yaml", FILE % "one")
    service.write("b.yaml", "# A comment is no declaration.\n" + FILE % "one")
    service.send("POST", "/sync")
    assert service.get("/sync")["revision"] == first
    assert [revision(service, task_id) for task_id in "abc"] == [None, first, None]
    told = provenance(service, "a")
    assert told["name"] == (first, False)
    assert told["func_args.message"] == told["timeout"] == (None, True)
    assert told["coalesce"] == (None, False)  # a default stands in no line
    assert set(provenance(service, "c").values()) == {(None, True), (None, False)}
    second = commit(service)
    assert [revision(service, task_id) for task_id in "abc"] == [second] * 3
    assert provenance(service, "a")["timeout"] == (second, False)
    # A commit taken back leaves the files as they are.
    git(service.folder, "reset", "--quiet", "--soft", first)
    service.send("POST", "/sync")
    assert [revision(service, task_id) for task_id in "abc"] == [None, first, None]
    # A save that brings back what is committed.
    git(service.folder, "checkout", "--quiet", first, "--", "a.yaml")
    service.send("POST", "/sync")
    assert revision(service, "a") == first


def test_of_several_tasks_in_a_file_each_is_looked_at(service: ServiceProcess) -> None:
    text = "tasks:\n" + "".join(
        f"  {name}:\n    " + (FILE % "one").replace("\n", "\n    ").rstrip() + "\n"
        for name in ("one", "two")
    )
    service.write("several.yaml", text)
    first = commit(service)
    service.write("several.yaml", text.replace("message: one", "message: new", 1))
    service.send("POST", "/sync")
    assert [revision(service, "one"), revision(service, "two")] == [None, first]
    assert provenance(service, "two")["name"] == (first, False)


def provenance(service: ServiceProcess, task_id: str) -> dict[str, tuple[str | None, bool]]:
    """By field, the commit of its line, and whether it is told to be uncommitted."""
    told = service.get(f"/task-manage/{task_id}/overrides", fields="all")
    return {one["field"]: (one["revision"], one["uncommitted"]) for one in told}


def commit(service: ServiceProcess) -> str:
    """Commit what is there, and sync."""
    git(service.folder, "add", "--all")
    git(service.folder, "commit", "--quiet", "--message", "change")
    service.send("POST", "/sync")
    return git(service.folder, "rev-parse", "HEAD")


def revision(service: ServiceProcess, task_id: str) -> str | None:
    found: str | None = service.get(f"/task-manage/{task_id}")["declared_in"]["revision"]
    return found


def git(folder: Path, *arguments: str) -> str:
    person = ("-c", "user.name=Ann", "-c", "user.email=ann@example.org")
    done = subprocess.run(
        ["git", *person, *arguments], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()
