"""Task files read once: the same files, and the same faults, as a service's scan finds."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from taskservice.sync.folder.confined import bytes_of, content_of
from taskservice.sync.folder.declaring import declared_by, place
from taskservice.sync.folder.offline import authored_in, read_file_alone, read_folder
from taskservice.sync.folder.reading import Folder
from taskservice.sync.text.task_files import MAX_BYTES


def nothing(_task_id: str, _fields: Mapping[str, object]) -> None:
    """Everything is sound."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with all that can be wrong with files before they are read."""
    root = tmp_path / "tasks.d"
    (root / "below").mkdir(parents=True)
    (root / "a.yaml").write_text("name: A\n")
    (root / "below" / "b.yml").write_text("name: B\n")
    (root / "_draft.yaml").write_text("name: C\n")
    (root / "notes.txt").write_text("name: D\n")
    (root / "large.yaml").write_bytes(b"#" * (MAX_BYTES + 1))
    (root / "nowhere.yaml").symlink_to("nothing")
    (root / "again").symlink_to("below")
    (root / "folder.yaml").mkdir()
    os.mkfifo(root / "pipe.yaml")
    Path(os.fsdecode(os.fsencode(root) + b"/\xff.yaml")).write_text("name: E\n")
    return root


def test_it_is_what_a_scan_finds(folder: Path) -> None:
    read = read_folder(folder)
    assert read.texts == {"a.yaml": b"name: A\n", "below/b.yml": b"name: B\n"}
    scan = Folder(folder, nothing).scan({}, clock=lambda: 2e10)
    told = declared_by(read.texts, {}, nothing)
    assert told.tasks == scan.declared.tasks
    assert tuple(sorted((*read.faults, *told.faults), key=place)) == scan.declared.faults
    assert {fault.path for fault in read.faults} == {
        "large.yaml", "nowhere.yaml", "folder.yaml", "pipe.yaml", "�.yaml"
    }  # fmt: skip


def test_a_folder_that_is_a_link_is_followed(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder)
    assert read_folder(tmp_path / "link") == read_folder(folder)


def test_a_folder_that_is_none_is_a_fault(tmp_path: Path) -> None:
    read = read_folder(tmp_path / "nope")
    assert read.texts == {}
    assert [str(fault) for fault in read.faults] == [
        ".: the tasks folder can't be read: No such file or directory"
    ]


def test_a_file_alone_is_read_whatever_it_is_called(folder: Path) -> None:
    assert read_file_alone(folder / "_draft.yaml").texts == {"_draft.yaml": b"name: C\n"}
    assert read_file_alone(folder / "notes.txt").texts == {"notes.txt": b"name: D\n"}


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("large.yaml", "at most 1 MiB"),
        ("pipe.yaml", "is no regular file"),
        ("gone.yaml", "can't be read: No such file"),
    ],
)
def test_a_file_alone_that_can_not_be_read(folder: Path, name: str, reason: str) -> None:
    read = read_file_alone(folder / name)
    (fault,) = read.faults
    assert (read.texts, fault.path, fault.line, fault.column) == ({}, name, 1, 1)
    assert reason in fault.reason


def test_a_file_that_changes_while_it_is_read_is_read_again(folder: Path) -> None:
    reads: list[int] = []

    def changing(handle: int, signature: tuple[int, ...]) -> bytes | None:
        reads.append(handle)
        with open(folder / "a.yaml", "a") as opened:
            opened.write("# more\n" if len(reads) < 3 else "")
        return bytes_of(handle, signature)

    found = content_of(str(folder), "a.yaml", read=changing)
    assert found == b"name: A\n# more\n# more\n"
    assert read_file_alone(folder / "a.yaml").texts == {"a.yaml": found}
    gone = content_of(str(folder), "a.yaml", read=lambda *_: None)
    assert isinstance(gone, str) and gone.startswith("changes while it is read")


def test_each_file_that_was_read_is_told() -> None:
    steps: list[None] = []
    declared_by(
        {"a.yaml": b"[", "b.yaml": b"name: B"}, {}, nothing, step=lambda: steps.append(None)
    )
    assert len(steps) == 2


def test_the_task_as_its_file_has_it(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("name: One\ntask_type: t\n")
    found = authored_in(tmp_path, "a.yaml", "a", {"task_type": "t", "name": "One"})
    assert found is not None
    assert found.place("task_type") == (2, 1)
    assert authored_in(tmp_path, "a.yaml", "a", {"name": "Two", "task_type": "t"}) is None
    assert authored_in(tmp_path, "a.yaml", "b", {"name": "One", "task_type": "t"}) is None
    assert authored_in(tmp_path, "gone.yaml", "a", {}) is None


def test_a_file_that_became_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.yaml")
    assert authored_in(tmp_path, "a.yaml", "a", {}) is None
