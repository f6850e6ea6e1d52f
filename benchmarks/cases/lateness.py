"""How late functions are called, and what a fire costs, beside APScheduler without any rows."""

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from benchmarks import firing, tasks, window
from benchmarks.bench import Bench, Part, Samples
from benchmarks.load import Load, get
from benchmarks.service import Service
from benchmarks.tasks import Trigger
from benchmarks.window import Fires

RATE = 1_000
API_RATE = 500
CONNECTIONS = 16
INSTANT_EVERY = 2


def _told(bench: Bench, name: str, fires: Fires) -> Fires:
    bench.say(
        f"  {name}: {fires.done} of {fires.due} done, p50 {fires.p50 * 1e3:.1f} ms, "
        f"p99 {fires.p99 * 1e3:.1f} ms, {fires.cost * 1e6:.0f} µs a fire"
    )
    return fires


def _spread_ours(bench: Bench, kind: str) -> Samples:
    fires = _told(bench, f"ours, {kind}", firing.ours(bench, kind, tasks.spread(RATE)))
    return {f"ours.spread.{kind}": fires.p99, f"ours.cost.{kind}": fires.cost}


def _spread_timer(bench: Bench) -> Samples:
    fires = _told(bench, "APScheduler", firing.timer(bench, tasks.spread(RATE)))
    return {"timer.spread": fires.p99, "timer.cost": fires.cost}


SPREAD = (
    Part(
        name="ours.spread.mariadb",
        gives=("ours.*.mariadb",),
        measure=partial(_spread_ours, kind="mariadb"),
    ),
    Part(name="timer.spread", gives=("timer.*",), measure=_spread_timer),
    Part(
        name="ours.spread.sqlite",
        gives=("ours.*.sqlite",),
        measure=partial(_spread_ours, kind="sqlite"),
    ),
)


def _instants(bench: Bench, trigger: str) -> tuple[Bench, Sequence[Trigger]]:
    """A window of whole periods, and as many triggers as the rate has, due at once in each."""
    periods = max(bench.seconds // INSTANT_EVERY, 1)
    triggers = tasks.at_once(trigger, RATE, INSTANT_EVERY)
    return replace(bench, seconds=periods * INSTANT_EVERY), triggers


def _instant_ours(bench: Bench, kind: str, trigger: str) -> Samples:
    longer, triggers = _instants(bench, trigger)
    fires = firing.ours(longer, kind, triggers, every=INSTANT_EVERY)
    _told(bench, f"ours, {kind}, {trigger}", fires)
    return {f"ours.instant.{trigger}.{kind}": fires.p99}


def _instant_timer(bench: Bench, trigger: str) -> Samples:
    longer, triggers = _instants(bench, trigger)
    fires = firing.timer(longer, triggers, every=INSTANT_EVERY)
    _told(bench, f"APScheduler, {trigger}", fires)
    return {f"timer.instant.{trigger}": fires.p99}


def instant(trigger: str) -> Sequence[Part]:
    """The parts for one kind of trigger, `interval` or `cron`."""
    mariadb, sqlite = (
        Part(
            name=f"ours.instant.{trigger}.{kind}",
            gives=(f"ours.*.{kind}",),
            measure=partial(_instant_ours, kind=kind, trigger=trigger),
        )
        for kind in ("mariadb", "sqlite")
    )
    timer = Part(
        name=f"timer.instant.{trigger}",
        gives=("timer.*",),
        measure=partial(_instant_timer, trigger=trigger),
    )
    return mariadb, timer, sqlite


def _api(bench: Bench, *, loaded: bool) -> Samples:
    triggers = tasks.spread(API_RATE)
    many = tasks.tasks(triggers)
    with bench.place("mariadb") as (database, folder, scratch):
        tasks.write_many(folder, many)
        with Service(database, folder, scratch) as service:
            if loaded:
                requests = [
                    get("/task-manage/?size=50"),
                    *(get(f"/task-manage/{one.id}") for one in many[:9]),
                ]
                # Longer than the window with all that is around it.
                seconds = bench.seconds + window.WARM_UP + 4
                with Load(service.port, requests, CONNECTIONS, seconds, scratch) as load:
                    watched = window.watch(service, bench.seconds)
                    answers = load.result()
                bench.say(f"  {json.dumps(answers)}")
            else:
                watched = window.watch(service, bench.seconds)
        fires = window.judge(
            watched,
            service.record,
            due=window.due_in(watched.seconds, triggers, 1),
            recorded=window.completed(database, watched, firing.ALONE),
        )
    name = "loaded" if loaded else "idle"
    _told(bench, f"API {name}", fires)
    return {f"ours.api.{name}": fires.p99}


API = (
    Part(name="ours.api.loaded", gives=("*.loaded",), measure=partial(_api, loaded=True)),
    Part(name="ours.api.idle", gives=("*.idle",), measure=partial(_api, loaded=False)),
)
