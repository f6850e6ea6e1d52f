"""The service is down for longer than its tasks' intervals: late fires run, within their grace."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from tests.acceptance.process import wait_for
from tests.faults.evidence import SECOND
from tests.faults.lab import Lab, moment
from tests.faults.service import COMMAND


def down_round(lab: Lab, command: Sequence[str] = COMMAND) -> None:
    """Kill it, and start it again only when every task has several late fires."""
    lab.declare_many(10)
    lab.declare("short-grace", every=0.5, coalesce=False, max_instances=20, misfire_grace_time=2)
    service = lab.service(command=command)
    lab.start(service)
    for _ in range(lab.length(1, 20)):
        lab.grows(by=10)
        killed = lab.now()
        lab.kill(service)
        wait_for("fires are late", partial(_is_past, killed + 3 * SECOND))
        lab.start(service)
        lab.grows(by=len(lab.expected))
        lab.troubles.append((killed, moment()))
    lab.finish()


def _is_past(when: int) -> bool:
    return moment() > when


def test_service_down(tmp_path: Path, make_lab: Any) -> None:
    down_round(make_lab(f"sqlite+aiosqlite:///{tmp_path / 'taskservice.db'}"))
