"""What the folder declares, scan by scan, over real files."""

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from taskservice.domain.errors import Fault, Invalid
from taskservice.domain.overlay import digest
from taskservice.domain.plan import FolderDeclarations, StoredDeclaration
from taskservice.sync.folder.confined import Signature, read_bytes, signature_of
from taskservice.sync.folder.file_reader import FileReader
from taskservice.sync.folder.listing import list_files
from taskservice.sync.folder.parsed_file import ParsedFile, parse_file
from taskservice.sync.folder.reading import Folder, Scan
from taskservice.sync.gitrepo.head import Head, blob_names

NOTICE = "name: Notice\ntask_type: n\ntrigger_type: interval\nfunc_path: a.b\n"
NOW = 1_800_000_000.0


@dataclass
class Tasks:
    """A folder of task files, every one of them old enough to be taken."""

    root: Path
    checked: list[str] = field(default_factory=list)
    wrong: dict[str, Fault] = field(default_factory=dict)
    stored: dict[str, StoredDeclaration] = field(default_factory=dict)
    parsed: list[str] = field(default_factory=list)
    coarse: bool = False  # a file system with coarse times: the status tells only the size
    scandir: Callable[[int], Any] = os.scandir
    before_read: dict[str, Callable[[], object]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.root.mkdir(exist_ok=True)
        self.folder = Folder(
            self.root,
            self._check,
            reader=FileReader(signature_of=self._signature_of, read=self._read, parse=self._parse),
            list_files=lambda root: list_files(root, scandir=self.scandir),
        )

    def _signature_of(self, found: os.stat_result) -> Signature:
        return (found.st_size,) if self.coarse else signature_of(found)

    def _read(self, root: str, path: str, signature: Signature) -> bytes | None:
        self.before_read.get(path, lambda: None)()
        return read_bytes(root, path, signature, signature_of=self._signature_of)

    def _parse(self, path: str, data: bytes) -> ParsedFile:
        self.parsed.append(path)
        return parse_file(path, data)

    def _check(self, task_id: str, fields: Mapping[str, object]) -> None:
        self.checked.append(task_id)
        if task_id in self.wrong:
            raise Invalid([self.wrong[task_id]])

    def write(self, path: str, text: str | bytes, mtime: float = NOW - 60) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.encode() if isinstance(text, str) else text)
        os.utime(file, (mtime, mtime))

    def scan(self, now: float = NOW, *, by_content: bool = False) -> Scan:
        return self.folder.scan(self.stored, by_content=by_content, clock=lambda: now)

    def declared(self, *, by_content: bool = False) -> FolderDeclarations:
        scan = self.scan(by_content=by_content)
        assert not scan.unsettled
        return scan.declared

    def store(self, *, retired_at: datetime | None = None) -> None:
        """As if what is declared now had been applied."""
        for task_id, candidate in self.declared().tasks.items():
            self.stored[task_id] = StoredDeclaration(
                source="file",
                digest=candidate.digest,
                path=candidate.declaration.path,
                line=candidate.declaration.line,
                retired_at=retired_at,
            )


@pytest.fixture
def tasks(tmp_path: Path) -> Tasks:
    return Tasks(tmp_path / "tasks.d")


@pytest.fixture
def parsed(tasks: Tasks) -> list[str]:
    """The paths of the files that were parsed."""
    return tasks.parsed


def names(declared: FolderDeclarations) -> dict[str, object]:
    return {task_id: one.declaration.fields["name"] for task_id, one in declared.tasks.items()}


def paths(declared: FolderDeclarations) -> dict[str, object]:
    return {task_id: one.declaration.path for task_id, one in declared.tasks.items()}


def said(declared: FolderDeclarations) -> list[str]:
    return [str(fault) for fault in declared.faults]


class TestDeclarations:
    def test_say_what_where_and_at_which_commit(self, tasks: Tasks) -> None:
        tasks.write("deep/notice.yaml", f"# a notice\n{NOTICE}")
        names = blob_names(f"# a notice\n{NOTICE}".encode())
        head = Head(commit="c0ffee", blobs={"deep/notice.yaml": names[0]})
        scan = tasks.folder.scan({}, head=head, clock=lambda: NOW)
        (candidate,) = scan.declared.tasks.values()
        declaration = candidate.declaration
        assert scan.declared.tasks.keys() == {"notice"}
        assert declaration.source == "file"
        assert (declaration.path, declaration.line) == ("deep/notice.yaml", 2)
        assert declaration.revision == "c0ffee"
        assert declaration.fields["func_path"] == "a.b"
        assert candidate.digest == digest(declaration.fields)

    def test_have_the_commit_of_the_latest_scan(self, tasks: Tasks) -> None:
        tasks.write("a.yaml", NOTICE)
        (name,) = blob_names(NOTICE.encode())
        for commit, blobs in (("one", {"a.yaml": name}), ("two", {"a.yaml": name}), ("three", {})):
            head = Head(commit=commit, blobs=blobs)
            scan = tasks.folder.scan({}, head=head, clock=lambda: NOW)
            revision = scan.declared.tasks["a"].declaration.revision
            assert revision == (commit if blobs else None)
        assert tasks.declared().tasks["a"].declaration.revision is None

    def test_several_in_a_file_the_sound_ones_are_taken(self, tasks: Tasks) -> None:
        tasks.write("two.yaml", "tasks:\n  good: {name: G}\n  bad: {name: B, name: C}\n")
        declared = tasks.declared()
        assert names(declared) == {"good": "G"}
        assert declared.faulty == {"bad"}
        assert declared.unreadable == frozenset()
        assert [(one.path, one.line, one.task_id) for one in declared.faults] == [
            ("two.yaml", 3, "bad")
        ]

    def test_none_in_an_empty_folder(self, tasks: Tasks) -> None:
        assert tasks.declared() == FolderDeclarations(tasks={})

    def test_end_with_their_file(self, tasks: Tasks) -> None:
        tasks.write("a.yaml", NOTICE)
        tasks.write("b.yaml", NOTICE)
        assert tasks.declared().tasks.keys() == {"a", "b"}
        (tasks.root / "a.yaml").unlink()
        assert tasks.declared().tasks.keys() == {"b"}


class TestRefusedFiles:
    def refused(self, tasks: Tasks, reason: str) -> None:
        tasks.write("good.yaml", NOTICE)
        declared = tasks.declared()
        (fault,) = declared.faults
        assert (fault.path, reason in fault.reason) == ("x.yaml", True), fault
        assert declared.unreadable == {"x.yaml"}
        assert declared.faulty == {"x"}
        assert declared.tasks.keys() == {"good"}
        assert declared.readable

    def test_not_yaml(self, tasks: Tasks) -> None:
        tasks.write("x.yaml", "a: [\n")
        self.refused(tasks, "not valid YAML")

    def test_empty(self, tasks: Tasks) -> None:
        tasks.write("x.yaml", "")
        self.refused(tasks, "declares nothing")

    def test_a_pipe(self, tasks: Tasks) -> None:
        os.mkfifo(tasks.root / "x.yaml")
        self.refused(tasks, "is no regular file")

    def test_a_device(self, tasks: Tasks) -> None:
        (tasks.root / "x.yaml").symlink_to("/dev/zero")
        self.refused(tasks, "is a link that leads out of the tasks folder")

    def test_a_folder(self, tasks: Tasks) -> None:
        tasks.write("x.yaml/a.yaml", NOTICE)
        self.refused(tasks, "is a folder")

    def test_a_link_to_nothing(self, tasks: Tasks) -> None:
        (tasks.root / "x.yaml").symlink_to("nothing")
        self.refused(tasks, "points at nothing")

    def test_too_large_and_unread(self, tasks: Tasks, parsed: list[str]) -> None:
        tasks.write("x.yaml", b"#" * (1024 * 1024) + b"\n")
        self.refused(tasks, "at most 1 MiB")
        assert parsed == ["good.yaml"]

    def test_unreadable(self, tasks: Tasks) -> None:
        tasks.write("x.yaml", NOTICE)
        tasks.before_read["x.yaml"] = _raise(PermissionError(13, "Permission denied"))
        self.refused(tasks, "can't be read: Permission denied")

    def test_are_taken_once_mended(self, tasks: Tasks) -> None:
        tasks.write("x.yaml", "a: [\n")
        assert tasks.declared().unreadable
        tasks.write("x.yaml", NOTICE)
        assert tasks.declared().tasks.keys() == {"x"}
        assert not tasks.declared().faults


class TestTheFolderItself:
    def test_missing_is_not_nothing(self, tmp_path: Path) -> None:
        scan = Folder(tmp_path / "none", lambda *_: None).scan({})
        assert not scan.declared.readable
        assert [fault.path for fault in scan.declared.faults] == ["."]

    def test_comes_back_without_being_parsed_again(self, tasks: Tasks, parsed: list[str]) -> None:
        tasks.write("a.yaml", NOTICE)
        tasks.declared()
        os.rename(tasks.root, tasks.root.with_name("away"))
        assert not tasks.declared().readable
        os.rename(tasks.root.with_name("away"), tasks.root)
        assert tasks.declared().tasks.keys() == {"a"}
        assert parsed == ["a.yaml"]

    @pytest.mark.parametrize(
        ("error", "readable"),
        [(PermissionError(13, "Permission denied"), False), (FileNotFoundError(2, "gone"), True)],
        ids=["refused", "vanished"],
    )
    def test_one_below_it_that_cannot_be_listed(
        self, tasks: Tasks, error: OSError, readable: bool
    ) -> None:
        def scandir(descriptor: int) -> Any:
            if os.readlink(f"/proc/self/fd/{descriptor}").endswith("/shut"):
                raise error
            return os.scandir(descriptor)

        tasks.write("a.yaml", NOTICE)
        tasks.write("shut/b.yaml", NOTICE)
        tasks.scandir = scandir
        scan = tasks.scan()
        assert scan.declared.tasks.keys() == {"a"}
        assert scan.declared.readable == readable
        assert [fault.path for fault in scan.declared.faults] == ["shut"] * (not readable)
        assert scan.unsettled == readable

    def test_may_be_a_link_that_is_swapped(self, tmp_path: Path) -> None:
        for version in ("one", "two"):
            Tasks(tmp_path / version).write("a.yaml", f"name: {version}\n")
        root = tmp_path / "tasks.d"
        root.symlink_to("one")
        swapped = Folder(root, lambda *_: None)
        assert names(swapped.scan({}, clock=lambda: NOW).declared) == {"a": "one"}
        (tmp_path / "new").symlink_to("two")
        os.replace(tmp_path / "new", root)
        assert names(swapped.scan({}, clock=lambda: NOW).declared) == {"a": "two"}


class TestUnchangedFiles:
    def test_are_not_read_again(self, tasks: Tasks, parsed: list[str]) -> None:
        tasks.write("a.yaml", NOTICE)
        before = tasks.declared()
        tasks.before_read["a.yaml"] = _raise(AssertionError("was opened"))
        assert tasks.declared() == before
        assert parsed == ["a.yaml"]

    def test_are_read_but_not_parsed_by_content(self, tasks: Tasks, parsed: list[str]) -> None:
        tasks.write("a.yaml", NOTICE)
        before = tasks.declared()
        assert tasks.declared(by_content=True) == before
        assert parsed == ["a.yaml"]

    def test_are_not_parsed_when_only_their_status_changed(
        self, tasks: Tasks, parsed: list[str]
    ) -> None:
        tasks.write("a.yaml", NOTICE)
        before = tasks.declared()
        tasks.write("a.yaml", NOTICE, mtime=NOW - 30)
        assert tasks.declared() == before
        assert parsed == ["a.yaml"]

    def test_by_content_finds_what_the_status_hides(self, tasks: Tasks) -> None:
        tasks.coarse = True
        tasks.write("a.yaml", "name: one\n")
        assert names(tasks.declared()) == {"a": "one"}
        tasks.write("a.yaml", "name: two\n")
        assert names(tasks.declared()) == {"a": "one"}
        assert names(tasks.declared(by_content=True)) == {"a": "two"}

    def test_by_content_does_not_wait_for_a_time_in_the_future(self, tasks: Tasks) -> None:
        tasks.write("a.yaml", NOTICE, mtime=NOW + 86400)
        tasks.scan(NOW)
        assert tasks.scan(NOW + 1).declared.tasks
        assert not tasks.scan(NOW + 2, by_content=True).unsettled


class TestChangingFiles:
    def test_are_taken_when_left_alone_for_50_ms(self, tasks: Tasks) -> None:
        tasks.write("a.yaml", "name: one\n")
        tasks.declared()
        tasks.write("a.yaml", "name: two\n", mtime=NOW)
        scan = tasks.scan(NOW + 0.04)
        assert scan.unsettled
        assert names(scan.declared) == {"a": "one"}
        scan = tasks.scan(NOW + 0.06)
        assert not scan.unsettled
        assert names(scan.declared) == {"a": "two"}

    def test_without_a_last_newline_after_500_ms(self, tasks: Tasks) -> None:
        tasks.write("a.yaml", "name: one", mtime=NOW)
        for later in (0.06, 0.49):
            assert tasks.scan(NOW + later).unsettled
        assert names(tasks.scan(NOW + 0.51).declared) == {"a": "one"}

    def test_new_ones_are_no_fault_and_no_absence(self, tasks: Tasks) -> None:
        tasks.write("a.yaml", "name: one\n", mtime=NOW)
        declared = tasks.scan(NOW).declared
        assert declared.faults == ()
        assert declared.unreadable == {"a.yaml"}
        assert declared.faulty == {"a"}

    def test_half_written_ones_never_take_effect(self, tasks: Tasks) -> None:
        """Every prefix of a file, without a newline at its end, within half a second."""
        whole = NOTICE + "func_args: {user: 12345}\n"
        tasks.write("a.yaml", "name: before\n")
        before = tasks.declared()
        for end in range(len(whole)):
            if not whole[:end].endswith("\n"):
                at = NOW + end
                tasks.write("a.yaml", whole[:end], mtime=at)
                assert tasks.scan(at + 0.45) == Scan(declared=before, unsettled=True)
        tasks.write("a.yaml", whole, mtime=NOW + 999)
        assert names(tasks.scan(NOW + 999.06).declared) == {"a": "Notice"}

    def test_with_a_time_in_the_future_wait_by_our_clock(self, tasks: Tasks) -> None:
        tasks.write("a.yaml", "name: one\n", mtime=NOW + 86400)
        assert tasks.scan(NOW).unsettled
        assert tasks.scan(NOW + 0.04).unsettled
        assert tasks.scan(NOW + 0.06).declared.tasks.keys() == {"a"}

    def test_a_further_change_begins_the_wait_anew(self, tasks: Tasks) -> None:
        tasks.write("a.yaml", "name: one\n", mtime=NOW + 86400)
        assert tasks.scan(NOW).unsettled
        tasks.write("a.yaml", "name: three\n", mtime=NOW + 86400)
        assert tasks.scan(NOW + 0.06).unsettled
        assert names(tasks.scan(NOW + 0.12).declared) == {"a": "three"}

    def test_survive_a_clock_that_is_set_back(self, tasks: Tasks) -> None:
        tasks.write("a.yaml", "name: one\n", mtime=NOW)
        assert tasks.scan(NOW).unsettled
        assert tasks.scan(NOW - 3600).unsettled
        assert tasks.scan(NOW - 3599).declared.tasks.keys() == {"a"}

    def test_are_left_when_they_change_while_being_read(self, tasks: Tasks) -> None:
        tasks.write("a.yaml", "name: one\n")
        tasks.before_read["a.yaml"] = lambda: tasks.write("a.yaml", "name: three\n")
        assert tasks.scan().unsettled
        tasks.before_read.clear()
        assert names(tasks.declared()) == {"a": "three"}

    def test_are_left_when_they_vanish_while_being_read(self, tasks: Tasks) -> None:
        tasks.write("a.yaml", NOTICE)
        tasks.before_read["a.yaml"] = lambda: (tasks.root / "a.yaml").unlink()
        scan = tasks.scan()
        tasks.before_read.clear()
        assert scan.unsettled
        assert scan.declared.faults == ()
        assert tasks.declared() == FolderDeclarations(tasks={})

    def test_do_not_block_when_they_become_a_pipe(self, tasks: Tasks) -> None:
        def exchange() -> None:
            (tasks.root / "a.yaml").unlink()
            os.mkfifo(tasks.root / "a.yaml")

        tasks.write("a.yaml", NOTICE)
        tasks.before_read["a.yaml"] = exchange
        assert tasks.scan().unsettled
        tasks.before_read.clear()
        assert tasks.declared().unreadable == {"a.yaml"}

    def test_saved_by_renaming(self, tasks: Tasks) -> None:
        tasks.write("a.yaml", "name: one\n")
        tasks.declared()
        tasks.write(".a.yaml.swp", "name: tw")
        tasks.write("4913", "")
        assert names(tasks.declared()) == {"a": "one"}
        tasks.write("a.yaml~", "name: two\n")
        os.replace(tasks.root / "a.yaml~", tasks.root / "a.yaml")
        assert names(tasks.declared()) == {"a": "two"}

    def test_of_a_config_map(self, tasks: Tasks, parsed: list[str]) -> None:
        """Kubernetes: the files are links through `..data`, and that link is swapped."""
        tasks.write("..2026_01/a.yaml", "name: one\n")
        tasks.write("..2026_01/b.yaml", "name: same\n")
        (tasks.root / "..data").symlink_to("..2026_01")
        for name in ("a.yaml", "b.yaml"):
            (tasks.root / name).symlink_to(f"..data/{name}")
        assert names(tasks.declared()) == {"a": "one", "b": "same"}
        tasks.write("..2026_02/a.yaml", "name: two\n")
        tasks.write("..2026_02/b.yaml", "name: same\n")
        (tasks.root / "..data_tmp").symlink_to("..2026_02")
        os.replace(tasks.root / "..data_tmp", tasks.root / "..data")
        assert names(tasks.declared()) == {"a": "two", "b": "same"}
        assert parsed == ["a.yaml", "b.yaml", "a.yaml"]

    def test_are_taken_by_the_real_clock(self, tmp_path: Path) -> None:
        root = tmp_path / "tasks.d"
        root.mkdir()
        (root / "a.yaml").write_text(NOTICE)
        real, limit = Folder(root, lambda *_: None), time.monotonic() + 10
        while (scan := real.scan({})).unsettled and time.monotonic() < limit:
            pass
        assert scan.declared.tasks.keys() == {"a"}


class TestMemory:
    """What is stored as the file says it is not kept here as well."""

    def test_fields_are_not_kept_once_they_are_stored(
        self, tasks: Tasks, parsed: list[str]
    ) -> None:
        tasks.write("a.yaml", NOTICE)
        tasks.store()
        again = tasks.declared().tasks["a"]
        assert again.digest == tasks.stored["a"].digest
        assert (again.declaration.path, again.declaration.line) == ("a.yaml", 1)
        with pytest.raises(RuntimeError):
            dict(again.declaration.fields)
        assert tasks.declared(by_content=True).tasks.keys() == {"a"}
        assert parsed == ["a.yaml"]

    @pytest.mark.parametrize("change", [{"digest": "other"}, {"line": 7}, {"source": "api"}, None])
    def test_they_are_read_again_when_they_are_wanted(
        self, tasks: Tasks, parsed: list[str], change: dict[str, Any] | None
    ) -> None:
        tasks.write("a.yaml", NOTICE)
        tasks.store()
        tasks.declared()
        if change is None:
            del tasks.stored["a"]
        else:
            tasks.stored["a"] = replace(tasks.stored["a"], **change)
        assert names(tasks.declared()) == {"a": "Notice"}
        assert parsed == ["a.yaml", "a.yaml"]

    def test_a_file_that_can_not_be_read_again_now_says_nothing(self, tasks: Tasks) -> None:
        tasks.write("a.yaml", NOTICE)
        tasks.store()
        tasks.declared()
        tasks.stored["a"] = replace(tasks.stored["a"], digest="other")
        tasks.before_read["a.yaml"] = lambda: tasks.write("a.yaml", "name: three\n")
        scan = tasks.scan()
        tasks.before_read.clear()
        assert scan.unsettled
        assert not scan.declared.tasks
        assert scan.declared.unreadable == {"a.yaml"}
        assert names(tasks.declared()) == {"a": "three"}

    def test_a_file_with_a_fault_is_kept(self, tasks: Tasks) -> None:
        tasks.write("two.yaml", "tasks:\n  a: {name: A}\n  b: 1\n")
        tasks.store()
        for _ in range(3):
            assert names(tasks.declared()) == {"a": "A"}
            assert len(tasks.declared().faults) == 1


class TestChecks:
    def test_name_the_place_of_each_fault(self, tasks: Tasks) -> None:
        tasks.write("two.yaml", "tasks:\n  a:\n    name: A\n    tags: [x, y]\n  b: {name: B}\n")
        tasks.wrong["a"] = Fault(field="tags", reason="must be other words")
        declared = tasks.declared()
        assert said(declared) == ["two.yaml:4:5: tags: must be other words"]
        assert declared.faults[0].task_id == "a"
        assert declared.faulty == {"a"}
        assert declared.tasks.keys() == {"b"}

    def test_are_made_once_while_they_find_nothing(self, tasks: Tasks) -> None:
        tasks.write("a.yaml", NOTICE)
        for _ in range(3):
            tasks.declared()
        assert tasks.checked == ["a"]
        tasks.write("a.yaml", "name: Other\n")
        tasks.declared()
        assert tasks.checked == ["a", "a"]

    def test_are_made_again_while_they_find_something(self, tasks: Tasks) -> None:
        tasks.write("a.yaml", NOTICE)
        tasks.wrong["a"] = Fault(reason="its module can't be imported")
        assert tasks.declared().faulty == {"a"}
        assert said(tasks.declared()) == ["a.yaml:1:1: its module can't be imported"]
        del tasks.wrong["a"]
        assert tasks.declared().tasks.keys() == {"a"}
        assert tasks.checked == ["a"] * 3

    def test_are_spared_for_what_is_stored_as_it_is(self, tasks: Tasks) -> None:
        tasks.write("a.yaml", NOTICE)
        tasks.store()
        again = Tasks(tasks.root, stored=tasks.stored)
        assert again.declared().tasks.keys() == {"a"}
        assert again.checked == []

    def test_are_made_for_a_retired_task_that_comes_back(self, tasks: Tasks) -> None:
        tasks.write("a.yaml", NOTICE)
        tasks.store(retired_at=datetime(2026, 1, 1, tzinfo=UTC))
        again = Tasks(tasks.root, stored=tasks.stored)
        again.declared()
        assert again.checked == ["a"]

    def test_are_made_for_a_task_of_the_api(self, tasks: Tasks) -> None:
        tasks.write("a.yaml", NOTICE)
        same = digest(tasks.declared().tasks["a"].declaration.fields)
        stored = {"a": StoredDeclaration(source="api", digest=same, path=None, line=None)}
        again = Tasks(tasks.root, stored=stored)
        assert again.declared().tasks.keys() == {"a"}
        assert again.checked == ["a"]


class TestOneIdInTwoFiles:
    def test_the_first_by_path_has_it(self, tasks: Tasks) -> None:
        tasks.write("b.yaml", "tasks:\n  x: {name: B}\n")
        tasks.write("a.yaml", "tasks:\n  x: {name: A}\n")
        declared = tasks.declared()
        assert names(declared) == {"x": "A"}
        assert said(declared) == ["b.yaml:2:3: task 'x' is declared in a.yaml already"]
        assert declared.faults[0].task_id == "x"
        assert declared.faulty == frozenset()
        assert tasks.checked == ["x"]

    def test_the_one_that_had_it_keeps_it(self, tasks: Tasks) -> None:
        tasks.write("b.yaml", "tasks:\n  x: {name: B}\n")
        tasks.store()
        tasks.write("a.yaml", "tasks:\n  x: {name: A}\n")
        declared = tasks.declared()
        assert paths(declared) == {"x": "b.yaml"}
        assert [(one.path, one.task_id) for one in declared.faults] == [("a.yaml", "x")]

    def test_it_moves_when_its_file_no_longer_declares_it(self, tasks: Tasks) -> None:
        tasks.write("a.yaml", "tasks:\n  x: {name: A}\n  y: {name: Y}\n")
        tasks.store()
        tasks.write("b.yaml", "tasks:\n  x: {name: B}\n")
        tasks.write("a.yaml", "tasks:\n  y: {name: Y}\n")
        declared = tasks.declared()
        assert names(declared) == {"x": "B", "y": "Y"}
        assert not declared.faults

    @pytest.mark.parametrize(
        "broken",
        ["tasks:\n  x: {name: A, name: A}\n", "tasks: [\n", ""],
        ids=["faulty", "not YAML", "empty"],
    )
    def test_the_other_does_not_take_over_from_a_broken_one(
        self, tasks: Tasks, broken: str
    ) -> None:
        tasks.write("b.yaml", "tasks:\n  x: {name: B}\n")
        tasks.store()
        tasks.write("a.yaml", "tasks:\n  x: {name: A}\n")
        tasks.write("b.yaml", broken)
        declared = tasks.declared()
        assert names(declared) == {}
        assert "x" in declared.faulty
        assert [one.path for one in declared.faults] == ["a.yaml", "b.yaml"]

    def test_nor_from_one_that_fails_its_check(self, tasks: Tasks) -> None:
        tasks.write("a.yaml", "tasks:\n  x: {name: A}\n")
        tasks.write("b.yaml", "tasks:\n  x: {name: B}\n")
        tasks.wrong["x"] = Fault(reason="is wrong")
        declared = tasks.declared()
        assert declared.faulty == {"x"}
        assert not declared.tasks
        assert tasks.checked == ["x"]

    def test_an_unreadable_newcomer_does_not_hide_the_sound_one(self, tasks: Tasks) -> None:
        tasks.write("b.yaml", "tasks:\n  x: {name: B}\n")
        tasks.store()
        tasks.write("x.yaml", "a: [\n")
        declared = tasks.declared()
        assert paths(declared) == {"x": "b.yaml"}
        assert declared.faulty == frozenset()
        assert declared.unreadable == {"x.yaml"}


def _raise(error: BaseException) -> Callable[[], object]:
    def act() -> object:
        raise error

    return act
