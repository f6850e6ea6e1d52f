"""A look at the files that changed says what a whole scan would, or that it takes one."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from taskservice.domain.errors import Fault, Invalid
from taskservice.domain.plan import StoredDeclaration
from taskservice.sync.folder.parsed_file import ChangedFiles
from taskservice.sync.folder.reading import Folder
from taskservice.sync.gitrepo.head import Head, blob_names

NOW = 1_800_000_000.0


class Tasks:
    """A folder that was scanned, with two plain files in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.wrong: set[str] = set()
        self.folder = Folder(root, self._check)
        self.write("a.yaml", "name: A\n")
        self.write("sub/b.yaml", "name: B\n")
        self.scan()

    def _check(self, task_id: str, fields: Mapping[str, object]) -> None:
        if fields.get("name") in self.wrong:
            raise Invalid([Fault(reason="wrong")])

    def write(self, path: str, text: str, mtime: float = NOW - 60) -> None:
        (self.root / path).parent.mkdir(exist_ok=True)
        (self.root / path).write_text(text)
        os.utime(self.root / path, (mtime, mtime))

    def scan(self) -> dict[str, str]:
        scan = self.folder.scan({}, clock=lambda: NOW)
        tasks = scan.declared.tasks.items()
        return {task_id: one.declaration.fields["name"] for task_id, one in tasks}

    def changed(self, *names: str, now: float = NOW) -> ChangedFiles | None:
        (name,) = blob_names(b"name: other\n")
        head = Head(commit="c0ffee", blobs={"sub/b.yaml": name})
        return self.folder.read_changed(names, head=head, clock=lambda: now)

    def seen(self, *names: str) -> dict[str, str]:
        """The names of the tasks that a look at these files tells of, and takes."""
        changed = self.changed(*names)
        assert changed is not None
        assert self.folder.accept(changed, {})
        tasks = changed.tasks.items()
        return {task_id: one.declaration.fields["name"] for task_id, one in tasks}


@pytest.fixture
def tasks(tmp_path: Path) -> Tasks:
    (tmp_path / "tasks.d").mkdir()
    return Tasks(tmp_path / "tasks.d")


def test_it_tells_of_the_files_that_differ(tasks: Tasks) -> None:
    tasks.write("sub/b.yaml", "name: other\n")
    changed = tasks.changed("a.yaml", "sub/b.yaml")
    assert changed is not None
    assert changed.files.keys() == {"sub/b.yaml"}
    assert changed.tasks["b"].declaration.revision == "c0ffee"
    assert not changed.unsettled


def test_what_it_took_is_told_of_once(tasks: Tasks) -> None:
    tasks.write("a.yaml", "name: other\n")
    assert tasks.seen("a.yaml") == {"a": "other"}
    assert tasks.seen("a.yaml") == {}
    assert tasks.scan() == {"a": "other", "b": "B"}


def test_a_task_may_be_added_to_a_file(tasks: Tasks) -> None:
    tasks.write("sub/b.yaml", "tasks: {b: {name: B}, c: {name: C}}\n")
    assert tasks.seen("sub/b.yaml") == {"b": "B", "c": "C"}
    tasks.write("a.yaml", "tasks: {a: {name: A}, c: {name: C}}\n")
    assert tasks.changed("a.yaml") is None  # that one is taken now


def test_a_file_that_changed_this_moment_is_awaited(tasks: Tasks) -> None:
    tasks.write("a.yaml", "name: half\n", mtime=NOW)
    changed = tasks.changed("a.yaml", now=NOW + 0.02)
    assert changed is not None
    assert changed.unsettled == {"a.yaml"}
    assert changed.again == pytest.approx(0.03)
    assert not changed.files
    changed = tasks.changed("a.yaml", now=NOW + 0.06)
    assert changed is not None
    assert changed.files.keys() == {"a.yaml"}


def test_a_fault_takes_a_scan(tasks: Tasks) -> None:
    tasks.wrong.add("bad")
    tasks.write("a.yaml", "name: bad\n")
    changed = tasks.changed("a.yaml")
    assert changed is not None
    assert not tasks.folder.accept(changed, {})
    assert tasks.scan() == {"b": "B"}
    tasks.write("a.yaml", "name: good\n")
    assert tasks.changed("a.yaml") is None  # so that its fault is taken back
    assert tasks.scan() == {"a": "good", "b": "B"}
    tasks.write("a.yaml", "name: better\n")
    assert tasks.seen("a.yaml") == {"a": "better"}


def test_what_is_stored_as_it_stands_is_not_checked(tasks: Tasks) -> None:
    tasks.wrong.add("bad")
    tasks.write("a.yaml", "name: bad\n")
    changed = tasks.changed("a.yaml")
    assert changed is not None
    digest = changed.tasks["a"].digest
    stored = StoredDeclaration(source="file", digest=digest, path="a.yaml", line=1)
    assert tasks.folder.accept(changed, {"a": stored})


def _replace(root: Path, make: Callable[[Path], object]) -> None:
    (root / "a.yaml").unlink()
    make(root / "a.yaml")


CHANGES: dict[str, tuple[str, Callable[[Path], object]]] = {
    "gone": ("a.yaml", lambda root: (root / "a.yaml").unlink()),
    "new": ("c.yaml", lambda root: (root / "c.yaml").write_text("name: C\n")),
    "broken": ("a.yaml", lambda root: (root / "a.yaml").write_text("name: [\n")),
    "empty": ("a.yaml", lambda root: (root / "a.yaml").write_text("")),
    "a task less": ("a.yaml", lambda root: (root / "a.yaml").write_text("tasks: {c: {name: C}}\n")),
    "declared twice": (
        "a.yaml",
        lambda root: (root / "a.yaml").write_text("tasks: {a: {name: A}, b: {name: B}}\n"),
    ),
    "a pipe": ("a.yaml", lambda root: _replace(root, os.mkfifo)),
    "a link": ("a.yaml", lambda root: _replace(root, lambda path: path.symlink_to("sub/b.yaml"))),
    "a second name": ("a.yaml", lambda root: os.link(root / "a.yaml", root / ".other")),
    "a folder": ("sub", lambda root: (root / "sub").rename(root / "other")),
    "another folder": ("more", lambda root: (root / "more").mkdir()),
    "a link to a folder": ("more", lambda root: (root / "more").symlink_to("sub")),
    "below a file": ("x/y", lambda root: (root / "x").write_text("")),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_other_changes_take_a_scan(tasks: Tasks, kind: str) -> None:
    name, change = CHANGES[kind]
    change(tasks.root)
    assert tasks.changed(name) is None


@pytest.mark.parametrize("name", [".a.yaml.swp", "_a.yaml", ".git/HEAD", "4913", "a.txt", "a.bak"])
def test_other_files_do_not_matter(tasks: Tasks, name: str) -> None:
    (tasks.root / name).parent.mkdir(exist_ok=True)
    assert tasks.seen(name) == {}
    (tasks.root / name).write_text("name: other\n")
    assert tasks.seen(name) == {}


def test_two_files_with_one_new_task_take_a_scan(tasks: Tasks) -> None:
    for path, task_id in (("a.yaml", "a"), ("sub/b.yaml", "b")):
        tasks.write(path, f"tasks: {{{task_id}: {{name: x}}, new: {{name: x}}}}\n")
    assert tasks.changed("a.yaml", "sub/b.yaml") is None


def test_a_task_that_was_declared_twice_takes_a_scan(tasks: Tasks) -> None:
    tasks.write("c.yaml", "tasks: {a: {name: A}, c: {name: C}}\n")
    tasks.scan()
    for path in ("a.yaml", "c.yaml"):
        tasks.write(path, "tasks: {a: {name: other}, c: {name: C}}\n")
        assert tasks.changed(path) is None


@pytest.mark.parametrize("target", [".hidden", "sub/b.yaml"])
def test_with_links_everything_takes_a_scan(tasks: Tasks, target: str) -> None:
    (tasks.root / ".hidden").write_text("name: hidden\n")
    (tasks.root / "link.yaml").symlink_to(target)
    tasks.scan()
    for name in (".hidden", "4913", "a.yaml"):
        tasks.write(name, "name: other\n")
        assert tasks.changed(name) is None


def test_before_the_first_scan_it_takes_one(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("name: A\n")
    assert Folder(tmp_path, lambda *_: None).read_changed(["a.yaml"]) is None


def test_where_the_folder_can_not_be_read_it_takes_a_scan(tasks: Tasks) -> None:
    tasks.root.rename(tasks.root.with_name("elsewhere"))
    tasks.scan()
    assert tasks.changed("a.yaml") is None
    assert tasks.changed("4913") is None
