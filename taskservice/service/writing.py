"""Changes of tasks, each decided by what is stored, and several of them in one transaction."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ParamSpec, TypeVar

from taskservice.domain.errors import Unavailable
from taskservice.domain.state import Resolution
from taskservice.engine.claims import Known
from taskservice.engine.engine import Engine
from taskservice.service.batches import Batches, Wish
from taskservice.service.offload import Offload, is_small
from taskservice.service.reading import now_utc
from taskservice.storage import executions, owners
from taskservice.storage import tasks as store
from taskservice.storage.apply import apply
from taskservice.storage.database import Busy, Connection, Database
from taskservice.storage.shown import Shown, as_written
from taskservice.storage.tasks import StoredTask

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """What becomes of a task, which goes on; `declare`: whether its declaration is written too."""

    resolution: Resolution
    declare: bool


Decide = Callable[[StoredTask | None, datetime], Decided]


@dataclass(slots=True, kw_only=True, eq=False)
class Change(Wish[str, Shown]):
    """A change of one task: `decide` is called in the transaction, perhaps more than once.

    It is called off the loop where what is `given`, or stored, is large.
    """

    decide: Decide
    given: Mapping[str, object]
    by: str


class Writer:
    """Writes changes; whoever asks for one has it when it is committed and scheduled.

    A change that can't be made harms no other of its batch.
    """

    def __init__(self, database: Database, engine: Engine) -> None:
        self._database = database
        self._engine = engine
        self._batches = Batches(self._write)
        self._deciding = Offload("deciding", threads=1, waiting=0, busy="others change tasks")

    async def change(
        self, task_id: str, decide: Decide, *, given: Mapping[str, object], by: str
    ) -> Shown:
        """The task as it is after the change. Raises what `decide` does, and `Unavailable`."""
        change = Change(key=task_id, decide=decide, given=given, by=by)
        self._batches.add(change)
        return await change.answer

    async def _write(self, batch: Sequence[Change]) -> None:
        alone = len(batch) == 1
        try:
            written, known, unreturned = await self._database.write(
                lambda connection: self._apply(connection, batch),
                tries=None if alone else 1,
            )
        except Exception as error:
            if alone or (isinstance(error, Unavailable) and not isinstance(error, Busy)):
                raise
            # What is wrong with one of them is to be no harm to the others.
            await asyncio.gather(*map(self._alone, batch))
            return
        if not written:
            return
        # What was written is what there is to schedule and to show: it need not be read back.
        await self._engine.adopt([made.state for _, made in written if made.state], known)
        for change, made in written:
            if made.state:
                number = unreturned.get(change.key, 0)
                change.fulfil(as_written(made.state, made.declaration, number))

    async def _alone(self, change: Change) -> None:
        try:
            await self._write([change])
        except Exception as error:
            change.refuse(error)

    async def _decided(self, change: Change, stored: StoredTask | None, now: datetime) -> Decided:
        known: tuple[object, ...] = ()
        if stored:
            known = (stored.declaration.fields, [one.value for one in stored.overrides])
        if is_small(change.given, *known):
            return change.decide(stored, now)
        return await self.off_loop(change.decide, stored, now)

    async def off_loop(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Decide something on the thread that large changes are decided on."""
        return await self._deciding.call(work, *args, **kwargs)

    def close(self) -> None:
        """Let the thread end that large changes are decided on."""
        self._deciding.close()

    async def _apply(
        self, connection: Connection, batch: Sequence[Change]
    ) -> tuple[list[tuple[Change, Resolution]], Known, dict[str, int]]:
        """Write what can be made of these changes.

        What was written, what was scheduled before, and what of these tasks has not returned.
        """
        now = now_utc()
        stored = await store.load(connection, [change.key for change in batch], lock=True)
        known = self._engine.known(change.key for change in batch)
        written = []
        overrides = {task_id: one.overrides for task_id, one in stored.items()}
        groups: dict[tuple[str, bool], list[Resolution]] = {}
        for change in batch:
            try:
                decided = await self._decided(change, stored.get(change.key), now)
            except Exception as error:
                change.refuse(error)
                continue
            written.append((change, decided.resolution))
            groups.setdefault((change.by, decided.declare), []).append(decided.resolution)
        for (by, declare), resolutions in groups.items():
            await apply(
                connection, resolutions, now=now, declared_by=by, declare=declare,
                overrides=overrides,
            )  # fmt: skip
        if written and not self._engine.leads:
            ids = [change.key for change, _ in written]
            await owners.tell(connection, "changed", ids, by=self._engine.owner)
        return written, known, await connection.run_sync(executions.unreturned, stored.keys())
