"""What the audit trail says of what a service does: where from, by whose commit, and why."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from taskservice.service import Service
from taskservice.storage import events
from taskservice.storage.events import StoredEvent
from tests.service.conftest import AT_ONCE, unwatched
from tests.sync.gitrepo.test_blame import commit, git

FILE = """\
name: {name}
task_type: t
trigger_type: interval
trigger_args: {{hours: 1}}
func_path: taskservice.examples.simple_task
func_args: {{message: m}}
"""
TASK: dict[str, Any] = {
    "id": "t", "name": "t", "task_type": "t", "trigger_type": "interval",
    "trigger_args": {"hours": 1}, "func_path": "taskservice.examples.simple_task",
    "func_args": {"message": "m"},
}  # fmt: skip


async def trail(service: Service, **filters: Any) -> list[StoredEvent]:
    """The trail, newest first."""
    async with service.database.read() as connection:
        return (await events.page(connection, limit=1000, **filters)).items


@dataclass
class Repository:
    """A folder of task files in a repository, and the service that syncs it."""

    service: Service
    top: Path
    folder: Path

    def write(self, path: str, name: str = "n") -> None:
        (self.folder / path).write_text(FILE.format(name=name))

    def commit(self, author: str) -> str:
        return commit(self.top, author=author)

    async def told(self) -> list[tuple[str, str | None, str | None, str | None, str | None]]:
        """The events of a sync, by task."""
        before = {one.id for one in await trail(self.service)}
        await self.service.syncs.sync(prune=False, by="me")
        new = [one.event for one in await trail(self.service) if one.id not in before]
        return sorted((one.action, one.task_id, one.path, one.revision, one.author) for one in new)


@pytest.fixture
async def repository(
    make_service: Callable[..., Service], tmp_path: Path, folder: Path
) -> Repository:
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    service = make_service(syncing=replace(AT_ONCE, watch=unwatched))
    made = Repository(service, tmp_path, folder)
    (tmp_path / ".gitignore").write_text("taskservice.db*\n")
    made.write("a.yaml")
    made.commit("Ann Other")
    made.write("b.yaml")
    await service.start()
    return made


@pytest.mark.parametrize("empty_url", ["sqlite"], indirect=True)
async def test_the_author_is_who_made_the_commit_that_did_it(repository: Repository) -> None:
    [b, a] = [one.event for one in await trail(repository.service)]
    assert (a.action, a.by, a.via, a.path, a.line) == ("created", "file", "file", "a.yaml", 1)
    assert a.author == "Ann Other"
    assert (b.revision, b.author) == (None, None)
    repository.write("a.yaml", "new")
    assert await repository.told() == [("changed", "a", "a.yaml", None, None)]
    # Several commits that come at once: of each file its own.
    repository.write("a.yaml", "newer")
    bob = repository.commit("Bob")
    repository.write("b.yaml", "newer")
    cid = repository.commit("Cid 中文")
    assert await repository.told() == [
        ("changed", "a", "a.yaml", bob, "Bob"),
        ("changed", "b", "b.yaml", cid, "Cid 中文"),
    ]
    (repository.folder / "a.yaml").unlink()
    assert await repository.told() == [("retired", "a", "a.yaml", None, None)]
    (repository.folder / "b.yaml").unlink()
    dan = repository.commit("Dan")
    assert await repository.told() == [("retired", "b", "b.yaml", dan, "Dan")]
    git(repository.top, "checkout", "--quiet", "--detach", cid)
    # The branch goes back.
    assert await repository.told() == [
        ("returned", "a", "a.yaml", bob, "Bob"), ("returned", "b", "b.yaml", cid, "Cid 中文"),
    ]  # fmt: skip
