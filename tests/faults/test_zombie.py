"""A process frozen for so long that it was taken for dead, and that wakes in the midst of a run."""

from collections.abc import Callable, Sequence
from functools import partial

from tests.acceptance.process import wait_for
from tests.faults.checker import rewritten
from tests.faults.evidence import read_runs
from tests.faults.lab import Lab
from tests.faults.log import read_log
from tests.faults.planted import planted, short_lease
from tests.faults.service import COMMAND, Server

RUN_SECONDS = 2.0
CLOSED_LIMIT = 90.0
"""What is promised is 40 s after the death, on a machine at rest."""


def zombie_round(lab: Lab, command: Sequence[str]) -> None:
    """Freeze one of two processes while it runs a task; thaw it when the other closed the row."""
    lab.declare("by-hand", seconds=RUN_SECONDS, max_instances=99)
    first, second = lab.service(command=command), lab.service(command=command)
    lab.start(first)
    lab.start(second)
    for _ in range(lab.length(1, 5)):
        execution = first.send("POST", "/task-manage/by-hand/trigger", 202)["id"]
        wait_for("it runs", partial(_begun, lab, execution))
        first.freeze()
        lab.faults["a process frozen until it was given up"] += 1
        lab.excused.add(first.pid)
        wait_for(
            "its row is closed",
            partial(_is, lab, execution, "interrupted"),
            seconds=CLOSED_LIMIT,
        )
        before = read_log(lab.url)
        first.thaw()
        wait_for("it comes to its end", partial(_ended, lab, execution))
        # What it begins and ends after that is recorded after that.
        again = first.send("POST", "/task-manage/by-hand/trigger", 202)["id"]
        wait_for("it works again", partial(_is, lab, again, "completed"))
        lab.violations += rewritten(before, read_log(lab.url))
        lab.verdict()
    lab.finish()


def test_zombie_writes_nothing(server: Server, make_lab: Callable[[str], Lab]) -> None:
    lab = make_lab(server.create_database())
    zombie_round(lab, COMMAND if lab.is_long else planted(short_lease))


def _begun(lab: Lab, execution: str) -> bool:
    return any(run.execution == execution for run in read_runs(lab.evidence))


def _ended(lab: Lab, execution: str) -> bool:
    return any(run.execution == execution and run.end for run in read_runs(lab.evidence))


def _is(lab: Lab, execution: str, word: str) -> bool:
    """Whether its row has this status, or an error that begins so."""
    return any(row.id == execution and word in (row.status, row.word) for row in read_log(lab.url))
