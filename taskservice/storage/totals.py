"""How many tasks and overrides there are, for those who watch the service."""

from collections import Counter
from dataclasses import dataclass, field

from sqlalchemy import Connection, func, select

from taskservice.storage.tables import LIVE, task_manage, task_override

_T, _O = task_manage.c, task_override.c

_RETIRED = _T.retired_at.is_not(None)
_TASKS = (
    select(_T.status, _T.source, _T.drift, _RETIRED, func.count())
    .where(LIVE)
    .group_by(_T.status, _T.source, _T.drift, _RETIRED)
)
# Of deleted tasks too: that they are is an override.
_OVERRIDES = (
    select(func.count())
    .select_from(task_override)
    .outerjoin(task_manage, _T.id == _O.task_id)
    .where(_T.retired_at.is_(None))
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """Live tasks by status and, those that files declare, by drift; retired ones; overrides."""

    by_status: Counter[str] = field(default_factory=Counter)
    by_drift: Counter[str] = field(default_factory=Counter)
    retired: int
    overrides: int


def totals(connection: Connection) -> Totals:
    """How many there are of each, by one pass through the tasks."""
    by_status, by_drift = Counter[str](), Counter[str]()
    gone = 0
    for status, source, drift, retired, count in connection.execute(_TASKS):
        if retired:
            gone += count
            continue
        by_status[status] += count
        if source == "file":
            by_drift[drift] += count
    return Totals(
        by_status=by_status,
        by_drift=by_drift,
        retired=gone,
        overrides=connection.execute(_OVERRIDES).scalar_one(),
    )
