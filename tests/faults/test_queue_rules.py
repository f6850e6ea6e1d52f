"""The rules of queues are checked: a sound history passes, each bent one is named."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.faults.checker import Facts
from tests.faults.evidence import SECOND, Run
from tests.faults.log import Row
from tests.faults.queue_rules import Queues, check_queues

NOW = 1_800_000_000 * SECOND
WORKER, OTHER, CHILD = 100, 200, 101
QUEUES = Queues(start_timeout=15 * SECOND, workers={"w": WORKER, "x": OTHER}, dying=("dies",))
FACTS = Facts(since=NOW, until=NOW + 100 * SECOND)

ROW = Row(
    id="e", task_id="t", fire=NOW, attempt=1, folded=0, status="completed", start=NOW + SECOND,
    end=NOW + 4 * SECOND, error=None, result='"e"', queue="q", queued=NOW, worker="w",
)  # fmt: skip
RUN = Run(
    task_id="t", fire=NOW, attempt=1, pid=WORKER, execution="e", begin=NOW + 2 * SECOND,
    end=NOW + 3 * SECOND, tick=0, end_tick=SECOND, child=CHILD,
)  # fmt: skip
UNSTARTED = replace(
    ROW, status="failed", error="unstarted: x", worker=None, start=NOW, end=NOW + 16 * SECOND
)
CANCELLED = replace(ROW, status="cancelled", error="cancelled: by x")
INTERRUPTED = replace(ROW, status="failed", error="interrupted: x", end=NOW + 30 * SECOND)
CUT = replace(RUN, end=None, end_tick=None)


def after(seconds: float) -> int:
    return NOW + round(seconds * SECOND)


def found(row: Row, *runs: Run, **facts: object) -> set[str]:
    told = check_queues([row], runs, replace(FACTS, **facts), QUEUES)  # type: ignore[arg-type]
    return {one.partition(":")[0] for one in told}


SOUND: dict[str, Callable[[], set[str]]] = {
    "it ran": lambda: found(ROW, RUN),
    "of a service": lambda: found(replace(ROW, queue=None, queued=None, worker=None)),
    "given up": lambda: found(UNSTARTED),
    "cancelled in the queue": lambda: found(replace(CANCELLED, worker=None)),
    "stopped in time": lambda: found(CANCELLED, replace(RUN, end=after(13))),
    "called just after": lambda: found(CANCELLED, replace(CUT, begin=after(5))),
    "its worker died": lambda: found(INTERRUPTED, CUT, deaths={WORKER: after(5)}),
    "its worker froze": lambda: found(INTERRUPTED, RUN, excused=frozenset({WORKER})),
    "its child died": lambda: found(INTERRUPTED, CUT, deaths={CHILD: after(29)}),
    "it ended itself": lambda: found(replace(INTERRUPTED, task_id="dies"), CUT),
}
BENT: dict[str, tuple[Callable[[], set[str]], str]] = {
    "ran, and was given up": (lambda: found(UNSTARTED, RUN), "closed"),
    "ran, and was not sent": (lambda: found(replace(UNSTARTED, error="unsent: x"), RUN), "closed"),
    "given up by a worker": (lambda: found(replace(UNSTARTED, worker="w")), "contradiction"),
    "given up too soon": (lambda: found(replace(UNSTARTED, end=after(9))), "contradiction"),
    "given up too late": (lambda: found(replace(UNSTARTED, end=after(29))), "waited"),
    "begun too late": (lambda: found(replace(ROW, start=after(29), end=after(30))), "waited"),
    "ended by nobody": (lambda: found(replace(INTERRUPTED, worker=None)), "contradiction"),
    "never queued": (lambda: found(replace(ROW, queued=None), RUN), "contradiction"),
    "begun after its end": (lambda: found(ROW, replace(RUN, begin=after(4.1))), "closed"),
    "cancelled in the queue, and run": (
        lambda: found(replace(CANCELLED, worker=None), replace(RUN, begin=after(5))), "closed",
    ),
    "called long after": (lambda: found(CANCELLED, replace(CUT, begin=after(15))), "closed"),
    "not stopped": (lambda: found(CANCELLED, replace(RUN, end=after(18))), "went on"),
    "on another worker": (lambda: found(ROW, replace(RUN, pid=OTHER)), "elsewhere"),
    "on two workers": (lambda: found(ROW, RUN, replace(RUN, pid=OTHER)), "elsewhere"),
    "open for long": (
        lambda: found(replace(INTERRUPTED, end=after(60)), CUT, deaths={WORKER: after(5)}), "open",
    ),
    "nobody died": (lambda: found(INTERRUPTED, CUT), "unfounded"),
    "closed before": (lambda: found(INTERRUPTED, CUT, deaths={WORKER: after(40)}), "unfounded"),
}  # fmt: skip


@pytest.mark.parametrize("name", SOUND)
def test_a_sound_history(name: str) -> None:
    assert SOUND[name]() == set()


@pytest.mark.parametrize("name", BENT)
def test_a_bent_history(name: str) -> None:
    history, word = BENT[name]
    assert word in history()
