"""The tasks folder as one value: which files there are, what they declare, what is at fault.

The rules are those of sections 4 and 5 of the contract. An error never looks like "nothing":
what can't be read or understood is named, so that nothing is retired because of it.
"""

import hashlib
import os
import stat
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from taskservice.domain.errors import Fault
from taskservice.domain.plan import Candidate, Declared, Stored, differs, is_live
from taskservice.sync.folder.confined import LEADS_OUT, LeadsOut
from taskservice.sync.folder.declaring import Check, declare, place
from taskservice.sync.folder.fingerprint import Rows, by_path, is_sealed
from taskservice.sync.folder.listing import VANISHED, list_files
from taskservice.sync.folder.parsed_file import (
    Glance,
    Signature,
    Taken,
    at_head,
    authored,
    is_sound,
    is_stored,
    read_bytes,
    refused,
    shed,
    signature_of,
    taken_as_stored,
    taken_from,
    unfit,
    unreadable,
)
from taskservice.sync.gitrepo.head import Head, blob_names
from taskservice.sync.text.reader import AuthoredTask
from taskservice.sync.text.task_files import is_task_file, passed_over

SETTLED_SECONDS = 0.05
"""How long a file must have been left alone before it is taken."""

UNFINISHED_SECONDS = 0.5
"""The same for a text without a newline at its end: a half-written file seldom has one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """What the folder declares now.

    `unsettled` says that something was still changing and was not taken as it is now: scan
    again soon.
    """

    declared: Declared
    unsettled: bool


class Folder:
    """Scans a folder again and again; remembers what its files said, so as to read few of them.

    `check` may be slow. It is asked about a task that differs from what is stored, and once it
    finds nothing, not again until the task changes.
    """

    def __init__(self, root: Path, check: Check) -> None:
        self._root = root
        self._check = check
        self._taken: dict[str, Taken] = {}
        self._waiting: dict[str, tuple[Signature, float]] = {}
        self._sound: dict[str, str] = {}
        # Only in the first scan: what is stored of files that were not read since the start.
        self._unread: dict[str, Rows] = {}
        # Of the last scan: whose ids are, which files are at fault, and whether there are links.
        self._owners: dict[str, str] = {}
        self._at_fault: frozenset[str | None] = frozenset()
        self._linked = True

    @property
    def taken(self) -> Mapping[str, Taken]:
        """What each file was found to say, by its path."""
        return self._taken

    @property
    def at_fault(self) -> frozenset[str | None]:
        """The files that were at fault at the last scan."""
        return self._at_fault

    @property
    def linked(self) -> bool:
        """Whether a file or folder may be changed by another name, as far as is known."""
        return self._linked

    def expected(self) -> dict[str, Candidate]:
        """The tasks of the files that are not at fault: so they should be stored."""
        return {
            task_id: one
            for path, taken in list(self._taken.items()) if path not in self._at_fault
            for task_id, one in zip(taken.ids, taken.candidates, strict=False)
        }  # fmt: skip

    def is_surplus(self, row: Stored) -> bool:
        """Whether a task that is not expected should not be stored like this."""
        declared = row.source == "file" and row.retired_at is None
        return declared and row.path not in self._at_fault

    def distrust(self, paths: Iterable[str]) -> None:
        """Read these files again when they are looked at next, whatever their status says."""
        for path in paths:
            if known := self._taken.get(path):
                self._taken[path] = replace(known, signature=())

    def scan(
        self,
        stored: Mapping[str, Stored],
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
        listing = list_files(root)
        self._unread = {} if self._taken else by_path(stored)
        taken: dict[str, Taken] = {}
        unsettled: set[str] = set()
        for path, found in sorted(listing.files.items()):
            now = self._take(path, found, root, clock(), by_content=by_content)
            if now is not None and _lacks(now, stored):
                now = self._take(path, found, root, clock(), anew=True)
            if now is None:
                unsettled.add(path)
                now = self._taken.get(path)
            if now is None or _lacks(now, stored):
                # A new file that isn't finished is no fault, but it may declare anything.
                now = refused(path, None)
            if now.content is not None and is_sound(now) and is_stored(now, stored):
                now = shed(now)
            taken[path] = now
        taken = _at_head(taken, head)
        self._unread = {}
        readable = not listing.faults
        self._linked = listing.linked or not readable
        self._waiting = {path: self._waiting[path] for path in unsettled}
        self._taken = taken if readable else self._taken | taken
        declared = self._declared(taken, stored)
        faults = sorted((*listing.faults, *declared.faults), key=place)
        self._at_fault = frozenset(fault.path for fault in faults)
        return Scan(
            declared=replace(declared, faults=tuple(faults), readable=readable),
            unsettled=bool(unsettled) or listing.vanished,
        )

    def glance(
        self,
        names: Iterable[str],
        *,
        head: Head | None = None,
        clock: Callable[[], float] = time.time,
    ) -> Glance | None:
        """What changed of the files at `names`, paths from the folder; None: it takes a scan.

        It does unless each of them is a file that declared its own tasks soundly at the last scan,
        and declares these, and maybe more, soundly now.
        """
        root = os.path.realpath(self._root)
        files: dict[str, Taken] = {}
        unsettled: dict[str, float] = {}
        for name in names:
            known = self._taken.get(name)
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
            taken = self._take(name, found, root, now)
            if taken is None:
                since = min(found.st_mtime, self._waiting[name][1])
                unsettled[name] = max(SETTLED_SECONDS - (now - since), 0.0)
            elif taken is known or taken.content is None:
                self._taken[name] = taken  # what it says is what it said
            elif not self._is_plain(known, name) or not self._is_plain(taken, name):
                return None
            elif not set(known.ids) <= set(taken.ids):
                return None
            else:
                files[name] = taken
        if len({task_id for one in files.values() for task_id in one.ids}) != sum(
            len(one.ids) for one in files.values()
        ):
            return None
        return Glance(
            files=_at_head(files, head),
            unsettled=frozenset(unsettled),
            again=min(unsettled.values(), default=0.0),
        )

    def take(self, glance: Glance, stored: Mapping[str, Stored]) -> bool:
        """Remember what a glance saw; False, and nothing is, if a fault was found: scan.

        `stored` is what the tables know of its tasks. Blocks.
        """
        for taken in glance.files.values():
            for task, one in authored(taken):
                if self._faults(task, one.digest, stored.get(task.task_id)):
                    return False
        for path, taken in glance.files.items():
            self._taken[path] = taken
            self._waiting.pop(path, None)
            self._owners.update(dict.fromkeys(taken.ids, path))
        return True

    def keep(self, tasks: Mapping[str, Candidate]) -> None:
        """Keep less of the files that declare no more than these tasks: they are stored now."""
        for path in {one.declaration.path or "" for one in tasks.values()}:
            taken = self._taken.get(path)
            if taken is None or taken.content is None or not is_sound(taken):
                continue
            if all(
                task_id in tasks and tasks[task_id].declaration.path == path
                for task_id in taken.ids
            ):
                self._taken[path] = shed(taken)

    def _may_matter(self, root: str, name: str) -> bool:
        """Whether a change of what no task file is called may change what is declared."""
        if self._linked:
            return True
        if any(passed_over(part) for part in name.split("/")):
            return False
        if is_task_file(name) or any(path.startswith(f"{name}/") for path in self._taken):
            return True
        try:
            return not stat.S_ISREG(os.lstat(f"{root}/{name}").st_mode)
        except FileNotFoundError:
            return False
        except OSError:
            return True

    def _is_plain(self, taken: Taken, path: str) -> bool:
        """Whether a file is wholly sound, and no other one has to do with its tasks."""
        own = all(self._owners.get(task_id, path) == path for task_id in taken.ids)
        return own and is_sound(taken)

    def _take(
        self,
        path: str,
        found: os.stat_result | str,
        root: str,
        now: float,
        *,
        by_content: bool = False,
        anew: bool = False,
    ) -> Taken | None:
        """What the file says now, with all its fields if `anew`; None: it is still changing."""
        if isinstance(found, str):
            return refused(path, found)
        if wrong := unfit(found):
            return refused(path, wrong)
        signature, known = signature_of(found), self._taken.get(path)
        unchanged = known is not None and known.signature == signature
        if unchanged and not by_content and not anew:
            return known
        # A time of change may be wrong, in the future too: our own watch on the file counts.
        before, since = self._waiting.get(path, (signature, now))
        since = min(since, now) if before == signature else now
        self._waiting[path] = (signature, since)
        age = now - min(found.st_mtime, since)
        if age < SETTLED_SECONDS and not unchanged:
            return None
        try:
            data = read_bytes(root, path, signature)
        except VANISHED:
            return None
        except LeadsOut:
            return refused(path, LEADS_OUT)
        except OSError as error:
            return refused(path, unreadable(error))
        if data is None:
            return None
        if age < UNFINISHED_SECONDS and not unchanged and not data.endswith(b"\n"):
            return None
        content_hash = hashlib.sha256(data).digest()
        if known and known.hash == content_hash and not anew:
            return replace(known, signature=signature)
        rows = self._unread.get(path)
        if rows and not anew and is_sealed(content_hash, rows):
            found_to_say = taken_as_stored(path, content_hash, rows)
        else:
            found_to_say = taken_from(path, data)
        return replace(found_to_say, signature=signature, blobs=blob_names(data))

    def _declared(self, taken: Mapping[str, Taken], stored: Mapping[str, Stored]) -> Declared:
        self._owners, declared = declare(taken, stored, self._faults)
        tasks = declared.tasks
        self._sound = {
            task_id: name for task_id, name in self._sound.items()
            if task_id in tasks and differs(tasks[task_id], stored.get(task_id))
        }  # fmt: skip
        return declared

    def _faults(self, task: AuthoredTask, name: str, row: Stored | None) -> list[Fault]:
        if self._sound.get(task.task_id) == name:
            return []
        if is_live(row, name):
            return []
        found = self._check(task.task_id, task.fields)
        if not found:
            self._sound[task.task_id] = name
        return found


def _at_head(taken: dict[str, Taken], head: Head | None) -> dict[str, Taken]:
    """These files, by path, with what of them the commit has."""
    if head:
        new = ((path, one) for path, one in taken.items() if one.head != head.commit)
        head.look_up((path, one.blobs) for path, one in new if one.candidates)
    return {path: at_head(one, path, head) for path, one in taken.items()}


def _lacks(taken: Taken, stored: Mapping[str, Stored]) -> bool:
    """Whether fields are wanted that are not kept."""
    return taken.content is None and not is_stored(taken, stored)
