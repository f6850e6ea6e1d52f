"""Every 30 seconds it is found whether folder, commit and table are as the last syncs left them."""

import asyncio
import os
import subprocess
import time
from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from taskservice.domain.errors import Unavailable
from taskservice.domain.plan import DeclaredTask
from taskservice.service import Service
from taskservice.sync.folder.confined import Signature, read_bytes, signature_of
from taskservice.sync.folder.declaring import Check
from taskservice.sync.folder.file_reader import FileReader
from taskservice.sync.folder.reading import Folder, Scan
from taskservice.sync.folder.rescan import Rescan
from taskservice.sync.folder.watch import Hint
from taskservice.sync.syncer import SyncOptions
from tests.service.conftest import until, unwatched

TASK = (
    "task_type: t\ntrigger_type: interval\ntrigger_args: {hours: 1}\n"
    "func_path: taskservice.examples.notification_task\n"
    "func_args: {user_id: u, message: m, channel: c}\n"
)


class NotedFolder(Folder):
    """Notes each scan, which is part of every whole sync.

    What is in `mistakes` is raised, once each, when changed files have been read. Where `coarse`,
    the status of a file tells only its size; `meanwhile` is called once while rows are compared
    with it.
    """

    coarse = False
    meanwhile: Callable[[], object] | None = None

    def __init__(self, root: Path, check: Check) -> None:
        reader = FileReader(signature_of=self._signature_of_file, read=self._read_file)
        super().__init__(root, check, reader=reader)
        self.scans: list[str] = []
        self.mistakes: list[Exception] = []

    def _signature_of_file(self, found: os.stat_result) -> Signature:
        return (found.st_size,) if self.coarse else signature_of(found)

    def _read_file(self, root: str, path: str, signature: Signature) -> bytes | None:
        return read_bytes(root, path, signature, signature_of=self._signature_of_file)

    def scan(self, *stored: Any, **how: Any) -> Scan:
        self.scans.append("sync")
        return super().scan(*stored, **how)

    def accept(self, *files: Any) -> bool:
        accepted = super().accept(*files)
        if self.mistakes:
            raise self.mistakes.pop()
        return accepted

    def expected(self) -> dict[str, DeclaredTask]:
        found = super().expected()
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile:
            meanwhile()
        return found


@pytest.fixture
def folders() -> list[NotedFolder]:
    """The folder of each service that was made."""
    return []


@pytest.fixture
def most_doubtful() -> int:
    """Rows that are looked at again, at most."""
    return 500


@pytest.fixture
def syncing(folders: list[NotedFolder], most_doubtful: int) -> SyncOptions:
    """Nobody watches the folder, and rows are read two at a time."""

    def made(root: Path, check: Check) -> NotedFolder:
        folders.append(NotedFolder(root, check))
        return folders[-1]

    rescan = partial(Rescan, piece=2, most_doubtful=most_doubtful)
    return SyncOptions(watch=unwatched, folder=made, rescan=rescan)


def save(folder: Path, task_id: str, name: str, more: str = TASK) -> None:
    path = folder / f"{task_id}.yaml"
    path.write_text(f"name: {name}\n{more}")
    os.utime(path, (time.time() - 60, time.time() - 60))


async def name_of(service: Service, task_id: str) -> str:
    return (await service.tasks.get(task_id)).state.task.name


async def synced_at(service: Service) -> datetime:
    return datetime.fromisoformat((await service.syncs.report())["synced_at"])


async def execute(service: Service, statements: str) -> None:
    async with service.database.engine.begin() as connection:
        for statement in statements.split("; "):
            await connection.exec_driver_sql(statement)


@pytest.fixture
async def running(folder: Path, service: Service) -> Service:
    """One with five tasks of files and one of the API's, all in sync."""
    for task_id in ("a", "b", "c", "d", "e"):
        save(folder, task_id, "one")
    await service.syncs.sync(prune=False, by="me")
    await service.syncs.sync(prune=False, by="me")
    fields = {
        "id": "f", "name": "mine", "task_type": "t", "trigger_type": "interval",
        "trigger_args": {"hours": 1}, "func_path": "taskservice.examples.simple_task",
        "func_args": {"message": "m"},
    }  # fmt: skip
    await service.changes.create(fields, by="me")
    return service


@pytest.fixture
def syncs(running: Service, folders: list[NotedFolder]) -> list[str]:
    """Is added to by every whole sync."""
    (folder,) = folders
    folder.scans.clear()
    return folder.scans


async def test_where_all_is_in_sync_only_that_is_noted(running: Service, syncs: list[str]) -> None:
    before = await synced_at(running)
    await running.syncs.syncer.rescan()
    assert await synced_at(running) > before
    assert syncs == []
    assert running.syncs.syncer.hint == frozenset()


async def test_a_change_that_the_status_hides_is_synced_alone(
    running: Service, folder: Path, syncs: list[str], folders: list[NotedFolder]
) -> None:
    folders[0].coarse = True
    await running.syncs.sync(prune=False, by="me")
    syncs.clear()
    save(folder, "a", "two")

    async def changed() -> bool:
        return await name_of(running, "a") == "two"

    await running.syncs.syncer.sync_hinted(frozenset({"a.yaml"}))
    assert not await changed()
    await running.syncs.syncer.rescan()
    await until(changed)
    assert syncs == []


async def test_files_that_came_and_went_are_synced(running: Service, folder: Path) -> None:
    save(folder, "new", "two")
    await running.syncs.syncer.rescan()

    async def there() -> bool:
        return bool((await running.syncs.report())["declared"] == 6)

    await until(there)


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM task_manage WHERE id = 'e'; DELETE FROM task_declaration WHERE task_id = 'e'",
        "UPDATE task_declaration SET digest = 'x' WHERE task_id = 'c'",
        "UPDATE task_declaration SET source = 'api' WHERE task_id = 'a'",
        "UPDATE task_manage SET retired_at = '2026-01-05 10:00:00' WHERE id = 'b'",
    ],
)
async def test_a_row_that_was_changed_by_hand_is_put_right(
    running: Service, statement: str, syncs: list[str]
) -> None:
    async def rows() -> list[Any]:
        async with running.database.read() as connection:
            query = (
                "SELECT d.task_id, d.source, d.digest, t.retired_at FROM task_declaration d"
                " JOIN task_manage t ON t.id = d.task_id ORDER BY 1"
            )
            return [tuple(row) for row in await connection.exec_driver_sql(query)]

    before = await rows()
    await execute(running, statement)
    await running.syncs.syncer.rescan()

    async def as_before() -> bool:
        return await rows() == before

    await until(as_before)
    assert syncs == ["sync"]


async def test_a_row_that_no_file_declares_is_retired(running: Service, syncs: list[str]) -> None:
    await execute(running, "UPDATE task_declaration SET source = 'file' WHERE task_id = 'f'")
    await running.syncs.syncer.rescan()

    async def retired() -> bool:
        return [one["task_id"] for one in (await running.syncs.report())["retired"]] == ["f"]

    await until(retired)


async def test_a_task_at_fault_keeps_its_row(
    running: Service, folder: Path, syncs: list[str]
) -> None:
    save(folder, "a", "two", "task_type: [\n")
    await running.syncs.sync(prune=False, by="me")
    syncs.clear()
    await running.syncs.syncer.rescan()
    assert syncs == []
    assert await name_of(running, "a") == "one"


async def test_what_is_saved_meanwhile_is_no_reason_to_sync_all(
    running: Service, folder: Path, syncs: list[str], folders: list[NotedFolder]
) -> None:
    loop = asyncio.get_running_loop()

    def saving() -> None:
        save(folder, "d", "two, and another task", TASK)
        synced = running.syncs.syncer.sync_hinted(frozenset({"d.yaml"}))
        asyncio.run_coroutine_threadsafe(synced, loop).result()

    folders[0].meanwhile = saving
    before = await synced_at(running)
    await running.syncs.syncer.rescan()
    assert await name_of(running, "d") == "two, and another task"
    assert syncs == []
    assert running.syncs.syncer.hint == frozenset()
    assert await synced_at(running) != before


@pytest.mark.parametrize("most_doubtful", [1])
async def test_when_very_much_differs_all_is_synced(running: Service, syncs: list[str]) -> None:
    await execute(running, "UPDATE task_declaration SET digest = 'x'")
    await running.syncs.syncer.rescan()

    async def synced() -> bool:
        return syncs == ["sync"]

    await until(synced)


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@b", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


async def test_a_commit_is_noted(running: Service, folder: Path) -> None:
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", "one")
    await running.syncs.syncer.rescan()
    commit = git(folder, "rev-parse", "HEAD")

    async def noted() -> bool:
        return (await running.tasks.get("a")).revision == commit

    await until(noted)


async def test_what_a_sync_left_behind_is_tried_again(
    running: Service, folder: Path, folders: list[NotedFolder], syncs: list[str]
) -> None:
    folders[0].mistakes.append(ValueError("a mistake"))
    save(folder, "a", "two")
    with pytest.raises(ValueError, match="a mistake"):
        await running.syncs.syncer.sync_hinted(frozenset({"a.yaml"}))
    await running.syncs.syncer.rescan()

    async def synced() -> bool:
        return syncs == ["sync"]

    await until(synced)


async def test_it_is_done_again_and_again_whatever_happens(
    make_service: Callable[..., Service],
) -> None:
    outcomes: list[Exception] = [Unavailable("the database is gone"), ValueError("a mistake")]
    enough = asyncio.Event()

    class Failing(Rescan):
        async def files(self) -> Hint:
            if outcomes:
                raise outcomes.pop()
            enough.set()
            return await super().files()

    made = make_service(syncing=SyncOptions(rescan=Failing, rescan_seconds=0.01))
    await made.start()
    async with asyncio.timeout(10):
        await enough.wait()


async def test_a_stop_ends_it(running: Service, folder: Path) -> None:
    before = await synced_at(running)
    running.syncs.syncer.stop()
    save(folder, "a", "two")
    await running.syncs.syncer.rescan()
    assert running.syncs.syncer.hint == frozenset()
    assert await synced_at(running) == before
