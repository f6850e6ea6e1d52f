"""What a watcher looks at again and again to find what changed: by indexes, never through all rows.

All are plain functions: by `AsyncConnection.run_sync` they share a connection.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Text, bindparam, func, select
from sqlalchemy import type_coerce as as_type

from taskservice.domain.run import OPEN
from taskservice.storage.tables import (
    DELETED_ROW,
    LIVE,
    service_state,
    task_execution_log,
    task_manage,
    task_owner,
)

_L, _T, _S, _W = task_execution_log.c, task_manage.c, service_state.c, task_owner.c

NEWEST = 1000
"""How many of the newest executions, and of the tasks that changed last, one look tells."""

MOST_OPEN = 5000
"""How many executions that have not ended one look tells."""

_OPEN = select(_L.id, _L.status).where(_L.status.in_(OPEN)).limit(bindparam("most"))
_BEGUN = (
    select(_L.id)
    .where(_L.start_time >= bindparam("since"))
    .order_by(_L.start_time.desc())
    .limit(NEWEST)
)
# With rows of tasks that were deleted since: that these are gone shows by their number.
_CHANGED = (
    select(_T.id, _T.changed_at)
    .where(_T.changed_at >= bindparam("since"))
    .order_by(_T.changed_at.desc())
    .limit(NEWEST)
)
# To count all and take away the few is quicker than to look at each.
_COUNT = select(
    select(func.count()).select_from(task_manage).scalar_subquery()
    - select(func.count()).select_from(task_manage).where(DELETED_ROW).scalar_subquery()
)
_IDS = select(_T.id).where(LIVE)
# Only compared: there is no need to read the JSON.
_REMEMBERED = select(_S.name, as_type(_S.value, Text).label("value"))
_SCHEDULING = select(_W.id).where(_W.lock_id.is_not(None))


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What there is at a moment.

    `open` are all executions that have not ended, each with its status (one more than are told
    where there are too many), `begun` the newest that began since; `changed` says of the tasks that
    were written last since when that was; `tasks` is how many there are. `about` is what else a
    report of the syncs is made of, only to be compared.
    """

    open: Mapping[str, str]
    begun: frozenset[str]
    changed: Mapping[str, datetime]
    tasks: int
    about: Mapping[str, str | None]


def look(connection: Connection, since: datetime, most_open: int = MOST_OPEN) -> Look:
    """What there is now, and what of it began or changed since; of those open so many are told."""
    after = {"since": since}
    about: dict[str, Any] = {row.name: row.value for row in connection.execute(_REMEMBERED)}
    about |= {f"scheduler {owner}": None for owner in connection.execute(_SCHEDULING).scalars()}
    # In this order: what has begun and is not among those that are open has ended.
    begun = frozenset(connection.execute(_BEGUN, after).scalars())
    return Look(
        open={row.id: row.status for row in connection.execute(_OPEN, {"most": most_open + 1})},
        begun=begun,
        changed={row.id: row.changed_at for row in connection.execute(_CHANGED, after)},
        tasks=connection.execute(_COUNT).scalar_one(),
        about=about,
    )


def task_ids(connection: Connection) -> set[str]:
    """The ids of all tasks."""
    return set(connection.execute(_IDS).scalars())
