"""The three triggers: what a task's `trigger_type` and `trigger_args` mean in time."""

from taskservice.domain.trigger.kinds import (
    CronTrigger,
    IntervalTrigger,
    Trigger,
    jitter_delay,
    upcoming,
)
from taskservice.domain.trigger.parse import canonical_trigger, parse_trigger

__all__ = [
    "CronTrigger",
    "IntervalTrigger",
    "Trigger",
    "canonical_trigger",
    "jitter_delay",
    "parse_trigger",
    "upcoming",
]
