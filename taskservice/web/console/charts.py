"""What a task's executions look like: bars with sizes as SVG has them, and words for who sees none.

Colour is by outcome, and shape too: a failure reaches below the line, what never ran is hollow.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo

from taskservice.domain.run import NEVER_RAN
from taskservice.storage.history import Past
from taskservice.web.console.language import Language

WITHOUT_LENGTH = (*NEVER_RAN, "queued")
"""Executions that are drawn as they are, not as long as it took: they took none, or not yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One execution: where it stands, how high, and what it was."""

    id: str
    x: float
    y: float
    width: float
    height: float
    status: str
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    """Executions side by side, the newest at the right end; `line` is where they stand on."""

    width: float
    height: float
    line: float
    bars: tuple[Bar, ...]
    label: str


def strip(
    past: Sequence[Past],
    *,
    language: Language,
    zone: tzinfo,
    now: datetime,
    places: int = 20,
    step: float = 6,
    height: float = 24,
) -> Strip:
    """The last executions, each as high as it took long, by the longest of them."""
    shown = past[-places:]
    line = height - 4
    longest = max((_seconds(one, now) for one in shown), default=0.0)
    bars = []
    for place, one in enumerate(shown, start=places - len(shown)):
        size = 3 + (line - 4) * (_seconds(one, now) / longest if longest else 0)
        if one.status in WITHOUT_LENGTH:
            size = 5
        bars.append(
            Bar(
                id=one.id,
                x=round(place * step + step * 0.1, 2),
                y=round(line - size, 1),
                width=round(step * 0.8, 2),
                height=round(size + (4 if one.status == "failed" else 0), 1),
                status=one.status,
                title=_title(one, language, zone, now),
            )
        )
    return Strip(
        width=places * step,
        height=height,
        line=line,
        bars=tuple(bars),
        label=summary_of(shown, language),
    )


def summary_of(past: Iterable[Past], language: Language) -> str:
    """How many executions there are of each outcome, in words."""
    counts: dict[str, int] = {}
    for one in past:
        counts[one.status] = counts.get(one.status, 0) + 1
    if not counts:
        return language.gettext("no executions yet")
    parts = [f"{count} {language.gettext(status)}" for status, count in sorted(counts.items())]
    return language.gettext("last executions: %(counts)s") % {"counts": ", ".join(parts)}


def _seconds(one: Past, now: datetime) -> float:
    if one.status in WITHOUT_LENGTH:
        return 0.0
    return max(0.0, ((one.end_time or now) - one.start_time).total_seconds())


def _title(one: Past, language: Language, zone: tzinfo, now: datetime) -> str:
    when = language.moment(one.start_time, zone)
    said = f"{language.gettext(one.status)} · {when}"
    if one.status in WITHOUT_LENGTH:
        return said
    return f"{said} · {language.duration(_seconds(one, now))}"
