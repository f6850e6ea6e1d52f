"""A folder as a commit has it, by a real repository."""

from pathlib import Path

import pytest

from taskservice.sync.gitrepo.revisions import files_at
from tests.sync.gitrepo.test_blame import commit, git


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "repository" / "tasks.d"
    made.mkdir(parents=True)
    git(made.parent, "init", "-q")
    return made


def texts_at(folder: Path, revision: str) -> dict[str, bytes]:
    found = files_at(folder, revision)
    assert found is not None and found.faults == ()
    return found.texts


def test_the_files_of_a_commit(folder: Path) -> None:
    (folder.parent / "above.yaml").write_text("not: below\n")
    (folder / "a.yaml").write_text("name: One\n")
    (folder / "empty.yml").write_text("")
    (folder / "早 sub").mkdir()
    (folder / "早 sub" / "b c.yaml").write_bytes(b"\xff\n\nno newline at the end")
    (folder / "link.yaml").symlink_to("a.yaml")
    (folder / "notes.txt").write_text("no task file\n")
    (folder / "_base.yaml").write_text("passed: over\n")
    (folder / ".gitattributes").write_text("a.yaml export-ignore\n")
    first = commit(folder)
    (folder / "a.yaml").write_text("name: Two\n")
    (folder / "empty.yml").unlink()
    commit(folder)
    (folder / "a.yaml").write_text("name: not committed\n")
    assert texts_at(folder, first) == texts_at(folder, "HEAD~1") == {
        "a.yaml": b"name: One\n",
        "empty.yml": b"",
        "早 sub/b c.yaml": b"\xff\n\nno newline at the end",
    }  # fmt: skip
    assert texts_at(folder, "HEAD") == {
        "a.yaml": b"name: Two\n",
        "早 sub/b c.yaml": b"\xff\n\nno newline at the end",
    }


def test_a_commit_without_such_a_folder(folder: Path) -> None:
    (folder.parent / "above.yaml").write_text("not: below\n")
    commit(folder)
    assert texts_at(folder, "HEAD") == {}


@pytest.mark.parametrize("revision", ["nowhere", "", "--all", "HEAD:tasks.d", "HEAD\n"])
def test_what_is_no_commit(folder: Path, revision: str) -> None:
    (folder / "a.yaml").write_text("name: One\n")
    commit(folder)
    assert files_at(folder, revision) is None


def test_no_repository(tmp_path: Path) -> None:
    assert files_at(tmp_path, "HEAD") is None
