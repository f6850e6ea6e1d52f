"""What a sync would do, as a value: computing it changes nothing, printing it is the dry run."""

from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from taskservice.domain.errors import Fault
from taskservice.domain.overlay import Declaration
from taskservice.domain.task import Task

SETTLE = timedelta(seconds=5)
"""How long a declaration must have been gone before its disappearance counts."""

GUARDED_FROM = 5
"""From how many declared tasks on a sync may not retire more than half of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredDeclaration:
    """What the database knows of a declared task, as far as planning needs it.

    `digest` names the fields as they were last declared; `deleted` says that the API took the
    task away; `source` is `api` for a task that no file has declared yet; `fingerprint` is its
    file's.
    """

    source: str
    digest: str
    path: str | None
    line: int | None
    retired_at: datetime | None = None
    deleted: bool = False
    fingerprint: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredTask:
    """A task as a file declares it now; `task` is what that makes, where it was just checked."""

    declaration: Declaration
    digest: str
    task: Task | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderDeclarations:
    """All that the folder says: the sound declarations, and what couldn't be understood.

    `unreadable` are the files that couldn't be understood as a whole, folders among them;
    `faulty` are ids that a file does declare, but not soundly. `readable` is False where the
    folder itself couldn't be read.
    """

    tasks: Mapping[str, DeclaredTask]
    faults: tuple[Fault, ...] = ()
    faulty: frozenset[str] = frozenset()
    unreadable: frozenset[str] = frozenset()
    readable: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """Retirements that wait for somebody to confirm them."""

    reason: str
    task_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a sync would do, by task id.

    `write` are declarations that are new, changed, moved, or come back; `retire` those whose
    absence counts; `forget` deleted ones whose file is gone as well; `missing` since when the
    absent ones have been, and `held` what the guard keeps.
    """

    write: tuple[str, ...] = ()
    retire: tuple[str, ...] = ()
    forget: tuple[str, ...] = ()
    missing: Mapping[str, datetime]
    held: Held | None = None

    @property
    def empty(self) -> bool:
        """Whether applying it would change nothing."""
        return not (self.write or self.retire or self.forget)


def make_plan(
    declared: FolderDeclarations,
    stored: Mapping[str, StoredDeclaration],
    *,
    missing: Mapping[str, datetime],
    now: datetime,
    confirmed: Set[str] = frozenset(),
    held: Held | None = None,
    settle: timedelta = SETTLE,
) -> Plan:
    """Compare what the folder declares with what is stored.

    `missing` is since when ids have been absent, and `held` what was held, by the plan before;
    `confirmed` are ids that somebody allowed to be retired in spite of the guard. An absence
    counts after `settle`.
    """
    write = tuple(
        task_id
        for task_id, candidate in sorted(declared.tasks.items())
        if differs(candidate, stored.get(task_id))
    )
    absent = [
        task_id
        for task_id, row in sorted(stored.items())
        if row.source == "file" and row.retired_at is None and _is_gone(task_id, row, declared)
    ]
    if not declared.readable:
        # What isn't seen may be there all the same: only what somebody confirmed may go.
        unseen = [task_id for task_id in absent if not stored[task_id].deleted]
        waiting = [task_id for task_id in unseen if task_id not in confirmed]
        return Plan(
            write=write,
            retire=tuple(task_id for task_id in unseen if task_id in confirmed),
            missing={},
            held=_held("the tasks folder can't be read", waiting),
        )

    # A clock that was put back must not put the retirement off.
    since = {task_id: min(missing.get(task_id, now), now) for task_id in absent}
    counted = [task_id for task_id in absent if now - since[task_id] >= settle]
    retire = [task_id for task_id in counted if not stored[task_id].deleted]
    going = [task_id for task_id in absent if not stored[task_id].deleted]
    going = [task_id for task_id in going if task_id not in confirmed]
    owned = sum(_is_owned(row) for row in stored.values())
    # Absences that don't count yet are judged along, for files go one after the other; and what
    # was held stays so until it is confirmed or comes back, whatever else comes and goes: also
    # when its absence counts anew, as it does after a restart.
    guarded = owned >= GUARDED_FROM and 2 * len(going) > owned
    before = held.task_ids if held else ()
    counting = retire if guarded else ()
    waiting = [task_id for task_id in going if task_id in counting or task_id in before]
    return Plan(
        write=write,
        retire=tuple(task_id for task_id in retire if task_id not in waiting),
        forget=tuple(task_id for task_id in counted if stored[task_id].deleted),
        missing=since,
        held=_held(f"{len(going)} of {owned} declared tasks would be retired", waiting),
    )


def _held(reason: str, task_ids: list[str]) -> Held | None:
    return Held(reason=reason, task_ids=tuple(task_ids)) if task_ids else None


def _is_owned(row: StoredDeclaration) -> bool:
    return row.source == "file" and row.retired_at is None and not row.deleted


def next_settlement(plan: Plan, now: datetime, *, settle: timedelta = SETTLE) -> datetime | None:
    """When the next absence begins to count, if one is still waiting to."""
    later = [since + settle for since in plan.missing.values() if since + settle > now]
    return min(later, default=None)


def differs(candidate: DeclaredTask, row: StoredDeclaration | None) -> bool:
    """Whether a declaration has to be written, by what is stored."""
    place = candidate.declaration.path, candidate.declaration.line
    return row is None or not is_live(row, candidate.digest) or (row.path, row.line) != place


def is_live(row: StoredDeclaration | None, digest: str) -> bool:
    """Whether what a file says, by its digest, is what is stored: it was found sound then."""
    return (
        row is not None and row.source == "file" and row.retired_at is None and row.digest == digest
    )


def _is_gone(task_id: str, row: StoredDeclaration, declared: FolderDeclarations) -> bool:
    return (
        task_id not in declared.tasks
        and task_id not in declared.faulty
        and not _is_within(row.path or "", declared.unreadable)
    )


def _is_within(path: str, files: Set[str]) -> bool:
    """Whether a path, or a folder that it is in, is one of these."""
    return path in files or any(
        path[:end] in files for end, character in enumerate(path) if character == "/"
    )
