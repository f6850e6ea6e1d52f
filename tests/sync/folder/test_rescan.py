"""A look at all files by content says which are not as they were taken, and changes nothing."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from taskservice.domain.errors import Fault, Invalid
from taskservice.storage.database import Database
from taskservice.sync.folder.confined import Signature, read_bytes
from taskservice.sync.folder.file_reader import FileReader
from taskservice.sync.folder.reading import Folder
from taskservice.sync.folder.rescan import Rescan, hash_file

NOW = 1_800_000_000.0


def _size_of(found: os.stat_result) -> Signature:
    return (found.st_size,)


def _raise(error: OSError) -> Callable[[], object]:
    def act() -> object:
        raise error

    return act


class Tasks:
    """A folder that was scanned, with files of every kind; their status tells only their size."""

    def __init__(self, root: Path, database: Database) -> None:
        self.root = root
        self.wrong = {"unsound"}
        self.before_read: dict[str, Callable[[], object]] = {}
        self.folder = Folder(
            root, self._check, reader=FileReader(signature_of=_size_of, read=self._read)
        )
        self.turn, self.stop = asyncio.Lock(), asyncio.Event()
        self.rescan = Rescan(
            database, root, self.folder,
            turn=self.turn, stop=self.stop, piece=2, hash_of=self._hash_of,
        )  # fmt: skip
        for path in ("a.yaml", "sub/b.yaml", "sub/c.yaml"):
            self.write(path, "name: one\n")
        self.write("broken.yaml", "name: [\n")
        (root / "dangling.yaml").symlink_to("nothing")
        os.mkfifo(root / "pipe.yaml")
        self.scan()

    def _read(self, root: str, path: str, signature: Signature) -> bytes | None:
        self.before_read.get(path, lambda: None)()
        return read_bytes(root, path, signature, signature_of=_size_of)

    def _hash_of(self, root: str, path: str) -> bytes:
        self.before_read.get(path, lambda: None)()
        return hash_file(root, path)

    def _check(self, task_id: str, fields: object) -> None:
        if task_id in self.wrong:
            raise Invalid([Fault(reason="wrong")])

    def write(self, path: str, text: str) -> None:
        (self.root / path).parent.mkdir(exist_ok=True)
        (self.root / path).write_text(text)
        os.utime(self.root / path, (NOW - 60, NOW - 60))

    def scan(self) -> dict[str, object]:
        scan = self.folder.scan({}, clock=lambda: NOW)
        tasks = scan.declared.tasks.items()
        return {task_id: one.declaration.fields["name"] for task_id, one in tasks}


@pytest.fixture
async def tasks(tmp_path: Path) -> AsyncIterator[Tasks]:
    (tmp_path / "tasks.d").mkdir()
    database = Database(f"sqlite+aiosqlite:///{tmp_path}/unused.db")
    yield Tasks(tmp_path / "tasks.d", database)
    await database.close()


async def test_what_is_as_it_was_is_not_told_of(tasks: Tasks) -> None:
    os.utime(tasks.root / "a.yaml")
    assert await tasks.rescan.files() == frozenset()


def _unlinked(path: Path) -> Path:
    path.unlink()
    return path


CHANGES: dict[str, tuple[str, Callable[[Path], object]]] = {
    "other bytes": ("sub/b.yaml", lambda path: path.write_text("name: two\n")),
    "gone": ("sub/b.yaml", lambda path: path.unlink()),
    "new": ("sub/new.yaml", lambda path: path.write_text("name: two\n")),
    "mended": ("broken.yaml", lambda path: path.write_text("name: x\n")),
    "broken in another way": ("broken.yaml", lambda path: path.write_text("name: {\n")),
    "a pipe": ("sub/b.yaml", lambda path: os.mkfifo(_unlinked(path))),
    "a file": ("pipe.yaml", lambda path: _unlinked(path).write_text("name: x\n")),
    "too long": ("a.yaml", lambda path: path.write_bytes(b"#" * (2**20 + 1))),
}


@pytest.mark.parametrize("kind", CHANGES)
async def test_what_changed_is_told_of_until_it_is_taken(tasks: Tasks, kind: str) -> None:
    name, change = CHANGES[kind]
    change(tasks.root / name)
    for _ in range(2):
        assert await tasks.rescan.files() == frozenset({name})
    found = await tasks.rescan.files()
    assert found is not None
    tasks.folder.distrust(found)
    for later in (NOW, NOW + 1):
        tasks.folder.scan({}, clock=lambda now=later: now)  # type: ignore[misc]
    assert await tasks.rescan.files() == frozenset()


async def test_it_is_read_again_though_its_status_is_the_same(tasks: Tasks) -> None:
    tasks.write("a.yaml", "name: two\n")
    assert tasks.scan()["a"] == "one"
    tasks.folder.distrust({"a.yaml", "unknown.yaml"})
    assert tasks.scan()["a"] == "two"


async def test_links_and_folders_that_can_not_be_listed_may_be_anything(tasks: Tasks) -> None:
    (tasks.root / "dangling.yaml").unlink()
    tasks.scan()
    assert await tasks.rescan.files() == frozenset()
    (tasks.root / "linked").symlink_to(tasks.root / "sub")
    assert await tasks.rescan.files() is None
    tasks.scan()
    assert await tasks.rescan.files() == frozenset()
    tasks.root.rename(tasks.root.with_name("moved"))
    assert await tasks.rescan.files() is None


async def test_a_sound_text_at_fault_is_told_of_each_time(tasks: Tasks) -> None:
    tasks.write("unsound.yaml", "name: one\n")
    tasks.scan()
    for _ in range(2):
        assert await tasks.rescan.files() == frozenset({"unsound.yaml"})
    tasks.wrong.clear()
    tasks.scan()
    assert await tasks.rescan.files() == frozenset()


async def test_a_file_that_can_not_be_read_is_told_of_once(tasks: Tasks) -> None:
    tasks.before_read["a.yaml"] = _raise(PermissionError(13, "Permission denied"))
    tasks.before_read["sub/c.yaml"] = _raise(FileNotFoundError(2, "No such file"))
    assert await tasks.rescan.files() == frozenset({"a.yaml", "sub/c.yaml"})
    tasks.folder.distrust({"a.yaml"})
    tasks.scan()
    assert await tasks.rescan.files() == frozenset({"sub/c.yaml"})


async def test_whoever_syncs_goes_first(tasks: Tasks) -> None:
    begun = asyncio.Event()
    loop = asyncio.get_running_loop()
    tasks.before_read["sub/c.yaml"] = lambda: loop.call_soon_threadsafe(begun.set)
    async with tasks.turn:
        looking = asyncio.create_task(tasks.rescan.files())
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(begun.wait(), 0.2)
        tasks.write("a.yaml", "name: two\n")
        tasks.folder.distrust({"a.yaml"})
        await asyncio.to_thread(tasks.scan)
    assert await looking == frozenset()
    assert begun.is_set()


async def test_a_stop_ends_it_early(tasks: Tasks) -> None:
    tasks.write("a.yaml", "name: two\n")
    tasks.stop.set()
    assert await tasks.rescan.files() == frozenset()
