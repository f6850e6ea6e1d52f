"""Service, database, broker and workers on hosts of their own, and each link cut in turn."""

import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.brokers import Broker, RabbitMQ, Redis
from tests.faults.lab import Lab, moment
from tests.faults.network import BACK, BOTH_WAYS, THERE, Link, Network, NoNetwork
from tests.faults.service import COMMAND, Server
from tests.faults.site import Site

WORKERS = ("worker-1", "worker-2")
PAIRS = [(host, far) for host in ("service", *WORKERS) for far in ("database", "broker")]
LEASE_SECONDS = 30
IS_LONG = os.environ.get("FAULTS_LENGTH") == "long"
KINDS = [Redis, RabbitMQ] if IS_LONG else [Redis]


@pytest.fixture
def network() -> Iterator[Network]:
    with ExitStack() as stack:
        try:
            made = Network(["service", "database", "broker", *WORKERS], PAIRS)
            stack.enter_context(made)
        except NoNetwork as error:
            pytest.skip(f"network namespaces can't be made here: {error}")
        yield made


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_links_cut(
    kind: Callable[..., Broker], network: Network, make_lab: Callable[[str], Lab]
) -> None:
    with Server(within=network.on("database")) as server:
        broker = kind(within=network.on("broker"))
        network.open("database", server.port)
        network.open("broker", broker.port)
        with broker:
            _cut_each(network, server, broker, make_lab(server.create_database()))


def _cut_each(network: Network, server: Server, broker: Broker, lab: Lab) -> None:
    def url(host: str) -> str:
        return _at(network.links[host, "database"], lab.url, server.port)

    def broker_url(host: str) -> str:
        return _at(network.links[host, "broker"], broker.url, broker.port)

    site = Site(lab, broker, command=(*network.on("service"), *COMMAND), start_timeout=20)
    site.declare_many()
    service = site.service(url=url("service"), broker_url=broker_url("service"))
    network.open("service", service.port)
    workers = {
        host: site.worker(url=url(host), broker_url=broker_url(host), within=network.on(host))
        for host in WORKERS
    }
    lab.start(service)
    site.ready()
    lab.grows(by=6)
    for link, ways, seconds in _cuts(network, lab):
        began = time.monotonic()
        with site.trouble():
            link.cut(ways)
            time.sleep(seconds)
            link.heal()
            lab.faults[f"{link} cut {ways} for {seconds} s"] += 1
            if link.near in workers and seconds > LEASE_SECONDS / 2:
                lab.excused.add(workers[link.near].pid)
            healed = moment()
            for worker in workers.values():
                site.consumes(worker, healed)
        print(f"{link} {ways} {time.monotonic() - began:.1f} s")
    site.finish(service)


def _cuts(network: Network, lab: Lab) -> list[tuple[Link, str, int]]:
    """In a short round each link of the service and of one worker, in a way left to chance."""
    links = list(network.links.values())
    if not lab.is_long:
        ways = [lab.random.choice((BOTH_WAYS, THERE, BACK)) for _ in links]
        return [(link, way, 5) for link, way in zip(links[:4], ways, strict=False)]
    cuts = [(link, way, s) for link in links for way in (BOTH_WAYS, THERE, BACK) for s in (5, 60)]
    lab.random.shuffle(cuts)
    return cuts


def _at(link: Link, url: str, port: int) -> str:
    """The URL as the host at the near end of the link has it."""
    return re.sub(rf"127\.0\.0\.1:{port}\b", f"{link.address}:{port}", url)
