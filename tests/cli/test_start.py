"""What the command imports before it knows what to do."""

import os
import subprocess
import sys

from tests.cli.conftest import TOP

SLOW = ("litestar", "sqlalchemy", "alembic", "apscheduler", "asyncmy", "uvicorn", "httpx", "yaml")


def test_help_waits_for_no_import_of_the_service() -> None:
    code = "import sys, taskservice.cli; print(*sys.modules)"
    environ = {**os.environ, "PYTHONPATH": str(TOP)}
    command = [sys.executable, "-c", code]
    loaded = subprocess.run(command, env=environ, check=True, capture_output=True, text=True)
    assert set(loaded.stdout.split()) & set(SLOW) == set()
