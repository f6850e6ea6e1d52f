"""The service's own troubles, told once each, by the process that schedules."""

from dataclasses import dataclass
from datetime import timedelta

from taskservice.domain.errors import Fault
from taskservice.domain.overlay import digest
from taskservice.engine.engine import Engine
from taskservice.service.moments import now_utc
from taskservice.service.notify import words
from taskservice.service.notify.sending import system_message
from taskservice.service.notify.words import Place, Words
from taskservice.service.workers import Workers
from taskservice.settings import Channel
from taskservice.storage import messages, owners
from taskservice.storage.database import Connection, Database
from taskservice.storage.key_values import get_value, set_value
from taskservice.sync.report import last_report

PATIENCE = timedelta(seconds=30)
"""How long something waits in a queue that nobody serves before that is told."""

MOST = 200
"""How many faults are remembered as told."""

_TOLD = "troubles told"
_LEADER = "scheduled by"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """What is wrong at a moment, each by a key, with the faults of files as people read them."""

    faults: dict[str, str]
    others: dict[str, tuple[str, Words]]


class Troubles:
    """Tells the channel for the service's own troubles; what was told stands in the database."""

    def __init__(
        self,
        database: Database,
        engine: Engine,
        workers: Workers,
        channel: Channel,
        *,
        name: str,
        place: Place,
    ) -> None:
        self._database = database
        self._engine = engine
        self._workers = workers
        self._channel = channel
        self._name = name
        self._place = place

    async def look(self) -> None:
        """Tell what is new, where this process schedules. Raises `Unavailable`."""
        if not self._engine.leads:
            return await self.leave()
        seen = await self._seen()
        async with self._database.read() as connection:
            told = await _told(connection)
            leader = await get_value(connection, _LEADER)
        if told != {*seen.faults, *seen.others} or leader != self._mark:
            await self._database.write(lambda connection: self._tell(connection, seen))

    async def leave(self) -> None:
        """Note that this process schedules no more, and has not died."""
        async with self._database.read() as connection:
            leader = await get_value(connection, _LEADER)
        if leader == self._mark:
            await self._database.write(lambda connection: set_value(connection, _LEADER, {}))

    async def remember(self, connection: Connection, owner: str, name: str) -> None:
        """Note which process schedules."""
        await set_value(connection, _LEADER, {"owner": owner, "name": name})

    @property
    def _mark(self) -> dict[str, str]:
        return {"owner": self._engine.owner, "name": self._name}

    async def _seen(self) -> _Seen:
        language, place = self._channel.language, self._place
        async with self._database.read() as connection:
            report = await last_report(connection)
        faults, others = {}, dict[str, tuple[str, Words]]()
        for error in report["errors"][:MOST]:
            known = {name: error[name] for name in ("path", "task_id", "field", "reason")}
            # The lines above it may move.
            fault = Fault(**known, line=error["line"], column=error["column"])
            faults[f"fault:{digest(known)[:16]}"] = str(fault)
        if held := report["held"]:
            told = words.held_sync(held["reason"], held["task_ids"], language, place)
            others[f"held:{digest(held['task_ids'])[:16]}"] = "held", told
        if self._workers.matter:
            now = now_utc()
            for queue in (await self._workers.report()).queues:
                if queue.waiting and not queue.workers and queue.oldest:
                    if now - queue.oldest > PATIENCE:
                        told = words.unserved(queue.name, queue.waiting, language, place)
                        others[f"queue:{queue.name}"] = "queue", told
        return _Seen(faults=faults, others=others)

    async def _tell(self, connection: Connection, seen: _Seen) -> None:
        """Put what is new into the outbox, and remember what is told: one process at a time."""
        language, place = self._channel.language, self._place
        await messages.hold_turn(connection, self._channel.name)
        before = await _told(connection)
        made: list[tuple[str, Words]] = []
        new = [text for key, text in seen.faults.items() if key not in before]
        if new:
            made.append(("sync", words.sync_faults(new, language, place)))
        elif not seen.faults and any(key.startswith("fault:") for key in before):
            made.append(("sync_recovered", words.all_sound(language, place)))
        made += [one for key, one in seen.others.items() if key not in before]
        leader = await get_value(connection, _LEADER)
        if leader != self._mark and not await _lives(connection, leader):
            if isinstance(leader, dict) and leader:
                name = str(leader.get("name"))
                made.append(("takeover", words.taken_over(self._name, name, language, place)))
            await self.remember(connection, self._engine.owner, self._name)
        await messages.add(
            connection, [system_message(self._channel, kind, told) for kind, told in made]
        )
        await set_value(connection, _TOLD, sorted({*seen.faults, *seen.others}))


async def _lives(connection: Connection, leader: object) -> bool:
    """Whether the process that scheduled before has a lease: it may say yet that it stops."""
    owner = leader.get("owner") if isinstance(leader, dict) else None
    found = (await owners.owners(connection)).get(str(owner))
    return found is not None and not found.expired


async def _told(connection: Connection) -> set[str]:
    found = await get_value(connection, _TOLD)
    return {str(one) for one in found} if isinstance(found, list) else set()
