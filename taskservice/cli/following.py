"""Executions as they go: when they begin, what they print, how they end."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from taskservice.cli.arguments import OPEN_STATUSES
from taskservice.cli.client import Client, task_path
from taskservice.cli.describe import coloured, outcome, took
from taskservice.cli.escaping import begun
from taskservice.cli.output import Styled, local_time, say, say_lines
from taskservice.domain.output import first_mark

POLL_SECONDS = 1.0
FIRST_POLL_SECONDS = 0.05
"""A short execution is not waited for as long as a long one."""

WITHOUT_OUTPUT = ("skipped", "missed")
OVERLAP = 1000
"""Characters by which an output is known again whose middle is left out."""

NEWEST = 100
"""Executions that are looked at each time; of a task that begins more, some are not told."""


class ExecutionPrinter:
    """Tells of executions, their output between the lines that tell how they begin and end.

    Where several speak in turn, a line `==> ID <==` says who does, as with `tail`.
    """

    def __init__(self, speaking: str = "") -> None:
        self._printed: dict[str, str] = {}
        self._speaking = speaking
        self._mid_line = False
        self._held = ""  # the end of a line that is told with what comes after it

    def print_begin(self, row: Mapping[str, Any]) -> None:
        """Say that an execution is queued, or runs."""
        self._line(row["id"], *_head(row, "start_time"), f" by {row['triggered_by']}")

    def print_end(self, row: Mapping[str, Any]) -> None:
        """Say how an execution ended."""
        known = row["end_time"] is not None
        after = f" after {took(row)}" if known else ""
        told = _head(row, "end_time" if known else "start_time")
        self._line(row["id"], *told, f"{after}: {outcome(row)}")
        self._printed.pop(row["id"], None)

    def print_output(self, execution: Mapping[str, Any]) -> None:
        """Print what an execution has printed since the last time."""
        log_id, text = execution["id"], execution["output"] or ""
        more = _after(self._printed.get(log_id, ""), text)
        if not more:
            return
        self._printed[log_id] = text
        if log_id != self._speaking:
            self._line(log_id, f"==> {log_id} <==")
        more = self._held + more
        held = begun(more)
        self._held = more[len(more) - held :]
        say_lines(more[: len(more) - held], nl=False)
        self._mid_line = not more.endswith("\n")

    def close(self) -> None:
        """End a line that has no end."""
        if self._held:
            say_lines(self._held, nl=False)
        if self._mid_line:
            say()
        self._mid_line, self._held = False, ""

    def _line(self, log_id: str, *parts: str | Styled) -> None:
        self.close()
        say(*parts)
        self._speaking = log_id


def _after(printed: str, text: str) -> str:
    """What of an output was not printed yet, though its middle may be left out by now."""
    if text.startswith(printed):
        return text[len(printed) :]
    if printed.startswith(text):
        return ""  # at its end an answer may still tell what stood in the row before
    last = printed[-OVERLAP:]
    found = text.find(last, first_mark(text) or 0)
    # Where so much came that its end is not there any more, that is told by the mark.
    return text[first_mark(text) or 0 :] if found < 0 else text[found + len(last) :]


def _head(row: Mapping[str, Any], moment: str) -> tuple[str | Styled, ...]:
    return f"{local_time(row[moment])} {row['id']} ", coloured(row["status"])


def follow_one(
    client: Client, task_id: str, log_id: str, tell: Callable[[Mapping[str, Any]], None]
) -> dict[str, Any]:
    """Ask for an execution until it has ended, and tell of it each time; how it ended."""
    seconds = FIRST_POLL_SECONDS
    while True:
        execution: dict[str, Any] = client.get(task_path(task_id, "logs", log_id))
        tell(execution)
        if execution["status"] not in OPEN_STATUSES:
            return execution
        time.sleep(seconds)
        seconds = min(seconds * 2, POLL_SECONDS)


def follow_aloud(client: Client, task_id: str, execution: Mapping[str, Any]) -> None:
    """Tell of an execution until it has ended: what it waits for, what it prints, how it ended."""
    printer = ExecutionPrinter()
    status = None

    def tell(now: Mapping[str, Any]) -> None:
        nonlocal status
        if now["status"] in OPEN_STATUSES and now["status"] != status:
            printer.print_begin(now)
        status = now["status"]
        printer.print_output(now)

    tell(execution)
    try:
        printer.print_end(follow_one(client, task_id, execution["id"], tell))
    finally:
        printer.close()


class Following:
    """A task's executions from now on, each told once when it begins and once when it ends."""

    def __init__(self, client: Client, task_id: str, filters: Mapping[str, Any]) -> None:
        self._client = client
        self._task_id = task_id
        self._filters = filters
        self._known: dict[str, str] = {}
        self._printer = ExecutionPrinter()

    def begin(self, latest: int) -> None:
        """Tell of the latest ones, oldest first, and of no earlier one later on."""
        rows = self._newest()
        self._known = {row["id"]: row["status"] for row in rows[latest:]}
        for row in reversed(rows[:latest]):
            self._look_at(row, said=row["status"] not in OPEN_STATUSES)

    def look(self) -> None:
        """Tell what happened since the last time."""
        rows = self._newest()
        listed = {row["id"] for row in rows}
        for log_id in [i for i, status in self._known.items() if status in OPEN_STATUSES]:
            if log_id not in listed:
                # Either it left the newest, or its new status is none that is asked for.
                self._look_at(self._detail(log_id))
        for row in reversed(rows):
            self._look_at(row)
        self._known = {
            log_id: status
            for log_id, status in self._known.items()
            if log_id in listed or status in OPEN_STATUSES
        }

    def close(self) -> None:
        """Leave the cursor at the begin of a line."""
        self._printer.close()

    def _newest(self) -> list[dict[str, Any]]:
        path = task_path(self._task_id, "logs")
        rows: list[dict[str, Any]] = self._client.get(path, size=NEWEST, **self._filters)["items"]
        return rows

    def _detail(self, log_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self._client.get(task_path(self._task_id, "logs", log_id))
        return found

    def _look_at(self, row: Mapping[str, Any], *, said: bool = False) -> None:
        """Tell of one execution what is new; `said`: its output is not wanted any more."""
        before = self._known.get(row["id"])
        if before is not None and before not in OPEN_STATUSES:
            return
        if row["status"] in WITHOUT_OUTPUT or said:
            execution = row
        else:
            execution = self._detail(row["id"])
        if execution["status"] in OPEN_STATUSES and execution["status"] != before:
            self._printer.print_begin(execution)
        if "output" in execution:
            self._printer.print_output(execution)
        if execution["status"] not in OPEN_STATUSES:
            self._printer.print_end(execution)
        self._known[row["id"]] = execution["status"]
