"""The clock stepped while the service runs: forwards, backwards, and by years."""

from collections.abc import Callable
from pathlib import Path

from tests.acceptance.process import wait_for
from tests.faults.clock import Clock, noticed
from tests.faults.evidence import SECOND, read_runs
from tests.faults.lab import Lab
from tests.faults.service import Service

HOUR, YEARS = 3600, 10 * 365 * 86400
NOTICED_LIMIT = 30.0
"""What is promised is 5 s, on a machine at rest."""

MEMORY_MORE = 60
"""MiB; a list of ten years' seconds would take thousands."""


def test_clock_stepped(tmp_path: Path, clock: Clock, make_lab: Callable[[str], Lab]) -> None:
    lab = make_lab(f"sqlite+aiosqlite:///{tmp_path / 'taskservice.db'}")
    lab.declare_many(8)
    # A cron of every second would have to count to 315 million: see test_clock_cron.py.
    lab.declare("task-0", every=1)
    lab.declare("hourly", cron="0 0 *")
    # Executions that are ten years old would be deleted, and with them what is compared here.
    service = lab.service({**clock.environ, "TASKSERVICE_LOG_RETENTION": ""})
    lab.start(service)
    lab.grows(by=len(lab.expected))
    seen = []
    for _ in range(lab.length(1, 5)):
        seen += [_forwards(lab, clock, 40), _back_and_forth(lab, clock, service)]
        seen.append(_forwards(lab, clock, HOUR))
    memory = service.memory()
    seen.append(_forwards(lab, clock, YEARS))
    lab.seen.append(f"due fires noticed after {max(seen):.1f} s at most")
    lab.seen.append(f"{service.memory() - memory} MiB more after ten years")
    assert service.memory() < memory + MEMORY_MORE
    assert max(seen) < NOTICED_LIMIT
    lab.finish()


def _forwards(lab: Lab, clock: Clock, seconds: int) -> float:
    """Step forwards; how long it took until what came due was seen."""
    before, after = clock.step(lab, seconds)
    lab.faults[f"+{seconds} s"] += 1
    seen = noticed(lab, (before + after) // 2)
    lab.grows(by=5)
    lab.troubles.append((before, lab.now()))
    return seen


def _triggered(service: Service) -> str | None:
    """The execution's id; None where a fire fills the one instance that there is."""
    answer = service.http.post("/task-manage/task-0/trigger")
    assert answer.status_code in (202, 409), answer.text
    return answer.json()["id"] if answer.status_code == 202 else None


def _back_and_forth(lab: Lab, clock: Clock, service: Service) -> float:
    """An hour back, in which all has run already; then to where it was; when that was seen."""
    reached = lab.now()
    _, after = clock.step(lab, -HOUR)
    lab.faults[f"-{HOUR} s"] += 1
    lab.troubles.append((after, after + 3 * SECOND))
    # By hand, a task runs at any time.
    execution = wait_for("it is begun by hand", lambda: _triggered(service))
    wait_for(
        "it has run",
        lambda: any(run.execution == execution and run.end for run in read_runs(lab.evidence)),
    )
    lab.pause(1, lab.length(2, 5))
    ahead = reached + SECOND // 5
    again = [run for run in read_runs(lab.evidence) if run.fire and run.fire > ahead]
    assert not again, f"FAULTS_SEED={lab.seed}: they were not due yet: {again[:3]}"
    clock.step(lab, HOUR)
    seen = noticed(lab, reached)
    lab.troubles.append((reached, lab.now()))
    return seen
