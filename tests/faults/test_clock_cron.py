"""The clock goes forwards by years: a cron's fires in between are many to count."""

from collections.abc import Callable
from pathlib import Path

from tests.faults.clock import Clock, noticed
from tests.faults.lab import Lab

YEARS = 10 * 365 * 86400
NOTICED_LIMIT = 30.0
"""What is promised is 5 s, on a machine at rest."""


def test_clock_ten_years_of_minutes(
    tmp_path: Path, clock: Clock, make_lab: Callable[[str], Lab]
) -> None:
    lab = make_lab(f"sqlite+aiosqlite:///{tmp_path / 'taskservice.db'}")
    lab.declare("minutely", cron="0 * *")
    lab.declare("secondly", every=1)
    service = lab.service({**clock.environ, "TASKSERVICE_LOG_RETENTION": ""})
    lab.start(service)
    lab.grows(by=2)
    before, after = clock.step(lab, YEARS)
    lab.faults[f"+{YEARS} s"] += 1
    seconds = noticed(lab, (before + after) // 2)
    lab.seen.append(f"noticed after {seconds:.1f} s")
    assert seconds < NOTICED_LIMIT
    lab.troubles.append((before, lab.now()))
    lab.finish()
