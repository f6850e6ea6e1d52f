"""How many fires a second are kept up with, each with a row before the call and after it."""

from collections.abc import Callable, Sequence
from functools import partial

from benchmarks import firing, tasks
from benchmarks.bench import Bench, Part, Samples
from benchmarks.knee import knee
from benchmarks.tasks import Trigger
from benchmarks.window import Fires

Fire = Callable[[Bench, str, Sequence[Trigger]], Fires]


def _knee(name: str, fire: Fire, kind: str, first: int, bench: Bench) -> Samples:
    def kept(rate: int) -> bool:
        fires = fire(bench, kind, tasks.spread(rate))
        verdict = "kept" if fires.kept else "not kept"
        bench.say(
            f"{rate}/s: {verdict}, {fires.done} of {fires.due} done, "
            f"p99 {fires.p99 * 1e3:.0f} ms, {fires.cost * 1e6:.0f} µs a fire"
        )
        return fires.kept

    # A later round begins where the one before ended.
    found = knee(kept, int(bench.memory.get(name, first)))
    bench.memory[name] = max(found, 10)
    return {name: float(found)}


def _part(side: str, fire: Fire, kind: str, first: int) -> Part:
    key = f"{side}.knee.{kind}"
    return Part(name=key, gives=(key,), measure=partial(_knee, key, fire, kind, first))


MARIADB = (
    _part("ours", firing.ours, "mariadb", 1000),
    _part("by_hand", firing.by_hand, "mariadb", 200),
)
SQLITE = (
    _part("ours", firing.ours, "sqlite", 1000),
    _part("by_hand", firing.by_hand, "sqlite", 50),
)
