"""A later start parses only what it has not read before, and believes only the bytes it sees."""

import os
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import pytest

from taskservice.service import Service
from taskservice.sync.folder.file_reader import FileReader
from taskservice.sync.folder.parsed_file import ParsedFile, parse_file
from taskservice.sync.folder.reading import Folder
from taskservice.sync.syncer import SyncOptions

FIELDS = (
    "task_type: t, trigger_type: interval, trigger_args: {hours: 1}, "
    "func_path: taskservice.examples.simple_task, func_args: {message: m}"
)
Names = dict[str, str]
Start = Callable[[], Awaitable[Names]]


def write(folder: Path, path: str, **names: str) -> None:
    """Write a file of several tasks, each with its name."""
    tasks = (f"  {task_id}: {{name: {name}, {FIELDS}}}\n" for task_id, name in names.items())
    (folder / path).write_text(f"tasks:\n{''.join(tasks)}")
    os.utime(folder / path, (time.time() - 60, time.time() - 60))


@pytest.fixture
def parsed() -> list[str]:
    """The paths of the files that were parsed since the service was started last."""
    return []


@pytest.fixture
def start(make_service: Callable[..., Service], parsed: list[str]) -> Start:
    """Starts a service, and stops it: the names of the tasks, by their ids."""

    def noted(path: str, data: bytes) -> ParsedFile:
        parsed.append(path)
        return parse_file(path, data)

    async def started() -> Names:
        parsed.clear()
        service = make_service(
            syncing=SyncOptions(folder=partial(Folder, reader=FileReader(parse=noted)))
        )
        await service.start()
        found = {task_id: await service.tasks.get(task_id) for task_id in ("a", "b", "c")}
        await service.stop()
        return {task_id: one.state.task.name for task_id, one in found.items()}

    return started


@pytest.fixture
async def before(start: Start, folder: Path) -> Names:
    """The tasks of two files, which a service has synced."""
    write(folder, "one.yaml", a="A")
    write(folder, "two.yaml", c="C", b="B")
    return await start()


async def test_nothing_is_parsed_where_nothing_changed(
    before: Names, start: Start, parsed: list[str]
) -> None:
    assert before == {"a": "A", "b": "B", "c": "C"}
    assert await start() == before
    assert parsed == []


async def test_a_change_that_the_status_hides_is_seen(
    before: Names, start: Start, parsed: list[str], folder: Path
) -> None:
    status = (folder / "one.yaml").stat()
    write(folder, "one.yaml", a="X")
    os.utime(folder / "one.yaml", ns=(status.st_atime_ns, status.st_mtime_ns))
    assert await start() == {**before, "a": "X"}
    assert parsed == ["one.yaml"]
    assert await start() == {**before, "a": "X"}
    assert parsed == []


async def test_a_file_that_changed_in_part_is_known_again(
    before: Names, start: Start, parsed: list[str], folder: Path
) -> None:
    write(folder, "two.yaml", c="C", b="X")
    assert await start() == {**before, "b": "X"}
    assert await start() == {**before, "b": "X"}
    assert parsed == []


async def test_a_fault_is_told_at_each_start(
    before: Names, start: Start, parsed: list[str], folder: Path
) -> None:
    write(folder, "two.yaml", c="C", b="[]")
    for _ in range(2):
        assert await start() == before
        assert parsed == ["two.yaml"]


@pytest.mark.parametrize("task_id", ["b", "c"])
async def test_a_row_that_is_gone_is_written_again(
    before: Names,
    start: Start,
    parsed: list[str],
    make_service: Callable[..., Service],
    task_id: str,
) -> None:
    async with make_service().database.engine.begin() as connection:
        for table, key in (("task_declaration", "task_id"), ("task_manage", "id")):
            await connection.exec_driver_sql(f"DELETE FROM {table} WHERE {key} = '{task_id}'")
    assert await start() == before
    assert parsed == ["two.yaml"]


async def test_a_moved_file_is_read_at_its_new_place(
    before: Names, start: Start, parsed: list[str], folder: Path
) -> None:
    (folder / "one.yaml").rename(folder / "other.yaml")
    for read in (["other.yaml"], []):
        assert await start() == before
        assert parsed == read


async def test_another_way_of_reading_reads_all_again(
    before: Names, start: Start, parsed: list[str], make_service: Callable[..., Service]
) -> None:
    async with make_service().database.engine.begin() as connection:
        await connection.exec_driver_sql("UPDATE task_declaration SET seal = 'by an older reader'")
    assert await start() == before
    assert parsed == ["one.yaml", "two.yaml"]


async def test_a_task_that_comes_back_is_taken_with_all_its_fields(
    before: Names, start: Start, parsed: list[str], make_service: Callable[..., Service]
) -> None:
    async with make_service().database.engine.begin() as connection:
        await connection.exec_driver_sql(
            "UPDATE task_manage SET retired_at = '2026-01-05 10:00:00' WHERE id = 'a'"
        )
    assert await start() == before
    assert parsed == ["one.yaml"]
