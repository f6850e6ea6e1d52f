"""The checker is checked: a sound history passes, and each planted contradiction is named."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.faults.checker import Expected, Facts, check, rewritten
from tests.faults.evidence import SECOND, Run, read_runs
from tests.faults.log import Row
from tests.faults.oracle import DAY, Cron, Interval, Once, to_moment

START = to_moment(datetime(2026, 3, 1, tzinfo=UTC))
PID, OTHER = 100, 200
TASKS = {"t": Expected(oracle=Interval(START, SECOND))}
FACTS = Facts(since=START, until=START + 5 * SECOND + SECOND // 2)


class History:
    """Rows and runs that may be bent; by default five fires, each run and recorded once."""

    def __init__(self) -> None:
        fires = [START + second * SECOND for second in range(1, 6)]
        self.rows = [_row(fire) for fire in fires]
        self.runs = [_run(fire) for fire in fires]

    def violations(self, facts: Facts = FACTS, **expected: object) -> tuple[str, ...]:
        task = replace(TASKS["t"], **expected)  # type: ignore[arg-type]
        return check({"t": task}, self.runs, self.rows, facts).violations

    def row(self, number: int, **changes: object) -> None:
        self.rows[number] = replace(self.rows[number], **changes)  # type: ignore[arg-type]

    def run(self, number: int, **changes: object) -> None:
        self.runs[number] = replace(self.runs[number], **changes)  # type: ignore[arg-type]


def _row(fire: int, attempt: int = 1) -> Row:
    key = f"{fire}/{attempt}"
    return Row(
        id=key, task_id="t", fire=fire, attempt=attempt, folded=0, status="completed",
        start=fire + 1000, end=fire + 3000, error=None, result=f'"{key}"',
    )  # fmt: skip


def _run(fire: int, attempt: int = 1) -> Run:
    return Run(
        task_id="t", fire=fire, attempt=attempt, pid=PID, execution=f"{fire}/{attempt}",
        begin=fire + 2000, end=fire + 2500, tick=fire + 2000, end_tick=fire + 2500,
    )  # fmt: skip


def test_a_sound_history() -> None:
    report = check(TASKS, History().runs, History().rows, FACTS)
    assert (report.violations, report.fires, report.runs) == ((), 5, 5)
    assert report.rows == {"completed": 5}


def lost_at_the_end(h: History) -> None:
    del h.rows[-1], h.runs[-1]


def lost_in_the_midst(h: History) -> None:
    del h.rows[2], h.runs[2]


def lost_at_the_beginning(h: History) -> None:
    del h.rows[0], h.runs[0]


def lost_row(h: History) -> None:
    del h.rows[2]


def surplus_row(h: History) -> None:
    h.rows.append(replace(h.rows[2], id="more", status="skipped", error="skipped: x"))


def surplus_time(h: History) -> None:
    h.row(2, fire=h.rows[2].start)


def surplus_count(h: History) -> None:
    h.row(2, folded=1)


def unrecorded(h: History) -> None:
    h.runs.append(replace(_run(START), execution="nowhere"))


def ran_twice(h: History) -> None:
    h.runs.append(replace(h.runs[2], pid=OTHER))


def claimed_twice(h: History) -> None:
    h.rows.append(replace(h.rows[2], id="more", result='"more"'))
    h.runs.append(replace(h.runs[2], execution="more", pid=OTHER))


def second_attempt(h: History) -> None:
    fire = h.rows[2].fire or 0
    h.rows.append(replace(_row(fire, attempt=2), start=fire + 4000, end=fire + 6000))
    h.runs.append(replace(_run(fire, attempt=2), tick=fire + 5000, end_tick=fire + 5500))


def attempt_left_out(h: History) -> None:
    h.row(2, attempt=2)
    h.run(2, attempt=2)


def stuck(h: History) -> None:
    h.row(2, status="running", end=None)


def no_end(h: History) -> None:
    h.row(2, end=None)


def completed_without_running(h: History) -> None:
    del h.runs[2]


def completed_midway(h: History) -> None:
    h.run(2, end=None)


def skipped_and_ran(h: History) -> None:
    h.row(2, status="skipped", error="skipped: busy")


def skipped_while_idle(h: History) -> None:
    h.row(4, status="skipped", error="skipped: busy")
    h.row(3, start=h.rows[4].start + 1)
    del h.runs[4]
    h.rows[:3] = [replace(row, status="missed", error="missed: x") for row in h.rows[:3]]


def missed_within_grace(h: History) -> None:
    h.row(2, status="missed", error="missed: late")
    del h.runs[2]


def missed_and_ran(h: History) -> None:
    h.row(2, status="missed", error="missed: late")


def wrong_word(h: History) -> None:
    h.row(2, status="failed", error="something else")


def raised_without_running(h: History) -> None:
    h.row(2, status="failed", error="raised: x")
    del h.runs[2]


def interrupted_though_it_ended(h: History) -> None:
    h.row(2, status="failed", error="interrupted: gone")


def interrupted_for_no_reason(h: History) -> None:
    h.row(2, status="failed", error="interrupted: gone")
    del h.runs[2]


def another_result(h: History) -> None:
    h.row(2, result=h.rows[3].result)


def late(h: History) -> None:
    h.run(2, begin=h.runs[2].begin + FACTS.patience, end=h.runs[2].begin + FACTS.patience)


def early(h: History) -> None:
    h.run(2, begin=(h.rows[2].fire or 0) - 1)


def overlapping(h: History) -> None:
    h.run(2, end=h.runs[3].begin + 1, end_tick=h.runs[3].tick + 1)


def never_ending(h: History) -> None:
    h.run(2, end=None, end_tick=None)


@pytest.mark.parametrize(
    ("bend", "word"),
    [
        (lost_at_the_end, "lost"),
        (lost_in_the_midst, "lost"),
        (lost_at_the_beginning, "lost"),
        (lost_row, "unrecorded"),
        (surplus_row, "surplus"),
        (surplus_time, "surplus"),
        (surplus_count, "surplus"),
        (unrecorded, "unrecorded"),
        (ran_twice, "twice"),
        (claimed_twice, "twice"),
        (second_attempt, "twice"),
        (attempt_left_out, "lost"),
        (stuck, "stuck"),
        (no_end, "contradiction"),
        (completed_without_running, "contradiction"),
        (completed_midway, "contradiction"),
        (skipped_and_ran, "contradiction"),
        (skipped_while_idle, "contradiction"),
        (missed_within_grace, "contradiction"),
        (missed_and_ran, "contradiction"),
        (wrong_word, "contradiction"),
        (raised_without_running, "contradiction"),
        (interrupted_though_it_ended, "contradiction"),
        (interrupted_for_no_reason, "contradiction"),
        (another_result, "contradiction"),
        (late, "late"),
        (early, "early"),
        (overlapping, "overlap"),
        (never_ending, "overlap"),
    ],
)
def test_a_contradiction(bend: Callable[[History], None], word: str) -> None:
    history = History()
    bend(history)
    found = history.violations()
    assert word in {violation.partition(":")[0] for violation in found}, found


def test_what_only_looks_like_a_contradiction() -> None:
    folding = History()
    lost_in_the_midst(folding)
    folding.row(2, folded=1)
    assert folding.violations() == ()

    killed = History()
    killed.row(2, status="failed", error="interrupted: its process died")
    killed.run(2, end=None, end_tick=None)
    deaths = {PID: START + 3 * SECOND + 2100}
    assert killed.violations(replace(FACTS, deaths=deaths)) == ()
    # Its end was not written before it died.
    killed.run(2, end=START + 3 * SECOND + 2050)
    assert killed.violations(replace(FACTS, deaths=deaths)) == ()

    again = History()
    again.row(2, status="failed", error="raised: x")
    second_attempt(again)
    assert again.violations(retries=1) == ()
    assert again.violations(recover=True) == ()

    side_by_side = History()
    overlapping(side_by_side)
    assert side_by_side.violations(max_instances=2) == ()

    waiting = History()
    late(waiting)
    waiting.row(2, end=waiting.runs[2].end)
    trouble = (START + 2 * SECOND, START + 12 * SECOND)
    assert waiting.violations(replace(FACTS, troubles=[trouble]), max_instances=5) == ()
    waiting.row(3, status="missed", error="missed: x", start=START + 13 * SECOND)
    del waiting.runs[3]
    assert waiting.violations(replace(FACTS, troubles=[trouble]), max_instances=5, grace=9) == ()


def test_a_row_that_is_written_again() -> None:
    before = History()
    before.row(1, status="failed", error="interrupted: its process died")
    before.row(2, status="running", end=None)
    after = History()
    assert len(rewritten(before.rows, after.rows)) == 1
    assert len(rewritten(after.rows, after.rows[1:])) == 1
    assert rewritten(after.rows, after.rows) == []


def test_a_task_that_nobody_declared() -> None:
    report = check({}, History().runs, [], FACTS)
    assert len(report.violations) == 5


def test_evidence_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "evidence"
    assert read_runs(path) == []
    path.write_text(
        f"t\t5\t1\t{PID}\tbegin\t10\tx\t1\n"
        f"t\t5\t1\t{OTHER}\tbegin\t11\tx\t2\n"
        f"t\t5\t1\t{PID}\tend\t12\tx\t3\n"
        f"h\t-\t1\t{PID}\tbegin\t13\ty\t4\n"
    )
    first, second, by_hand = read_runs(path)
    assert (first.pid, first.begin, first.end, first.fire) == (PID, 10, 12, 5)
    assert (first.tick, first.end_tick) == (1, 3)
    assert (second.pid, second.begin, second.end) == (OTHER, 11, None)
    assert (by_hand.fire, by_hand.end) == (None, None)


def test_the_oracle_counts() -> None:
    interval = Interval(START, 2 * SECOND)
    assert interval.count(START - SECOND, START) == 1
    assert interval.count(START, START + 4 * SECOND) == 2
    assert interval.count(START - 9 * SECOND, START - SECOND) == 0
    assert interval.has(START + 4 * SECOND)
    assert not interval.has(START + 3 * SECOND)
    assert not interval.has(START - 2 * SECOND)
    cron = Cron("*/5 * * * * *")
    assert cron.count(START - 1, START + 10 * SECOND) == 3
    assert cron.count(START, START + 10 * SECOND) == 2
    assert cron.count(START + 1, START + 5 * SECOND - 1) == 0
    assert cron.has(START + 5 * SECOND)
    assert not cron.has(START + 5 * SECOND + 1)
    assert cron.count(START, START + 10 * DAY + 5 * SECOND) == 10 * 17_280 + 1
    assert Cron("0 9 * * 1-5").count(START, START + 7 * DAY) == 5
    once = Once(START)
    assert (once.count(START - 1, START), once.count(START, START + 1)) == (1, 0)
    assert once.has(START)
