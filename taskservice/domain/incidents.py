"""What a rule makes of what it sees of a task: streaks of failures, told once, and their ends."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from taskservice.domain.rules import Notify, Rule, Topic

What = Literal["failed", "completed", "missed", "skipped", "late", "long"]
"""What may be seen of an execution; `failed` of a run's last attempt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One thing that was seen at a moment.

    `seconds` are how long it took that has completed, and the limit that is over of what is late or
    long.
    """

    what: What
    at: datetime
    seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """Where a rule stands with a task: failures in a row, and since when.

    `incident` is the id of the failure that counts as told, `remind_at` when it is told again.
    """

    failures: int = 0
    since: datetime | None = None
    incident: str | None = None
    remind_at: datetime | None = None


QUIET = Alert()
"""Where a rule stands with a task that does not fail."""


def judge(
    rule: Rule, alert: Alert, seen: Seen, *, incident: str, silenced: bool
) -> tuple[Alert, tuple[Topic, ...]]:
    """Where a rule stands after something was seen, and what it tells of that.

    An incident that begins with it has the id `incident`. What is silenced is counted, and not
    told: a streak that goes on is told when the silence is over.
    """
    told: list[Topic] = []
    match seen.what:
        case "failed":
            begins = alert.incident is None and alert.failures + 1 >= rule.after and not silenced
            alert = replace(alert, failures=alert.failures + 1, since=alert.since or seen.at)
            if begins:
                alert = replace(alert, incident=incident, remind_at=_remind_at(rule, seen.at))
                told.append("failure")
        case "completed":
            if alert.incident is not None:
                told.append("recovery")
            alert = QUIET
            if rule.short is not None and seen.seconds is not None and seen.seconds < rule.short:
                told.append("short")
        case "late" | "long" as what:
            if seen.seconds == getattr(rule, what):
                told.append(what)
        case what:
            told.append(what)
    return alert, () if silenced else tuple(one for one in told if one in rule.on)


def remind(rule: Rule, alert: Alert, now: datetime, *, quiet: bool) -> tuple[Alert, bool]:
    """Where a rule stands when the time to tell again has come, and whether that is told.

    `quiet` says that nothing is told now: the task is silenced or paused.
    """
    if alert.incident is None:
        return replace(alert, remind_at=None), False
    later = replace(alert, remind_at=_remind_at(rule, now))
    return later, later.remind_at is not None and not quiet and "failure" in rule.on


def _remind_at(rule: Rule, now: datetime) -> datetime | None:
    return None if rule.remind is None else now + timedelta(seconds=rule.remind)


def recovers(alerts: Iterable[Alert], seen: Seen) -> bool:
    """Whether this is the first success after failures."""
    return seen.what == "completed" and any(alert.failures for alert in alerts)


def limits(notify: Notify, what: Literal["late", "long"]) -> set[float]:
    """The limits that rules have for what is late or long."""
    found = (getattr(rule, what) for rule in notify.rules.values())
    return {limit for limit in found if limit is not None}


def minds_success(notify: Notify) -> bool:
    """Whether every success matters to these rules, and not only one after a failure."""
    return any(rule.short is not None for rule in notify.rules.values())
