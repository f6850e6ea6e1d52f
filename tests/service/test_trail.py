"""What the audit trail says of what a service does: where from, by whose commit, and why."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from taskservice.domain.errors import Conflict
from taskservice.domain.trail import Change
from taskservice.service import Service
from taskservice.storage import events
from taskservice.storage.events import StoredEvent
from tests.service.conftest import AT_ONCE, until, unwatched
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


def told(found: Iterable[StoredEvent]) -> list[tuple[str, str | None, str, str, str | None]]:
    """What was done to which task, by whom, by what way and why; oldest first."""
    events = [one.event for one in found]
    return [(one.action, one.task_id, one.by, one.via, one.reason) for one in reversed(events)]


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


SAMPLES = "tests.engine.sample_tasks.engine_tasks"


@pytest.fixture
async def running(make_service: Callable[..., Service], folder: Path) -> Service:
    """A service whose tasks may call the sample functions."""
    made = make_service(functions=("tests.engine.sample_tasks.*",))
    await made.start()
    return made


async def test_what_is_run_by_hand_is_told_once(
    running: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLACE", "s3cret-place")
    changes, executions = running.changes, running.executions
    failing = {"func_path": f"{SAMPLES}.fail_with", "retries": {"max": 1, "delay": 0.01}}
    await changes.create({**TASK, **failing, "func_args": {"message": "${PLACE}"}}, by="ann")
    given = {"message": "at s3cret-place"}
    first = await executions.trigger("t", given, by="bob", via="console", reason="a test")

    async def tried_again() -> bool:
        log = await executions.page("t", status="failed", since=None, until=None, size=5)
        return log.total == 2

    await until(tried_again)
    found = await trail(running, task_id="t")
    assert told(found) == [
        ("created", "t", "ann", "api", None), ("triggered", "t", "bob", "console", "a test"),
    ]  # fmt: skip
    assert found[0].event.changes == (
        Change("execution", None, first.id), Change("func_args.message", "${PLACE}", "at ***"),
    )  # fmt: skip


@pytest.mark.parametrize("empty_url", ["sqlite"], indirect=True)
async def test_what_fires_ends_or_is_refused_is_no_action(running: Service, folder: Path) -> None:
    again = {"func_path": f"{SAMPLES}.suspend", "trigger_args": {"seconds": 1}}
    args = {"path": str(folder / "noted")}
    await running.changes.create({**TASK, **again, "func_args": args}, by="ann")

    async def fired() -> bool:
        log = await running.executions.page("t", status="running", since=None, until=None, size=5)
        return bool(log.items)

    await until(fired)
    with pytest.raises(Conflict):
        await running.executions.trigger("t", None, by="bob")
    assert told(await trail(running)) == [("created", "t", "ann", "api", None)]


@pytest.mark.parametrize("empty_url", ["sqlite"], indirect=True)
async def test_a_cancel_is_told_once(running: Service, folder: Path) -> None:
    args = {"path": str(folder / "noted")}
    fields = {**TASK, "func_path": f"{SAMPLES}.suspend", "func_args": args}
    await running.changes.create(fields, by="ann")
    begun = await running.executions.trigger("t", None, by="bob")
    await running.executions.cancel("t", begun.id, by="cid", via="console", reason="stuck")
    with pytest.raises(Conflict):
        await running.executions.cancel("t", begun.id, by="cid")
    [event, *_] = await trail(running)
    assert told([event]) == [("cancelled", "t", "cid", "console", "stuck")]
    assert event.event.changes == (Change("execution", begun.id, None),)
    # That its task goes ends an execution too: what is told is that.
    begun = await running.executions.trigger("t", None, by="bob")
    await running.changes.delete("t", by="cid", reason="no longer")

    async def over() -> bool:
        return not running.engine.running

    await until(over)
    assert told(await trail(running))[-1] == ("deleted", "t", "cid", "api", "no longer")


@pytest.mark.parametrize("empty_url", ["sqlite"], indirect=True)
async def test_who_lets_a_held_sync_go_on_is_told(
    make_service: Callable[..., Service], folder: Path
) -> None:
    service = make_service(syncing=replace(AT_ONCE, watch=unwatched))
    for number in range(5):
        (folder / f"t{number}.yaml").write_text(FILE.format(name="n"))
    await service.start()
    await service.syncs.sync(prune=True, by="ann")
    for number in range(4):
        (folder / f"t{number}.yaml").unlink()
    report = await service.syncs.sync(prune=False, by="ann")
    assert len(report["held"]["task_ids"]) == 4
    await service.syncs.sync(prune=True, by="bob", via="console")
    held, *retired = told(await trail(service))[5:]
    assert held == ("synced", None, "bob", "console", None)
    assert [(action, by) for action, _, by, _, _ in retired] == [("retired", "file")] * 4
    [event] = await trail(service, action="synced")
    assert event.event.changes == (
        Change("held", "4 of 5 declared tasks would be retired", None),
        Change("task_ids", ["t0", "t1", "t2", "t3"], None),
    )
