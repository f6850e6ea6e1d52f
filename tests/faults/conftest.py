"""The rounds: their seed, their length, and the table that a long one prints."""

import json
import os
import random
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.clock import Clock, sweep
from tests.faults.lab import Lab
from tests.faults.proxy import Proxy
from tests.faults.service import Server

LONG = os.environ.get("FAULTS_LENGTH", "short") == "long"
LIMIT_SECONDS = 3600 if LONG else 240
SEVERAL = 50
"""With fewer tests than that somebody has asked for these."""

COLUMNS = ("scenario", "faults", "fires", "rows", "runs", "violations", "seen", "seed")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Gives each round its limit, and has those take turns that a short round has one of."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(LIMIT_SECONDS))
    groups: dict[str, list[pytest.Item]] = {}
    for item in items:
        if marker := item.get_closest_marker("turns"):
            groups.setdefault(marker.args[0], []).append(item)
    if LONG or len(items) < SEVERAL:
        return
    # All processes of a run choose the same ones.
    chance = zlib.crc32(os.environ.get("PYTEST_XDIST_TESTRUNUID", "").encode())
    left_out = [
        item
        for group in groups.values()
        for number, item in enumerate(group)
        if number != chance % len(group)
    ]
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=left_out)


@pytest.fixture
def make_lab(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> Iterator[Callable[[str], Lab]]:
    """Makes the round of a test on a database; what it came to is kept for the table."""
    given = os.environ.get("FAULTS_SEED")
    labs: list[Lab] = []

    def make(url: str) -> Lab:
        seed = int(given) if given else random.SystemRandom().randrange(2**31)
        print(f"FAULTS_SEED={seed}")
        folder = tmp_path / f"lab-{len(labs)}"
        folder.mkdir()
        name = zlib.crc32(request.node.name.encode())
        lab = Lab(url, folder, seed=seed, is_long=LONG)
        lab.random.seed(seed + name)
        labs.append(lab)
        return lab

    yield make
    for lab in labs:
        lab.stack.close()
        record_property("faults", json.dumps(_line(request.node.name, lab)))


@pytest.fixture
def lab(database_url: str, make_lab: Callable[[str], Lab]) -> Lab:
    """A round on SQLite, and one on the MariaDB that all tests share."""
    return make_lab(database_url)


@pytest.fixture
def server() -> Iterator[Server]:
    """A MariaDB of the test's own, to be killed and frozen."""
    with Server() as running:
        yield running


@pytest.fixture
def proxy(server: Server) -> Iterator[Proxy]:
    """A wire to the MariaDB of the test's own."""
    with Proxy(server.port) as running:
        yield running


@pytest.fixture
def wired(server: Server, make_lab: Callable[[str], Lab]) -> Lab:
    """A round of few tasks on a MariaDB of its own, for a wire that may be slow."""
    lab = make_lab(server.create_database())
    lab.declare_many(10)
    return lab


@pytest.fixture
def clock(tmp_path: Path) -> Iterator[Clock]:
    """A clock for the services that take its environment."""
    yield Clock(tmp_path)
    sweep()


def _line(name: str, lab: Lab) -> dict[str, object]:
    return {
        "scenario": name.removeprefix("test_").replace("_", " "),
        "faults": ", ".join(f"{count} × {fault}" for fault, count in lab.faults.items()),
        "fires": lab.fires,
        "rows": lab.rows,
        "runs": lab.runs,
        "violations": len(lab.violations),
        "seen": "; ".join(lab.seen),
        "seed": lab.seed,
    }


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Prints the table of counts, ready to be pasted into docs/reliability.md."""
    lines = [
        json.loads(str(value))
        for reports in terminalreporter.stats.values()
        for report in reports
        if isinstance(report, pytest.TestReport) and report.when == "teardown"
        for name, value in report.user_properties
        if name == "faults"
    ]
    if not lines:
        return
    terminalreporter.section("faults")
    terminalreporter.write_line("| " + " | ".join(COLUMNS) + " |")
    terminalreporter.write_line("| " + " | ".join("---" for _ in COLUMNS) + " |")
    for line in sorted(lines, key=lambda line: str(line["scenario"])):
        terminalreporter.write_line("| " + " | ".join(str(line[key]) for key in COLUMNS) + " |")
