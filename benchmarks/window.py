"""Fires watched over a window of whole seconds: how late, how many, at what cost."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import record
from benchmarks.databases import Database
from benchmarks.processes import Process
from benchmarks.stats import percentile

WARM_UP = 2.0
SETTLE = 0.5
"""Seconds after the window in which what was due in it may still be recorded."""

KEPT_UP = 0.1
"""The lateness, in seconds, that 99 of 100 fires of a rate that is kept up with stay under."""


SoFar = Callable[[], float]
"""Tells how many seconds of processor time somebody has used so far."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """From `start` on, in seconds since 1970, for `seconds`; `processor` is seconds used."""

    start: float
    seconds: int
    processor: float

    @property
    def end(self) -> float:
        """When it ended."""
        return self.start + self.seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Fires:
    """What a window saw: `due` fires of which `done` were called and fully recorded.

    The latenesses `p50`, `p99` and the processor time `cost` of a fire are in seconds.
    """

    due: int
    done: int
    p50: float
    p99: float
    cost: float

    @property
    def kept(self) -> bool:
        """Whether the rate was kept up with: in time, and nothing left behind."""
        return self.done >= self.due and self.p99 < KEPT_UP


def watch(process: Process, seconds: int, *others: Process) -> Window:
    """Let a process, or several together, fire: warm up, then watch from a full second on."""
    watched, _ = watch_each(
        {str(one.pid): one.processor_time for one in (process, *others)}, seconds
    )
    return watched


def watch_each(
    times: Mapping[str, SoFar], seconds: int, *, settle: float = SETTLE
) -> tuple[Window, dict[str, float]]:
    """The same, and the processor time that each took by its name; `times` tell it so far."""
    start = float(int(time.time() + WARM_UP) + 1)
    _sleep_until(start)
    before = {name: so_far() for name, so_far in times.items()}
    _sleep_until(start + seconds)
    used = {name: so_far() - before[name] for name, so_far in times.items()}
    time.sleep(settle)
    return Window(start=start, seconds=seconds, processor=sum(used.values())), used


def judge(window: Window, fires: Path, *, due: int, recorded: int | None = None) -> Fires:
    """What became of the `due` fires of a window.

    `fires` is the file of what functions noted, `recorded` how many rows say that a fire of the
    window was called alone and ended well (None: there are no rows).
    """
    seen = [fire for fire in record.read(fires) if window.start <= fire.scheduled < window.end]
    late = [fire.lateness for fire in seen]
    done = len(seen) if recorded is None else min(len(seen), recorded)
    return Fires(
        due=due,
        done=done,
        p50=percentile(late, 0.5),
        p99=percentile(late, 0.99),
        cost=window.processor / max(len(seen), 1),
    )


def completed(database: Database, window: Window, *conditions: str) -> int:
    """The rows of the log that completed a fire of the window, at most these conditions apart."""
    moments = (
        time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(at)) for at in (window.start, window.end)
    )
    start, end = moments
    where = [
        "status = 'completed'",
        f"scheduled_time >= '{start}.000000'",
        f"scheduled_time < '{end}.000000'",
        *conditions,
    ]
    statement = f"SELECT COUNT(*) FROM task_execution_log WHERE {' AND '.join(where)}"
    return int(database.query(statement)[0][0])


def due_in(window_seconds: int, triggers: Sequence[object], every: int) -> int:
    """How many fires are due in a window of whole periods."""
    return len(triggers) * window_seconds // every


def _sleep_until(moment: float) -> None:
    time.sleep(max(moment - time.time(), 0))
