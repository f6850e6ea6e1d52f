"""A service that follows a repository: what it does when commits come, and when none can."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from taskservice.domain.errors import NotFound, StartError, Unavailable
from taskservice.domain.trail import Cause
from taskservice.service import Service
from taskservice.settings import Settings
from taskservice.sync.gitrepo.repository import Repository, Sync
from taskservice.sync.syncer import SyncOptions
from tests.databases import MariaDB
from tests.origin import Origin, task
from tests.service.conftest import until

SOON = 0.2
NEVER = 3600.0
AT_ONCE = SyncOptions(repository=partial(Repository, first_seconds=0))


@pytest.fixture
def origin(tmp_path: Path) -> Origin:
    made = Origin(tmp_path / "elsewhere")
    made.commit({"deploy/a.yaml": task("one"), "README": "no task", "other/x.yaml": "no: task\n"})
    return made


@pytest.fixture
async def follow(make_service: Callable[..., Service], origin: Origin) -> Callable[..., Any]:
    """Starts a service that follows the repository."""

    async def start(**more: Any) -> Service:
        usual = {"git_url": origin.url, "git_path": "deploy", "git_interval": SOON}
        made = make_service(**{**usual, **more})
        await made.start()
        return made

    return start


async def repository(service: Service) -> dict[str, Any]:
    found: dict[str, Any] = (await service.syncs.report())["repository"]
    return found


async def name_of(service: Service, task_id: str) -> str | None:
    try:
        return (await service.tasks.get(task_id)).state.task.name
    except NotFound:
        return None


async def until_named(service: Service, name: str, task_id: str = "a") -> None:
    async def named() -> bool:
        return await name_of(service, task_id) == name

    await until(named)


async def until_wanted(service: Service, commit: str) -> dict[str, Any]:
    async def wanted() -> bool:
        return bool((await repository(service))["wanted"] == commit)

    await until(wanted)
    return await repository(service)


async def test_a_commit_is_live_within_the_interval(
    follow: Callable[..., Any], origin: Origin, folder: Path
) -> None:
    service = await follow(tasks_dir=folder / "to" / "be made")
    for name in ("one", "two", "three"):
        commit = origin.commit({"deploy/a.yaml": task(name)})
        await until_named(service, name)

        async def told(commit: str = commit) -> bool:
            # A sync may find the commit a moment before the pull that brought it is noted.
            report = await service.syncs.report()
            return bool(report["revision"] == report["repository"]["live"] == commit)

        await until(told)
        shown = await service.tasks.get("a")
        assert (shown.path, shown.revision) == ("a.yaml", commit)
        state = await repository(service)
        assert state.pop("fetched_at")
        assert state == {
            "url": origin.url, "branch": "main", "path": "deploy",
            "wanted": commit, "live": commit, "problem": None,
        }  # fmt: skip
    assert (await service.syncs.report())["errors"] == []


async def test_a_start_waits_for_the_first_commit_but_not_for_long(
    follow: Callable[..., Any], folder: Path
) -> None:
    service = await follow(git_interval=NEVER)
    assert await name_of(service, "a") == "one"
    assert (await service.syncs.report())["errors"] == []
    await service.stop()
    shutil.rmtree(folder)
    service = await follow(git_interval=NEVER, syncing=AT_ONCE)
    await service.changes.change("a", {"description": "all the same"}, by="ann")

    async def live() -> Any:
        report = await service.syncs.report()
        return report["repository"]["live"] and not report["errors"] and not report["held"]

    await until(live)


async def test_a_sync_that_is_asked_for_pulls(follow: Callable[..., Any], origin: Origin) -> None:
    service = await follow(git_interval=NEVER)
    for name in ("two", "three"):
        commit = origin.commit({"deploy/a.yaml": task(name), f"deploy/{name}.yaml": task(name)})
        report = await service.syncs.sync(prune=False, by="ann")
        assert report["revision"] == report["repository"]["live"] == commit
        assert await name_of(service, "a") == await name_of(service, name) or name == "two"
        assert await name_of(service, name) == name
    asked = [service.syncs.sync(prune=False, by="ann") for _ in range(20)]
    assert len(await asyncio.gather(*asked)) == 20


async def test_a_broken_file_is_told_and_the_rest_of_the_commit_is_live(
    follow: Callable[..., Any], origin: Origin
) -> None:
    service = await follow(git_interval=NEVER)
    origin.commit({f"deploy/t{number}.yaml": task("old") for number in range(10)})
    await service.syncs.sync(prune=False, by="ann")
    files = {f"deploy/t{number}.yaml": task("new") for number in range(10)}
    commit = origin.commit({**files, "deploy/t3.yaml": "name: [half\n"})
    report = await service.syncs.sync(prune=False, by="ann")
    assert report["repository"]["live"] == commit
    assert [error["path"] for error in report["errors"]] == ["t3.yaml"]
    names = [await name_of(service, f"t{number}") for number in range(10)]
    assert names == ["new", "new", "new", "old", *["new"] * 6]


async def test_a_rewritten_branch_is_held_until_somebody_confirms(
    follow: Callable[..., Any], origin: Origin
) -> None:
    service = await follow()
    good = origin.commit({"deploy/a.yaml": task("good")})
    await until_named(service, "good")
    rewritten = origin.commit({"deploy/a.yaml": task("rewritten")}, amend=True)
    state = await until_wanted(service, rewritten)
    assert state["live"] == good
    assert "was rewritten" in state["problem"]
    report = await service.syncs.sync(prune=False, by="ann")
    assert report["repository"]["live"] == good
    assert await name_of(service, "a") == "good"
    report = await service.syncs.sync(prune=True, by="ann")
    assert report["repository"]["live"] == report["revision"] == rewritten
    assert report["repository"]["problem"] is None
    assert await name_of(service, "a") == "rewritten"


async def test_a_lost_repository_is_told_until_it_is_back(
    follow: Callable[..., Any], origin: Origin
) -> None:
    service = await follow()
    good = origin.commit({"deploy/a.yaml": task("good")})
    await until_named(service, "good")
    fetched = (await repository(service))["fetched_at"]
    origin.lose()

    async def told() -> Any:
        return (await repository(service))["problem"]

    await until(told)
    state = await repository(service)
    assert "does not appear to be a git repository" in state["problem"]
    assert (state["wanted"], state["live"]) == (good, good)
    assert state["fetched_at"] >= fetched
    assert await name_of(service, "a") == "good"
    origin.find()
    later = origin.commit({"deploy/a.yaml": task("later")})
    await until_named(service, "later")
    assert (await until_wanted(service, later))["problem"] is None


async def test_a_restart_without_network_goes_on_with_what_is_there(
    follow: Callable[..., Any], origin: Origin
) -> None:
    service = await follow()
    await until_named(service, "one")
    before = await repository(service)
    await service.stop()
    origin.lose()
    service = await follow()

    async def told() -> Any:
        return (await repository(service))["problem"]

    await until(told)
    after = await repository(service)
    assert {**after, "problem": None, "fetched_at": None} == {
        **before, "problem": None, "fetched_at": None
    }  # fmt: skip
    assert after["fetched_at"] >= before["fetched_at"]
    assert (await service.syncs.report())["held"] is None
    assert await name_of(service, "a") == "one"


async def test_with_nothing_live_and_no_network_nothing_is_retired(
    follow: Callable[..., Any], origin: Origin, folder: Path
) -> None:
    service = await follow()
    await until_named(service, "one")
    live = (await repository(service))["live"]
    await service.stop()
    shutil.rmtree(folder)
    origin.lose()
    service = await follow()
    assert (await service.ready())["scheduler"] == "ok"

    async def told() -> Any:
        return (await repository(service))["problem"]

    await until(told)
    report = await service.syncs.sync(prune=False, by="ann")
    assert report["repository"]["live"] == live
    assert report["retired"] == []
    assert [error["path"] for error in report["errors"]] == ["."]
    assert report["held"]["task_ids"] == ["a"]
    assert await name_of(service, "a") == "one"
    origin.find()
    origin.commit({"deploy/a.yaml": task("two")})
    await until_named(service, "two")
    report = await service.syncs.sync(prune=False, by="ann")
    assert (report["held"], report["errors"], report["retired"]) == (None, [], [])


async def test_a_commit_without_the_folder_is_held_until_somebody_confirms(
    follow: Callable[..., Any], origin: Origin
) -> None:
    """Git keeps no empty folders: so it is when the last file of the folder is deleted."""
    service = await follow(git_interval=NEVER)
    await service.syncs.sync(prune=False, by="ann")
    commit = origin.commit({"deploy/a.yaml": None})
    for _ in range(2):
        report = await service.syncs.sync(prune=False, by="ann")
        assert (report["repository"]["live"], report["revision"]) == (commit, commit)
        assert report["repository"]["problem"] == f"commit {commit[:12]} has no folder 'deploy'"
        assert [error["path"] for error in report["errors"]] == ["."]
        assert report["held"]["task_ids"] == ["a"]
        assert (report["retired"], report["declared"]) == ([], 1)
    report = await service.syncs.sync(prune=True, by="ann")
    assert [one["task_id"] for one in report["retired"]] == ["a"]
    assert (report["held"], report["declared"]) == (None, 0)


async def test_a_folder_that_comes_back_is_held_no_more(
    follow: Callable[..., Any], origin: Origin
) -> None:
    service = await follow(git_interval=NEVER)
    await service.syncs.sync(prune=False, by="ann")
    origin.git("mv", "deploy", "elsewhere")
    origin.commit()
    assert (await service.syncs.sync(prune=False, by="ann"))["held"]
    origin.git("mv", "elsewhere", "deploy")
    origin.commit()
    report = await service.syncs.sync(prune=False, by="ann")
    assert (report["held"], report["errors"], report["retired"]) == (None, [], [])
    assert report["repository"]["problem"] is None


async def test_a_commit_that_deletes_everything_is_held(
    follow: Callable[..., Any], origin: Origin
) -> None:
    service = await follow(git_interval=NEVER)
    files = {f"deploy/t{number}.yaml": task("t") for number in range(6)}
    origin.commit(files)
    await service.syncs.sync(prune=False, by="ann")
    commit = origin.commit({"deploy/keep": "", **dict.fromkeys(["deploy/a.yaml", *files])})

    async def held() -> Any:
        return (await service.syncs.sync(prune=False, by="ann"))["held"]

    await until(held)
    report = await service.syncs.report()
    assert (report["revision"], report["retired"]) == (commit, [])
    assert len(report["held"]["task_ids"]) == 7


async def test_files_that_are_not_read_are_told_of(
    follow: Callable[..., Any], folder: Path
) -> None:
    (folder / "own.yaml").write_text(task("own"))
    with capture_logs() as logs:
        service = await follow()
        await until_named(service, "one")
    (line,) = [line for line in logs if line["event"] == "files_not_read"]
    assert line["files"] == ["own.yaml"]
    assert await name_of(service, "own") is None


async def test_a_folder_that_cannot_be_made_stops_the_start(
    follow: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StartError, match="no folder can be made for the repository"):
        await follow(tasks_dir=tmp_path / "file" / "tasks.d")


async def test_who_no_longer_follows_says_so(
    follow: Callable[..., Any], make_service: Callable[..., Service]
) -> None:
    service = await follow()
    await until_named(service, "one")
    await service.stop()
    with pytest.raises(Unavailable):
        await service.syncs.repository.pull_now()
    plain = make_service()
    await plain.start()
    assert await repository(plain) is None


async def test_another_repository_is_another_matter(
    follow: Callable[..., Any], origin: Origin
) -> None:
    service = await follow()
    await until_named(service, "one")
    live = (await repository(service))["live"]
    await service.stop()
    service = await follow(git_path="other", git_interval=NEVER)
    state = await repository(service)
    assert (state["path"], state["live"], state["problem"]) == ("other", live, None)


async def test_a_stop_waits_for_no_git(
    follow: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, begun = tmp_path / "bin/git", tmp_path / "begun"
    program.parent.mkdir()
    program.write_text(f"#!/bin/bash\n: > {begun}\nwhile :; do /bin/sleep 1; done\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent))
    service = await follow(syncing=AT_ONCE)

    async def has_begun() -> bool:
        return begun.exists()

    await until(has_begun)
    asked = asyncio.create_task(service.syncs.repository.pull_now())
    await asyncio.sleep(0)
    async with asyncio.timeout(10):
        await service.stop()
    with pytest.raises(Unavailable):
        await asked


async def test_what_fails_once_is_done_at_the_next_pull(
    follow: Callable[..., Any], origin: Origin
) -> None:
    failures: list[Exception] = []

    def failing(*given: Any, sync: Sync, **more: Any) -> Repository:
        async def failing_first(confirmed: Cause | None) -> None:
            if failures:
                raise failures.pop()
            await sync(confirmed)

        return Repository(*given, sync=failing_first, **more)

    service = await follow(syncing=SyncOptions(repository=failing))
    await until_named(service, "one")
    failures += [ValueError("a mistake"), Unavailable("an outage")]
    with pytest.raises(Unavailable, match="an outage"):
        await service.syncs.sync(prune=False, by="ann")
    with pytest.raises(ValueError, match="a mistake"):
        await service.syncs.sync(prune=False, by="ann")
    origin.commit({"deploy/a.yaml": task("two")})
    await until_named(service, "two")


async def test_a_webhook_is_answered_in_time(follow: Callable[..., Any], origin: Origin) -> None:
    service = await follow(git_interval=NEVER)
    origin.commit({"deploy/a.yaml": task("two")})
    report = await service.syncs.sync_for_webhook()
    assert report["repository"]["live"] == report["repository"]["wanted"]
    assert await name_of(service, "a") == "two"
    origin.commit({"deploy/a.yaml": task("three")})
    assert (await service.syncs.sync_for_webhook(seconds=0))["repository"]["live"]
    await until_named(service, "three")


@pytest.fixture
async def pair(
    mariadb_server: MariaDB, origin: Origin, tmp_path: Path
) -> AsyncIterator[tuple[Service, Service]]:
    """Two services on one database, each with a folder of its own; the first one schedules."""
    url = mariadb_server.create_database()
    made = [
        Service(
            Settings(
                database_url=url, tasks_dir=tmp_path / name,
                git_url=origin.url, git_path="deploy", git_interval=NEVER,
            )
        )
        for name in ("one", "two")
    ]  # fmt: skip
    for service in made:
        await service.start()
    yield made[0], made[1]
    for service in made:
        await service.stop()
    mariadb_server.drop_database(url)


async def test_one_pulls_for_all_and_all_tell_the_same(
    pair: tuple[Service, Service], origin: Origin, tmp_path: Path
) -> None:
    scheduler, other = pair
    commit = origin.commit({"deploy/a.yaml": task("two")})
    report = await other.syncs.sync(prune=False, by="ann")
    assert report["repository"]["live"] == commit
    assert await repository(scheduler) == report["repository"]
    assert list((tmp_path / "two").iterdir()) == []
    rewritten = origin.commit({"deploy/a.yaml": task("three")}, amend=True)
    await other.syncs.sync_for_webhook()
    assert (await repository(other))["live"] == commit
    await other.syncs.sync(prune=True, by="ann")
    assert (await repository(other))["live"] == rewritten

    # What takes over has nothing yet, but knows what the tasks are of.
    await scheduler.stop()
    again = origin.commit({"deploy/a.yaml": task("four")}, amend=True)

    async def leads() -> bool:
        return (await other.ready())["scheduler"] == "ok"

    await until(leads)
    report = await other.syncs.sync(prune=False, by="ann")
    assert (report["repository"]["wanted"], report["repository"]["live"]) == (again, rewritten)
    assert await name_of(other, "a") == "three"
    report = await other.syncs.sync(prune=True, by="ann")
    assert report["repository"]["live"] == again
    assert await name_of(other, "a") == "four"
