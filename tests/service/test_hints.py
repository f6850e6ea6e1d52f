"""What a hint tells the service of is synced, whether or not it takes a look at everything."""

import os
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import pytest

from taskservice.domain.errors import NotFound
from taskservice.domain.plan import StoredDeclaration
from taskservice.service import Service
from taskservice.sync.folder.listing import Listing, list_files
from taskservice.sync.folder.parsed_file import ChangedFiles
from taskservice.sync.folder.reading import Folder
from taskservice.sync.folder.watch import Hint
from taskservice.sync.syncer import SyncOptions
from tests.service.conftest import until, unwatched

TASK = (
    "task_type: t\ntrigger_type: interval\ntrigger_args: {hours: 1}\n"
    "func_path: taskservice.examples.notification_task\n"
    "func_args: {user_id: u, message: m, channel: c}\n"
)
DATA = "data_id: d, process_type: p"


@pytest.fixture
def listings() -> list[str]:
    """What is listed is noted here."""
    return []


@pytest.fixture
def mistakes() -> list[Exception]:
    """What is to be raised, once each, when the files have been read that changed."""
    return []


@pytest.fixture
def syncing(listings: list[str], mistakes: list[Exception]) -> SyncOptions:
    """Nobody watches the folder."""

    class Failing(Folder):
        def accept(self, changed: ChangedFiles, stored: Mapping[str, StoredDeclaration]) -> bool:
            accepted = super().accept(changed, stored)
            if mistakes:
                raise mistakes.pop()
            return accepted

    def noted(root: str) -> Listing:
        listings.append(root)
        return list_files(root)

    return SyncOptions(watch=unwatched, folder=partial(Failing, list_files=noted))


def save(folder: Path, task_id: str, name: str, more: str = TASK) -> None:
    path = folder / f"{task_id}.yaml"
    path.write_text(f"name: {name}\n{more}")
    os.utime(path, (time.time() - 60, time.time() - 60))


async def hint(service: Service, hint: Hint) -> None:
    await service.syncs.syncer.sync_hinted(hint)


async def name_of(service: Service, task_id: str) -> str:
    return (await service.tasks.get(task_id)).state.task.name


@pytest.fixture
async def running(folder: Path, service: Service, listings: list[str]) -> Service:
    for task_id in ("a", "b"):
        save(folder, task_id, "one")
    await service.syncs.sync(prune=False, by="me")
    listings.clear()
    return service


async def test_a_save_is_synced_without_a_look_at_the_rest(
    running: Service, folder: Path, listings: list[str]
) -> None:
    save(folder, "a", "two")
    save(folder, "b", "two")
    await hint(running, frozenset({"a.yaml"}))
    assert listings == []
    assert await name_of(running, "a") == "two"
    assert await name_of(running, "b") == "one"  # nobody said so
    assert (await running.syncs.report())["errors"] == []


async def test_a_fault_is_reported_and_mended(
    running: Service, folder: Path, listings: list[str]
) -> None:
    save(folder, "a", "two", TASK.replace("channel", "chanel"))
    save(folder, "b", "two")
    await hint(running, frozenset({"a.yaml"}))
    assert [one["task_id"] for one in (await running.syncs.report())["errors"]] == ["a", "a"]
    assert await name_of(running, "b") == "two"
    save(folder, "b", "three")
    listings.clear()
    await hint(running, frozenset({"b.yaml"}))
    assert listings == []
    assert len((await running.syncs.report())["errors"]) == 2  # those of the other file
    save(folder, "a", "three")
    await hint(running, frozenset({"a.yaml"}))
    assert (await running.syncs.report())["errors"] == []
    assert await name_of(running, "a") == "three"


async def test_with_doubt_everything_is_looked_at(running: Service, folder: Path) -> None:
    save(folder, "b", "two")
    await hint(running, None)
    assert await name_of(running, "b") == "two"


async def test_while_something_is_missing_everything_is_looked_at(
    running: Service, folder: Path, listings: list[str]
) -> None:
    (folder / "b.yaml").unlink()
    await hint(running, frozenset({"b.yaml"}))
    save(folder, "a", "two")
    await hint(running, frozenset({"a.yaml"}))
    assert len(listings) == 2
    assert await name_of(running, "a") == "two"


async def test_what_the_api_did_meanwhile_counts(running: Service, folder: Path) -> None:
    await running.changes.change("a", {"description": "mine"}, by="me")
    await running.changes.delete("b", by="me")
    for task_id in ("a", "b"):
        save(folder, task_id, "two")
    await hint(running, frozenset({"a.yaml", "b.yaml"}))
    state = (await running.tasks.get("a")).state
    assert (state.task.name, state.task.description) == ("two", "mine")
    assert state.overridden == ("description",)
    with pytest.raises(NotFound):
        await running.tasks.get("b")
    await running.changes.restore("b", by="me")
    assert await name_of(running, "b") == "two"


async def test_an_override_that_no_longer_fits_is_told(running: Service, folder: Path) -> None:
    func_args = {"user_id": "u", "message": "mine", "channel": "c"}
    await running.changes.change("a", {"func_args": func_args}, by="me")
    other = TASK.replace("notification_task", "data_processing_task")
    save(folder, "a", "two", other.replace("user_id: u, message: m, channel: c", DATA))
    for _ in range(2):
        await hint(running, frozenset({"a.yaml"}))
        [error] = (await running.syncs.report())["errors"]
        assert error["field"] == "func_args.message"
        assert "with the override of func_args.message" in error["reason"]
    assert await name_of(running, "a") == "one"
    # Nothing is saved: what was refused follows as soon as the override is gone.
    await running.changes.revert("a", None, by="me")

    async def mended() -> bool:
        return await name_of(running, "a") == "two"

    await until(mended)
    assert (await running.syncs.report())["errors"] == []


async def test_a_sync_that_failed_is_made_up_for(
    running: Service, folder: Path, mistakes: list[Exception]
) -> None:
    save(folder, "a", "two")
    mistakes.append(TypeError("a mistake"))
    with pytest.raises(TypeError):
        await hint(running, frozenset({"a.yaml"}))
    await hint(running, frozenset({"b.yaml"}))
    assert await name_of(running, "a") == "two"


async def test_a_file_still_being_written_is_taken_later(running: Service, folder: Path) -> None:
    (folder / "a.yaml").write_text(f"name: two\n{TASK}")
    await hint(running, frozenset({"a.yaml"}))
    end = time.monotonic() + 10
    while await name_of(running, "a") != "two" and time.monotonic() < end:
        await hint(running, frozenset())
    assert await name_of(running, "a") == "two"
