"""Changes of tasks, each decided by what is stored, and several of them in one transaction."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from taskservice.domain.errors import Unavailable
from taskservice.domain.state import Resolution
from taskservice.engine.engine import Engine
from taskservice.service.batches import Batches, Wish
from taskservice.service.reading import no_task, now_utc
from taskservice.storage import owners
from taskservice.storage import tasks as store
from taskservice.storage.apply import apply
from taskservice.storage.database import Busy, Connection, Database
from taskservice.storage.shown import Shown, shown
from taskservice.storage.tasks import StoredTask


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """What becomes of a task; `declare` says whether its declaration is written too."""

    resolution: Resolution
    declare: bool


Decide = Callable[[StoredTask | None, datetime], Decided]


@dataclass(slots=True, kw_only=True, eq=False)
class Change(Wish[str, Shown]):
    """A change of one task: `decide` is called in the transaction, perhaps more than once."""

    decide: Decide
    by: str


class Writer:
    """Writes changes; whoever asks for one has it when it is committed and scheduled.

    A change that can't be made harms no other of its batch.
    """

    def __init__(self, database: Database, engine: Engine) -> None:
        self._database = database
        self._engine = engine
        self._batches = Batches(self._write)

    async def change(self, task_id: str, decide: Decide, *, by: str) -> Shown:
        """The task as it is after the change. Raises what `decide` does, and `Unavailable`."""
        change = Change(key=task_id, decide=decide, by=by)
        self._batches.add(change)
        return await change.answer

    async def _write(self, batch: Sequence[Change]) -> None:
        alone = len(batch) == 1
        try:
            made = await self._database.write(
                lambda connection: self._apply(connection, batch),
                tries=None if alone else 1,
            )
        except Exception as error:
            if alone or (isinstance(error, Unavailable) and not isinstance(error, Busy)):
                raise
            # What is wrong with one of them is to be no harm to the others.
            await asyncio.gather(*map(self._alone, batch))
            return
        if not made:
            return
        ids = [change.key for change in made]
        _, found = await asyncio.gather(self._engine.reconcile(ids), self._shown(ids))
        for change in made:
            if task := found.get(change.key):
                change.fulfil(task)
            else:
                change.refuse(no_task(change.key))

    async def _shown(self, ids: list[str]) -> dict[str, Shown]:
        async with self._database.read() as connection:
            return await connection.run_sync(shown, ids)

    async def _alone(self, change: Change) -> None:
        try:
            await self._write([change])
        except Exception as error:
            change.refuse(error)

    async def _apply(self, connection: Connection, batch: Sequence[Change]) -> list[Change]:
        """Write what can be made of these changes; which of them were."""
        now = now_utc()
        stored = await store.load(connection, [change.key for change in batch], lock=True)
        made = []
        groups: dict[tuple[str, bool], list[Resolution]] = {}
        for change in batch:
            try:
                decided = change.decide(stored.get(change.key), now)
            except Exception as error:
                change.refuse(error)
                continue
            made.append(change)
            groups.setdefault((change.by, decided.declare), []).append(decided.resolution)
        for (by, declare), resolutions in groups.items():
            await apply(connection, resolutions, now=now, declared_by=by, declare=declare)
        if made and not self._engine.leads:
            ids = [change.key for change in made]
            await owners.tell(connection, "changed", ids, by=self._engine.owner)
        return made
