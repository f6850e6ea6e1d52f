"""MariaDB killed with SIGKILL under load, and started again."""

from collections.abc import Callable

from tests.acceptance.process import wait_for
from tests.faults.evidence import read_runs
from tests.faults.lab import Lab, moment
from tests.faults.load import Load
from tests.faults.service import Server

FIRING_LIMIT = 30.0
"""What is aimed at is 5 s after the database's return, on a machine at rest."""


def test_database_killed_under_load(server: Server, make_lab: Callable[[str], Lab]) -> None:
    lab = make_lab(server.create_database())
    lab.declare_many()
    service = lab.service()
    back: list[float] = []
    with Load(lab, service) as load:
        lab.start(service)
        for _ in range(lab.length(2, 50)):
            load.go_on()
            lab.pause(0.2, lab.length(2, 5))
            began = moment()
            server.kill()
            dead = moment()
            lab.faults["kill -9 of MariaDB"] += 1
            wait_for("readiness says so", lambda: service.http.get("/health/ready").is_error)
            assert service.http.get("/health/live").status_code == 200
            # What was claimed before may still run; of what comes due now nothing may.
            lab.pause(0.5, lab.length(2, 10))
            quiet = moment()
            runs = read_runs(lab.evidence)
            late = [run for run in runs if run.fire and run.fire > dead and run.begin <= quiet]
            assert not late, f"FAULTS_SEED={lab.seed}: ran without a database: {late[:3]}"
            server.start()
            back.append(lab.grows(seconds=FIRING_LIMIT))
            lab.troubles.append((began, moment()))
            service.wait_until_ready()
        load.go_on()
        lab.grows(by=len(lab.expected))
    lab.seen.append(f"firing {max(back):.1f} s after the database's return at most")
    lab.finish()
    load.check()
