"""Runs parts in rounds, ours and the peers' in turn, and collects what they measured."""

import time
import traceback
from collections.abc import Iterable, Sequence

from benchmarks.bench import Bench, Part
from benchmarks.errors import Failed, Missing
from benchmarks.rows import Case


def run(cases: Iterable[Case], bench: Bench, rounds: int) -> dict[str, list[float]]:
    """The samples of all rounds by their keys; a part that can't be measured is said and left."""
    collected: dict[str, list[float]] = {}
    for case in cases:
        bench.say(", ".join(row.name for row in case.rows))
        left_out: set[str] = set()
        for number in range(rounds):
            for part in _turn(case.parts, number):
                if part.name in left_out:
                    continue
                started = time.perf_counter()
                try:
                    samples = part.measure(bench)
                except Missing as missing:
                    bench.say(f"  {part.name} is left out: {missing}")
                    left_out.add(part.name)
                    continue
                except Exception as error:
                    # What was measured so far is worth its table, whatever this one died of.
                    told = str(error) if isinstance(error, Failed) else traceback.format_exc()
                    bench.say(f"  {part.name} failed: {told}")
                    continue
                for key, value in samples.items():
                    collected.setdefault(key, []).append(value)
                took = time.perf_counter() - started
                bench.say(f"  round {number + 1}: {part.name} measured in {took:.0f} s")
    return collected


def _turn(parts: Sequence[Part], number: int) -> Sequence[Part]:
    """The parts of a round: what goes first in one goes last in the next."""
    return parts if number % 2 == 0 else parts[::-1]
