"""Every route from outside, with no token and with one that is for reading only."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx

from tests.faults.lab import Lab
from tests.faults.service import COMMAND

OPEN = ("/health/live", "/health/ready")
TOKENS = "vic:viewer:viewer-secret,ann:admin:admin-secret"


def access_round(lab: Lab, command: Sequence[str] = COMMAND) -> None:
    """Ask every operation that the service tells of."""
    lab.declare("task")
    service = lab.service({"TASKSERVICE_API_TOKENS": TOKENS}, command=command)
    lab.start(service)
    service.http.headers["Authorization"] = "Bearer admin-secret"
    paths: dict[str, dict[str, Any]] = service.get("/schema/openapi.json")["paths"]
    operations = [(method.upper(), path) for path, found in paths.items() for method in found]
    with httpx.Client(base_url=service.http.base_url) as nobody:
        for method, path in sorted(operations):
            real = re.sub(r"{\w+}", "task", path)
            if path in OPEN:
                continue
            lab.faults["requests that may not be"] += 2
            status = _status(nobody, method, real)
            if status != 401:
                lab.violations.append(f"open: {method} {path} says {status}")
            status = _status(nobody, method, real, Authorization="Bearer viewer-secret")
            if (method != "GET") != (status == 403) and not _only_reads(path):
                lab.violations.append(f"open: {method} {path} says {status} to vic")
    assert len(operations) > 20
    lab.verdict()


def _status(client: httpx.Client, method: str, path: str, **headers: str) -> int:
    """The status of an answer that may have no end."""
    with client.stream(method, path, headers=headers) as answer:
        return answer.status_code


def _only_reads(path: str) -> bool:
    """A POST that changes nothing may be for readers."""
    return path in ("/plan", "/promotion")


def test_access(tmp_path: Path, make_lab: Any) -> None:
    access_round(make_lab(f"sqlite+aiosqlite:///{tmp_path / 'taskservice.db'}"))
