"""The benchmarks: that they run, and that their table has every row of the issue's."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.knee import LADDER, knee
from benchmarks.report import Row, cells, times_at_least, times_at_most, under
from benchmarks.rows import CASES, chosen, names

ROOT = Path(__file__).parent.parent
SAVE = Row(
    name="save", title="save of one of {tasks} files", unit="ms", ours="ours", beside="an event",
    peer="peer", least=under(0.2, "200 ms"), aim=times_at_most(1.5),
)  # fmt: skip


@pytest.mark.parametrize(
    "measure",
    [
        "fires-mariadb", "fires-sqlite", "lateness-spread", "lateness-instant-interval",
        "lateness-instant-cron", "lateness-api", "cpu", "cpu-celery", "cpu-redbeat", "start",
        "start-again", "save", "api-read-get", "api-read-page", "api-write", "memory-interval",
        "memory-cron", "queued-rate", "queued-p99", "queued-cpu", "queued-workers",
        "queued-at-once", "growth",
    ],
)  # fmt: skip
def test_every_measure_of_the_issue_has_rows(measure: str) -> None:
    assert chosen([measure])


def test_names_are_unique_and_an_unknown_one_is_refused() -> None:
    assert len(set(names())) == len(names())
    with pytest.raises(ValueError, match="no row 'speed'"):
        chosen(["speed"])


def test_only_the_parts_are_measured_that_a_row_needs() -> None:
    assert [part.name for case in chosen(["lateness-spread-sqlite"]) for part in case.parts] == [
        "timer.spread",
        "ours.spread.sqlite",
    ]
    assert [len(one.parts) for one in chosen([])] == [len(case.parts) for case in CASES]


def test_every_row_but_growth_says_what_is_measured_beside_it() -> None:
    for case in CASES:
        for row in case.rows:
            assert row.name == "growth" or (row.peer and row.beside), row.name


def test_a_row_shows_medians_spread_ratio_and_what_was_met() -> None:
    found = cells(SAVE, {"ours": [0.1, 0.12, 0.3], "peer": [0.05, 0.06, 0.1]}, 10_000)
    assert found == (
        "save of one of 10,000 files",
        "120 ms (100 ms to 300 ms)",
        "an event: 60 ms (50 ms to 100 ms)",
        "2.0 × (2.0 × to 3.0 ×)",
        "< 200 ms",
        "≤ 1.5 ×",
        "at least",
    )
    assert cells(SAVE, {"ours": [0.1]}, 10_000) is None


def test_bounds() -> None:
    assert times_at_least(10).holds(0, 10) and not times_at_least(10).holds(0, 9.9)
    assert times_at_most(0.25).text == "≤ 1/4 ×"
    assert not times_at_most(3).holds(0, None)


@pytest.mark.parametrize("limit", [0, 10, 300, 708, 5_000, 30_000])
def test_the_knee_is_the_highest_rate_that_is_kept(limit: int) -> None:
    expected = max((round(rate) for rate in LADDER if round(rate) <= limit), default=0)
    assert knee(lambda rate: rate <= limit, 1_000) == expected


def test_a_quick_run(tmp_path: Path) -> None:
    """One short window of each, on SQLite, and the table it makes."""
    table = tmp_path / "table.md"
    arguments = ["lateness-spread-sqlite", "--quick", "--seconds", "1", "--markdown", str(table)]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments],
        cwd=ROOT, capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "| p99 lateness, 1,000 fires a second spread over it, SQLite |" in table.read_text()
