"""What Prometheus is told. The names are for good: others have alerts that stand on them."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import accumulate, product
from typing import Any, get_args

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from taskservice import __version__
from taskservice.domain.errors import Unavailable
from taskservice.domain.overlay import Drift
from taskservice.domain.run import TaskStatus
from taskservice.engine.counts import Counts, Histogram
from taskservice.engine.engine import Engine
from taskservice.service.moments import now_utc
from taskservice.service.notify.notifications import Notifications
from taskservice.service.workers import MOST_WORKERS, ListedQueue, Workers, counted
from taskservice.storage import messages
from taskservice.storage import workers as store
from taskservice.storage.database import Database
from taskservice.storage.messages import Outlook
from taskservice.storage.totals import Totals, totals
from taskservice.sync.report import last_report


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What the database knows.

    Of the last sync: its age in seconds (None before the first), how many files were at fault, and
    how many tasks it held back from retirement. `workers` counts by kind and state.
    """

    totals: Totals
    queues: Sequence[ListedQueue]
    workers: Mapping[tuple[str, str], int]
    outlooks: Mapping[str, Outlook]
    sync_age: float | None
    sync_errors: int
    held: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What there is at a moment; `figures` is None where the database can't be reached.

    `waiting` counts by executor what waits for a place to run, `unreturned` what was cancelled or
    timed out and has not returned.
    """

    running: int = 0
    waiting: Mapping[str, int] = field(default_factory=dict)
    unreturned: int = 0
    scheduling: bool = False
    figures: Figures | None = None


class Metrics(Collector):
    """The metrics of one service, in a registry of their own."""

    def __init__(
        self, database: Database, engine: Engine, workers: Workers, notifications: Notifications
    ) -> None:
        self._database = database
        self._workers = workers
        self._notifications = notifications
        self._engine = engine
        self._measured = Measured()
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.registry.register(self)

    async def text(self) -> bytes:
        """What Prometheus scrapes; without the database, what is known here."""
        try:
            async with self._database.read() as connection:
                found = await connection.run_sync(totals)
                report = await last_report(connection)
                listed = await store.listed(connection, limit=MOST_WORKERS)
                queues = await self._workers.queues(connection, listed)
                outlooks = await messages.outlooks(connection)
        except Unavailable:
            figures = None
        else:
            figures = _figures(found, report, queues, counted(listed), outlooks, now_utc())
        self._measured = Measured(
            running=self._engine.running,
            waiting=self._engine.waiting,
            unreturned=self._engine.unreturned,
            scheduling=self._engine.leads,
            figures=figures,
        )
        # It reads the process's files.
        return await asyncio.to_thread(generate_latest, self.registry)

    def describe(self) -> list[Metric]:
        """Nothing: what is collected need not be looked through for names."""
        return []

    def collect(self) -> Iterator[Metric]:
        """The families of what this process counted, and of what was measured last."""
        measured = self._measured
        build = GaugeMetricFamily(
            "taskservice_build_info", "1, with the version of the service.", labels=["version"]
        )
        build.add_metric([__version__], 1)
        yield build
        yield from _counted(self._engine.counts)
        yield from _sent(self._notifications.sender.counts)
        yield GaugeMetricFamily(
            "taskservice_executions_running", "Executions that run in this process.",
            value=measured.running,
        )  # fmt: skip
        yield _by(
            "taskservice_executions_waiting",
            "Of those, executions that wait for a free thread or process of their executor.",
            "executor", tuple(measured.waiting), measured.waiting,
        )  # fmt: skip
        yield GaugeMetricFamily(
            "taskservice_executions_unreturned",
            "Executions that were cancelled or timed out in this process and have not returned.",
            value=measured.unreturned,
        )  # fmt: skip
        yield GaugeMetricFamily(
            "taskservice_scheduling", "Whether this process schedules: of all replicas, one does.",
            value=measured.scheduling,
        )  # fmt: skip
        yield GaugeMetricFamily(
            "taskservice_database_up", "Whether the database could be read for this answer.",
            value=measured.figures is not None,
        )  # fmt: skip
        if measured.figures:
            yield from _of_database(measured.figures)
            yield from _of_workers(measured.figures, now_utc())
            yield from _of_messages(measured.figures)


def _counted(counts: Counts) -> Iterator[Metric]:
    yield CounterMetricFamily(
        "taskservice_executions_started", "Executions that this process began, or sent.",
        value=counts.started,
    )  # fmt: skip
    ended = CounterMetricFamily(
        "taskservice_executions_ended",
        "Executions that this process ended, or sent to workers that did; skipped and missed ones "
        "never began.",
        labels=["status"],
    )
    for status, count in counts.ended.items():
        ended.add_metric([status], count)
    yield ended
    durations = HistogramMetricFamily(
        "taskservice_execution_duration_seconds",
        "From the beginning of an execution to its end, by how it ended.",
        labels=["status"],
    )
    for status, histogram in counts.durations.items():
        durations.add_metric([status], _buckets(histogram), histogram.sum)
    yield durations
    yield HistogramMetricFamily(
        "taskservice_fire_lateness_seconds",
        "How long after its scheduled time a fire's function was called, jitter included.",
        buckets=_buckets(counts.lateness), sum_value=counts.lateness.sum,
    )  # fmt: skip


def _sent(counts: Mapping[tuple[str, str], int]) -> Iterator[Metric]:
    attempts = CounterMetricFamily(
        "taskservice_message_attempts",
        "Attempts of this process to send a message, by channel: sent, or failed.",
        labels=["channel", "outcome"],
    )
    for labels, count in sorted(counts.items()):
        attempts.add_metric(labels, count)
    yield attempts


def _figures(
    counted: Totals,
    report: Mapping[str, Any],
    queues: Sequence[ListedQueue],
    workers: Mapping[tuple[str, str], int],
    outlooks: Mapping[str, Outlook],
    now: datetime,
) -> Figures:
    """What there is to tell of these totals and the report of the last sync."""
    at, held = report["synced_at"], report["held"]
    return Figures(
        totals=counted,
        queues=queues,
        workers=workers,
        outlooks=outlooks,
        sync_age=at and max((now - datetime.fromisoformat(at)).total_seconds(), 0.0),
        sync_errors=report["files_at_fault"],
        held=len(held["task_ids"]) if held else 0,
    )


def _of_database(figures: Figures) -> Iterator[Metric]:
    totals = figures.totals
    yield _by("taskservice_tasks", "Live tasks.", "status", get_args(TaskStatus), totals.by_status)
    yield _by(
        "taskservice_declared_tasks", "Live tasks that files declare.", "drift", get_args(Drift),
        totals.by_drift,
    )  # fmt: skip
    yield GaugeMetricFamily("taskservice_overrides", "Overrides in force.", value=totals.overrides)
    yield GaugeMetricFamily(
        "taskservice_retired_tasks", "Tasks that wait to be deleted: their declaration is gone.",
        value=totals.retired,
    )  # fmt: skip
    yield GaugeMetricFamily(
        "taskservice_sync_errors", "Declared files that the last sync found at fault.",
        value=figures.sync_errors,
    )  # fmt: skip
    yield GaugeMetricFamily(
        "taskservice_sync_held_tasks", "Tasks whose retirement waits to be confirmed.",
        value=figures.held,
    )  # fmt: skip
    if figures.sync_age is not None:
        yield GaugeMetricFamily(
            "taskservice_sync_age_seconds", "How long ago the last sync was, by any replica.",
            value=figures.sync_age,
        )  # fmt: skip


def _of_workers(figures: Figures, now: datetime) -> Iterator[Metric]:
    queued = GaugeMetricFamily(
        "taskservice_queued", "Executions that wait in a queue for a worker.", labels=["queue"]
    )
    oldest = GaugeMetricFamily(
        "taskservice_oldest_queued_seconds", "How long the first of them has waited.",
        labels=["queue"],
    )  # fmt: skip
    for queue in figures.queues:
        queued.add_metric([queue.name], queue.waiting)
        waited = (now - queue.oldest).total_seconds() if queue.oldest else 0.0
        oldest.add_metric([queue.name], max(waited, 0.0))
    yield queued
    yield oldest
    workers = GaugeMetricFamily(
        "taskservice_workers", "Processes that execute; a dead one for a minute.",
        labels=["kind", "state"],
    )  # fmt: skip
    for labels in product(("service", "worker"), ("alive", "dead")):
        workers.add_metric(labels, figures.workers.get(labels, 0))
    yield workers


def _of_messages(figures: Figures) -> Iterator[Metric]:
    waiting = GaugeMetricFamily(
        "taskservice_messages_waiting", "Messages that wait to be sent, or sent again.",
        labels=["channel"],
    )  # fmt: skip
    undeliverable = GaugeMetricFamily(
        "taskservice_messages_undeliverable",
        "Messages, of those that are kept, that nobody took for a day.",
        labels=["channel"],
    )
    for channel, outlook in sorted(figures.outlooks.items()):
        waiting.add_metric([channel], outlook.waiting)
        undeliverable.add_metric([channel], outlook.undeliverable)
    yield waiting
    yield undeliverable


def _by(
    name: str, documentation: str, label: str, values: tuple[str, ...], counts: Mapping[str, int]
) -> Metric:
    family = GaugeMetricFamily(name, documentation, labels=[label])
    for value in values:
        family.add_metric([value], counts.get(value, 0))
    return family


def _buckets(histogram: Histogram) -> list[tuple[str, float]]:
    bounds = [*(str(bound) for bound in histogram.bounds), "+Inf"]
    return list(zip(bounds, accumulate(histogram.counts), strict=True))
