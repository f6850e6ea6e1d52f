"""The suite is checked itself: each of six planted bugs makes it fail, and says why.

A short round has one of them.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.faults import planted
from tests.faults.lab import Lab
from tests.faults.log import query
from tests.faults.planted import planted as with_bugs
from tests.faults.service import Server
from tests.faults.test_access import access_round
from tests.faults.test_folder import broken_round
from tests.faults.test_race import race_round
from tests.faults.test_service_down import down_round
from tests.faults.test_stop import stop_round
from tests.faults.test_zombie import zombie_round

Round = Callable[[Lab, Sequence[str]], None]


ROUNDS: dict[str, tuple[Callable[[], None], Round, str]] = {
    "grace of a second": (planted.grace_of_a_second, down_round, "contradiction"),
    "deletion on a parse error": (planted.deletes_on_a_parse_error, broken_round, "retired"),
    "cancellation at SIGTERM": (planted.cancels_at_sigterm, stop_round, "contradiction"),
    "a route without its check": (planted.open_route, access_round, "open"),
}


pytestmark = pytest.mark.turns("planted bugs")


@pytest.mark.parametrize("name", ROUNDS)
def test_planted(name: str, tmp_path: Path, make_lab: Callable[[str], Lab]) -> None:
    bug, round_, word = ROUNDS[name]
    lab = make_lab(f"sqlite+aiosqlite:///{tmp_path / 'taskservice.db'}")
    _is_caught(lab, lambda: round_(lab, with_bugs(bug)), word)


def test_planted_end_without_owner(server: Server, make_lab: Callable[[str], Lab]) -> None:
    lab = make_lab(server.create_database())
    command = with_bugs(planted.short_lease, planted.ends_without_owner)
    _is_caught(lab, lambda: zombie_round(lab, command), "rewritten")


def test_planted_no_unique_key(server: Server, make_lab: Callable[[str], Lab]) -> None:
    lab = make_lab(server.create_database())
    drop = "ALTER TABLE task_execution_log DROP INDEX uq_fire"
    _is_caught(lab, lambda: race_round(lab, lambda: query(lab.url, drop)), "twice")


def _is_caught(lab: Lab, round_: Callable[[], None], word: str) -> None:
    with pytest.raises(AssertionError):
        round_()
    words = {violation.partition(":")[0] for violation in lab.violations}
    assert word in words, lab.violations
    lab.seen.append(f"caught: {lab.violations[0]}")
    lab.violations.clear()
