"""Rounds of one failure each; and the suite is checked on workers: each of five planted bugs makes
such a round fail, and says why. A short round has one of them.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.acceptance.process import wait_for
from tests.databases import MariaDB
from tests.faults import planted
from tests.faults.checker import rewritten
from tests.faults.lab import Lab
from tests.faults.log import read_log
from tests.faults.planted import planted as with_bugs
from tests.faults.planted import short_lease
from tests.faults.site import Site
from tests.faults.storm import send_again

Round = Callable[[Site], None]


def delivered_again(site: Site) -> None:
    """Two workers get the message of what runs on one of them, many times."""
    service = site.begin(2)
    run = site.begun(site.trigger(service, "by-hand-8"))
    send_again(site, run.execution, times=8)
    site.ended(run.execution)
    site.finish(service)


def longer_than_a_lease(site: Site) -> None:
    """What runs for longer than a lease lasts is nobody's to close, for its worker lives."""
    service = site.begin(1)
    site.ended(site.trigger(service, "by-hand-8"))
    site.finish(service)


def cancelled(site: Site) -> None:
    """The worker stops it, though nobody has told it to."""
    service = site.begin(1)
    execution = site.begun(site.trigger(service, "by-hand-15")).execution
    service.send("POST", f"/task-manage/by-hand-15/logs/{execution}/cancel", 200)

    def gone() -> bool:
        (run,) = (run for run in site.runs() if run.execution == execution)
        assert run.child is not None
        return run.end is not None or not Path(f"/proc/{run.child}").exists()

    wait_for("it is stopped, or comes to its end", gone, seconds=30)
    site.finish(service)


def given_up(site: Site) -> None:
    """What no worker began in time is not begun by one that comes later."""
    service = site.begin(0)
    execution = site.trigger(service, "by-hand-nobody")
    assert site.ended(execution).word == "unstarted"
    before = read_log(site.lab.url)
    worker = site.worker(queues=site.nobodys_queue)
    site.ready(worker)
    wait_for("it is delivered", lambda: site.broker.waiting(site.nobodys_queue) == 0)
    # Messages come one after the other: once this one ran, the other one was looked at.
    site.ended(site.trigger(service, "by-hand-nobody"))
    site.lab.violations += rewritten(before, read_log(site.lab.url))
    site.finish(service)


def given_back(site: Site) -> None:
    """What a worker died with is in RabbitMQ's queue again."""
    service = site.begin(1)
    run = site.begun(site.trigger(service, "by-hand-15"))
    assert site.broker.waiting(site.queue) == 0
    site.kill(site.worker_of(run))
    try:
        wait_for("it is there again", lambda: site.broker.waiting(site.queue) == 1, seconds=5)
    except AssertionError as error:
        site.lab.violations.append(f"not given back: {error}")
    assert site.ended(run.execution).word == "interrupted"
    site.worker()
    site.ready()
    site.finish(service)


@dataclass(frozen=True, slots=True, kw_only=True)
class Planted:
    """A bug, where it is planted, the round that must fail of it, and the word it must say."""

    bug: Callable[[], None]
    round: Round
    word: str
    broker: str = "redis"
    in_service: bool = False


PLANTED = {
    "the compare-and-set left out": Planted(
        bug=planted.takes_what_runs, round=delivered_again, word="twice"
    ),
    "the lease not renewed": Planted(
        bug=planted.renews_no_lease, round=longer_than_a_lease, word="unfounded"
    ),
    "a cancel by message alone": Planted(
        bug=planted.looks_at_no_rows, round=cancelled, word="went on"
    ),
    "unstarted without the fence": Planted(
        bug=planted.takes_what_was_given_up, round=given_up, word="rewritten", in_service=True
    ),
    "acknowledged early": Planted(
        bug=planted.acknowledges_early, round=given_back, word="not given back", broker="rabbitmq"
    ),
}
ROUNDS: Mapping[str, Round] = {
    round_.__name__: round_
    for round_ in (delivered_again, longer_than_a_lease, cancelled, given_up, given_back)
}
IS_LONG = os.environ.get("FAULTS_LENGTH") == "long"
# In a short round the storm has the others.
SOUND = [
    (name, broker)
    for name in ROUNDS for broker in ("redis", "rabbitmq")
    if (IS_LONG or name == "given_back") and (name, broker) != ("given_back", "redis")
]  # fmt: skip


@pytest.fixture
def make_site(
    request: pytest.FixtureRequest, mariadb_server: MariaDB, make_lab: Callable[[str], Lab]
) -> Callable[..., Site]:
    """Makes a site on the MariaDB that all tests share, with a lease of three seconds."""

    def make(
        broker: str, round_: Round, *bugs: Callable[[], None], in_service: bool = False
    ) -> Site:
        lab = make_lab(mariadb_server.create_database())
        return Site(
            lab,
            request.getfixturevalue(broker),
            start_timeout=3 if round_ is given_up else 15,
            command=with_bugs(short_lease, *(bugs if in_service else ())),
            worker_command=with_bugs(short_lease, *bugs, command="worker"),
        )

    return make


@pytest.mark.parametrize(("name", "broker"), SOUND)
def test_workers_in_a_round(name: str, broker: str, make_site: Callable[..., Site]) -> None:
    site = make_site(broker, ROUNDS[name])
    ROUNDS[name](site)


@pytest.mark.turns("planted bugs on workers")
@pytest.mark.parametrize("name", PLANTED)
def test_workers_planted(name: str, make_site: Callable[..., Site]) -> None:
    case = PLANTED[name]
    site = make_site(case.broker, case.round, case.bug, in_service=case.in_service)
    with pytest.raises(AssertionError):
        case.round(site)
    words = {violation.partition(":")[0] for violation in site.lab.violations}
    assert case.word in words, site.lab.violations
    site.lab.seen.append(f"caught: {site.lab.violations[0]}")
    site.lab.violations.clear()
