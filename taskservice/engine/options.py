"""How an engine behaves where nobody says otherwise; tests do."""

from dataclasses import dataclass, field

from taskservice.engine.owner import process_name


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Spans of time are in seconds."""

    name: str = field(default_factory=process_name)
    """What the process is known by to others."""

    lease_seconds: float = 30.0
    """For how long others take the process for alive that says nothing more."""

    renew_seconds: float = 5.0
    reconcile_seconds: float = 30.0
    """How often the whole table is compared with what is scheduled, whatever notices were given."""

    reconciled_at_once: int = 500
    """How many tasks are compared at a time; to compare so many takes a few milliseconds."""

    keep_seconds: float = 1.0
    """How often what was printed meanwhile is written."""

    busy_again: float = 1.0
    """How long another attempt waits when all instances of its task are busy."""

    refused_again: float = 5.0
    """When what the database refuses is tried again; the others don't wait for it."""

    look_seconds: float = 2.0
    """How often it is looked after what waits in queues and what runs on workers."""

    sent_seconds: float = 10.0
    """How long the message of an execution may take to a queue: it is not missed before."""

    leave_seconds: float = 2.0
    """How long a process that stops tries to say so."""

    stop_seconds: float = 15.0
    """How long what is being written at a stop may take: more than the database's time limits."""
