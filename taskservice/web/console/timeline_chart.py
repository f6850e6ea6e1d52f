"""The timeline as SVG has it: places and widths in per cent of its time, heights in pixels."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo

from taskservice.service.timeline import SLOT, SLOTS, Lane, Slot, Timeline
from taskservice.storage.history import Past
from taskservice.web.console.charts import WITHOUT_LENGTH
from taskservice.web.console.executions import execution_address
from taskservice.web.console.language import Language
from taskservice.web.console.views import address_of

HEIGHT = 120
"""Of the histogram, in pixels."""

LEAST = 2.0
"""Pixels of what is there at all: a failure among thousands is to be seen."""

STACK = ("completed", "running", "queued", "cancelled", "skipped", "missed", "failed")
"""The outcomes in a column of the histogram, from the bottom up."""

THINNEST = 0.02
"""Per cent of the width of what is there at all: what has none is not drawn."""

ROOM = 7.0
"""Per cent of the width that a number takes."""

_QUARTER = timedelta(minutes=15)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What came to one outcome in a slot."""

    kind: str
    y: float
    height: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One slot of the histogram."""

    x: float
    parts: Sequence[Part]
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """A time on the axis; not all of them are shown where there is little room."""

    x: float
    label: str
    midnight: bool
    minor: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """One execution of a lane."""

    x: float
    width: float
    status: str
    address: str
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """Many executions, or fires, that follow closely; `label` only where there is room."""

    x: float
    width: float
    kind: str
    title: str
    label: str

    @property
    def middle(self) -> float:
        """Where its label stands."""
        return round(self.x + self.width / 2, 3)


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneView:
    """A task with what is drawn of it."""

    lane: Lane
    address: str
    marks: Sequence[Mark]
    ticks: Sequence[float]
    bands: Sequence[Band]
    failed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """All that is drawn; `most` is what the highest column stands for."""

    columns: Sequence[Column]
    column_width: float
    most: int
    ticks: Sequence[Tick]
    now: float
    lanes: Sequence[LaneView]


class Drawing:
    """Draws a timeline for a reader of a language, by the clock of a zone."""

    def __init__(self, timeline: Timeline, language: Language, zone: tzinfo) -> None:
        self._timeline = timeline
        self._language = language
        self._zone = zone
        self._length = timeline.end - timeline.begin

    def chart(self) -> Chart:
        """The whole of it."""
        slots = self._timeline.slots
        most = max(slot.total for slot in slots)
        return Chart(
            columns=[self._column(slot, most) for slot in slots if slot.total],
            column_width=self._width(SLOT),
            most=most,
            ticks=self._ticks(),
            now=self._x(self._timeline.now),
            lanes=[self._lane(lane) for lane in self._timeline.lanes],
        )

    def clock(self, moment: datetime) -> str:
        """A time to the minute, with its day."""
        return moment.astimezone(self._zone).strftime("%m-%d %H:%M")

    def _x(self, moment: datetime) -> float:
        inside = min(max(moment, self._timeline.begin), self._timeline.end)
        return self._width(inside - self._timeline.begin)

    def _width(self, span: timedelta) -> float:
        return round(100 * (span / self._length), 3)

    def _column(self, slot: Slot, most: int) -> Column:
        counts = [(status, slot.past.get(status, 0)) for status in STACK]
        if slot.fires:
            counts.insert(1, ("fire", slot.fires))
        parts, top = [], float(HEIGHT)
        for kind, count in counts:
            if count:
                height = round(max(LEAST, (HEIGHT - 14) * count / most), 1)
                top = round(top - height, 1)
                parts.append(Part(kind=kind, y=top, height=height))
        title = f"{self.clock(slot.begin)} · {self.summary_of(slot.past, slot.fires)}"
        return Column(x=self._x(slot.begin), parts=parts, title=title)

    def summary_of(self, past: Mapping[str, int], fires: int) -> str:
        """How many executions came to which outcome, and how many fires are to come."""
        parts = [
            f"{self._language.number(past[status])} {self._language.gettext(status)}"
            for status in STACK
            if past.get(status)
        ]
        if fires:
            text = self._language.gettext("%(count)s to come")
            parts.append(text % {"count": self._language.number(fires)})
        return ", ".join(parts)

    def _ticks(self) -> list[Tick]:
        ticks = []
        moment = self._timeline.begin
        while moment < self._timeline.end:
            wall = moment.astimezone(self._zone)
            if wall.minute == 0 and wall.hour % 3 == 0:
                midnight = wall.hour == 0
                ticks.append(
                    Tick(
                        x=self._x(moment),
                        label=wall.strftime("%m-%d" if midnight else "%H:%M"),
                        midnight=midnight,
                        minor=wall.hour % 12 != 0,
                    )
                )
            moment += _QUARTER
        return ticks

    def _lane(self, lane: Lane) -> LaneView:
        executions = lane.executions or ()
        failed = sum(one.status == "failed" for one in executions)
        failed += sum(counts.get("failed", 0) for counts in lane.past.values())
        return LaneView(
            lane=lane,
            address=address_of(lane.task_id),
            marks=[self._mark(lane, one) for one in executions],
            ticks=[self._x(moment) for moment in lane.moments or ()],
            bands=[*self._past_bands(lane), *self._future_bands(lane)],
            failed=failed,
        )

    def _mark(self, lane: Lane, one: Past) -> Mark:
        x = self._x(one.start_time)
        end = one.end_time or self._timeline.now
        said = f"{self._language.gettext(one.status)} · {self.clock(one.start_time)}"
        if one.status not in WITHOUT_LENGTH:
            seconds = max(0.0, (end - one.start_time).total_seconds())
            said += f" · {self._language.duration(seconds)}"
        return Mark(
            x=x,
            width=max(THINNEST, round(self._x(end) - x, 3)),
            status=one.status,
            address=execution_address(lane.task_id, one.id),
            title=said,
        )

    def _past_bands(self, lane: Lane) -> list[Band]:
        bands = []
        for first, last in _runs(lane.past):
            counts: dict[str, int] = {}
            for place in range(first, last + 1):
                for status, count in lane.past[place].items():
                    counts[status] = counts.get(status, 0) + count
            bands.append(self._band(first, last, "past", sum(counts.values()), counts, 0))
        broken = [place for place, counts in lane.past.items() if counts.get("failed")]
        for first, last in _runs(broken):
            failed = sum(lane.past[place]["failed"] for place in range(first, last + 1))
            bands.append(self._band(first, last, "failed", failed, {"failed": failed}, 0))
        return bands

    def _future_bands(self, lane: Lane) -> list[Band]:
        if lane.moments is not None:
            return []
        places = [SLOTS + place for place, count in enumerate(lane.coming) if count]
        return [
            self._band(first, last, "future", fires, {}, fires)
            for first, last in _runs(places)
            for fires in [sum(lane.coming[first - SLOTS : last + 1 - SLOTS])]
        ]

    def _band(
        self, first: int, last: int, kind: str, number: int, past: Mapping[str, int], fires: int
    ) -> Band:
        timeline = self._timeline
        begin, end = timeline.begin + first * SLOT, timeline.begin + (last + 1) * SLOT
        # The present slot is past on one side of now, and to come on the other.
        if kind == "future":
            begin = max(begin, timeline.now)
        else:
            end = max(begin, min(end, timeline.now))
        x, width = self._x(begin), self._width(end - begin)
        label = f"{self._language.number(number)} ×" if width > ROOM and kind != "failed" else ""
        return Band(x=x, width=width, kind=kind, title=self.summary_of(past, fires), label=label)


def _runs(places: Iterable[int]) -> list[tuple[int, int]]:
    """The first and the last of places that follow one another."""
    runs: list[tuple[int, int]] = []
    for place in sorted(places):
        if runs and runs[-1][1] + 1 == place:
            runs[-1] = (runs[-1][0], place)
        else:
            runs.append((place, place))
    return runs
