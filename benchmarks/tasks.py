"""Tasks to measure with, written as task files."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

PER_FILE = 500
_START = datetime(2024, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """A trigger as both the service and APScheduler take it: its type and its arguments."""

    type: str
    args: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A task by its id; the rest is the same for all."""

    id: str
    trigger: Trigger
    func_path: str = "benchmarks.work.noop"
    more: Mapping[str, Any] = field(default_factory=dict)

    def fields(self) -> dict[str, Any]:
        """The fields as a task file or a POST has them, but for the id."""
        return {
            "name": f"Task {self.id}",
            "task_type": "benchmark",
            "trigger_type": self.trigger.type,
            "trigger_args": dict(self.trigger.args),
            "func_path": self.func_path,
            **self.more,
        }


def spread(count: int, every: int = 1) -> list[Trigger]:
    """Intervals of `every` seconds whose fires are spread evenly over them."""
    step = timedelta(seconds=every) / count
    starts = ((_START + index * step).isoformat() for index in range(count))
    return [Trigger(type="interval", args={"seconds": every, "start_date": at}) for at in starts]


def at_once(kind: str, count: int, every: int) -> list[Trigger]:
    """`interval` or `cron` triggers that are all due at the same instant, each `every` seconds."""
    if kind == "cron":
        args: dict[str, Any] = {"second": f"*/{every}"}
    else:
        args = {"seconds": every, "start_date": _START.isoformat()}
    return [Trigger(type=kind, args=args)] * count


def seldom(kind: str, count: int) -> list[Trigger]:
    """`interval` or `cron` triggers that differ and don't fire while measured.

    The crons are due on the first of a month: on that day, some do.
    """
    if kind == "cron":
        return [
            Trigger(
                type="cron",
                args={"day": 1, "hour": index // 60 % 24, "minute": index % 60},
            )
            for index in range(count)
        ]
    start = (_START + timedelta(days=20_000)).isoformat()
    return [
        Trigger(type="interval", args={"seconds": 86_400 + index, "start_date": start})
        for index in range(count)
    ]


def tasks(triggers: Iterable[Trigger]) -> list[Task]:
    """A no-op task for each of the triggers, with the ids `task-00000` on."""
    return [Task(id=task_id(index), trigger=one) for index, one in enumerate(triggers)]


def task_id(index: int) -> str:
    """The id of the task of this number, from 0."""
    return f"task-{index:05}"


def mixed(count: int) -> list[Task]:
    """Tasks that fire seldom, intervals and crons in equal shares."""
    halves = seldom("interval", count), seldom("cron", count)
    return tasks([halves[index % 2][index] for index in range(count)])


def write_many(folder: Path, many: list[Task]) -> None:
    """Write the tasks into a few files of `PER_FILE` each."""
    for number, start in enumerate(range(0, len(many), PER_FILE)):
        (folder / f"many-{number:04}.yaml").write_text(_entries(many[start : start + PER_FILE]))


def write_each(folder: Path, many: Iterable[Task]) -> None:
    """Write each task into a file of its own, 1,000 files a folder, as people write them."""
    for index, one in enumerate(many):
        place = folder / f"{index // 1000:03}"
        place.mkdir(exist_ok=True)
        (place / f"{one.id}.yaml").write_text(_block(one))


def save(path: Path, many: list[Task]) -> float:
    """Save a file of these tasks as an editor does, whole, by renaming; the moment it was done."""
    draft = path.with_name(f".{path.name}.draft")
    draft.write_text(_entries(many))
    draft.replace(path)
    return time.time()


def _entries(many: list[Task]) -> str:
    return "tasks:\n" + "".join(f"  {one.id}: {_text(one.fields())}\n" for one in many)


def _block(one: Task) -> str:
    return "".join(f"{name}: {_text(value)}\n" for name, value in one.fields().items())


def _text(value: object) -> str:
    """YAML in flow style: JSON is that."""
    return msgspec.json.encode(value).decode()
