"""The REST API under load, beside bare handlers on the same stack and beside Flask-APScheduler."""

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import tasks
from benchmarks.bench import Bench, Part, Samples
from benchmarks.errors import Missing
from benchmarks.load import NUMBER, Load, get, request
from benchmarks.peers import FLASK_JOBS_VARIABLE
from benchmarks.processes import Process, free_port, listens, python
from benchmarks.service import Service

CONNECTIONS = 16
FLASK_JOBS = 1_000
"""Of Flask-APScheduler: it lists all its jobs in one answer, and would take seconds for more."""

Requests = dict[str, Sequence[bytes]]


def _new(new_id: str) -> dict[str, Any]:
    task = tasks.Task(id=new_id, trigger=tasks.seldom("interval", 1)[0])
    return {"id": new_id, **task.fields()}


def _reads(one: str, page: str, count: int) -> Requests:
    """GETs of tasks and of pages of 50, over all that there are."""
    ids = [tasks.task_id(index) for index in range(0, count, max(count // 997, 1))]
    return {
        "get": [get(f"{one}/{task_id}") for task_id in ids],
        "page": [get(f"{page}?size=50&page={number + 1}") for number in range(count // 50)],
    }


def _measure(
    bench: Bench, name: str, port: int, requests: Requests, scratch: Path
) -> dict[str, float]:
    samples = {}
    for kind, many in requests.items():
        with Load(port, many, CONNECTIONS, bench.seconds, scratch) as load:
            answers = load.result()
        samples[f"{name}.{kind}"] = answers["rate"]
        bench.say(
            f"  {name}.{kind}: {answers['rate']:,.0f}/s, p50 {answers['p50'] * 1e3:.1f} ms, "
            f"p99 {answers['p99'] * 1e3:.1f} ms"
        )
    return samples


def _ours(bench: Bench) -> Samples:
    with bench.place("mariadb") as (database, folder, scratch):
        tasks.write_each(folder, tasks.mixed(bench.tasks))
        requests = _reads("/task-manage", "/task-manage/", bench.tasks)
        requests["post"] = [request("POST", "/task-manage/", _new(f"new-{NUMBER}"))]
        requests["put"] = [
            request("PUT", f"/task-manage/{tasks.task_id(index)}", {"description": NUMBER})
            for index in range(0, bench.tasks, max(bench.tasks // 997, 1))
        ]
        with Service(database, folder, scratch) as service:
            return _measure(bench, "ours", service.port, requests, scratch)


def _bare(bench: Bench) -> Samples:
    with bench.place("mariadb") as (database, _, scratch):
        port = free_port()
        arguments = python("benchmarks.peers.bare", database.url, str(port), str(bench.tasks))
        with Process(arguments, scratch / "log") as process:
            process.wait_until(lambda: listens(port), seconds=120)
            orm = _reads("/orm", "/orm", bench.tasks)
            orm["post"] = [request("POST", "/orm", _new(f"new-{NUMBER}"))]
            memory = _reads("/memory", "/memory", bench.tasks)
            return {
                **_measure(bench, "orm", port, orm, scratch),
                **_measure(bench, "memory", port, memory, scratch),
            }


def _flask(bench: Bench) -> Samples:
    for module in ("flask_apscheduler", "gunicorn"):
        if importlib.util.find_spec(module) is None:
            raise Missing(f"{module} is not installed: pip install -e '.[bench]'")
    with bench.scratch() as scratch:
        port = free_port()
        arguments = [
            *python("gunicorn", "--workers", "1", "--threads", "8", "--bind", f"127.0.0.1:{port}"),
            "benchmarks.peers.flask_jobs:app",
        ]
        environ = {FLASK_JOBS_VARIABLE: str(FLASK_JOBS)}
        with Process(arguments, scratch / "log", environ) as process:
            process.wait_until(lambda: listens(port), seconds=60)
            requests = _reads("/scheduler/jobs", "/scheduler/jobs", FLASK_JOBS)
            return _measure(bench, "flask", port, requests, scratch)


PARTS = (
    Part(name="ours", gives=("ours.*",), measure=_ours),
    Part(name="bare", gives=("orm.*", "memory.*"), measure=_bare),
    Part(name="flask", gives=("flask.*",), measure=_flask),
)
