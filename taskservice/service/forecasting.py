"""When a task will fire, for people: in its zone, with what clock changes make of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from taskservice.domain.errors import Fault
from taskservice.domain.overlay import Declaration
from taskservice.domain.state import TaskState, next_fires, resolve, trigger_of
from taskservice.domain.trigger import ClockChange, clock_changes


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """The next fires of a task whose clock is that of `zone`.

    `clock_changes` are those of a year on which it fires otherwise than its clock suggests.
    """

    zone: tzinfo
    fires: tuple[datetime, ...] = ()
    clock_changes: tuple[ClockChange, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What a definition that is not saved yet would come to: its faults, or its forecast."""

    faults: tuple[Fault, ...] = ()
    forecast: Forecast | None = None


def forecast_of(state: TaskState, count: int, *, now: datetime, zone: tzinfo) -> Forecast:
    """The next `count` fires of a task; none while it is paused or retired."""
    own = _zone(state.task.trigger_args, zone)
    fires = next_fires(state, count, zone)
    if not fires:
        return Forecast(zone=own)
    changes = clock_changes(trigger_of(state.task, state.anchor, zone), now)
    return Forecast(zone=own, fires=fires, clock_changes=tuple(changes))


def forecast_after(
    state: TaskState, fields: Mapping[str, object], count: int, *, now: datetime, zone: tzinfo
) -> Forecast:
    """The same if these sound fields become its definition at `now`, and it is not paused then.

    An interval goes on in its phase where its trigger stays as it is, and else counts from `now`.
    """
    declaration = Declaration(source="api", fields={**fields, "paused": False})
    later = resolve(state.id, declaration, (), state, now=now, zone=zone)
    return forecast_of(later, count, now=now, zone=zone)


def _zone(trigger_args: Mapping[str, Any], zone: tzinfo) -> tzinfo:
    """The zone whose clock a task goes by."""
    named = trigger_args.get("timezone")
    try:
        return ZoneInfo(named) if named else zone
    except (ZoneInfoNotFoundError, ValueError, TypeError):
        return zone  # its trigger is at fault, for this
