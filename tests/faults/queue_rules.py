"""What is promised of executions that are sent to queues, beside what the checker knows of all.

Like the checker it compares what the functions wrote down with what the log says. All moments are
microseconds since 1970.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tests.faults.checker import Facts
from tests.faults.evidence import SECOND, Run
from tests.faults.log import Row

STOPS_WITHIN = 10 * SECOND
"""After a cancel or a timeout the worker stops the function within this time."""

CLOSED_WITHIN = 40 * SECOND
"""After the death of a worker its rows are closed within this time."""

LATE_BY = 10 * SECOND
"""How much longer than the start timeout something may wait."""

UNBEGUN = ("unsent", "unstarted")


@dataclass(frozen=True, slots=True, kw_only=True)
class Queues:
    """What a scenario knows of its workers: their process by their name.

    The functions of the tasks `dying` end their own process. What is promised within a time may
    come `slack` later on a busy machine.
    """

    start_timeout: int
    workers: Mapping[str, int]
    dying: Collection[str] = ()
    slack: int = 3 * SECOND


def check_queues(
    rows: Sequence[Row], runs: Sequence[Run], facts: Facts, queues: Queues
) -> list[str]:
    """Everything that contradicts a promise, each with a word that says which."""
    ran: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        ran[run.execution].append(run)
    found: list[str] = []
    for row in rows:
        if row.queue is None or row.status in ("skipped", "missed"):
            continue
        at = f"{row.task_id} at {row.fire or row.id}, attempt {row.attempt}"
        its = ran[row.id]
        told = [*_waiting(row, facts, queues), *_death(row, its, facts, queues)]
        for run in its:
            told += _run(row, run, facts, queues)
        found += [f"{word}: {at} {story}" for word, story in told]
    return found


Found = Iterator[tuple[str, str]]


def _waiting(row: Row, facts: Facts, queues: Queues) -> Found:
    """Nothing waits longer than the start timeout, and what it is ended for is true."""
    if row.queued is None:
        yield "contradiction", "was sent to a queue, and never queued"
        return
    begun = row.worker is not None
    left = row.start if begun else row.end
    if left is None:
        return
    allowed = facts.after_trouble(row.queued + queues.start_timeout) + LATE_BY + queues.slack
    if left > allowed:
        yield "waited", f"waited for {(left - row.queued) / SECOND:.1f} s ({row.error})"
    if begun == (row.word in UNBEGUN):
        if begun or row.status != "cancelled":
            yield "contradiction", f"is {row.status} ({row.error}) with the worker {row.worker}"
    if row.word == "unstarted" and left < row.queued + queues.start_timeout - queues.slack:
        yield "contradiction", f"was given up after {(left - row.queued) / SECOND:.1f} s"


def _death(row: Row, runs: Sequence[Run], facts: Facts, queues: Queues) -> Found:
    """No row is open for long after its worker died, and none is closed as a dead one's before."""
    pid = queues.workers.get(row.worker or "", 0)
    death = facts.deaths.get(pid)
    if row.end is None:
        return
    if row.word == "interrupted" and row.task_id not in queues.dying:
        children = {one.child for one in runs}
        if death is None or death > row.end:
            if pid not in facts.excused and not children & facts.deaths.keys():
                yield "unfounded", f"was closed ({row.error}), and its worker lived"
    if death is None:
        return
    if row.end > facts.after_trouble(death) + CLOSED_WITHIN + queues.slack:
        yield "open", f"was closed {(row.end - death) / SECOND:.1f} s after its worker died"


def _run(row: Row, run: Run, facts: Facts, queues: Queues) -> Found:
    """Nothing begins once its row is closed, or goes on for long, and the row says where it ran."""
    if row.word in UNBEGUN:
        yield "closed", f"ran in {run.pid}, and is {row.error}"
        return
    if queues.workers.get(row.worker or "") != run.pid:
        yield "elsewhere", f"ran in {run.pid}, and its row says {row.worker}"
    if row.end is None:
        return
    # What was taken before may be called just after, and is stopped then.
    stopped = row.worker is not None and row.word in ("cancelled", "timed out")
    late = run.begin - row.end
    if late > (STOPS_WITHIN if stopped else 0):
        yield "closed", f"began {late / SECOND:.2f} s after its row was closed ({row.error})"
    thawed = run.pid in facts.excused
    if stopped and not thawed and run.end and run.end > row.end + STOPS_WITHIN + queues.slack:
        yield "went on", f"for {(run.end - row.end) / SECOND:.1f} s ({row.error})"
