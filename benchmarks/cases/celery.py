"""What a fire costs, beside Celery's beat and a worker, at rates that those keep up with.

Only the processes of Python count: neither MariaDB's nor Redis's time does.
"""

import importlib.util
from functools import partial

from benchmarks import firing, record, tasks, window
from benchmarks.bench import Bench, Part, Samples
from benchmarks.errors import Missing
from benchmarks.peers import CELERY_ENTRIES_VARIABLE, REDIS_PORT_VARIABLE
from benchmarks.processes import Process, python
from benchmarks.record import VARIABLE
from benchmarks.redis import redis

APP = "benchmarks.peers.celery_app"
RATES = {"celery": 250, "redbeat": 50}
"""Fires a second. Celery's knee was found at about 400, RedBeat's below 100."""

BUSY = 1_000
"""Fires a second that neither of them keeps up with: ours are measured there as well."""

MODULES = {"celery": ("celery", "redis"), "redbeat": ("celery", "redis", "redbeat")}
SCHEDULERS = {"celery": (), "redbeat": ("--scheduler", "redbeat.RedBeatScheduler")}


def _ours(bench: Bench, peer: str) -> Samples:
    samples = {}
    for name, rate in (("cost", RATES[peer]), ("busy", BUSY)):
        fires = firing.ours(bench, "mariadb", tasks.spread(rate))
        bench.say(f"  ours at {rate}/s: {fires.cost * 1e6:.0f} µs a fire")
        samples[f"ours.{name}.{peer}"] = fires.cost
    return samples


def _celery(bench: Bench, peer: str) -> Samples:
    for module in MODULES[peer]:
        if importlib.util.find_spec(module) is None:
            raise Missing(f"{module} is not installed: pip install -e '.[bench]'")
    rate = RATES[peer]
    with bench.scratch() as scratch, redis(scratch) as port:
        environ = {CELERY_ENTRIES_VARIABLE: str(rate), REDIS_PORT_VARIABLE: str(port)}
        noted = scratch / "fires"
        celery = python("celery", "--app", APP)
        worker = [*celery, "worker", "--pool", "solo", "--loglevel", "ERROR"]
        beat = [
            *(*celery, "beat", "--schedule", str(scratch / "schedule")),
            *("--pidfile", "", "--loglevel", "ERROR", *SCHEDULERS[peer]),
        ]
        with (
            Process(worker, scratch / "worker.log", {**environ, VARIABLE: str(noted)}) as first,
            Process(beat, scratch / "beat.log", environ) as second,
        ):
            first.wait_until(lambda: bool(record.read(noted)), seconds=60)
            watched = window.watch(first, bench.seconds, second)
        fires = window.judge(watched, noted, due=rate * watched.seconds)
    bench.say(f"  {peer}: {fires.done} of {fires.due} done, {fires.cost * 1e6:.0f} µs a fire")
    return {f"{peer}.cost": fires.cost}


def parts(peer: str) -> tuple[Part, Part]:
    """The parts beside `celery` or `redbeat`."""
    return (
        Part(name=f"ours.{peer}", gives=("ours.*",), measure=partial(_ours, peer=peer)),
        Part(name=peer, gives=(f"{peer}.*",), measure=partial(_celery, peer=peer)),
    )
