"""Queries on the audit trail: written with what it tells of, read page by page, deleted by age."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, NamedTuple

from sqlalchemy import Connection, delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from taskservice.domain.redaction import Hiding, redacted
from taskservice.domain.sight import ALL, Sight
from taskservice.domain.trail import Action, Change, Event
from taskservice.storage.damage import UNKNOWN_SINCE
from taskservice.storage.paging import counted
from taskservice.storage.rows import chunks, new_id
from taskservice.storage.sight import tasks_seen
from taskservice.storage.tables import task_event, task_manage

_E = task_event.c

_OF_DEFINITION: tuple[Action, ...] = (
    "created", "changed", "overridden", "reverted", "expired", "paused", "resumed", "restored",
    "returned", "adopted",
)  # fmt: skip
"""The actions that change what a task is, or whether it fires."""

_ADD = insert(task_event)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_STEP = 250
"""Nanoseconds between the ids of two events of one moment, so that they keep their order."""

_SPREAD = timedelta(minutes=1)
"""How much later than its event an id may be, at most."""

_LONGEST = {"task_id": 36, "done_by": 100, "path": 500, "revision": 64, "author": 200}


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEvent:
    """An event of the trail, with its id and when it happened."""

    id: str
    at: datetime
    event: Event


class EventPage(NamedTuple):
    """A piece of the trail: `total` is of all of it, counted to `COUNTED` at most.

    `more` says whether there are more than that; or, of a piece that goes on after an event,
    whether anything follows it.
    """

    items: list[StoredEvent]
    total: int
    more: bool


def record(connection: Connection, events: Sequence[Event], now: datetime) -> None:
    """Write events of the transaction that the connection is in, without what looks secret.

    By `AsyncConnection.run_sync`, as the queries on executions.
    """
    add_rows(connection, rows_of(events, now))


def rows_of(
    events: Iterable[Event], now: datetime, hidings: Mapping[str, Hiding] = MappingProxyType({})
) -> list[dict[str, Any]]:
    """The rows of events that happen now; `hidings` take more out of the texts of a task's."""
    begin = (now - _EPOCH) // _MICROSECOND * 1000
    return [
        _row(redacted(one, hidings.get(one.task_id or "", str)), now, begin + number * _STEP)
        for number, one in enumerate(events)
    ]


def _row(event: Event, now: datetime, nanoseconds: int) -> dict[str, Any]:
    row = {
        "id": new_id(nanoseconds),
        "at": now,
        "task_id": event.task_id,
        "action": event.action,
        "done_by": event.by,
        "via": event.via,
        "reason": event.reason,
        "changes": [change._asdict() for change in event.changes],
        "path": event.path,
        "line": event.line,
        "revision": event.revision,
        "author": event.author,
    }
    for name, longest in _LONGEST.items():
        row[name] = row[name] and str(row[name])[:longest]
    return row


def add_rows(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows that `rows_of` has made."""
    for piece in chunks(rows):
        connection.execute(_ADD, list(piece))


async def page(
    connection: AsyncConnection,
    *,
    task_id: str | None = None,
    by: str | None = None,
    action: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    sight: Sight = ALL,
    offset: int = 0,
    limit: int,
    before: str | None = None,
) -> EventPage:
    """A piece of the trail, newest first: from an offset, or after the event `before`.

    Whoever is narrowed sees what is of the tasks in `sight`.

    However long the trail is, and wherever the piece is, only `COUNTED` rows are gone through, of
    an index, and those of the piece read; but that further filters beside the first of task, name
    and action go through what that one leaves.
    """
    wanted = {_E.task_id: task_id, _E.done_by: by, _E.action: action}
    where: list[Any] = [column == value for column, value in wanted.items() if value is not None]
    if sight.is_narrowed:
        where.append(_E.task_id.in_(select(task_manage.c.id).where(*tasks_seen(sight))))
    # By the ids too, which the indexes have.
    if since is not None:
        where += [_E.id >= _first_id(since), _E.at >= since]
    if until is not None:
        where += [_E.id < _first_id(until + _SPREAD), _E.at <= until]
    query = select(task_event).where(*where).order_by(_E.id.desc()).limit(limit + 1)
    query = query.offset(offset) if before is None else query.where(_E.id < before)
    found = [_event(row) for row in await connection.execute(query)]
    total, more = await counted(
        connection, select(_E.id).where(*where),
        found=len(found), limit=limit, offset=offset, goes_on=before is not None,
    )  # fmt: skip
    return EventPage(found[:limit], total, more)


async def last_changes(
    connection: AsyncConnection, task_ids: Collection[str]
) -> dict[str, StoredEvent]:
    """By task, the last event that tells of a change of what it is or whether it fires."""
    found: dict[str, StoredEvent] = {}
    for piece in chunks(sorted(task_ids)):
        last = (
            select(func.max(_E.id))
            .where(_E.task_id.in_(piece), _E.action.in_(_OF_DEFINITION))
            .group_by(_E.task_id)
        )
        ids = (await connection.execute(last)).scalars().all()
        for row in await connection.execute(select(task_event).where(_E.id.in_(ids))):
            one = _event(row)
            found[str(one.event.task_id)] = one
    return found


async def delete_before(connection: AsyncConnection, moment: datetime, *, limit: int) -> int:
    """Delete at most `limit` events that happened before a moment; how many it were."""
    query = select(_E.id).where(_E.id < _first_id(moment)).order_by(_E.id).limit(limit)
    ids = list((await connection.execute(query)).scalars())
    for piece in chunks(ids):
        await connection.execute(delete(task_event).where(_E.id.in_(piece)))
    return len(ids)


def _first_id(moment: datetime) -> str:
    """What comes before each id of this millisecond, and after all before."""
    milliseconds = max((moment - _EPOCH) // timedelta(milliseconds=1), 0)
    text = f"{milliseconds:012x}"
    return f"{text[:8]}-{text[8:]}"


def _event(row: Any) -> StoredEvent:
    """The event in a row; what of it can't be read counts as not given."""
    changes = row.changes if isinstance(row.changes, list) else []
    return StoredEvent(
        id=row.id,
        at=row.at if isinstance(row.at, datetime) else UNKNOWN_SINCE,
        event=Event(
            action=str(row.action),  # type: ignore[arg-type]
            task_id=_text(row.task_id),
            by=str(row.done_by),
            via=str(row.via),  # type: ignore[arg-type]
            reason=_text(row.reason),
            changes=tuple(
                Change(str(one.get("field")), one.get("old"), one.get("new"))
                for one in changes
                if isinstance(one, dict)
            ),
            path=_text(row.path),
            line=row.line if isinstance(row.line, int) else None,
            revision=_text(row.revision),
            author=_text(row.author),
        ),
    )


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
