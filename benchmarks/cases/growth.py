"""How cost grows with the number of tasks: every measure of one service, size after size."""

import time

from benchmarks import tasks
from benchmarks.bench import Bench, Part, Samples
from benchmarks.cases import save
from benchmarks.load import Load, get
from benchmarks.service import Service

PREFIX = "growth."
EDITS = 5
CONNECTIONS = 16
CALM_SECONDS = 15
"""Seconds from a start until nothing of it is left to do, for 100,000 tasks too."""

IDLE_SECONDS = 30
"""The service looks at everything as often as this: any window so long holds each look once."""

MEASURES = {
    "start": ("start, empty database", "s"),
    "restart": ("start again, nothing changed", "s"),
    "resync": ("sync by content, nothing changed", "s"),
    "edit": ("save of one file to its task firing, median", "ms"),
    "get": ("GET of one task", "/s"),
    "page": ("GET of a page of 50", "/s"),
    "memory": ("memory a task", "KiB"),
    "idle": ("processor time while nothing is due", "idle"),
}
"""By the ends of the samples' keys: what is measured, and its unit."""


def _measure(bench: Bench) -> Samples:
    samples: dict[str, float] = {}
    bench.say("  growth: no tasks")
    base = _one(bench, 50)["memory"]
    for size in bench.sizes:
        bench.say(f"  growth: {size:,} tasks")
        found = _one(bench, size)
        found["memory"] = (found["memory"] - base) / size
        samples.update({f"{PREFIX}{size}.{name}": value for name, value in found.items()})
    return samples


def _one(bench: Bench, size: int) -> dict[str, float]:
    found: dict[str, float] = {}
    with bench.place("mariadb") as (database, folder, scratch):
        save.prepare(folder, size)
        with Service(database, folder, scratch) as service:
            found["start"] = service.start_seconds
            service.terminate()
        with Service(database, folder, scratch) as service:
            found["restart"] = service.start_seconds
            time.sleep(2)
            found["memory"] = float(service.resident())
            time.sleep(CALM_SECONDS)
            before = service.processor_time()
            time.sleep(IDLE_SECONDS)
            found["idle"] = (service.processor_time() - before) / IDLE_SECONDS
            started = time.perf_counter()
            service.request("POST", "/sync")
            found["resync"] = time.perf_counter() - started
            calm = save.calm_fires(service.record)
            found["edit"] = sorted(save.delays(folder, service.record, EDITS, calm))[EDITS // 2]
            numbers = range(0, size - 1, max(size // 997, 1))
            requests = {
                "get": [get(f"/task-manage/{tasks.task_id(number)}") for number in numbers],
                "page": [
                    get(f"/task-manage/?size=50&page={page + 1}") for page in range(size // 50)
                ],
            }
            for name, many in requests.items():
                with Load(service.port, many, CONNECTIONS, bench.seconds, scratch) as load:
                    found[name] = load.result()["rate"]
    return found


PARTS = (Part(name="growth", gives=(f"{PREFIX}*",), measure=_measure),)
