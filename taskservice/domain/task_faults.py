"""What is wrong with a task: its fields, and the call of its function."""

from collections.abc import Callable, Mapping
from datetime import datetime, tzinfo

from taskservice.domain.errors import Fault, Invalid
from taskservice.domain.task import parse_task

CallFaults = Callable[[str, Mapping[str, object]], list[Fault]]
"""What is wrong with a call of this `func_path` with these `func_args`."""


def task_faults(
    fields: Mapping[str, object], *, zone: tzinfo, now: datetime, call_faults: CallFaults
) -> list[Fault]:
    """Every fault of a task's fields, those of its call included; as slow as `call_faults` is.

    `zone` and `now` are as in `parse_task`. A field that is at fault in itself is not told of
    again.
    """
    faults: list[Fault] = []
    try:
        parse_task(fields, zone=zone, now=now)
    except Invalid as invalid:
        faults += invalid.faults
    func_path, func_args = fields.get("func_path"), fields.get("func_args") or {}
    if isinstance(func_path, str) and isinstance(func_args, Mapping):
        known = {fault.field for fault in faults}
        faults += [one for one in call_faults(func_path, func_args) if one.field not in known]
    return faults
