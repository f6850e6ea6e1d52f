"""Executions on workers, beside Celery's beat with the same number of workers and the same broker.

All of the processor time counts, MariaDB's and the broker's too.
"""

import importlib.util
from collections.abc import Callable
from functools import partial

from benchmarks import sending
from benchmarks.bench import Bench, Part, Samples
from benchmarks.errors import Missing
from benchmarks.knee import knee
from benchmarks.sending import Sent

RATE = 50
"""Executions a second that both keep up with, where they are compared."""

WORKERS = (1, 2, 4)
"""How many worker processes drain a queue."""

FIRST = {"ours": 50, "beat": 200}
SIDES: dict[str, Callable[[Bench, str, int], Sent]] = {"ours": sending.ours, "beat": sending.beat}
AT_ONCE = {"ours": sending.ours_at_once, "beat": sending.celery_at_once}


def _need() -> None:
    for module in ("celery", "redis"):
        if importlib.util.find_spec(module) is None:
            raise Missing(f"{module} is not installed: pip install -e '.[bench]'")


def _tell(bench: Bench, side: str, broker: str, rate: int, found: Sent) -> None:
    costs = ", ".join(f"{name} {cost * 1e6:.0f} µs" for name, cost in found.costs.items())
    bench.say(
        f"  {side} on {broker} at {rate}/s: {found.done} of {found.due} done, p50 "
        f"{found.p50 * 1e3:.0f} ms, p99 {found.p99 * 1e3:.0f} ms, an execution {costs}"
    )


def _knee(bench: Bench, side: str, broker: str) -> Samples:
    _need()

    def kept(rate: int) -> bool:
        found = SIDES[side](bench, broker, rate)
        _tell(bench, side, broker, rate, found)
        return found.kept

    key = f"{side}.queued.knee.{broker}"
    # A later round begins where the one before ended.
    found = knee(kept, int(bench.memory.get(key, FIRST[side])))
    bench.memory[key] = max(found, 10)
    return {key: float(found)}


def _calm(bench: Bench, side: str, broker: str) -> Samples:
    _need()
    found = SIDES[side](bench, broker, RATE)
    _tell(bench, side, broker, RATE, found)
    costs = {f"{side}.queued.{name}.{broker}": cost for name, cost in found.costs.items()}
    return {
        f"{side}.queued.p50.{broker}": found.p50,
        f"{side}.queued.p99.{broker}": found.p99,
        f"{side}.queued.all.{broker}": sum(found.costs.values()),
        **costs,
    }


def _at_once(bench: Bench, side: str, broker: str, workers: int, share: int) -> Samples:
    _need()
    count = bench.tasks // share
    found = AT_ONCE[side](bench, broker, count, workers=workers)
    bench.say(f"  {side} on {broker}, {workers} workers, {count:,} at once: {found:.0f} a second")
    return {f"{side}.queued.once.{workers}.{share}.{broker}": found}


def rates(broker: str) -> tuple[Part, ...]:
    """How many executions a second are kept up with."""
    return tuple(
        Part(
            name=f"{side}.queued.knee.{broker}",
            gives=(f"{side}.queued.knee.*",),
            measure=partial(_knee, side=side, broker=broker),
        )
        for side in SIDES
    )


def calm(broker: str) -> tuple[Part, ...]:
    """Lateness and processor time at a rate that both keep up with."""
    return tuple(
        Part(
            name=f"{side}.queued.calm.{broker}",
            gives=(f"{side}.queued.*",),
            measure=partial(_calm, side=side, broker=broker),
        )
        for side in SIDES
    )


def at_once(broker: str, workers: int, share: int) -> tuple[Part, ...]:
    """How fast a queue is drained by so many workers that all tasks, or a share, fill at once."""
    return tuple(
        Part(
            name=f"{side}.queued.once.{workers}.{share}.{broker}",
            gives=(f"{side}.queued.once.{workers}.{share}.{broker}",),
            measure=partial(_at_once, side=side, broker=broker, workers=workers, share=share),
        )
        for side in SIDES
    )
