"""What the files of a folder declare together: each task once, or why not."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import PurePosixPath

from taskservice.domain.errors import Fault, Invalid
from taskservice.domain.fault_limits import of_file
from taskservice.domain.plan import DeclaredTask, FolderDeclarations, StoredDeclaration, is_live
from taskservice.domain.task import Task
from taskservice.sync.folder.parsed_file import (
    ParsedFile,
    authored,
    owners_of,
    parse_file,
    uncontested,
)
from taskservice.sync.text.reader import AuthoredTask

GATHERED = 1000
"""How many faults of a file are gathered before those that won't be told are only counted."""

KEPT = 10_000
"""How many faults of all files are kept; of the files after those only the first of each."""

Check = Callable[[str, Mapping[str, object]], Task | None]
"""The task of this id and these fields (None: whoever needs it parses it); raises `Invalid`."""

CheckAuthored = Callable[[AuthoredTask, str, StoredDeclaration | None], Task | None]
"""The same of a task as it stands in a file, of this digest, and stored like that."""


def declare(
    files: Mapping[str, ParsedFile], stored: Mapping[str, StoredDeclaration], check: CheckAuthored
) -> tuple[dict[str, str], FolderDeclarations]:
    """All that these files, by path, declare; and the file of each id that is in one file only."""
    unreadable = {path for path, one in files.items() if one.content and not one.content.readable}
    owners = owners_of(files, stored, unreadable)
    tasks: dict[str, DeclaredTask] = {}
    faults: list[Fault] = []
    faulty = {PurePosixPath(path).stem for path in unreadable}
    for path, one in files.items():
        if one.content is None:  # stored as it stands: sound, and its own
            tasks.update(zip(one.ids, one.candidates, strict=True))
            continue
        wrong = list(one.content.faults)
        faulty |= one.content.faulty
        for task, candidate in authored(one):
            owner, row = owners[task.task_id], stored.get(task.task_id)
            try:
                if owner != path:
                    reason = f"task {task.task_id!r} is declared in {owner} already"
                    raise Invalid([Fault(reason=reason)])
                checked = check(task, candidate.digest, row)
                tasks[task.task_id] = replace(candidate, task=checked) if checked else candidate
            except Invalid as invalid:
                faulty.add(task.task_id)
                wrong += _placed(invalid.faults, path, task)
                if len(wrong) > GATHERED:
                    wrong = of_file(wrong)
        faults += of_file(wrong) if len(faults) < KEPT else of_file(wrong, 1)
        if one.ids and not any(
            task_id in tasks and tasks[task_id].declaration.path == path for task_id in one.ids
        ):
            # Nothing in it is sound (`tasks:` may be misspelt): what it declared last stays.
            unreadable.add(path)
    return uncontested(owners, files), FolderDeclarations(
        tasks=tasks,
        faults=tuple(faults),
        faulty=frozenset(faulty - tasks.keys()),
        unreadable=frozenset(unreadable),
    )


def declared_by(
    texts: Mapping[str, bytes],
    stored: Mapping[str, StoredDeclaration],
    check: Check,
    *,
    step: Callable[[], object] = lambda: None,
) -> FolderDeclarations:
    """What a folder of these files, by their paths in it, would declare.

    `stored` is what the tables know: an id in two files stays with the one that had it. `check`
    is asked about every task that is not stored as it stands; it may be slow. `step` is called
    whenever a file was read, which takes most of the time.
    """

    def checked(task: AuthoredTask, name: str, row: StoredDeclaration | None) -> Task | None:
        return None if is_live(row, name) else check(task.task_id, task.fields)

    files = {}
    for path, data in sorted(texts.items()):
        files[path] = parse_file(path, data)
        step()
    _, declared = declare(files, stored, checked)
    return replace(declared, faults=tuple(sorted(declared.faults, key=place)))


def place(fault: Fault) -> tuple[str, int, int]:
    """Where a fault is, to sort by."""
    return fault.place


def _placed(faults: Iterable[Fault], path: str, task: AuthoredTask) -> Iterator[Fault]:
    for fault in faults:
        line, column = task.place(fault.field)
        yield replace(fault, task_id=task.task_id, path=path, line=line, column=column)
