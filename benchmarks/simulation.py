"""Executions on workers as a model: `python -m benchmarks.simulation`.

Who takes part is a server with a line in front of it: the cores of each host; each Python process,
which computes on one core at a time; a transaction, of which each process has one at a time. What
each asks for (`COSTS`) was measured on one machine. The first table compares the model with what
was measured (`MEASURED`), the second says what it makes of machines that there were not.
"""

import heapq
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from benchmarks.stats import percentile

MOST = 1000
"""How many fires share a transaction at the most."""

LINGER = 0.01
"""Seconds between a transaction of fires and the next one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """Seconds of processor time; `commit` is a wait for the disk.

    A transaction costs Python and the database something, and more for each execution that it
    claims, or takes and ends. Then there is for each execution: to send it, `work` of the worker's
    one Python process, the `call` in another one, and the broker's.
    """

    transaction: float
    claim: float
    send: float
    work: float
    call: float
    database_transaction: float
    database_row: float
    broker: float
    commit: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Who takes part: on one host of `cores`, or with `apart` each on one of its own.

    A `burst` is so many fires at one instant, in the place of a `rate`.
    """

    rate: float = 0.0
    schedulers: int = 1
    workers: int = 1
    places: int = 16
    cores: int = 2
    database_cores: int = 2
    apart: bool = False
    burst: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What came of it: executions a second, their lateness, and the processor time of each.

    That of who schedules, of workers with their processes, and of the database; in seconds, all.
    """

    rate: float
    scheduler: float
    worker: float
    database: float
    p50: float
    p99: float
    busiest: str
    busy: float


class World:
    """Moments in order, and what happens at each."""

    def __init__(self) -> None:
        self.now = 0.0
        self._order = itertools.count()
        self._due: list[tuple[float, int, Callable[[], None]]] = []

    def at(self, moment: float, do: Callable[[], None]) -> None:
        """Have something done then."""
        heapq.heappush(self._due, (max(moment, self.now), next(self._order), do))

    def run(self, until: float) -> None:
        """Let it all happen."""
        while self._due and self._due[0][0] <= until:
            self.now, _, do = heapq.heappop(self._due)
            do()


class Server:
    """So many can be served at a time; the others wait in line."""

    def __init__(self, world: World, name: str, many: int = 1) -> None:
        self.name = name
        self.used = 0.0
        self.many = many
        self._world = world
        self._free = [0.0] * many

    def next(self) -> float:
        """When somebody who comes now is served."""
        return max(self._world.now, self._free[0])

    def take(self, begin: float, seconds: float) -> float:
        """Serve for so long from `begin` on, or as soon as possible then; when it is over."""
        free = heapq.heappop(self._free)
        end = max(begin, free) + seconds
        heapq.heappush(self._free, end)
        self.used += seconds
        return end


@dataclass(slots=True, eq=False)
class Process:
    """A process of Python's on a host: it computes on one core at a time."""

    world: World
    cores: Server
    alone: Server

    def compute(self, seconds: float, then: Callable[[], None]) -> None:
        """Do something after so much processor time."""
        end = self.cores.take(self.alone.next(), seconds)
        self.alone.take(end - seconds, seconds)
        self.world.at(end, then)


@dataclass(slots=True, eq=False)
class Recorder:
    """Makes one transaction after the other, of all that came meanwhile."""

    world: World
    process: Process
    database: Server
    costs: Costs
    linger: float = LINGER
    waiting: list[tuple[float, Callable[[], None]]] = field(default_factory=list)
    busy: bool = False
    asked: float = 0.0

    def add(self, cost: float, then: Callable[[], None]) -> None:
        """Have something recorded, which costs so much Python, and something done after that."""
        self.waiting.append((cost, then))
        self._go()

    def _go(self) -> None:
        if self.busy or not self.waiting:
            return
        self.busy = True
        batch, self.waiting = self.waiting[:MOST], self.waiting[MOST:]
        python = self.costs.transaction + sum(cost for cost, _ in batch)

        def computed() -> None:
            asked = self.costs.database_transaction + self.costs.database_row * len(batch)
            self.asked += asked
            end = self.database.take(self.world.now, asked)
            self.world.at(end + self.costs.commit, lambda: self._done(batch))

        self.process.compute(python, computed)

    def _done(self, batch: Sequence[tuple[float, Callable[[], None]]]) -> None:
        for _, then in batch:
            then()

        def again() -> None:
            self.busy = False
            self._go()

        self.world.at(self.world.now + self.linger, again)


@dataclass(slots=True, eq=False)
class Worker:
    """Takes what waits while it has a place, runs it, and records its end."""

    process: Process
    recorder: Recorder
    costs: Costs
    queue: list[float]
    late: list[tuple[float, float]]
    free: int

    def look(self) -> None:
        """Take what waits."""
        while self.free and self.queue:
            self.free -= 1
            due = self.queue.pop(0)
            self.process.compute(self.costs.work, lambda due=due: self._take(due))  # type: ignore[misc]

    def _take(self, due: float) -> None:
        self.recorder.add(self.costs.claim / 2, lambda: self._call(due))

    def _call(self, due: float) -> None:
        self.late.append((due, self.recorder.world.now))
        end = self.process.cores.take(self.recorder.world.now, self.costs.call)
        self.recorder.world.at(end, self._returned)

    def _returned(self) -> None:
        self.free += 1
        self.recorder.add(self.costs.claim / 2, lambda: None)
        self.look()


def simulate(shape: Shape, costs: Costs, *, seconds: float = 10.0) -> Found:
    """Let it run for so long, or until a burst is over."""
    world = World()
    host = Server(world, "the cores", shape.cores)
    database = Server(world, "the database", shape.database_cores) if shape.apart else host
    broker = Server(world, "the broker", shape.cores) if shape.apart else host
    servers = [host, database, broker]

    def process(name: str) -> Process:
        cores = Server(world, f"the cores of {name}", shape.cores) if shape.apart else host
        alone = Server(world, f"{name}'s Python")
        servers.extend((cores, alone))
        return Process(world, cores, alone)

    queue: list[float] = []
    late: list[tuple[float, float]] = []
    workers = []
    for _ in range(shape.workers):
        one = process("a worker")
        recorder = Recorder(world, one, database, costs, linger=0.0)
        workers.append(Worker(one, recorder, costs, queue, late, shape.places))
    turn = itertools.cycle(workers)

    def arrived(due: float) -> None:
        queue.append(due)
        for _ in workers:
            worker = next(turn)
            if worker.free:
                worker.look()
                return

    recorders = []
    for _ in range(shape.schedulers):
        one = process("a scheduler")
        recorders.append((Recorder(world, one, database, costs), one))

    def fire(due: float, recorder: Recorder, sender: Process) -> None:
        def sent() -> None:
            world.at(broker.take(world.now, costs.broker), lambda: arrived(due))

        def claimed() -> None:
            # Another thread sends, of the same Python.
            sender.compute(costs.send, sent)

        recorder.add(costs.claim, claimed)

    count = shape.burst or math.ceil(shape.rate * seconds)
    for index in range(count):
        due = 0.0 if shape.burst else index / shape.rate
        recorder, sender = recorders[index % len(recorders)]
        world.at(due, lambda due=due, r=recorder, s=sender: fire(due, r, s))  # type: ignore[misc]
    world.run(seconds if not shape.burst else 1e9)
    begun = [at for _, at in late]
    if shape.burst:
        rate = (len(begun) - 1) / (max(begun) - min(begun))
        span = max(begun)
    else:
        # The first second is left out: lines are empty in it.
        rate = sum(1.0 <= at < seconds for at in begun) / (seconds - 1.0)
        span = seconds
    lateness = [at - due for due, at in late if shape.burst or due >= 1.0]
    busiest = max(servers, key=lambda one: one.used / one.many)
    all_recorders = [one for one, _ in recorders] + [one.recorder for one in workers]
    called = costs.call * len(begun)
    return Found(
        rate=rate,
        scheduler=sum(one.alone.used for _, one in recorders) / len(begun),
        worker=(sum(one.process.alone.used for one in workers) + called) / len(begun),
        database=sum(one.asked for one in all_recorders) / len(begun),
        p50=percentile(lateness, 0.5),
        p99=percentile(lateness, 0.99),
        busiest=busiest.name,
        busy=busiest.used / busiest.many / span,
    )


def knee(shape: Shape, costs: Costs) -> float:
    """The highest rate, within 5 %, that is kept up with as `sending` has it."""
    from benchmarks.sending import KEPT_UP, SENT

    low, high = 0.0, 1.0

    def kept(rate: float) -> bool:
        found = simulate(replace(shape, rate=rate), costs, seconds=4.0)
        return found.rate >= SENT * rate and found.p99 < KEPT_UP

    while kept(high * 2):
        high *= 2
    low, high = high, high * 2
    while high / low > 1.05:
        middle = (low + high) / 2
        low, high = (middle, high) if kept(middle) else (low, middle)
    return low


COSTS = Costs(
    transaction=3.5e-3,
    claim=0.15e-3,
    send=0.7e-3,
    work=2.0e-3,
    call=0.6e-3,
    database_transaction=0.4e-3,
    database_row=0.3e-3,
    broker=0.28e-3,
    commit=0.5e-3,
)
"""Fitted to the processor times at 79 and 178 a second; no rate and no lateness was fitted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A figure that was measured, and what the model makes of the same."""

    what: str
    unit: str
    measured: float
    modelled: Callable[[], float]


def _p50(rate: float) -> Callable[[], float]:
    return lambda: simulate(Shape(rate=rate), COSTS).p50 * 1e3


def _cost(whose: str, rate: float) -> Callable[[], float]:
    return lambda: float(getattr(simulate(Shape(rate=rate), COSTS), whose)) * 1e3


def _drained(workers: int) -> Callable[[], float]:
    return lambda: simulate(Shape(workers=workers, burst=2000), COSTS).rate


MEASURED = (
    *(
        Point(
            what=f"processor time of the {whose} an execution, at {rate} a second", unit=" ms",
            measured=measured, modelled=_cost(whose, rate),
        )
        for whose, rate, measured in (
            ("scheduler", 50, 5.7), ("scheduler", 126, 2.9), ("scheduler", 158, 2.5),
            ("worker", 50, 9.1), ("worker", 126, 5.7), ("worker", 158, 4.9),
            ("database", 50, 5.1), ("database", 126, 2.1), ("database", 158, 1.8),
        )
    ),
    Point(
        what="kept up with by 1 worker", unit=" a second", measured=178,
        modelled=lambda: knee(Shape(), COSTS),
    ),
    *(
        Point(
            what=f"p50 lateness at {rate} a second", unit=" ms", measured=measured,
            modelled=_p50(rate),
        )
        for rate, measured in ((50, 21), (79, 36), (126, 46), (158, 54))
    ),
    *(
        Point(
            what=f"executions a second of many at once, {workers} workers", unit="",
            measured=measured, modelled=_drained(workers),
        )
        for workers, measured in ((1, 134), (2, 164), (4, 144))
    ),
)  # fmt: skip

HOST = Shape(apart=True, cores=4, database_cores=16)
BATCHED = replace(COSTS, send=0.1e-3)
"""As if a batch of messages were sent at once."""

ELSEWHERE = (
    ("1 scheduler, 1 worker", replace(HOST, places=64), COSTS),
    ("1 scheduler, 4 workers", replace(HOST, workers=4, places=64), COSTS),
    ("1 scheduler, 8 workers", replace(HOST, workers=8, places=64), COSTS),
    ("1 scheduler, 8 workers, messages in batches", replace(HOST, workers=8, places=64), BATCHED),
    ("4 schedulers, 16 workers", replace(HOST, schedulers=4, workers=16, places=64), COSTS),
    (
        "4 schedulers, 32 workers, messages in batches",
        replace(HOST, schedulers=4, workers=32, places=64), BATCHED,
    ),
    (
        "12 schedulers, 32 workers",
        replace(HOST, schedulers=12, workers=32, places=64), COSTS,
    ),
)  # fmt: skip


def main() -> None:
    """Print both tables as Markdown."""
    print("| measured | there | the model | error |\n| --- | --- | --- | --- |")
    for point in MEASURED:
        modelled = point.modelled()
        error = modelled / point.measured - 1
        print(
            f"| {point.what} | {point.measured:g}{point.unit} | {modelled:.3g}{point.unit} "
            f"| {error:+.0%} |"
        )
    print("\n| each on 4 cores, the database on 16 | executions a second | what is full first |")
    print("| --- | --- | --- |")
    for what, shape, costs in ELSEWHERE:
        rate = knee(shape, costs)
        full = simulate(replace(shape, rate=rate), costs, seconds=3.0)
        print(f"| {what} | {rate:,.0f} | {full.busiest}, {full.busy:.0%} |")


if __name__ == "__main__":
    main()
