"""Tasks and executions in words, as the tables of several commands have them."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from taskservice.cli.output import (
    NONE,
    Styled,
    cell,
    is_narrow,
    local_time,
    print_table,
    relative_time,
    styled,
)
from taskservice.domain.errors import Fault
from taskservice.sync.text.scalars import plain_kind

if TYPE_CHECKING:
    from rich.text import Text

STYLES = {
    "queued": "blue",
    "running": "cyan",
    "paused": "yellow",
    "completed": "green",
    "failed": "red",
    "missed": "red",
    "skipped": "yellow",
    "cancelled": "yellow",
    "overridden": "yellow",
    "conflict": "red",
    "alive": "green",
    "dead": "red",
}
"""Colours of states, of tasks, executions, drift and workers."""

_LONGEST_RESULT = 60


def state(word: str) -> "Text":
    """A state in its colour."""
    return styled(word, STYLES.get(word, ""))


def coloured(word: str) -> Styled:
    """The same for a line of `say`."""
    return Styled(word, STYLES.get(word))


def trigger(task: Mapping[str, Any]) -> str:
    """A task's trigger on one line: `cron crontab="0 7 * * 1" timezone=Europe/Berlin`."""
    arguments = (
        f'{name}="{cell(given)}"' if " " in str(given) else f"{name}={cell(given)}"
        for name, given in task["trigger_args"].items()
    )
    return " ".join([task["trigger_type"], *arguments])


def value(given: object) -> str:
    """A value as a task file has it: text that would be read as something else is in quotes."""
    if given is None:
        return "null"
    if isinstance(given, str) and (not given or given != given.strip() or plain_kind(given)):
        return json.dumps(given, ensure_ascii=False)
    return cell(given)


def when(time: str | None) -> str:
    """A time, and how far it is from now."""
    return NONE if time is None else f"{local_time(time)} ({relative_time(time)})"


def when_in_table(time: str | None) -> str:
    """The same in a table: where there is little room, only how far it is from now."""
    return relative_time(time) if is_narrow() else when(time)


def execution_table(rows: Iterable[Mapping[str, Any]]) -> None:
    """Print executions."""
    print_table(
        ("EXECUTION", "STARTED", "STATUS", "TOOK", "BY", "RESULT"),
        map(execution_row, rows),
        whole=("EXECUTION", "STARTED", "STATUS", "TOOK"),
        roomy=("TOOK", "BY"),
    )


def task_line(task: Mapping[str, Any]) -> str:
    """What became of a task that a command changed, on one line."""
    told = [f"{task['id']}: {task['status']}"]
    if task["next_run_time"]:
        told.append(f"fires next {when(task['next_run_time'])}")
    if task["overridden"]:
        told.append(f"{task['drift']}: {', '.join(task['overridden'])}")
    return "; ".join(told)


def execution_row(row: Mapping[str, Any]) -> Sequence[object]:
    """An execution as `execution_table` has it."""
    by = row["triggered_by"]
    if row["attempt"] > 1:
        by += f", attempt {row['attempt']}"
    return (
        row["id"],
        when_in_table(row["start_time"]),
        state(row["status"]),
        took(row),
        by,
        outcome(row),
    )


def fault_line(fault: Mapping[str, Any]) -> str:
    """A fault as the API tells it, on one line: `path:line:column: field: reason`."""
    place = {name: fault[name] for name in ("path", "line", "column", "field")}
    return str(Fault(reason=fault["reason"], **place))


def took(row: Mapping[str, Any]) -> str:
    """How long an execution took, in seconds."""
    if row["end_time"] is None or not began(row):
        return NONE
    start, end = (datetime.fromisoformat(row[name]) for name in ("start_time", "end_time"))
    return f"{(end - start).total_seconds():.1f} s"


def began(row: Mapping[str, Any]) -> bool:
    """Whether an execution has begun: not so while no worker has taken it from its queue."""
    return row.get("queue") is None or row.get("worker") is not None


def outcome(row: Mapping[str, Any]) -> str:
    """Error or result of an execution; on a terminal a long one is shortened."""
    text = row["error"] or row["result"]
    told = cell(text)
    if len(told) > _LONGEST_RESULT and sys.stdout.isatty():
        return f"{told[: _LONGEST_RESULT - 1]}…"
    return told
