"""What `taskservice promote` brings into the files: who changed what, and what comes of it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from taskservice.cli.client import Client, ClientError, task_path
from taskservice.domain.errors import Conflict
from taskservice.domain.overlay import DELETED, Override, same
from taskservice.domain.task import UNSET
from taskservice.sync.text.promotion import promoted
from taskservice.sync.text.reader import read_file
from taskservice.sync.text.task_files import is_task_path

_OF_ONE_TASK = (404, 409)
"""Refusals that concern one task, while the next may be taken."""


_DECLARED = ("declared_when_set", "declared")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What one person changed of one task: overrides as the API tells them.

    For a task that the person declared by API, `new` is the whole file instead.
    """

    path: str
    task_id: str
    person: str
    at: datetime
    overrides: Sequence[Mapping[str, Any]] = ()
    new: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What one person changed, `at` the latest; `files` are what it makes of the files, by path."""

    person: str
    at: datetime
    steps: Sequence[Step]
    files: Mapping[str, bytes | None]


class Promotions:
    """The files of some tasks, with what is to be brought into them. None is no file.

    `refused` says why some can't be promoted; `outdated` are the fields that their files have
    changed since they were overridden; `left_out` are task, field and end of those that end by
    themselves and were not asked for by name.
    """

    def __init__(self) -> None:
        self.before: dict[str, bytes | None] = {}
        self.after: dict[str, bytes | None] = {}
        self.shares: list[Share] = []
        self.refused: list[str] = []
        self.outdated: list[str] = []
        self.left_out: list[tuple[str, str, str]] = []
        self._steps: list[Step] = []

    @property
    def changed(self) -> list[str]:
        """The paths of the files that change, in order."""
        return sorted(path for path in self.before if self.before[path] != self.after[path])

    def tasks_in(self, path: str) -> list[str]:
        """The tasks for which a file changes."""
        return sorted({step.task_id for step in self._taken() if step.path == path})

    def ask(self, client: Client, wanted: Mapping[str, Iterable[str]]) -> None:
        """Ask for tasks by id, with the fields that are wanted of each; none are all.

        What only one of several tasks can't have done is kept in `refused`.
        """
        for task_id, fields in wanted.items():
            try:
                self._ask(client, task_id, list(fields))
            except ClientError as error:
                if error.status not in _OF_ONE_TASK or len(wanted) == 1:
                    raise
                self.refused.append(f"{task_id}: {error}")
        self._carry_out()

    def _ask(self, client: Client, task_id: str, fields: list[str]) -> None:
        told = client.get(task_path(task_id, "promotion"), field=fields or None)
        path, before = told["path"], told["before"]
        data = None if before is None else before.encode()
        # What is not there yet gets the name of its task, and no folder.
        if not is_task_path(path) or (data is None and "/" in path):
            raise ClientError(f"the service names {path!r}, which can be no task file's path")
        if path in self.before and (data is None or self.before[path] != data):
            what = "is the new file of another task too" if data is None else "changes right now"
            raise ClientError(f"{path} {what}: try again", status=409)
        self.left_out += [(task_id, one["field"], one["until"]) for one in told["left_out"]]
        given = told["after"].encode() if data is None else data
        _check_declares(path, given, task_id, alone=data is None)
        if data is None:
            steps = [_declared(task_id, told)]
        else:
            named = {field for author in told["authors"] for field in author["fields"]}
            overrides = client.get(task_path(task_id, "overrides")) if named else []
            chosen = [one for one in overrides if one["field"] in named]
            self.outdated += [f"{task_id}: {one['field']}" for one in chosen if _is_outdated(one)]
            steps = list(_by_person(path, task_id, chosen))
        self.before[path] = data
        self._steps += steps

    def _carry_out(self) -> None:
        """Make of the steps each person's share, whoever came first before the others."""
        self.after = dict(self.before)
        people: dict[str, list[Step]] = {}
        for step in sorted(self._steps, key=lambda one: (one.at, one.path, one.task_id)):
            people.setdefault(step.person, []).append(step)
        for person, steps in people.items():
            taken = [step for step in steps if self._take(step)]
            if taken:
                files = {step.path: self.after[step.path] for step in taken}
                at = max(step.at for step in taken)
                self.shares.append(Share(person=person, at=at, steps=taken, files=files))

    def _take(self, step: Step) -> bool:
        before = self.after[step.path]
        if step.new is not None:
            self.after[step.path] = step.new
        elif before is not None:
            overrides = [_override(one) for one in step.overrides]
            try:
                self.after[step.path] = promoted(step.path, before, step.task_id, overrides)
            except Conflict as conflict:
                self.refused.append(f"{step.task_id}: {conflict}")
        return self.after[step.path] != before

    def _taken(self) -> Iterable[Step]:
        return (step for share in self.shares for step in share.steps)


def _declared(task_id: str, told: Mapping[str, Any]) -> Step:
    author = told["authors"][0]
    return Step(
        path=told["path"], task_id=task_id, person=author["name"],
        at=datetime.fromisoformat(author["set_at"]), new=told["after"].encode(),
    )  # fmt: skip


def _check_declares(path: str, data: bytes, task_id: str, *, alone: bool) -> None:
    """Raise ClientError for a file that does not declare a task, or more than that `alone`."""
    found = [task.task_id for task in read_file(path, data).tasks]
    if task_id not in found or (alone and found != [task_id]):
        raise ClientError(f"the service gives a file that declares something else than {task_id}")


def _by_person(path: str, task_id: str, overrides: list[Mapping[str, Any]]) -> Iterable[Step]:
    """A step for each person; where the task was deleted, nothing else counts."""
    deleted = [one for one in overrides if one["field"] == DELETED]
    for person in sorted({one["set_by"] for one in deleted or overrides}):
        own = [one for one in deleted or overrides if one["set_by"] == person]
        at = max(datetime.fromisoformat(one["set_at"]) for one in own)
        yield Step(path=path, task_id=task_id, person=person, at=at, overrides=own)


def _is_outdated(told: Mapping[str, Any]) -> bool:
    # The API shows null for what is absent, too.
    then, now = (UNSET if told[name] is None else told[name] for name in _DECLARED)
    return told["field"] != DELETED and not same(told["field"], then, now)


def _override(told: Mapping[str, Any]) -> Override:
    return Override(
        field=told["field"], value=UNSET if told["absent"] else told["value"],
        declared_when_set=told["declared_when_set"],
        set_at=datetime.fromisoformat(told["set_at"]), set_by=told["set_by"],
    )  # fmt: skip
