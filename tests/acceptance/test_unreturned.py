"""An execution that is cancelled and whose thread goes on is told wherever somebody may look."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.acceptance.process import wait_for
from tests.acceptance.warm import WarmService

MODULE = """
import os, time

def block(gate):
    while not os.path.exists(gate):
        time.sleep(0.01)
"""


def test_a_cancelled_thread_is_told(sqlite_tables: Path, tmp_path: Path) -> None:
    (tmp_path / "blocking.py").write_text(MODULE)
    (tmp_path / "tasks.d").mkdir()
    shutil.copy(sqlite_tables, tmp_path / "taskservice.db")
    environ = {
        "TASKSERVICE_FUNCTIONS": "blocking.*",
        "TASKSERVICE_IMPORT_PATH": str(tmp_path),
    }
    url = f"sqlite+aiosqlite:///{tmp_path}/taskservice.db"
    with WarmService(url, tmp_path / "tasks.d", environ) as service:
        body = {
            "id": "stuck", "name": "stuck", "task_type": "t", "trigger_type": "interval",
            "trigger_args": {"hours": 1}, "func_path": "blocking.block",
            "func_args": {"gate": str(tmp_path / "gate")},
        }  # fmt: skip
        assert service.send("POST", "/task-manage/", 201, json=body)["unreturned"] == 0
        begun = service.send("POST", "/task-manage/stuck/trigger", 202)
        log = f"/task-manage/stuck/logs/{begun['id']}"
        assert service.send("POST", f"{log}/cancel")["status"] == "cancelled"

        assert service.get("/task-manage/stuck")["unreturned"] == 1
        assert service.get("/task-manage/")["items"][0]["unreturned"] == 1
        changed = service.send("PUT", "/task-manage/stuck", json={"description": "changed"})
        assert changed["unreturned"] == 1
        refusal = service.send("POST", "/task-manage/stuck/trigger", 409)["detail"]
        assert refusal == "all 1 instances were busy; 1 cancelled execution has not returned"
        assert "taskservice_executions_unreturned 1.0" in service.http.get("/metrics").text
        for language, told in (
            ("en", "1 execution that was cancelled or timed out has not returned"),
            ("zh", "1 次已取消或已超时的执行尚未返回"),
        ):
            page = service.http.get("/tasks/stuck", headers={"Accept-Language": language})
            assert told in page.text
        shown = subprocess.run(
            [sys.executable, "-m", "taskservice", "show", "stuck"],
            env={**os.environ, "TASKSERVICE_SERVER": str(service.http.base_url)},
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert "1: cancelled or timed out, and still going on" in shown.stdout

        (tmp_path / "gate").touch()
        wait_for("it returned", lambda: not service.get("/task-manage/stuck")["unreturned"])
        assert "has not returned" not in service.http.get("/tasks/stuck").text
        service.send("POST", "/task-manage/stuck/trigger", 202)
