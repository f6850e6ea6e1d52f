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
