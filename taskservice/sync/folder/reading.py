"""The tasks folder as one value: which files there are, what they declare, what is at fault.

The rules are those of sections 4 and 5 of the contract. An error never looks like "nothing":
what can't be read or understood is named, so that nothing is retired because of it.
"""

import os
import stat
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from taskservice.domain.errors import Invalid
from taskservice.domain.plan import (
    DeclaredTask,
    FolderDeclarations,
    StoredDeclaration,
    differs,
    is_live,
)
from taskservice.domain.task import Task
from taskservice.sync.folder.declaring import Check, declare, place
from taskservice.sync.folder.file_reader import FileReader
from taskservice.sync.folder.fingerprint import Rows, by_path
from taskservice.sync.folder.listing import Listing, list_files
from taskservice.sync.folder.parsed_file import (
    ChangedFiles,
    ParsedFile,
    at_head,
    authored,
    is_sound,
    is_stored,
    refused,
    without_fields,
)
from taskservice.sync.gitrepo.head import Head
from taskservice.sync.text.reader import AuthoredTask
from taskservice.sync.text.task_files import is_task_file, passed_over


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """What the folder declares now.

    `unsettled` says that something was still changing and was not read as it is now: scan
    again soon.
    """

    declared: FolderDeclarations
    unsettled: bool


class Folder:
    """Scans a folder again and again; remembers what its files said, so as to read few of them.

    `check` may be slow. It is asked about a task that differs from what is stored, and once it
    finds nothing, not again until the task changes. `list_files` is to do what the
    function does that stands for it.
    """

    def __init__(
        self,
        root: Path,
        check: Check,
        *,
        reader: FileReader | None = None,
        list_files: Callable[[str], Listing] = list_files,
    ) -> None:
        self._root = root
        self._check = check
        self._reader = reader or FileReader()
        self._list_files = list_files
        self._files: dict[str, ParsedFile] = {}
        self._sound: dict[str, str] = {}
        # Only in the first scan: what is stored of files that were not read since the start.
        self._unread: dict[str, Rows] = {}
        # Of the last scan: whose ids are, which files are at fault, and whether there are links.
        self._owners: dict[str, str] = {}
        self._at_fault: frozenset[str | None] = frozenset()
        self._linked = True

    @property
    def files(self) -> Mapping[str, ParsedFile]:
        """What each file was found to say, by its path."""
        return self._files

    @property
    def at_fault(self) -> frozenset[str | None]:
        """The files that were at fault at the last scan."""
        return self._at_fault

    @property
    def linked(self) -> bool:
        """Whether a file or folder may be changed by another name, as far as is known."""
        return self._linked

    def expected(self) -> dict[str, DeclaredTask]:
        """The tasks of the files that are not at fault: so they should be stored."""
        return {
            task_id: one
            for path, file in list(self._files.items()) if path not in self._at_fault
            for task_id, one in zip(file.ids, file.candidates, strict=False)
        }  # fmt: skip

    def is_surplus(self, row: StoredDeclaration) -> bool:
        """Whether a task that is not expected should not be stored like this."""
        declared = row.source == "file" and row.retired_at is None
        return declared and row.path not in self._at_fault

    def distrust(self, paths: Iterable[str]) -> None:
        """Read these files again when they are looked at next, whatever their status says."""
        for path in paths:
            if known := self._files.get(path):
                self._files[path] = replace(known, signature=())

    def scan(
        self,
        stored: Mapping[str, StoredDeclaration],
        *,
        by_content: bool = False,
        head: Head | None = None,
        clock: Callable[[], float] = time.time,
    ) -> Scan:
        """Say what the folder declares; blocks, so call it off the event loop, one at a time.

        `stored` is what the tables know, `head` the commit to note in the declarations it has,
        `clock` gives seconds since 1970. Files whose status didn't change are not read again,
        except `by_content`. Raises nothing of its own; what `check` raises goes through.
        """
        # A root that is a link may be swapped meanwhile: list and read the same tree.
        root = os.path.realpath(self._root)
        listing = self._list_files(root)
        self._unread = {} if self._files else by_path(stored)
        files: dict[str, ParsedFile] = {}
        unsettled: set[str] = set()
        for path, found in sorted(listing.files.items()):
            now = self._read(root, path, found, clock(), by_content=by_content)
            if now is not None and _lacks(now, stored):
                now = self._read(root, path, found, clock(), anew=True)
            if now is None:
                unsettled.add(path)
                now = self._files.get(path)
            if now is None or _lacks(now, stored):
                # A new file that isn't finished is no fault, but it may declare anything.
                now = refused(path, None)
            if now.content is not None and is_sound(now) and is_stored(now, stored):
                now = without_fields(now)
            files[path] = now
        files = _at_head(files, head)
        self._unread = {}
        readable = not listing.faults
        self._linked = listing.linked or not readable
        self._reader.forget_all_but(unsettled)
        self._files = files if readable else self._files | files
        declared = self._declared(files, stored)
        faults = sorted((*listing.faults, *declared.faults), key=place)
        self._at_fault = frozenset(fault.path for fault in faults)
        return Scan(
            declared=replace(declared, faults=tuple(faults), readable=readable),
            unsettled=bool(unsettled) or listing.vanished,
        )

    def read_changed(
        self,
        names: Iterable[str],
        *,
        head: Head | None = None,
        clock: Callable[[], float] = time.time,
    ) -> ChangedFiles | None:
        """What changed of the files at `names`, paths from the folder; None: it takes a scan.

        It does unless each of them is a file that declared its own tasks soundly at the last scan,
        and declares these, and maybe more, soundly now.
        """
        root = os.path.realpath(self._root)
        files: dict[str, ParsedFile] = {}
        unsettled: dict[str, float] = {}
        for name in names:
            known = self._files.get(name)
            if known is None:
                if self._may_matter(root, name):
                    return None
                continue
            try:
                found = os.lstat(f"{root}/{name}")
            except OSError:
                return None
            if (
                name in self._at_fault
                or self._linked
                or not stat.S_ISREG(found.st_mode)
                or found.st_nlink > 1
            ):
                return None
            now = clock()
            file = self._read(root, name, found, now)
            if file is None:
                unsettled[name] = self._reader.settles_in(name, found, now)
            elif file is known or file.content is None:
                self._files[name] = file  # what it says is what it said
            elif not self._is_plain(known, name) or not self._is_plain(file, name):
                return None
            elif not set(known.ids) <= set(file.ids):
                return None
            else:
                files[name] = file
        if len({task_id for one in files.values() for task_id in one.ids}) != sum(
            len(one.ids) for one in files.values()
        ):
            return None
        return ChangedFiles(
            files=_at_head(files, head),
            unsettled=frozenset(unsettled),
            again=min(unsettled.values(), default=0.0),
        )

    def accept(self, changed: ChangedFiles, stored: Mapping[str, StoredDeclaration]) -> bool:
        """Remember the files that changed; False, and nothing is, if a fault was found: scan.

        `stored` is what the tables know of its tasks. Blocks.
        """
        for file in changed.files.values():
            for task, one in authored(file):
                try:
                    self._checked(task, one.digest, stored.get(task.task_id))
                except Invalid:
                    return False
        self._reader.forget(changed.files)
        for path, file in changed.files.items():
            self._files[path] = file
            self._owners.update(dict.fromkeys(file.ids, path))
        return True

    def note_stored(self, tasks: Mapping[str, DeclaredTask]) -> None:
        """Keep less of the files that declare no more than these tasks: they are stored now."""
        for path in {one.declaration.path or "" for one in tasks.values()}:
            file = self._files.get(path)
            if file is None or file.content is None or not is_sound(file):
                continue
            if all(
                task_id in tasks and tasks[task_id].declaration.path == path for task_id in file.ids
            ):
                self._files[path] = without_fields(file)

    def _may_matter(self, root: str, name: str) -> bool:
        """Whether a change of what no task file is called may change what is declared."""
        if self._linked:
            return True
        if any(passed_over(part) for part in name.split("/")):
            return False
        if is_task_file(name) or any(path.startswith(f"{name}/") for path in self._files):
            return True
        try:
            return not stat.S_ISREG(os.lstat(f"{root}/{name}").st_mode)
        except FileNotFoundError:
            return False
        except OSError:
            return True

    def _is_plain(self, file: ParsedFile, path: str) -> bool:
        """Whether a file is wholly sound, and no other one has to do with its tasks."""
        own = all(self._owners.get(task_id, path) == path for task_id in file.ids)
        return own and is_sound(file)

    def _read(
        self, root: str, path: str, found: os.stat_result | str, now: float, **how: bool
    ) -> ParsedFile | None:
        """What a file says now, as `FileReader.read` has it."""
        return self._reader.read(
            root, path, found, now,
            known=self._files.get(path), rows=self._unread.get(path, []), **how,
        )  # fmt: skip

    def _declared(
        self, files: Mapping[str, ParsedFile], stored: Mapping[str, StoredDeclaration]
    ) -> FolderDeclarations:
        self._owners, declared = declare(files, stored, self._checked)
        tasks = declared.tasks
        self._sound = {
            task_id: name for task_id, name in self._sound.items()
            if task_id in tasks and differs(tasks[task_id], stored.get(task_id))
        }  # fmt: skip
        return declared

    def _checked(self, task: AuthoredTask, name: str, row: StoredDeclaration | None) -> Task | None:
        if self._sound.get(task.task_id) == name or is_live(row, name):
            return None
        checked = self._check(task.task_id, task.fields)
        self._sound[task.task_id] = name
        return checked


def _at_head(files: dict[str, ParsedFile], head: Head | None) -> dict[str, ParsedFile]:
    """These files, by path, with what of them the commit has."""
    if head:
        new = ((path, one) for path, one in files.items() if one.head != head.commit)
        head.look_up((path, one.blobs) for path, one in new if one.candidates)
    return {path: at_head(one, path, head) for path, one in files.items()}


def _lacks(file: ParsedFile, stored: Mapping[str, StoredDeclaration]) -> bool:
    """Whether fields are wanted that are not kept."""
    return file.content is None and not is_stored(file, stored)
