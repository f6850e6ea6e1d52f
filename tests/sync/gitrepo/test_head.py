"""Which declarations a commit has, by a real repository."""

import os
from pathlib import Path

import pytest

from taskservice.sync.folder.reading import Folder
from taskservice.sync.gitrepo.head import blob_names, find_head
from tests.origin import task
from tests.sync.gitrepo.test_blame import commit, git


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "repository" / "tasks.d"
    made.mkdir(parents=True)
    git(made.parent, "init", "-q")
    return made


def revisions(folder: Path) -> dict[str, str | None]:
    """The commit of each task that the folder declares."""
    for file in folder.rglob("*"):
        os.utime(file, (1_700_000_000, 1_700_000_000), follow_symlinks=False)
    scan = Folder(folder, lambda *_: None).scan({}, head=find_head(folder))
    return {
        task_id: one.declaration.revision for task_id, one in sorted(scan.declared.tasks.items())
    }


def test_git_calls_a_file_so(folder: Path) -> None:
    for data in (b"", b"a\n", b"a\r\nb\r\n"):
        (folder / "x").write_bytes(data)
        assert blob_names(data)[0] == git(folder, "hash-object", "--no-filters", "x")
    assert blob_names(b"a\r\n")[1:] == blob_names(b"a\n")


def test_links_and_converted_files_are_known_again(folder: Path) -> None:
    (folder.parent / ".gitattributes").write_text("windows.yaml text eol=crlf\n")
    (folder / "windows.yaml").write_bytes(task("w").replace("\n", "\r\n").encode())
    (folder / "real.yaml").write_text("x: [\n")
    (folder / "shared").mkdir()
    (folder / "shared" / "b.yaml").write_text(task("b"))
    (folder / "link.yaml").symlink_to("shared/b.yaml")
    first = commit(folder)
    assert revisions(folder) == {"b": first, "link": first, "windows": first}
    (folder / "shared" / "b.yaml").write_text(task("new"))
    assert revisions(folder) == {"b": None, "link": None, "windows": first}


def test_a_repository_with_longer_names(tmp_path: Path) -> None:
    folder = tmp_path / "tasks.d"
    folder.mkdir()
    git(tmp_path, "init", "-q", "--object-format=sha256")
    (folder / "a.yaml").write_text(task("a"))
    first = commit(folder)
    (folder / "b.yaml").write_text(task("b"))
    assert len(first) == 64
    assert revisions(folder) == {"a": first, "b": None}


def test_it_is_looked_up_once(folder: Path) -> None:
    (folder / "a.yaml").write_text(task("a"))
    assert find_head(folder) is None
    commit(folder)
    head = find_head(folder)
    assert head is not None
    assert find_head(folder, head) is head
    (folder / "a.yaml").write_text(task("b"))
    commit(folder)
    assert find_head(folder, head) is not head


def test_an_unfinished_clone_is_no_reason_to_fail(folder: Path) -> None:
    (folder / "a.yaml").write_text(task("a"))
    commit(folder)
    blob = git(folder, "rev-parse", "HEAD:tasks.d/a.yaml")
    (folder.parent / ".git/objects" / blob[:2] / blob[2:]).unlink()
    (folder / "a.yaml").write_text(task("b"))
    assert revisions(folder) == {"a": None}
