"""What the last sync found."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Self

import msgspec


class SyncError(msgspec.Struct, frozen=True, kw_only=True):
    """What keeps a file, or a task in it, from being taken, and since when; null in a plan."""

    path: str | None
    line: int | None
    column: int | None
    task_id: str | None
    field: str | None
    reason: str
    since: datetime | None


class Retired(msgspec.Struct, frozen=True, kw_only=True):
    """A task whose declaration is gone, and when it will be deleted."""

    task_id: str
    path: str | None
    retired_at: datetime
    delete_at: datetime


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """Why a sync retired nothing, and which tasks it would have retired."""

    reason: str
    task_ids: list[str]


class DriftCounts(msgspec.Struct, frozen=True, kw_only=True):
    """How many declared tasks are in each state of drift."""

    in_sync: int
    overridden: int
    conflict: int


class Repository(msgspec.Struct, frozen=True, kw_only=True):
    """The repository that is followed.

    `problem` says why `wanted` is not `live`, or not known, or that the folder is not in it.
    """

    url: str
    branch: str
    path: str
    wanted: str | None
    live: str | None
    problem: str | None
    fetched_at: datetime | None


class SyncReport(msgspec.Struct, frozen=True, kw_only=True):
    """What the last sync found."""

    synced_at: datetime | None
    revision: str | None
    scheduler: str | None
    declared: int
    drift: DriftCounts
    errors: list[SyncError]
    retired: list[Retired]
    prune_grace: float
    held: Held | None
    repository: Repository | None

    @classmethod
    def of(cls, report: Mapping[str, Any]) -> Self:
        """The answer for the service's report."""
        return msgspec.convert(report, cls)
