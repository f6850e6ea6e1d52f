"""Hints from a real folder. Every wait is for a condition, with a limit."""

import asyncio
import os
import shutil
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import watchfiles
from structlog.testing import capture_logs

from taskservice.sync.folder.watch import Hint, call_soon, watch
from tests.databases import open_files

LIMIT = 15
POLL = 0.2
QUIET = 0.7  # longer than it takes to notice another folder, and to tell that the watch stands


class Hints:
    def __init__(self) -> None:
        self._queue: asyncio.Queue[Hint] = asyncio.Queue()
        self.stop = asyncio.Event()

    async def collect(self, root: Path, **options: Any) -> None:
        async for hint in watch(root, self.stop, **{"poll_seconds": POLL, **options}):
            self._queue.put_nowait(hint)

    async def one(self) -> Hint:
        return await asyncio.wait_for(self._queue.get(), LIMIT)

    async def none(self, seconds: float) -> bool:
        """Whether no hint comes for so long."""
        try:
            await asyncio.wait_for(self._queue.get(), seconds)
        except TimeoutError:
            return True
        return False

    async def quiet(self) -> int:
        """Wait until no more hints come; how many there were."""
        count, limit = 0, time.monotonic() + LIMIT
        while not await self.none(QUIET):
            count += 1
            assert time.monotonic() < limit
        return count


@asynccontextmanager
async def watching(root: Path, **options: Any) -> AsyncIterator[Hints]:
    hints = Hints()
    collecting = asyncio.create_task(hints.collect(root, **options))
    try:
        yield hints
    finally:
        hints.stop.set()
        await asyncio.wait_for(collecting, LIMIT)


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """Neither a thread nor a handle of the watcher's outlives a test."""
    before = _handles()
    yield
    _until(lambda: "taskservice-watch" not in {one.name for one in threading.enumerate()})
    _until(lambda: _handles() <= before)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "tasks.d/sub").mkdir(parents=True)
    (tmp_path / "tasks.d/a.yaml").write_text("name: A\n")
    return tmp_path / "tasks.d"


def named(hint: Hint) -> set[str] | None:
    return None if hint is None else set(hint)


def _handles() -> int:
    return len(open_files(Path("inotify")))


def _until(holds: Callable[[], bool]) -> None:
    limit = time.monotonic() + LIMIT
    while not holds():
        assert time.monotonic() < limit
        time.sleep(0.01)


async def test_each_kind_of_change_is_told(root: Path) -> None:
    (root / "..one").mkdir()
    (root / "..two").mkdir()
    (root / "..data").symlink_to("..one")
    async with watching(root) as hints:
        await hints.quiet()
        changes: list[Callable[[], Any]] = [
            lambda: (root / "b.yaml").write_text("name: B\n"),
            lambda: (root / "b.yaml").write_text("name: C\n"),
            lambda: (root / "sub/c.yaml").write_text("name: C\n"),
            lambda: os.replace(root / "sub/c.yaml", root / "b.yaml"),
            lambda: (root / "b.yaml").unlink(),
            lambda: (root / "new").mkdir(),
            lambda: (root / "new/d.yaml").write_text("name: D\n"),
            lambda: (root / "tmp").symlink_to("..two"),
            lambda: os.replace(root / "tmp", root / "..data"),
        ]
        for change in changes:
            change()
            await hints.one()
            while not await hints.none(0.4):
                pass


async def test_an_event_does_not_wait_for_the_poll(root: Path) -> None:
    async with watching(root, poll_seconds=600) as hints:
        while await hints.none(0.2):
            (root / "a.yaml").write_text(f"name: {time.time()}\n")


async def test_reading_is_no_change(root: Path) -> None:
    async with watching(root) as hints:
        await hints.one()
        await hints.quiet()
        (root / "a.yaml").read_text()
        os.listdir(root)
        assert await hints.none(0.5)


async def test_a_burst_is_few_hints(root: Path) -> None:
    async with watching(root) as hints:
        await hints.quiet()
        for number in range(500):
            (root / f"{number}.yaml").write_text("name: A\n")
        await hints.one()
        assert await hints.quiet() < 10


async def test_a_relative_folder_by_a_link_that_is_swapped(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other").mkdir()
    (tmp_path / "link").symlink_to("tasks.d")
    async with watching(Path("link")) as hints:
        await hints.quiet()
        (tmp_path / "new").symlink_to("other")
        os.replace("new", "link")
        await hints.one()
        await hints.quiet()
        (tmp_path / "other/b.yaml").write_text("name: B\n")
        await hints.one()


@pytest.mark.parametrize("relative", [False, True])
async def test_a_folder_that_is_deleted_and_made_again(
    root: Path, monkeypatch: pytest.MonkeyPatch, relative: bool
) -> None:
    monkeypatch.chdir(root.parent)
    root = Path(root.name) if relative else root
    async with watching(root) as hints:
        await hints.quiet()
        shutil.rmtree(root)
        root.mkdir()
        await hints.one()
        await hints.quiet()
        (root / "b.yaml").write_text("name: B\n")
        await hints.one()


async def test_a_missing_folder_is_told_of_once_and_awaited(tmp_path: Path) -> None:
    root = tmp_path / "later"
    with capture_logs() as logs:
        async with watching(root) as hints:
            assert await hints.quiet() == 0
            root.mkdir()
            await hints.one()
            await hints.quiet()
            (root / "a.yaml").write_text("name: A\n")
            await hints.one()
    (line,) = logs
    assert (line["event"], line["folder"]) == ("watch_failed", str(root))


async def test_a_failing_watch_is_told_of_once_and_tried_again(root: Path) -> None:
    attempts = 0

    def failing(*arguments: object, **options: Any) -> Any:
        nonlocal attempts
        attempts += 1
        if attempts < 4:
            raise OSError("OS file watch limit reached")
        return watchfiles.watch(*arguments, **options)  # type: ignore[arg-type]

    with capture_logs() as logs:
        async with watching(root, retry_seconds=0.1, events=failing) as hints:
            while attempts < 4:
                await hints.one()
            await hints.quiet()
            (root / "b.yaml").write_text("name: B\n")
            await hints.one()
    assert [line["error"] for line in logs] == ["OS file watch limit reached"]


async def test_it_ends_without_waiting_for_the_poll(root: Path) -> None:
    async with watching(root) as hints:
        await hints.one()
    async with watching(root, poll_seconds=600):
        pass


async def test_it_ends_at_once_when_stopped_before(root: Path) -> None:
    hints = Hints()
    hints.stop.set()
    await asyncio.wait_for(hints.collect(root), LIMIT)


async def test_it_ends_with_its_task(root: Path) -> None:
    hints = Hints()
    collecting = asyncio.create_task(hints.collect(root))
    await hints.one()
    collecting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await collecting
    assert not hints.stop.is_set()


async def test_hints_wait_for_a_busy_caller_as_one(root: Path) -> None:
    busy, told = threading.Event(), threading.Event()

    def three(*_: object, stop_event: threading.Event, **__: object) -> Iterator[set[Any]]:
        yield set()
        busy.wait(LIMIT)
        for _number in range(3):
            yield {(watchfiles.Change.added, f"{root}/a.yaml")}
        told.set()
        stop_event.wait(LIMIT)

    stop = asyncio.Event()
    hints = watch(root, stop, poll_seconds=POLL, events=three)
    await asyncio.wait_for(anext(hints), LIMIT)
    busy.set()
    await asyncio.to_thread(told.wait, LIMIT)
    await asyncio.wait_for(anext(hints), LIMIT)
    waiting = asyncio.ensure_future(anext(hints, None))
    _, pending = await asyncio.wait({waiting}, timeout=0.2)
    assert pending
    stop.set()
    await asyncio.wait_for(waiting, LIMIT)


async def test_hints_name_the_files_below_the_folder(root: Path) -> None:
    async with watching(root) as hints:
        assert await hints.one() is None  # it may be anything before the watch stood
        await hints.quiet()
        (root / "sub/b.yaml").write_text("name: B\n")
        hint = named(await hints.one())
        assert hint is not None
        assert hint <= {"sub", "sub/b.yaml"}
        assert "sub/b.yaml" in hint


@pytest.mark.parametrize(
    ("paths", "hint"),
    [
        (["a.yaml", "sub/b.yaml"], {"a.yaml", "sub/b.yaml"}),
        (["a.yaml", ""], None),
        (["a.yaml", "../tasks.d"], None),
        ([f"{number}.yaml" for number in range(1000)], None),
    ],
)
async def test_what_is_not_a_few_files_below_it_is_no_names(
    root: Path, paths: list[str], hint: set[str] | None
) -> None:
    def some(*_: object, stop_event: threading.Event, **__: object) -> Iterator[set[Any]]:
        yield set()
        stop_event.wait(0.5)
        yield {(watchfiles.Change.modified, os.path.normpath(root / path)) for path in paths}
        stop_event.wait(LIMIT)

    async with watching(root, events=some) as hints:
        await hints.one()
        assert await hints.one() == hint


def test_a_closed_loop_is_not_told_any_more() -> None:
    loop = asyncio.new_event_loop()
    loop.close()
    call_soon(loop, asyncio.Event().set)


async def test_a_name_that_is_not_utf8_is_passed_over_and_the_watch_goes_on(root: Path) -> None:
    strange = root / os.fsdecode(b"\xff.log")
    with capture_logs() as logs:
        async with watching(root) as hints:
            await hints.quiet()
            for number in range(3):
                strange.write_text(f"{number}\n")
                assert await hints.one() is None
                await hints.quiet()
                (root / "a.yaml").write_text(f"name: {number}\n")
                assert named(await hints.one()) == {"a.yaml"}
    assert {line["event"] for line in logs} == {"watch_failed"}
    assert "xFF.log" in logs[0]["error"]


async def test_a_folder_whose_name_is_not_utf8_is_no_hindrance(root: Path) -> None:
    os.mkdir(os.fsencode(root) + b"/\xff")
    async with watching(root) as hints:
        await hints.quiet()
        (root / "a.yaml").write_text("name: B\n")
        assert named(await hints.one()) == {"a.yaml"}


async def test_a_link_that_leads_out_is_not_followed(root: Path, tmp_path: Path) -> None:
    (tmp_path / "else").mkdir()
    (root / "out").symlink_to("../else")
    (root / "all").symlink_to("/usr")
    async with watching(root) as hints:
        await hints.quiet()
        (tmp_path / "else/a.yaml").write_text("name: A\n")
        assert await hints.none(QUIET)
        (root / "sub/b.yaml").write_text("name: B\n")
        assert await hints.one() is not None


async def test_folders_that_come_later_are_watched(root: Path, tmp_path: Path) -> None:
    (tmp_path / "more/deep/er").mkdir(parents=True)
    async with watching(root) as hints:
        await hints.quiet()
        (tmp_path / "more").rename(root / "more")
        await hints.one()
        await hints.quiet()
        (root / "more/deep/er/b.yaml").write_text("name: B\n")
        assert named(await hints.one()) == {"more/deep/er/b.yaml"}
        await hints.quiet()
        shutil.rmtree(root / "more")
        await hints.one()
        await hints.quiet()
        (root / "more").mkdir()
        await hints.one()
        await hints.quiet()
        (root / "more/c.yaml").write_text("name: C\n")
        assert named(await hints.one()) == {"more/c.yaml"}
