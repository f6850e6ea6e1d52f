"""Tasks at fault: what the database has of them can't be read, or their triggers not any more.

Such a task harms no other: it is not scheduled, and is told of until somebody mends or deletes it.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, tzinfo
from typing import Any

import structlog

from taskservice.domain.errors import Fault
from taskservice.domain.state import faults_of
from taskservice.domain.trail import Cause
from taskservice.engine.engine import Engine
from taskservice.service.moments import now_utc
from taskservice.storage import deletion
from taskservice.storage import tasks as store
from taskservice.storage.database import Connection, Database
from taskservice.storage.decisions import Decision
from taskservice.storage.gate import Gate
from taskservice.storage.key_values import get_value, set_value

ROUND_SECONDS = 600.0
"""How often the rows of all tasks are looked at; those that are scheduled are each 30 seconds."""

PIECE = 100
"""How many tasks are looked at before others have their turn."""

SHARE = 0.05
"""Which part of the time that takes, at most: nobody waits for it."""

MOST = 100
"""How many tasks at fault are told one by one."""

MOST_FAULTS = 20
"""How many faults of one task are told."""

REPAIR = Cause(by="service", via="service", reason="its mark of deletion can't be read")

_REMEMBERED = "tasks at fault"

log = structlog.get_logger()


class Checkup:
    """Looks for tasks at fault where the process schedules, and tells of them everywhere.

    `zone` is that of triggers which name none.
    """

    def __init__(self, database: Database, engine: Engine, gate: Gate, zone: tzinfo) -> None:
        self._database = database
        self._engine = engine
        self._gate = gate
        self._zone = zone
        self._due = 0.0
        # Whether some are noted: else there is nothing to ask the database for.
        self._noted = True

    async def look(self) -> None:
        """Note what is at fault by now, and look at all tasks when it is time to."""
        if not self._engine.leads:
            self._due, self._noted = 0.0, True
            return
        now = asyncio.get_running_loop().time()
        if now >= self._due:
            await self._unmark()
            found = await self._look_at_all()
            if not self._engine.leads:
                return
            self._due = asyncio.get_running_loop().time() + ROUND_SECONDS
        elif self._noted or self._engine.at_fault:
            found = set()
        else:
            return
        async with self._database.read() as connection:
            known = await _known(connection)
            wrong = await self._faults(connection, known.keys() | self._engine.at_fault | found)
        at = now_utc().isoformat()
        later = {task_id: known.get(task_id, at) for task_id in wrong}
        self._noted = bool(later)
        if later != known:
            for task_id in later.keys() - known.keys():
                told = "; ".join(map(str, wrong[task_id]))
                log.warning("task_at_fault", task=task_id, faults=told)
            await self._database.write(lambda some: set_value(some, _REMEMBERED, later))

    async def _unmark(self) -> None:
        """Take a mark of deletion that can't be read for none."""
        async with self._database.read() as connection:
            ids = await deletion.unreadable_marks(connection)

        async def decide(_stored: object, _now: datetime) -> Decision:
            return Decision(unmarked=ids)

        if ids:
            await self._gate.change(ids, decide, cause=REPAIR)

    async def _look_at_all(self) -> set[str]:
        found: set[str] = set()
        last = ""
        loop = asyncio.get_running_loop()
        while self._engine.leads:
            begun = loop.time()
            async with self._database.read() as connection:
                ids = await store.ids_after(connection, last, PIECE)
                found |= (await self._faults(connection, ids)).keys()
            if len(ids) < PIECE:
                break
            last = ids[-1]
            await asyncio.sleep((loop.time() - begun) * (1 / SHARE - 1))
        return found

    async def errors(self) -> list[dict[str, Any]]:
        """What is wrong with tasks, as the report of the syncs tells it."""
        async with self._database.read() as connection:
            known = await _known(connection)
            wrong = await self._faults(connection, known.keys() | self._engine.at_fault)
        at = now_utc().isoformat()
        told = [
            {**fault.as_json(), "since": known.get(task_id, at)}
            for task_id in sorted(wrong)[:MOST]
            for fault in wrong[task_id][:MOST_FAULTS]
        ]
        if len(wrong) > MOST:
            more = Fault(reason=f"and {len(wrong) - MOST:,} more tasks are at fault")
            told.append({**more.as_json(), "since": at})
        return told

    async def faults(self, task_id: str) -> Sequence[Fault]:
        """What is wrong with a task."""
        async with self._database.read() as connection:
            return (await self._faults(connection, [task_id])).get(task_id, ())

    async def _faults(
        self, connection: Connection, ids: Collection[str]
    ) -> Mapping[str, Sequence[Fault]]:
        """Those of these tasks that are at fault, with what is wrong."""
        wanted = sorted(ids)
        found: dict[str, list[Fault]] = {}
        for task_id, state in (await store.states_of(connection, wanted)).items():
            found[task_id] = [
                Fault(task_id=task_id, field=one.field, reason=one.reason)
                for one in faults_of(state, self._zone)
            ]
        for task_id, stored in (await store.load(connection, wanted)).items():
            known = found.setdefault(task_id, [])
            known += [one for one in stored.faults if one not in known]
        return {task_id: faults for task_id, faults in found.items() if faults}


async def _known(connection: Connection) -> dict[str, str]:
    """Since when tasks have been at fault, as it was noted last."""
    kept = await get_value(connection, _REMEMBERED)
    if not isinstance(kept, dict):
        return {}
    return {task_id: since for task_id, since in kept.items() if _is_time(since)}


def _is_time(text: object) -> bool:
    try:
        return isinstance(text, str) and datetime.fromisoformat(text) is not None
    except ValueError:
        return False
