"""Compares what was due, what the functions wrote down, and what the log says.

It knows nothing of how the service works: only what a user is promised. All moments are
microseconds since 1970.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tests.faults.evidence import SECOND, Run
from tests.faults.log import Row
from tests.faults.oracle import Oracle

WORDS: Mapping[str, set[str | None]] = {
    "completed": {None},
    "failed": {"raised", "timed out", "interrupted", "unsent", "unstarted"},
    "skipped": {"skipped"},
    "missed": {"missed"},
    "cancelled": {"cancelled"},
    "running": {None},
}
"""By status, the words with which the error may begin."""

STOPPED = 45 * SECOND
"""How long an execution that others ended may fill its instance: its worker may not answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What is promised of a task; `begins` unless whoever is to call its function has none."""

    oracle: Oracle | None
    max_instances: int = 1
    grace: int | None = 3600 * SECOND
    recover: bool = False
    retries: int = 0
    begins: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the scenario knows: when it began to look and when it ended, and what it did.

    `deaths` are the moments at which processes were killed, by their id; `excused` processes were
    frozen for so long that others may have taken them for dead. `troubles` are spans in which
    the service could not work. A fire may begin `patience` after it was due, or after the trouble
    that it fell into; an end may be recorded `slack` after it came. The clocks of the processes
    may be `skew` apart.
    """

    since: int
    until: int
    deaths: Mapping[int, int] = field(default_factory=dict)
    excused: frozenset[int] = frozenset()
    troubles: Sequence[tuple[int, int]] = ()
    patience: int = 20 * SECOND
    slack: int = 3 * SECOND
    skew: int = 0

    def allowed(self, moment: int) -> int:
        """The moment up to which what was due at `moment` may begin."""
        return self.after_trouble(moment) + self.patience

    def after_trouble(self, moment: int) -> int:
        """The first moment from this one on at which the service could work again."""
        for begin, end in sorted(self.troubles):
            if begin - self.patience <= moment <= end:
                moment = max(moment, end)
        return moment


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """How much was compared, and what was found."""

    fires: int
    runs: int
    rows: Mapping[str, int]
    violations: tuple[str, ...]


def check(
    expected: Mapping[str, Expected], runs: Sequence[Run], rows: Sequence[Row], facts: Facts
) -> Report:
    """Everything that contradicts a promise, each with a word that says which."""
    violations: list[str] = []
    fires = 0
    by_task: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_task[row.task_id].append(row)
    for task_id, task in expected.items():
        its_rows, its_runs = by_task[task_id], [run for run in runs if run.task_id == task_id]
        if task.oracle:
            fires += sum(1 + row.folded for row in its_rows if row.fire and row.attempt == 1)
            violations += _accounting(task_id, task.oracle, its_rows, facts)
        violations += _statuses(task_id, task, its_rows, facts)
        violations += _attempts(task_id, task, its_rows)
        violations += _evidence(task_id, task, its_rows, its_runs, facts)
        violations += _lateness(task_id, its_rows, its_runs, facts)
        violations += _overlap(task_id, task, its_rows, its_runs, facts)
    violations += [
        f"unknown: {run.task_id} ran, and nothing declares it"
        for run in runs if run.task_id not in expected
    ]  # fmt: skip
    return Report(
        fires=fires,
        runs=len(runs),
        rows=Counter(row.status for row in rows),
        violations=tuple(violations),
    )


def rewritten(before: Sequence[Row], after: Sequence[Row]) -> list[str]:
    """The rows that had ended and say something else now, or are gone."""
    now = {row.id: row for row in after}
    return [
        f"rewritten: {row.task_id} at {row.fire}: {row.status} {row.error!r} became "
        f"{now[row.id].status + ' ' + repr(now[row.id].error) if row.id in now else 'nothing'}"
        for row in before if row.end is not None and now.get(row.id) != row
    ]  # fmt: skip


def _accounting(task_id: str, oracle: Oracle, rows: list[Row], facts: Facts) -> Iterator[str]:
    """Each fire stands in one row, or is counted in the row of the next one that has a row."""
    firsts = sorted((row for row in rows if row.fire and row.attempt == 1), key=_fire)
    twice = Counter(_fire(row) for row in firsts)
    yield from (
        f"surplus: {task_id} at {fire} has {count} rows" for fire, count in twice.items()
        if count > 1
    )  # fmt: skip
    before = facts.since
    for number, row in enumerate(firsts):
        fire = _fire(row)
        if not oracle.has(fire):
            yield f"surplus: {task_id} has a row at {fire}, when it was not due"
        due = oracle.count(before, fire)
        counted = 1 + row.folded
        if due > counted:
            yield f"lost: {due - counted} fires of {task_id} between {before} and {fire}"
        # The first row may count fires from before the scenario began to look.
        if due < counted and number and fire != before:
            yield f"surplus: {task_id} at {fire} counts {counted} fires where {due} were due"
        before = fire
    left = oracle.count(max(before, facts.since), facts.until)
    if left:
        yield f"lost: {left} fires of {task_id} between {before} and {facts.until}"


def _statuses(task_id: str, task: Expected, rows: list[Row], facts: Facts) -> Iterator[str]:
    """What a row says must be able to be true."""
    for row in rows:
        at = f"{task_id} at {row.fire or row.id}"
        if row.word not in WORDS.get(row.status, set()):
            yield f"contradiction: {at} is {row.status} with the error {row.error!r}"
        if row.status in ("queued", "running"):
            yield f"stuck: {at} is {row.status}, and nobody lives"
        elif row.end is None:
            yield f"contradiction: {at} is {row.status} and has no end"
        if row.fire is None:
            continue
        late = row.start - row.fire
        if row.status == "missed" and (task.grace is None or late < task.grace):
            yield f"contradiction: {at} is missed, {late} µs late, with a grace of {task.grace}"
        if row.status == "skipped" and _occupants(row, rows, facts) < task.max_instances:
            yield f"contradiction: {at} was skipped, and not all instances were busy"


def _occupants(skipped: Row, rows: list[Row], facts: Facts) -> int:
    """How many may have been busy: the end of an execution may be recorded some time after.

    On a worker it fills its instance until that has stopped it, or is taken for dead.
    """
    earliest, latest = skipped.start - facts.skew, skipped.start + facts.skew

    def left(row: Row) -> int:
        assert row.end is not None
        stopped = row.worker is not None and row.word in ("cancelled", "timed out")
        return facts.after_trouble(row.end) + (STOPPED if stopped else facts.slack)

    return sum(
        1 for row in rows
        if row.status not in ("skipped", "missed") and row.claimed <= latest
        and (row.end is None or left(row) >= earliest)
    )  # fmt: skip


def _attempts(task_id: str, task: Expected, rows: list[Row]) -> Iterator[str]:
    attempts: dict[int, list[int]] = defaultdict(list)
    for row in rows:
        if row.fire:
            attempts[row.fire].append(row.attempt)
    most = 1 + task.retries + int(task.recover)
    for fire, numbers in attempts.items():
        if max(numbers) > most:
            yield f"twice: {task_id} at {fire} has attempt {max(numbers)}, {most} are allowed"
        if sorted(set(numbers)) != list(range(1, max(numbers) + 1)):
            yield f"lost: {task_id} at {fire} has only the attempts {sorted(numbers)}"


def _evidence(
    task_id: str, task: Expected, rows: list[Row], runs: list[Run], facts: Facts
) -> Iterator[str]:
    """What ran has its row and ran once; what a row says of running is true."""
    by_id = {row.id: row for row in rows}
    ran: dict[str, Run] = {}
    for run in runs:
        at = f"{task_id} at {run.fire or run.execution}, attempt {run.attempt}"
        if run.execution in ran:
            yield f"twice: {at} ran in {ran[run.execution].pid} and in {run.pid}"
        ran[run.execution] = run
        row = by_id.get(run.execution)
        if row is None:
            yield f"unrecorded: {at} ran in {run.pid} and has no row"
        elif (row.fire, row.attempt) != (run.fire, run.attempt):
            yield f"contradiction: {at} ran, and its row is of {row.fire}, {row.attempt}"
        elif row.status in ("skipped", "missed"):
            yield f"contradiction: {at} ran, and its row says {row.status}"
        elif row.word == "interrupted" and _ended_in_peace(run, facts):
            yield f"contradiction: {at} is interrupted ({row.error}), and ended in {run.pid}"
    for pair, count in Counter((run.fire, run.attempt) for run in runs if run.fire).items():
        if count > 1:
            yield f"twice: {task_id} at {pair[0]}, attempt {pair[1]}, ran {count} times"
    for row in rows:
        known = ran.get(row.id)
        at = f"{task_id} at {row.fire or row.id}, attempt {row.attempt}"
        if row.status == "completed" and (known is None or known.end is None):
            yield f"contradiction: {at} is completed, and did not come to its end"
        if row.word == "raised" and known is None and task.begins:
            yield f"contradiction: {at} raised, and never began"
        if row.word == "interrupted" and not (facts.deaths or facts.excused):
            yield f"contradiction: {at} is interrupted ({row.error}), and no process died"
        if row.status == "completed" and row.result != f'"{row.id}"':
            yield f"contradiction: {at} has the result of another: {row.result}"


def _ended_in_peace(run: Run, facts: Facts) -> bool:
    """Whether it came to its end in a process that lived long enough to say so."""
    if run.end is None or run.pid in facts.excused:
        return False
    death = facts.deaths.get(run.pid)
    return death is None or facts.allowed(run.end) < death


def _lateness(task_id: str, rows: list[Row], runs: list[Run], facts: Facts) -> Iterator[str]:
    began = {run.execution: run.begin for run in runs}
    for row in rows:
        if row.fire is None or row.attempt > 1:
            continue
        begin = began.get(row.id, row.start)
        # A clock that was put back between a claim and its run is no fault of the service.
        if begin < row.fire and facts.after_trouble(begin) == begin:
            yield f"early: {task_id} at {row.fire} began {row.fire - begin} µs before"
        if begin > facts.allowed(row.fire) and row.fire >= facts.since:
            yield f"late: {task_id} at {row.fire} began {begin - row.fire} µs after"


def _overlap(
    task_id: str, task: Expected, rows: list[Row], runs: list[Run], facts: Facts
) -> Iterator[str]:
    """No more than `max_instances` at once; what the log has given up does not count."""
    over = {
        row.id: row.end for row in rows if row.word in ("interrupted", "cancelled", "timed out")
    }
    changes: list[tuple[int, int, int]] = []
    for run in runs:
        ends = [] if run.end_tick is None else [run.end_tick]
        for cut in (facts.deaths.get(run.pid), over.get(run.execution)):
            if cut is not None:
                ends.append(run.tick + max(cut - run.begin, 0))
        last = min(ends, default=run.tick + max(facts.until - run.begin, 0))
        changes += [(run.tick, 1, run.pid), (last, 0, run.pid)]
    busy = 0
    for moment, begins, pid in sorted(changes):
        busy += 1 if begins else -1
        if busy > task.max_instances:
            yield f"overlap: {busy} of {task_id} at {moment}, the last one in {pid}"


def _fire(row: Row) -> int:
    assert row.fire is not None
    return row.fire
