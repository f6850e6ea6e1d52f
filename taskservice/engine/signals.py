"""What of a batch may matter to whoever is told: noted beside it, and judged later."""

from collections.abc import Callable
from datetime import datetime, timedelta

from taskservice.domain.incidents import What, limits, minds_success
from taskservice.domain.rules import NOBODY, Notify
from taskservice.domain.task import Task
from taskservice.engine.claims import Recorded
from taskservice.storage.executions import ExecutionRow
from taskservice.storage.signals import Signal

RulesOf = Callable[[Task], Notify]
"""The rules by which people are told of a task."""


def own_rules(task: Task) -> Notify:
    """Those that the task names itself."""
    return task.notify or NOBODY


def signals_of(done: Recorded, rules_of: RulesOf, now: datetime) -> tuple[list[Signal], list[str]]:
    """What was seen, and is to be looked at; and the executions that need no more looking at.

    Of tasks with no rules that is nothing, and next to nothing of those that do well.
    """
    found: list[Signal] = []
    over: list[str] = []
    for end in done.ended:
        notify = _rules(done, end, rules_of)
        if not notify.rules:
            continue
        if limits(notify, "late") or limits(notify, "long"):
            over.append(end.id)
        if end.status == "failed" and end.id not in done.planned:
            found.append(Signal(task_id=end.task_id, execution_id=end.id, what="failed"))
        elif end.status == "completed" and (minds_success(notify) or _after_failure(done, end)):
            found.append(Signal(task_id=end.task_id, execution_id=end.id, what="completed"))
    for added in done.added:
        notify = _rules(done, added, rules_of)
        if added.is_open:
            found += _watches(done, added, notify, now)
        elif any(added.status in rule.on for rule in notify.rules.values()):
            what: What = "missed" if added.status == "missed" else "skipped"
            found.append(Signal(task_id=added.task_id, execution_id=added.id, what=what))
    return found, over


def _rules(done: Recorded, execution: ExecutionRow, rules_of: RulesOf) -> Notify:
    scheduled = done.tasks.get(execution.task_id)
    if scheduled is None or done.rows[execution.task_id].deleted:
        return NOBODY
    return rules_of(scheduled.task)


def _after_failure(done: Recorded, end: ExecutionRow) -> bool:
    """Whether the task may have failed since its last success."""
    others = (one for one in done.ended if one.task_id == end.task_id and one is not end)
    last = done.rows[end.task_id].last_outcome
    return last != "completed" or any(one.status != "completed" for one in others)


def _watches(
    done: Recorded, execution: ExecutionRow, notify: Notify, now: datetime
) -> list[Signal]:
    """What is to be looked at of an execution that begins, or is sent to a queue."""
    watches = [
        Signal(
            task_id=execution.task_id, execution_id=execution.id, what="long", seconds=limit,
            due=execution.start_time + timedelta(seconds=limit),
        )
        for limit in sorted(limits(notify, "long"))
    ]  # fmt: skip
    if execution.scheduled_time is None or execution.attempt > 1:
        return watches
    jitter = done.tasks[execution.task_id].trigger.jitter
    for limit in sorted(limits(notify, "late")):
        due = execution.scheduled_time + timedelta(seconds=jitter + limit)
        if due < now or execution.status == "queued":
            late = Signal(
                task_id=execution.task_id, execution_id=execution.id, what="late", seconds=limit,
                due=due,
            )  # fmt: skip
            watches.append(late)
    return watches
