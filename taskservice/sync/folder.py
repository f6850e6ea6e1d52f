"""The tasks folder as one value: which files there are, what they declare, what is at fault.

The rules are those of sections 4 and 5 of the contract. An error never looks like "nothing":
what can't be read or understood is named, so that nothing is retired because of it.
"""

import hashlib
import os
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from taskservice.domain.errors import Fault
from taskservice.domain.overlay import Declaration, digest
from taskservice.domain.plan import Candidate, Declared, Stored
from taskservice.sync.listing import VANISHED, list_files
from taskservice.sync.reader import AuthoredTask, FileContent, read_file
from taskservice.sync.yaml_walk import MAX_BYTES

SETTLED_SECONDS = 0.05
"""How long a file must have been left alone before it is taken."""

UNFINISHED_SECONDS = 0.5
"""The same for a text without a newline at its end: a half-written file seldom has one."""

Check = Callable[[str, Mapping[str, object]], list[Fault]]
"""What is wrong with a task of this id and these fields."""

Signature = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """What the folder declares now.

    `unsettled` says that something was still changing and was not taken as it is now: scan
    again soon.
    """

    declared: Declared
    unsettled: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Taken:
    """What a file was found to say; `candidates` are its tasks, in their order.

    `ids` are all that it declares, the unsound ones too.
    """

    content: FileContent
    ids: tuple[str, ...] = ()
    candidates: tuple[Candidate, ...] = ()
    revision: str | None = None
    signature: Signature = ()
    hash: bytes = b""


class Folder:
    """Scans a folder again and again; remembers what its files said, so as to read few of them.

    `check` may be slow. It is asked about a task that differs from what is stored, and once it
    finds nothing, not again until the task changes.
    """

    def __init__(self, root: Path, check: Check) -> None:
        self._root = root
        self._check = check
        self._taken: dict[str, _Taken] = {}
        self._waiting: dict[str, tuple[Signature, float]] = {}
        self._sound: dict[str, str] = {}

    def scan(
        self,
        stored: Mapping[str, Stored],
        *,
        by_content: bool = False,
        revision: str | None = None,
        clock: Callable[[], float] = time.time,
    ) -> Scan:
        """Say what the folder declares; blocks, so call it off the event loop, one at a time.

        `stored` is what the tables know, `revision` the commit to note in the declarations,
        `clock` gives seconds since 1970. Files whose status didn't change are not read again,
        except `by_content`. Raises nothing of its own; what `check` raises goes through.
        """
        # A root that is a link may be swapped meanwhile: list and read the same tree.
        root = os.path.realpath(self._root)
        listing = list_files(root)
        taken: dict[str, _Taken] = {}
        unsettled: set[str] = set()
        for path, found in sorted(listing.files.items()):
            now = self._take(path, found, f"{root}/{path}", clock(), by_content)
            if now is None:
                unsettled.add(path)
                # A new file that isn't finished is no fault, but it may declare anything.
                now = self._taken.get(path) or _refused(path, None)
            taken[path] = _at(now, revision)
        readable = not listing.faults
        self._waiting = {path: self._waiting[path] for path in unsettled}
        self._taken = taken if readable else self._taken | taken
        declared = self._declared(taken, stored)
        faults = sorted((*listing.faults, *declared.faults), key=_place)
        return Scan(
            declared=replace(declared, faults=tuple(faults), readable=readable),
            unsettled=bool(unsettled) or listing.vanished,
        )

    def _take(
        self, path: str, found: os.stat_result | str, file: str, now: float, by_content: bool
    ) -> _Taken | None:
        """What the file says now; None: it is still changing."""
        if isinstance(found, str):
            return _refused(path, found)
        if wrong := _unfit(found):
            return _refused(path, wrong)
        signature, known = _signature(found), self._taken.get(path)
        unchanged = known is not None and known.signature == signature
        if unchanged and not by_content:
            return known
        # A time of change may be wrong, in the future too: our own watch on the file counts.
        before, since = self._waiting.get(path, (signature, now))
        since = min(since, now) if before == signature else now
        self._waiting[path] = (signature, since)
        age = now - min(found.st_mtime, since)
        if age < SETTLED_SECONDS and not unchanged:
            return None
        try:
            data = _read(file, signature)
        except VANISHED:
            return None
        except OSError as error:
            return _refused(path, f"can't be read: {error.strerror}")
        if data is None:
            return None
        if age < UNFINISHED_SECONDS and not unchanged and not data.endswith(b"\n"):
            return None
        content_hash = hashlib.sha256(data).digest()
        if known and known.hash == content_hash:
            return replace(known, signature=signature)
        content = read_file(path, data)
        candidates = tuple(_candidate(task, path) for task in content.tasks)
        return _Taken(
            content=content,
            ids=(*(task.task_id for task in content.tasks), *content.faulty),
            candidates=candidates,
            signature=signature,
            hash=content_hash,
        )

    def _declared(self, taken: Mapping[str, _Taken], stored: Mapping[str, Stored]) -> Declared:
        unreadable = {path for path, one in taken.items() if not one.content.readable}
        owners = _owners(taken, stored, unreadable)
        tasks: dict[str, Candidate] = {}
        faults: list[Fault] = []
        faulty = {PurePosixPath(path).stem for path in unreadable}
        for path, one in taken.items():
            faults += one.content.faults
            faulty |= one.content.faulty
            for task, candidate in zip(one.content.tasks, one.candidates, strict=True):
                owner, row = owners[task.task_id], stored.get(task.task_id)
                if owner != path:
                    reason = f"task {task.task_id!r} is declared in {owner} already"
                    found = [Fault(reason=reason)]
                else:
                    found = self._faults(task, candidate.digest, row)
                if found:
                    faulty.add(task.task_id)
                    faults += _placed(found, path, task)
                else:
                    tasks[task.task_id] = candidate
            if one.ids and not any(
                task_id in tasks and tasks[task_id].declaration.path == path for task_id in one.ids
            ):
                # Nothing in it is sound (`tasks:` may be misspelt): what it declared last stays.
                unreadable.add(path)
        self._sound = {task_id: self._sound[task_id] for task_id in self._sound.keys() & tasks}
        return Declared(
            tasks=tasks,
            faults=tuple(faults),
            faulty=frozenset(faulty - tasks.keys()),
            unreadable=frozenset(unreadable),
        )

    def _faults(self, task: AuthoredTask, name: str, row: Stored | None) -> list[Fault]:
        if self._sound.get(task.task_id) == name:
            return []
        if row and row.source == "file" and row.digest == name and row.retired_at is None:
            return []
        found = self._check(task.task_id, task.fields)
        if not found:
            self._sound[task.task_id] = name
        return found


def _candidate(task: AuthoredTask, path: str) -> Candidate:
    declaration = Declaration(source="file", fields=task.fields, path=path, line=task.line)
    return Candidate(declaration=declaration, digest=digest(task.fields))


def _at(taken: _Taken, revision: str | None) -> _Taken:
    """The same, declared at this commit."""
    if taken.revision == revision:
        return taken
    candidates = tuple(
        replace(one, declaration=replace(one.declaration, revision=revision))
        for one in taken.candidates
    )
    return replace(taken, candidates=candidates, revision=revision)


def _owners(
    taken: Mapping[str, _Taken], stored: Mapping[str, Stored], unreadable: set[str]
) -> dict[str, str]:
    """The file that each id belongs to: the one that had it, else the first that declares it.

    A file that had it and can't be understood now may still declare it.
    """
    owners = {
        task_id: row.path for task_id, row in stored.items() if row.path and row.path in unreadable
    }
    for path, one in taken.items():
        for task_id in one.ids:
            if owners.setdefault(task_id, path) != path:
                row = stored.get(task_id)
                if row is not None and row.path == path:
                    owners[task_id] = path
    return owners


def _placed(faults: list[Fault], path: str, task: AuthoredTask) -> Iterator[Fault]:
    for fault in faults:
        line, column = task.place(fault.field)
        yield replace(fault, task_id=task.task_id, path=path, line=line, column=column)


def _place(fault: Fault) -> tuple[str, int, int]:
    return fault.path or "", fault.line or 0, fault.column or 0


def _refused(path: str, reason: str | None) -> _Taken:
    """A file of which nothing can be said, with the reason if that is a fault."""
    faults = () if reason is None else (Fault(reason=reason, path=path),)
    return _Taken(content=FileContent(tasks=(), faults=faults, readable=False, faulty=frozenset()))


def _unfit(found: os.stat_result) -> str | None:
    """Why such a file is not even opened; None: it may be."""
    if stat.S_ISDIR(found.st_mode):
        return "is a folder, where a task file was expected"
    if not stat.S_ISREG(found.st_mode):
        return "is no regular file (a pipe, a socket or a device), and is not read"
    if found.st_size > MAX_BYTES:
        return f"the file has {found.st_size} bytes; at most 1 MiB ({MAX_BYTES}) is taken"
    return None


def _signature(found: os.stat_result) -> Signature:
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def _read(file: str, signature: Signature) -> bytes | None:
    """The file's bytes; None if it isn't, or doesn't stay, what its signature says."""
    # Not blocking: it may have become a pipe since.
    with open(os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as opened:
        if _signature(os.fstat(opened.fileno())) != signature:
            return None
        data = opened.read(MAX_BYTES + 1)
        return data if _signature(os.fstat(opened.fileno())) == signature else None
