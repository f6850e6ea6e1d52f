"""Users' modules with the names of Python's, the service's libraries and what those look for."""

import importlib.metadata
import re
import sys
from functools import partial
from pathlib import Path

from tests.acceptance.process import ServiceProcess, wait_for

SHADOW = """\
with open({canary!r}, "a") as canary:
    print(__name__, file=canary)
raise ImportError("this is not what was meant")
"""

JOBS = """\
import asyncio
import tools

def plain() -> str:
    return tools.__file__

async def coroutine() -> str:
    await asyncio.sleep(0)
    import iniconfig
    return iniconfig.__file__
"""

PAGES = (
    "/", "/tasks/local-plain", "/timeline", "/folder", "/schema", "/metrics", "/functions", "/sync",
    "/overrides", "/health/ready", "/task-manage/", "/task-manage/local-plain/fires",
    "/task-manage/local-plain/yaml", "/task-manage/local-plain/promotion",
)  # fmt: skip


def names() -> set[str]:
    """Python's modules, all that is installed here, and all that any of that would make use of."""
    found = {*sys.stdlib_module_names, *importlib.metadata.packages_distributions()}
    for distribution in importlib.metadata.distributions():
        for required in distribution.requires or ():
            found.add(re.split(r"[^A-Za-z0-9._-]", required)[0].replace("-", "_"))
    # Those two are users' modules here: the service doesn't use them.
    return {name for name in found if name.isidentifier()} - {"iniconfig", "tools"}


def task(function: str, executor: str) -> str:
    return (
        f"name: {function}\ntask_type: t\ntrigger_type: cron\n"
        "trigger_args: {crontab: 0 9 * * 1, timezone: Europe/Berlin}\n"
        f"func_path: jobs.{function}\nexecutor: {executor}\n"
    )


def test_none_is_taken_for_what_the_service_imports(tmp_path: Path) -> None:
    modules, folder, canary = tmp_path / "modules", tmp_path / "tasks.d", tmp_path / "canary"
    modules.mkdir()
    folder.mkdir()
    for name in names():
        (modules / f"{name}.py").write_text(SHADOW.format(canary=str(canary)))
    (modules / "jobs.py").write_text(JOBS)
    for name in ("tools", "iniconfig"):
        (modules / f"{name}.py").write_text("")
    for executor in ("local", "process"):
        for function in ("plain", "coroutine"):
            (folder / f"{executor}-{function}.yaml").write_text(task(function, executor))
    environ = {"TASKSERVICE_IMPORT_PATH": str(modules), "TASKSERVICE_FUNCTIONS": "jobs.*"}
    url = f"sqlite+aiosqlite:///{tmp_path / 'taskservice.db'}"
    with ServiceProcess(url, folder, environ) as service:
        for path in sorted(folder.iterdir()):
            wait_for("the task is live", partial(service.task, path.stem))
            service.send("POST", f"/task-manage/{path.stem}/trigger", 202)

            def ended(task_id: str = path.stem) -> str | None:
                [row] = service.get(f"/task-manage/{task_id}/logs")["items"]
                assert row["status"] in ("running", "completed"), row
                return str(row["result"]) if row["end_time"] else None

            # Modules of users go before installed ones that the service has no part in.
            assert str(modules) in wait_for("it ends", ended)
        for page in PAGES:
            for accept in ("application/json", "text/html"):
                answer = service.http.get(page, headers={"Accept": accept})
                assert answer.status_code == 200, page
        service.send("PUT", "/task-manage/local-plain", json={"description": "changed"})
        service.send("POST", "/plan", json={"files": {"a.yaml": task("plain", "local")}})
        service.send("POST", "/sync")
        assert service.http.post("/plan", content=b"{").status_code == 400
        assert service.terminate() == 0
    assert not canary.exists(), canary.read_text()
