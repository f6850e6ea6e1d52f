"""SIGTERM with executions that come to their end within the grace, and beyond it."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from tests.acceptance.process import wait_for
from tests.faults.evidence import SECOND, read_runs
from tests.faults.lab import Lab, moment
from tests.faults.service import COMMAND

WITHIN, BEYOND, QUICK = "ends-within", "ends-beyond", "quick"


def stop_round(lab: Lab, command: Sequence[str] = COMMAND) -> None:
    """Stop it while all kinds of executions run, and judge what each stop has left."""
    grace = lab.length(3, 10)
    kinds: dict[str, dict[str, Any]] = {
        WITHIN: {"seconds": grace / 3, "max_instances": 9},
        BEYOND: {"seconds": grace * 3, "max_instances": 99},
        QUICK: {},
    }
    for executor in ("local", "process"):
        for kind, fields in kinds.items():
            lab.declare(f"{kind}-{executor}", every=1, executor=executor, **fields)
    service = lab.service({"TASKSERVICE_SHUTDOWN_GRACE": str(grace)}, command=command)
    for _ in range(lab.length(1, 25)):
        began = moment()
        lab.start(service)
        for task_id in lab.expected:
            wait_for(f"{task_id} runs", partial(_begun, lab, task_id, began))
        lab.pause(0.0, 1.0)
        asked = moment()
        assert service.terminate() == 0
        ended = moment()
        lab.faults["SIGTERM"] += 1
        lab.deaths[service.pid] = ended
        _judge_stop(lab, began, asked)
        assert ended - asked < (grace + 20) * SECOND
    lab.start(service)
    lab.grows()
    lab.finish(patience=(grace + 10) * SECOND)


def test_stop_within_and_beyond_the_grace(lab: Lab) -> None:
    stop_round(lab)


def _judge_stop(lab: Lab, began: int, asked: int) -> None:
    """What this one stop must have left behind, of what has begun since `began`."""
    runs, rows = lab.read()
    by_id = {row.id: row for row in rows}
    lab.violations += [
        f"stuck: {row.task_id} at {row.fire} is running after the stop" for row in rows
        if row.status == "running"
    ]  # fmt: skip
    # A row that was being committed as the signal came may be a little younger than it.
    lab.violations += [
        f"claimed: {row.task_id} at {row.fire}, after SIGTERM" for row in rows
        if row.start > asked + 2 * SECOND
    ]  # fmt: skip
    for run in runs:
        row = by_id.get(run.execution)
        if run.begin < began or row is None:
            continue
        cut = run.task_id.startswith(BEYOND) and run.end is None
        right = row.word == "interrupted" if cut else row.status == "completed"
        if not right:
            lab.violations.append(
                f"contradiction: {run.task_id} at {run.fire}, cut off: {cut}, is {row.status} "
                f"{row.error!r} after SIGTERM"
            )
    lab.verdict()


def _begun(lab: Lab, task_id: str, since: int) -> bool:
    """Whether a run of the task has begun since a moment."""
    return any(run.task_id == task_id and run.begin > since for run in read_runs(lab.evidence))
