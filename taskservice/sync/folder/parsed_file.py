"""What single files declare, and to which of them each task belongs."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from taskservice.domain.overlay import Declaration, digest
from taskservice.domain.plan import DeclaredTask, StoredDeclaration, differs
from taskservice.sync.folder.confined import Signature
from taskservice.sync.folder.fingerprint import Rows, fingerprint_of
from taskservice.sync.gitrepo.head import Head
from taskservice.sync.text.reader import AuthoredTask, FileContent, read_file
from taskservice.sync.text.task_files import unread


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedFile:
    """What a file declares; `candidates` are its tasks, in their order.

    `ids` are all that it declares, the unsound ones too. `content` is None, and the fields of the
    candidates are gone, where all is sound and stored: to have them, the file is read again.
    `blobs` are what git may call the file, and `head` is the commit that has been asked for them.
    """

    content: FileContent | None
    ids: tuple[str, ...] = ()
    candidates: tuple[DeclaredTask, ...] = ()
    head: str | None = None
    signature: Signature = ()
    hash: bytes = b""
    blobs: tuple[str, ...] = ()


class _NotKept(Mapping[str, Any]):
    """Stands for fields that are not kept: whoever wants them has made a mistake."""

    def __getitem__(self, key: str) -> Any:
        raise RuntimeError("these fields are not kept")

    def __iter__(self) -> Iterator[str]:
        raise RuntimeError("these fields are not kept")

    def __len__(self) -> int:
        raise RuntimeError("these fields are not kept")


NOT_KEPT = _NotKept()


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedFiles:
    """What some files declare now that they have changed; the rest of the folder is as it was.

    `unsettled` are those that are still changing, to be looked at again in `again` seconds.
    """

    files: Mapping[str, ParsedFile]
    unsettled: frozenset[str] = frozenset()
    again: float = 0.0

    @property
    def tasks(self) -> dict[str, DeclaredTask]:
        """Their tasks, by id."""
        return {
            task_id: one
            for file in self.files.values()
            for task_id, one in zip(file.ids, file.candidates, strict=True)
        }


def parse_file(path: str, data: bytes) -> ParsedFile:
    """What these bytes of a file declare."""
    content = read_file(path, data)
    tasks, content_hash = content.tasks, hashlib.sha256(data).digest()
    digests = [digest(task.fields) for task in tasks]
    fingerprint = None
    if _is_sound(content):
        facts = zip(tasks, digests, strict=True)
        fingerprint = fingerprint_of(
            content_hash, ((task.task_id, name, task.line) for task, name in facts)
        )
    return ParsedFile(
        content=content,
        ids=(*(task.task_id for task in tasks), *content.faulty),
        candidates=tuple(
            DeclaredTask(
                declaration=Declaration(
                    source="file",
                    fields=task.fields,
                    path=path,
                    line=task.line,
                    fingerprint=fingerprint,
                ),
                digest=name,
            )
            for task, name in zip(tasks, digests, strict=True)
        ),
        hash=content_hash,
    )


def file_as_stored(path: str, content_hash: bytes, rows: Rows) -> ParsedFile:
    """The same of a file that says what is stored of it."""
    return ParsedFile(
        content=None,
        ids=tuple(task_id for task_id, _ in rows),
        candidates=tuple(
            DeclaredTask(
                declaration=Declaration(source="file", fields=NOT_KEPT, path=path, line=row.line),
                digest=row.digest,
            )
            for _, row in rows
        ),
        hash=content_hash,
    )


def authored(file: ParsedFile) -> Iterator[tuple[AuthoredTask, DeclaredTask]]:
    """The tasks of a file that was just read, as they stand in it and as planning needs them."""
    tasks = file.content.tasks if file.content else ()
    return zip(tasks, file.candidates, strict=True)


def is_stored(file: ParsedFile, stored: Mapping[str, StoredDeclaration]) -> bool:
    """Whether the tables have all that a file says."""
    pairs = zip(file.ids, file.candidates, strict=False)
    return not any(differs(one, stored.get(task_id)) for task_id, one in pairs)


def is_sound(file: ParsedFile) -> bool:
    """Whether the file's form has no fault."""
    return file.content is None or _is_sound(file.content)


def _is_sound(content: FileContent) -> bool:
    return content.readable and not content.faults and not content.faulty


def without_fields(file: ParsedFile) -> ParsedFile:
    """The same without what takes much memory: what it needs to be known again."""
    candidates = tuple(
        replace(one, declaration=replace(one.declaration, fields=NOT_KEPT, fingerprint=None))
        for one in file.candidates
    )
    return replace(file, content=None, candidates=candidates)


def at_head(file: ParsedFile, path: str, head: Head | None) -> ParsedFile:
    """The same, each task declared at this commit if that has it so, and else at none."""
    commit = head.commit if head else None
    if file.head == commit:
        return file
    candidates = []
    for task_id, one in zip(file.ids, file.candidates, strict=False):
        revision = head.revision_of(path, file.blobs, task_id, one.digest) if head else None
        candidates.append(replace(one, declaration=replace(one.declaration, revision=revision)))
    return replace(file, candidates=tuple(candidates), head=commit)


def owners_of(
    files: Mapping[str, ParsedFile], stored: Mapping[str, StoredDeclaration], unreadable: set[str]
) -> dict[str, str]:
    """The file that each id belongs to: the one that had it, else the first that declares it.

    A file that had it and can't be understood now may still declare it.
    """
    owners = {
        task_id: row.path for task_id, row in stored.items() if row.path and row.path in unreadable
    }
    for path, one in files.items():
        for task_id in one.ids:
            if owners.setdefault(task_id, path) != path:
                row = stored.get(task_id)
                if row is not None and row.path == path:
                    owners[task_id] = path
    return owners


def refused(path: str, reason: str | None) -> ParsedFile:
    """A file of which nothing can be said, with the reason if that is a fault."""
    faults = () if reason is None else (unread(path, reason),)
    return ParsedFile(
        content=FileContent(tasks=(), faults=faults, readable=False, faulty=frozenset())
    )


def uncontested(owners: Mapping[str, str], files: Mapping[str, ParsedFile]) -> dict[str, str]:
    """The file of each id; none, "", of one that other files declare as well."""
    found = dict(owners)
    for path, one in files.items():
        for task_id in one.ids:
            if owners[task_id] != path:
                found[task_id] = ""
    return found
