"""Which files are task files."""

import os
import socket
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pytest

from taskservice.sync.folder.confined import LEADS_OUT
from taskservice.sync.folder.listing import list_files
from taskservice.sync.text.task_files import passed_over

Entries = AbstractContextManager[Iterable[os.DirEntry[str]]]


def _touch(root: Path, *paths: str) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()


def _files(root: Path) -> list[str]:
    listing = list_files(str(root))
    assert not listing.faults
    assert not listing.vanished
    return sorted(listing.files)


def test_yaml_and_yml_anywhere_below(tmp_path: Path) -> None:
    _touch(tmp_path, "a.yaml", "b.yml", "c.YAML", "d.json", "yaml", "deep/er/e.yaml")
    assert _files(tmp_path) == ["a.yaml", "b.yml", "deep/er/e.yaml"]


@pytest.mark.parametrize(
    "name",
    [
        ".yaml", ".a.yaml", "_a.yaml", "a.yaml~", "#a.yaml#", ".#a.yaml", ".a.yaml.swp",
        "a.yaml.swp", "a.yaml.tmp", "a.yaml.bak", "4913", "a.yaml.orig",
    ],
)  # fmt: skip
def test_hidden_files_and_leftovers_are_passed_over(tmp_path: Path, name: str) -> None:
    _touch(tmp_path, name, "kept.yaml")
    assert _files(tmp_path) == ["kept.yaml"]


@pytest.mark.parametrize("name", [".git", "_old", "old~", "#old#", "a.bak", "a.tmp", "a.swp"])
def test_hidden_folders_and_leftovers_are_passed_over(tmp_path: Path, name: str) -> None:
    _touch(tmp_path, f"{name}/a.yaml", "kept.yaml")
    assert passed_over(name)
    assert _files(tmp_path) == ["kept.yaml"]


def test_links_to_files_and_folders_are_followed(tmp_path: Path) -> None:
    _touch(tmp_path, ".else/where.yaml", ".one.yaml")
    (tmp_path / "here").symlink_to(tmp_path / ".else")
    (tmp_path / "link.yaml").symlink_to(".one.yaml")
    assert _files(tmp_path) == ["here/where.yaml", "link.yaml"]
    listing = list_files(str(tmp_path))
    assert listing.linked
    assert listing.folders == {"", "here"}


def test_links_that_lead_out_are_told_and_not_followed(tmp_path: Path) -> None:
    root = tmp_path / "tasks"
    _touch(tmp_path, "else/where.yaml", "one.yaml", "tasks-more/a.yaml", "readme", "tasks/a.yaml")
    for name, target in {
        "out": "../else", "up": "..", "all": "/", "beside": "../tasks-more",
        "one.yaml": "../one.yaml", "folder.yaml": "../else", "none.yaml": "../nothing",
        "secret.yaml": "/proc/self/environ", "deep/er.yaml": "../../one.yaml",
        "back.yaml": "../tasks/a.yaml", "readme": "../readme", "null": "/dev/null",
    }.items():  # fmt: skip
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).symlink_to(target)
    listing = list_files(str(root))
    assert not listing.faults
    assert {path for path, found in listing.files.items() if found == LEADS_OUT} == {
        *("out", "up", "all", "beside", "one.yaml", "folder.yaml", "none.yaml", "secret.yaml"),
        "deep/er.yaml",
    }
    assert {path for path, found in listing.files.items() if not isinstance(found, str)} == {
        "a.yaml", "back.yaml"
    }  # fmt: skip


def test_a_folder_as_kubernetes_mounts_one(tmp_path: Path) -> None:
    _touch(tmp_path, "..2026/a.yaml", "..2026/sub/b.yaml")
    (tmp_path / "..data").symlink_to("..2026")
    (tmp_path / "a.yaml").symlink_to("..data/a.yaml")
    (tmp_path / "sub").symlink_to("..data/sub")
    assert _files(tmp_path) == ["a.yaml", "sub/b.yaml"]
    # What is behind the links is to be watched as well.
    assert list_files(str(tmp_path)).folders == {"", "..2026", "sub"}


def test_what_is_below_a_folder_has_an_end(tmp_path: Path) -> None:
    _touch(tmp_path, *(f"{number}.txt" for number in range(9)), "sub/a.yaml")
    assert list(list_files(str(tmp_path), most=11).files) == ["sub/a.yaml"]
    (fault,) = list_files(str(tmp_path), most=10).faults
    assert (fault.path, fault.reason) == (
        ".", "the tasks folder can't be read: it holds more than 10 files and folders"
    )  # fmt: skip
    _touch(tmp_path, "one/two/three/a.yaml")
    assert list_files(str(tmp_path), deepest=2).files["one/two/three"] == (
        "is nested deeper than 2 folders: not read"
    )
    assert "one/two/three/a.yaml" in list_files(str(tmp_path), deepest=3).files


def test_a_folder_reached_twice_is_read_once_by_its_own_path(tmp_path: Path) -> None:
    _touch(tmp_path, "z/a.yaml", "z/deep/b.yaml")
    (tmp_path / "a-link").symlink_to("z")
    (tmp_path / "z/deep/up").symlink_to(tmp_path)
    assert _files(tmp_path) == ["z/a.yaml", "z/deep/b.yaml"]


def test_of_two_links_to_one_folder_the_first_by_name_counts(tmp_path: Path) -> None:
    _touch(tmp_path, ".else/a.yaml")
    for name in ("c", "b", "d"):
        (tmp_path / name).symlink_to(tmp_path / ".else")
    assert _files(tmp_path) == ["b/a.yaml"]


def test_links_that_lead_nowhere(tmp_path: Path) -> None:
    (tmp_path / "round").symlink_to("round")
    (tmp_path / "gone").symlink_to("nothing")
    (tmp_path / "long").symlink_to("x" * 300)
    (tmp_path / "a.yaml").symlink_to("nothing")
    (tmp_path / "b.yaml").symlink_to("b.yaml")
    assert list_files(str(tmp_path)).files == {
        "a.yaml": "is a link that points at nothing",
        "b.yaml": "can't be read: Too many levels of symbolic links",
    }


def test_names_that_are_not_utf8_are_named(tmp_path: Path) -> None:
    os.mkdir(os.fsencode(tmp_path) + b"/\xff")
    for name in (b"/\xfe.yaml", b"/\xff/a.yaml"):
        Path(os.fsdecode(os.fsencode(tmp_path) + name)).touch()
    assert list_files(str(tmp_path)).files == {
        "\ufffd.yaml": "the file's name is not UTF-8",
        "\ufffd": "the folder's name is not UTF-8, and it is not read",
    }


def test_a_missing_folder_is_a_fault(tmp_path: Path) -> None:
    (fault,) = list_files(str(tmp_path / "none")).faults
    assert fault.path == "."
    assert fault.reason == "the tasks folder can't be read: No such file or directory"


def test_a_file_in_place_of_the_folder_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (fault,) = list_files(str(tmp_path / "file")).faults
    assert fault.reason == "the tasks folder can't be read: Not a directory"


def test_a_folder_that_cannot_be_listed_is_a_fault(tmp_path: Path) -> None:
    _touch(tmp_path, "a.yaml", "shut/b.yaml")
    listing = list_files(
        str(tmp_path), scandir=_refusing("shut/", PermissionError(13, "Permission denied"))
    )
    (fault,) = listing.faults
    assert (fault.path, fault.reason) == ("shut", "the folder can't be read: Permission denied")
    assert list(listing.files) == ["a.yaml"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_without_permission_is_a_fault(tmp_path: Path) -> None:
    _touch(tmp_path, "a.yaml", "shut/b.yaml")
    (tmp_path / "shut").chmod(0)
    try:
        assert [fault.path for fault in list_files(str(tmp_path)).faults] == ["shut"]
    finally:
        (tmp_path / "shut").chmod(0o700)


def test_a_folder_that_vanishes_meanwhile_is_no_fault(tmp_path: Path) -> None:
    _touch(tmp_path, "a.yaml", "gone/b.yaml")
    listing = list_files(
        str(tmp_path), scandir=_refusing("gone/", FileNotFoundError(2, "No such file or directory"))
    )
    assert listing.vanished
    assert not listing.faults
    assert list(listing.files) == ["a.yaml"]


def test_a_file_that_vanishes_meanwhile_is_no_fault(tmp_path: Path) -> None:
    def scandir(descriptor: int) -> Entries:
        with os.scandir(descriptor) as found:
            entries = list(found)
        (tmp_path / "a.yaml").unlink()
        return nullcontext(entries)

    _touch(tmp_path, "a.yaml", "b.yaml")
    listing = list_files(str(tmp_path), scandir=scandir)
    assert listing.vanished
    assert list(listing.files) == ["b.yaml"]


def test_a_link_that_may_lead_to_a_folder_is_not_passed_over_in_silence(tmp_path: Path) -> None:
    class Shut:
        name = "link"

        def is_symlink(self) -> bool:
            return False

        def is_dir(self, *, follow_symlinks: bool) -> bool:
            raise PermissionError(13, "Permission denied")

    def scandir(_descriptor: int) -> Any:
        return nullcontext([Shut()])

    assert [fault.path for fault in list_files(str(tmp_path), scandir=scandir).faults] == ["."]


def test_sockets_are_listed_and_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's path is short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("a.yaml")
        assert _files(tmp_path) == ["a.yaml"]


def _refusing(folder: str, error: OSError) -> Callable[[int], Entries]:
    """What lists folders, but for one."""

    def scandir(descriptor: int) -> Entries:
        if f"{os.readlink(f'/proc/self/fd/{descriptor}')}/".endswith(folder):
            raise error
        return os.scandir(descriptor)

    return scandir
