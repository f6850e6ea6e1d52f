"""What Prometheus is told, read back by Prometheus' own library."""

import os
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from taskservice import __version__
from taskservice.service import Service
from taskservice.service.metrics import Metrics
from taskservice.storage.database import Database
from tests.service.conftest import until

Samples = dict[str, float]

FILE = """\
tasks:
  one: {name: one, task_type: t, trigger_type: interval, trigger_args: {hours: 1},
        func_path: taskservice.examples.simple_task, func_args: {message: m}}
  two: {name: two, task_type: t, trigger_type: interval, trigger_args: {hours: 1},
        func_path: taskservice.examples.simple_task, func_args: {message: m}, paused: true}
"""
FAILING = {
    "id": "failing", "name": "t", "task_type": "t", "trigger_type": "interval",
    "trigger_args": {"hours": 1}, "func_path": "metric_work.fail",
}  # fmt: skip


async def scraped(service: Service) -> Samples:
    """Every sample of a service."""
    return await samples_of(service.metrics)


async def samples_of(metrics: Metrics) -> Samples:
    """Every sample: by its name, with the values of its labels behind it."""
    text = (await metrics.text()).decode()
    samples = [
        ("/".join((sample.name, *sample.labels.values())), sample.value)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    ]
    assert len(samples) == len(dict(samples))
    return dict(samples)


async def test_a_fresh_service_tells_every_number(service: Service) -> None:
    found = await scraped(service)
    for status in ("completed", "failed", "cancelled", "skipped", "missed"):
        assert found.pop(f"taskservice_executions_ended_total/{status}") == 0
    for status in ("pending", "running", "paused", "completed", "failed"):
        assert found.pop(f"taskservice_tasks/{status}") == 0
    for drift in ("in_sync", "overridden", "conflict"):
        assert found.pop(f"taskservice_declared_tasks/{drift}") == 0
    for name in (
        "executions_started_total", "executions_running", "executions_unreturned",
        "overrides", "retired_tasks", "sync_errors", "sync_held_tasks",
        "fire_lateness_seconds_count", "fire_lateness_seconds_sum",
    ):  # fmt: skip
        assert found.pop(f"taskservice_{name}") == 0
    for executor in ("local", "process"):
        assert found.pop(f"taskservice_executions_waiting/{executor}") == 0
    for status in ("completed", "failed", "cancelled"):
        assert found.pop(f"taskservice_execution_duration_seconds_count/{status}") == 0
    for kind, state in product(("service", "worker"), ("alive", "dead")):
        alive = (kind, state) == ("service", "alive")
        assert found.pop(f"taskservice_workers/{kind}/{state}") == alive
    assert found.pop("taskservice_scheduling") == 1
    assert found.pop("taskservice_database_up") == 1
    assert found.pop(f"taskservice_build_info/{__version__}") == 1
    assert 0 <= found.pop("taskservice_sync_age_seconds") < 60
    assert found.pop("process_start_time_seconds") > 0
    assert found.pop("process_open_fds") > 0
    rest = {name.partition("/")[0] for name in found}
    assert {name for name in rest if not name.startswith("process_")} == {
        "taskservice_execution_duration_seconds_bucket",
        "taskservice_execution_duration_seconds_sum",
        "taskservice_fire_lateness_seconds_bucket",
    }


async def test_executions_tasks_and_syncs_are_counted(
    make_service: Callable[..., Service], folder: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    (tmp_path / "metric_work.py").write_text("def fail(): raise ValueError('no')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    (folder / "tasks.yaml").write_text(FILE)
    (folder / "broken.yaml").write_text("name: [\n")
    (folder / "wrong.yaml").write_text("nme: x\ntask_typ: y\n")
    service = make_service(functions=("metric_work.*", "taskservice.examples.*"))
    await service.start()
    await service.syncs.sync(prune=False, by="ann")  # a file must have rested to be taken
    await service.changes.create(FAILING, by="ann")
    await service.changes.set_paused("one", True, by="ann")
    every_second = {**FAILING, "id": "ticking", "trigger_args": {"seconds": 1}}
    await service.changes.create(
        {**every_second, "func_path": "taskservice.examples.simple_task",
         "func_args": {"message": "m"}},
        by="ann",
    )  # fmt: skip
    await service.executions.trigger("failing", None, by="ann")

    async def has_run() -> bool:
        found = await scraped(service)
        return bool(
            found["taskservice_executions_ended_total/completed"]
            and found["taskservice_executions_ended_total/failed"]
        )

    await until(has_run)
    await service.changes.delete("ticking", by="ann")
    found = await scraped(service)
    completed = found["taskservice_executions_ended_total/completed"]
    assert found["taskservice_executions_ended_total/failed"] == 1
    assert found["taskservice_executions_started_total"] >= completed + 1
    assert found["taskservice_execution_duration_seconds_count/failed"] == 1
    assert found["taskservice_execution_duration_seconds_count/completed"] == completed
    # What somebody asked for can't be late.
    assert found["taskservice_fire_lateness_seconds_count"] >= completed
    assert found["taskservice_fire_lateness_seconds_sum"] > 0
    assert found["taskservice_fire_lateness_seconds_bucket/+Inf"] >= completed
    assert found["taskservice_tasks/paused"] == 2
    assert found["taskservice_tasks/failed"] == 1
    assert found["taskservice_declared_tasks/overridden"] == 1
    assert found["taskservice_declared_tasks/in_sync"] == 1
    assert found["taskservice_overrides"] == 1
    # However many faults a file has.
    assert found["taskservice_sync_errors"] == 2


async def test_what_a_sync_held_is_counted(service: Service, folder: Path) -> None:
    one = FILE.splitlines()
    files = [folder / f"t{number}.yaml" for number in range(5)]
    for file in files:
        file.write_text("\n".join([one[0], *one[1:3]]).replace("one", file.stem))
    await service.syncs.sync(prune=False, by="ann")
    for file in files:
        file.unlink()

    async def is_held() -> bool:
        await service.syncs.sync(prune=False, by="ann")
        return (await scraped(service))["taskservice_sync_held_tasks"] == 5

    await until(is_held)
    await service.syncs.sync(prune=True, by="ann")
    found = await scraped(service)
    assert found["taskservice_sync_held_tasks"] == 0
    assert found["taskservice_retired_tasks"] == 5
    assert found["taskservice_declared_tasks/in_sync"] == 0


async def test_without_the_database_it_says_so(service: Service) -> None:
    gone = Database("mysql+asyncmy://nobody@127.0.0.1:1/gone")
    found = await samples_of(Metrics(gone, service.engine, service.workers, service.notifications))
    assert found["taskservice_database_up"] == 0
    assert "taskservice_tasks/pending" not in found
    assert found["taskservice_executions_started_total"] == 0


async def test_two_services_of_one_process_count_apart(
    tmp_path: Path, make_service: Callable[..., Service]
) -> None:
    first = make_service()
    await first.start()
    second = make_service(database_url=f"sqlite+aiosqlite:///{tmp_path / 'second.db'}")
    await second.start()
    task = {**FAILING, "func_path": "taskservice.examples.simple_task"}
    await first.changes.create({**task, "func_args": {"message": "m"}}, by="ann")
    await first.executions.trigger("failing", None, by="ann")
    assert (await scraped(first))["taskservice_executions_started_total"] == 1
    assert (await scraped(second))["taskservice_executions_started_total"] == 0
    assert isinstance(first.metrics.registry, CollectorRegistry)
    assert (await scraped(first))["process_open_fds"] <= len(os.listdir("/proc/self/fd")) + 5
