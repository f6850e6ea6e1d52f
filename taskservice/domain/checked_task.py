"""A task with its fields and the call of its function checked together."""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import tzinfo

from taskservice.domain.errors import Fault, Invalid
from taskservice.domain.fault_limits import of_task
from taskservice.domain.placeholders import ANY_VARIABLE, placeholder_faults
from taskservice.domain.placement import Placement
from taskservice.domain.rules import channel_faults
from taskservice.domain.task import Task, parse_task

CallFaults = Callable[[str, Mapping[str, object]], list[Fault]]
"""What is wrong with a call of this `func_path` with these `func_args`."""


def checked_task(
    fields: Mapping[str, object],
    *,
    zone: tzinfo,
    call_faults: CallFaults,
    env_allow: Sequence[str] = ANY_VARIABLE,
    placement: Placement,
    channels: Collection[str] | None = None,
) -> Task:
    """The task that these fields make, its call checked too; as slow as `call_faults` is.

    `zone` is as in `parse_task`; `env_allow` are the patterns of the variables that its
    placeholders may stand for, `placement` is where tasks run, `channels` are those that there are
    (None: it is not known). Raises `Invalid` with all that is wrong: a field that is at fault in
    itself is not told of again, and beyond a limit faults are counted.
    """
    task, faults = None, list[Fault]()
    try:
        task = parse_task(fields, zone=zone)
        faults += [*placement.faults(task), *channel_faults(task.notify, channels)]
    except Invalid as invalid:
        faults += invalid.faults
    func_path, func_args = fields.get("func_path"), fields.get("func_args") or {}
    if isinstance(func_args, Mapping):
        known = {fault.field for fault in faults}
        more = placeholder_faults(func_args, env_allow)
        if isinstance(func_path, str):
            more += call_faults(func_path, func_args)
        faults += [one for one in more if one.field not in known]
    if task is None or faults:
        raise Invalid(of_task(faults))
    return task
