"""The three triggers: what a task's `trigger_type` and `trigger_args` mean in time."""

from taskservice.domain.trigger.forecast import (
    WEEK,
    ClockChange,
    clock_changes,
    runs_in_a_week,
)
from taskservice.domain.trigger.kinds import (
    CronTrigger,
    IntervalTrigger,
    Trigger,
    jitter_delay,
    upcoming,
)
from taskservice.domain.trigger.parse import TRIGGER_KEYS, canonical_trigger, parse_trigger
from taskservice.domain.trigger.schema import TRIGGER_SCHEMAS
from taskservice.domain.trigger.slots import count_by_slot
from taskservice.domain.trigger.wall import read_instant

__all__ = [
    "TRIGGER_KEYS",
    "TRIGGER_SCHEMAS",
    "WEEK",
    "ClockChange",
    "CronTrigger",
    "IntervalTrigger",
    "Trigger",
    "canonical_trigger",
    "clock_changes",
    "count_by_slot",
    "jitter_delay",
    "parse_trigger",
    "read_instant",
    "runs_in_a_week",
    "upcoming",
]
