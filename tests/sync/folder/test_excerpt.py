"""Lines of task files, and of nothing else."""

from pathlib import Path

import pytest

from taskservice.sync.folder.excerpt import LONGEST, lines_of


def test_lines_are_told_as_far_as_they_are_there(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.yaml").write_bytes("name: 名\r\n\xff: x\n".encode("latin-1", "replace"))
    (tmp_path / "b.yml").write_text("x" * 1000)
    found = lines_of(tmp_path, {"sub/a.yaml": {0, 1, 2, 3, 99}, "b.yml": [1], "c.yaml": [1]})
    assert found == {
        "sub/a.yaml": {1: "name: ?", 2: "\ufffd: x"},
        "b.yml": {1: "x" * LONGEST},
        "c.yaml": {},
    }


@pytest.mark.parametrize("path", ["../secret.yaml", "link.yaml", "a\0.yaml", "notes.txt", "."])
def test_nothing_else_is_read(tmp_path: Path, path: str) -> None:
    root = tmp_path / "tasks.d"
    root.mkdir()
    (tmp_path / "secret.yaml").write_text("secret")
    (root / "notes.txt").write_text("secret")
    (root / "link.yaml").symlink_to("../secret.yaml")
    assert lines_of(root, {path: [1]}) == {path: {}}
    assert lines_of(root, {str(tmp_path / "secret.yaml"): [1]}) == {
        str(tmp_path / "secret.yaml"): {}
    }


def test_a_root_may_be_a_link_and_files_may_link_within(tmp_path: Path) -> None:
    (tmp_path / "commit").mkdir()
    (tmp_path / "commit" / ".data.yaml").write_text("one")
    (tmp_path / "commit" / "a.yaml").symlink_to(".data.yaml")
    (tmp_path / "live").symlink_to("commit")
    assert lines_of(tmp_path / "live", {"a.yaml": [1]}) == {"a.yaml": {1: "one"}}
