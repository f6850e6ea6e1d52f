"""What the command imports before it knows what to do, and to do what needs no service."""

import os
import subprocess
import sys
from pathlib import Path

from tests.cli.conftest import TOP

SERVICE = ("litestar", "sqlalchemy", "alembic", "asyncmy", "uvicorn", "httpx", "prometheus_client")
SLOW = (*SERVICE, "apscheduler", "yaml")


def loaded(code: str, folder: Path) -> set[str]:
    """The modules that are there once a program has run in a folder."""
    environ = {**os.environ, "PYTHONPATH": str(TOP)}
    command = [sys.executable, "-c", f"import sys, taskservice.cli\n{code}\nprint(*sys.modules)"]
    ran = subprocess.run(
        command, cwd=folder, env=environ, check=True, capture_output=True, text=True
    )
    return set(ran.stdout.split())


def test_help_waits_for_no_import_of_the_service(tmp_path: Path) -> None:
    assert loaded("", tmp_path) & set(SLOW) == set()


def test_a_check_of_files_waits_for_no_import_of_the_service() -> None:
    code = "taskservice.cli.commands.main(['validate', 'tasks.d'], standalone_mode=False)"
    modules = loaded(code, TOP)
    assert "yaml" in modules
    assert modules & set(SERVICE) == set()
