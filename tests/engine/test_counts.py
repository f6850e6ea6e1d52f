"""Counting executions: what is counted as what."""

from datetime import UTC, datetime, timedelta

from taskservice.engine.counts import DURATIONS, Counts, Histogram
from taskservice.storage.executions import ExecutionRow

NOW = datetime.now(UTC)


def execution(status: str, seconds: float = 0, **more: object) -> ExecutionRow:
    end = None if status == "running" else NOW + timedelta(seconds=seconds)
    fields = {"start_time": NOW, "end_time": end, "status": status, **more}
    return ExecutionRow(id="e", task_id="t", **fields)  # type: ignore[arg-type]


def test_a_value_counts_up_to_its_bound() -> None:
    histogram = Histogram((1.0, 2.0))
    for value in (0.0, 1.0, 1.5, 2.0, 2.5, 100.0):
        histogram.add(value)
    assert (histogram.counts, histogram.sum) == ([2, 2, 2], 107.0)


def test_executions_are_counted_as_they_begin_and_end() -> None:
    counts = Counts()
    counts.record(
        [execution("running"), execution("running"), execution("skipped"), execution("missed")],
        [execution("completed", 0.02), execution("failed", 7), execution("cancelled", 10**6)],
    )
    counts.record([], [execution("completed", 0.03)])
    assert counts.started == 2
    assert counts.ended == {
        "completed": 2, "failed": 1, "cancelled": 1, "skipped": 1, "missed": 1
    }  # fmt: skip
    durations = {status: one.counts for status, one in counts.durations.items()}
    assert durations["completed"][DURATIONS.index(0.05)] == 2
    assert durations["failed"][DURATIONS.index(10.0)] == 1
    assert durations["cancelled"][-1] == 1


def test_only_the_first_call_for_a_fire_can_be_late() -> None:
    counts = Counts()
    counts.called(execution("running"))
    counts.called(execution("running", scheduled_time=NOW, attempt=2))
    assert sum(counts.lateness.counts) == 0
    counts.called(execution("running", scheduled_time=datetime.now(UTC) - timedelta(seconds=100)))
    assert 100 <= counts.lateness.sum < 110
    # The clock was stepped back.
    counts.called(execution("running", scheduled_time=datetime.now(UTC) + timedelta(hours=1)))
    assert 100 <= counts.lateness.sum < 110
    assert sum(counts.lateness.counts) == 2
