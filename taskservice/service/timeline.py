"""What ran in the last hours and what fires in the next ones, of all tasks at once.

What is many is counted: the past by the database, the future from the triggers, on a thread.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from heapq import nlargest
from operator import add

from taskservice.domain.sight import ALL, Sight
from taskservice.domain.state import TaskState, faults_of, trigger_of
from taskservice.domain.trigger import Trigger, count_by_slot, upcoming
from taskservice.engine.engine import Engine
from taskservice.service.offload import Offload
from taskservice.storage import tasks as store
from taskservice.storage import timeline as log
from taskservice.storage.database import Database
from taskservice.storage.history import Past
from taskservice.storage.rows import chunks
from taskservice.storage.timeline import NAMES, Count

SLOT = timedelta(minutes=15)
SECONDS = 900

SLOTS = 96
"""How many slots are looked at before that of the present, and from it on."""

MARKS = 48
"""Executions, and fires, of a task that are told one by one; more of them are counted."""

BUSIEST = 6
"""How many of the past slots, and of those to come, are told with their tasks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """A quarter of an hour: how many executions came to each status, and fires to come."""

    begin: datetime
    past: Mapping[str, int]
    fires: int

    @property
    def total(self) -> int:
        """How much begins in it."""
        return sum(self.past.values()) + self.fires


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """A task: its executions and fires, one by one or, where `None` are told, by slot."""

    task_id: str
    name: str
    ran: int
    fires: int
    executions: Sequence[Past] | None
    past: Mapping[int, Mapping[str, int]]
    moments: Sequence[datetime] | None
    coming: Sequence[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class BusySlot:
    """A slot with much in it: `tasks` are some of its tasks, by id, with their names and shares."""

    slot: Slot
    future: bool
    tasks: Sequence[tuple[str, str, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """The slots around `now`, a page of lanes of the `total` there are, and the busiest slots.

    `since` is from when on executions are counted where there are too many of them, else None.
    """

    now: datetime
    begin: datetime
    end: datetime
    since: datetime | None
    slots: Sequence[Slot]
    lanes: Sequence[Lane]
    total: int
    busiest: Sequence[BusySlot]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Future:
    """Fires to come, from the present slot on: of each task by slot, and of all together.

    `busiest` are the tasks with most fires in the slots that have most.
    """

    by_slot: Mapping[str, Sequence[int]]
    totals: Mapping[str, int]
    slots: Sequence[int]
    busiest: Mapping[int, Sequence[tuple[str, int]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """What is counted of all tasks; `since` is from when on executions are looked at."""

    begin: datetime
    since: datetime
    names: Mapping[str, str]
    ran: Mapping[str, int]
    future: "_Future"
    slots: Sequence[Slot]


class Timelines:
    """Makes timelines; `zone` is that of triggers which name none, `looking` counts their fires.

    At most so many executions are looked at, the newest ones.
    """

    def __init__(
        self,
        database: Database,
        engine: Engine,
        zone: tzinfo,
        looking: Offload,
        *,
        most: int = log.MOST,
    ) -> None:
        self._most = most
        self._database = database
        self._engine = engine
        self._zone = zone
        self._looking = looking

    async def make(
        self, wanted: str, *, page: int, size: int, now: datetime, sight: Sight = ALL
    ) -> Timeline:
        """The timeline of the tasks in sight at a moment.

        It has lanes of those in whose name or id `wanted` is.
        """
        present = _floor(now)
        begin = present - SLOTS * SLOT
        # The database counts on a thread of its own.
        (cut, counted, ran, names, passing), (triggers, future) = await asyncio.gather(
            self._past(wanted, begin, sight), self._future(now, present, sight)
        )
        known = _Known(
            begin=begin,
            since=cut or begin,
            names=names,
            ran=ran,
            future=future,
            slots=_slots(begin, counted, future.slots),
        )
        totals = {one: ran.get(one, 0) + future.totals.get(one, 0) for one in passing}
        ids = sorted((one for one in totals if totals[one]), key=lambda one: (-totals[one], one))
        shown = ids[(page - 1) * size : page * size]
        return Timeline(
            now=now,
            begin=begin,
            end=present + (SLOTS + 1) * SLOT,
            since=cut,
            slots=known.slots,
            lanes=await self._lanes(shown, known, triggers, now),
            total=len(ids),
            busiest=await self._busiest(known, sight),
        )

    async def _past(
        self, wanted: str, begin: datetime, sight: Sight
    ) -> tuple[datetime | None, list[Count], dict[str, int], dict[str, str], dict[str, str]]:
        """Where the log is cut, its counts by slot and by task, and the names of tasks."""
        async with self._database.read() as connection:
            cut = await connection.run_sync(log.first_of_newest, begin, self._most)
            counted = await connection.run_sync(
                log.by_slot, cut or begin, begin, SECONDS, sight=sight
            )
            ran = await connection.run_sync(log.by_task, cut or begin, sight)
            names = await connection.run_sync(log.names, "", sight)
            passing = await connection.run_sync(log.names, wanted, sight) if wanted else names
        return cut, counted, ran, names, passing

    async def _future(
        self, now: datetime, present: datetime, sight: Sight
    ) -> tuple[Mapping[str, Trigger], _Future]:
        triggers = await self._triggers()
        if sight.is_narrowed:
            async with self._database.read() as connection:
                seen = await store.ids_seen(connection, sight)
            triggers = {one: trigger for one, trigger in triggers.items() if one in seen}
        return triggers, await self._looking.run(_forecast, triggers, now, present)

    async def _triggers(self) -> Mapping[str, Trigger]:
        """The triggers of the tasks that fire: from memory, or those that another schedules."""
        entries = self._engine.scheduled()
        if entries is not None:
            return {entry.state.id: entry.trigger for entry in entries}
        async with self._database.read() as connection:
            ids = list(await connection.run_sync(log.names, ""))
        found: dict[str, Trigger] = {}
        for piece in chunks(ids, 200):
            async with self._database.read() as connection:
                states = await store.states_of(connection, piece)
            found |= await self._looking.run(_parsed, states.values(), self._zone)
        return found

    async def _lanes(
        self, ids: Sequence[str], known: _Known, triggers: Mapping[str, Trigger], now: datetime
    ) -> list[Lane]:
        few = [one for one in ids if known.ran.get(one, 0) <= MARKS]
        many = [one for one in ids if known.ran.get(one, 0) > MARKS]
        marks: dict[str, list[Past]] = {task_id: [] for task_id in few}
        bands: dict[str, dict[int, dict[str, int]]] = {task_id: {} for task_id in many}
        async with self._database.read() as connection:
            for one in await connection.run_sync(log.executions, few, known.since):
                marks[one.task_id].append(one)
            for task_id, slot, status, count in await connection.run_sync(
                log.by_task_and_slot, many, known.since, known.begin, SECONDS
            ):
                bands[task_id].setdefault(slot, {})[status] = count
        return [
            Lane(
                task_id=task_id,
                name=known.names[task_id],
                ran=known.ran.get(task_id, 0),
                fires=known.future.totals.get(task_id, 0),
                executions=marks.get(task_id),
                past=bands.get(task_id, {}),
                moments=_moments(triggers.get(task_id), known.future.totals.get(task_id, 0), now),
                coming=known.future.by_slot.get(task_id, ()),
            )
            for task_id in ids
        ]

    async def _busiest(self, known: _Known, sight: Sight) -> list[BusySlot]:
        """The slots with most in them, in the order of time."""
        past = known.slots[: SLOTS + 1]
        crowded = _most([sum(slot.past.values()) for slot in past])
        spans = [(past[place].begin, past[place].begin + SLOT) for place in crowded]
        async with self._database.read() as connection:
            shares = await connection.run_sync(lambda some: log.busiest(some, spans, sight=sight))
        busy = [
            BusySlot(slot=past[place], future=False, tasks=_named(tasks, known.names))
            for place, tasks in zip(crowded, shares, strict=True)
        ]
        for place, tasks in known.future.busiest.items():
            slot = known.slots[SLOTS + place]
            busy.append(BusySlot(slot=slot, future=True, tasks=_named(tasks, known.names)))
        return busy


def _floor(moment: datetime) -> datetime:
    """The beginning of the slot that a moment is in."""
    return moment - (moment - datetime(1970, 1, 1, tzinfo=UTC)) % SLOT


def _parsed(states: Iterable[TaskState], zone: tzinfo) -> dict[str, Trigger]:
    return {
        one.id: trigger_of(one.task, one.anchor, zone)
        for one in states
        if one.next_run_time and not faults_of(one, zone)
    }


def _forecast(triggers: Mapping[str, Trigger], now: datetime, present: datetime) -> _Future:
    """What fires from the present slot on. It takes its time with many tasks."""
    by_slot = {
        task_id: count_by_slot(trigger, now, present, SLOT, SLOTS + 1)
        for task_id, trigger in triggers.items()
    }
    slots = [0] * (SLOTS + 1)
    for counts in by_slot.values():
        slots = list(map(add, slots, counts))
    busiest = {}
    for place in _most(slots):
        most = nlargest(NAMES, ((counts[place], task_id) for task_id, counts in by_slot.items()))
        busiest[place] = [(task_id, share) for share, task_id in most if share]
    return _Future(
        by_slot=by_slot,
        totals={task_id: sum(counts) for task_id, counts in by_slot.items()},
        slots=slots,
        busiest=busiest,
    )


def _slots(begin: datetime, counted: Iterable[Count], fires: Sequence[int]) -> list[Slot]:
    past: list[dict[str, int]] = [{} for _ in range(2 * SLOTS + 1)]
    for one in counted:
        # A replica's clock may be ahead of this one's.
        place = min(one.slot, SLOTS)
        past[place][one.status] = past[place].get(one.status, 0) + one.number
    return [
        Slot(
            begin=begin + place * SLOT,
            past=statuses,
            fires=fires[place - SLOTS] if place >= SLOTS else 0,
        )
        for place, statuses in enumerate(past)
    ]


def _most(counts: Sequence[int]) -> list[int]:
    """The places of the highest counts, in their order."""
    places = nlargest(BUSIEST, range(len(counts)), key=lambda place: (counts[place], -place))
    return sorted(place for place in places if counts[place])


def _moments(trigger: Trigger | None, fires: int, now: datetime) -> Sequence[datetime] | None:
    """The fires of a task, if they are few."""
    if trigger is None or not fires:
        return ()
    return upcoming(trigger, now, fires) if fires <= MARKS else None


def _named(
    tasks: Sequence[tuple[str, int]], names: Mapping[str, str]
) -> list[tuple[str, str, int]]:
    return [(task_id, names.get(task_id, task_id), share) for task_id, share in tasks]
