"""What can be asked of tasks; nothing is changed by it."""

from collections.abc import Mapping, Sequence
from datetime import datetime, tzinfo

from taskservice.domain.errors import Fault, Invalid, no_task
from taskservice.domain.sight import ALL, Sight
from taskservice.domain.state import next_fires
from taskservice.service.checks import Checks
from taskservice.service.checkup import Checkup
from taskservice.service.forecasting import Forecast, Trial, forecast_after, forecast_of
from taskservice.service.moments import now_utc
from taskservice.service.offload import Offload
from taskservice.storage import history, shown
from taskservice.storage import tasks as store
from taskservice.storage.batcher import Batcher, Request
from taskservice.storage.database import Connection, Database
from taskservice.storage.shown import Filter, Shown
from taskservice.storage.tasks import Listed, StoredTask
from taskservice.sync.text.dump import dump_task

COUNTS_AT_ONCE = 2
"""How often it is counted at a time: to count all tasks takes as long as to find a page."""


class Tasks:
    """The tasks; `zone` is that of times which name none. What takes long is done by `looking`."""

    def __init__(
        self,
        database: Database,
        checks: Checks,
        checkup: Checkup,
        looking: Offload,
        *,
        zone: tzinfo,
    ) -> None:
        self._database = database
        self._checks = checks
        self._checkup = checkup
        self._looking = looking
        self._zone = zone
        self._shows = Batcher[str, Shown](self._answer_shows)
        self._counts = Batcher[Filter, int](self._answer_counts, at_once=COUNTS_AT_ONCE)

    async def get(self, task_id: str) -> Listed:
        """One task, a retired one too. Raises `NotFound`."""
        async with self._database.read() as connection:
            return await listed(connection, task_id)

    async def show(self, task_id: str) -> Shown:
        """The same, to be shown."""
        return await self._shows.ask(task_id)

    async def _answer_shows(self, requests: Sequence[Request[str, Shown]]) -> None:
        async with self._database.read() as connection:
            found = await connection.run_sync(shown.shown, {one.asked for one in requests})
        for one in requests:
            if task := found.get(one.asked):
                one.fulfil(task)
            else:
                one.refuse(no_task(one.asked))

    async def find(
        self, wanted: Filter, *, sort: str, page: int, size: int
    ) -> tuple[list[Shown], int]:
        """A page (from 1) of the tasks wanted, and how many there are in all."""
        before = (page - 1) * size
        async with self._database.read() as connection:
            found = await connection.run_sync(
                shown.find, wanted, sort=sort, offset=before, limit=size
            )
        if len(found) < size and (found or not before):
            return found, before + len(found)  # the list ends here, which tells as much
        return found, await self._counts.ask(wanted)

    async def _answer_counts(self, requests: Sequence[Request[Filter, int]]) -> None:
        async with self._database.read() as connection:
            counts = {
                wanted: await connection.run_sync(shown.count, wanted)
                for wanted in {one.asked for one in requests}
            }
        for one in requests:
            one.fulfil(counts[one.asked])

    async def sees(self, task_id: str, sight: Sight) -> bool:
        """Whether there is such a task in sight, a retired or deleted one too."""
        async with self._database.read() as connection:
            return bool(await store.seen(connection, [task_id], sight))

    async def states(self, sight: Sight = ALL) -> dict[str, int]:
        """How many live tasks in sight there are in each status."""
        async with self._database.read() as connection:
            return await connection.run_sync(history.states, sight)

    async def ends_of_pauses(self, task_ids: Sequence[str]) -> dict[str, datetime]:
        """When the pauses end by themselves that overrides of these tasks have with an end."""
        if not task_ids:
            return {}
        async with self._database.read() as connection:
            return await connection.run_sync(history.ends, task_ids, "paused")

    async def faults(self, task_id: str) -> Sequence[Fault]:
        """Why a task is not scheduled: what of it can't be read, or its trigger not any more."""
        return await self._checkup.faults(task_id)

    async def fires(self, task_id: str, count: int) -> list[datetime]:
        """The next `count` fires of a task; none while it is paused or retired."""
        state = (await self.get(task_id)).state
        return list(await self._looking.run(next_fires, state, count, self._zone))

    async def forecast(self, task_id: str, count: int) -> Forecast:
        """The same with the zone of the task and its clock changes."""
        state = (await self.get(task_id)).state
        return await self._looking.run(forecast_of, state, count, now=now_utc(), zone=self._zone)

    async def try_out(self, task_id: str, changes: Mapping[str, object], count: int) -> Trial:
        """What a change would come to: all that is wrong, or the next `count` fires."""
        before = (await self.get(task_id)).state
        fields = {**before.task.definition(), **changes}
        try:
            await self._checks.check_imported(fields)
        except Invalid as invalid:
            return Trial(faults=invalid.faults)
        forecast = await self._looking.run(
            forecast_after, before, fields, count, now=now_utc(), zone=self._zone
        )
        return Trial(forecast=forecast)

    async def yaml(self, task_id: str) -> str:
        """The effective task as the text of a task file."""
        found = await self.get(task_id)
        return await self._looking.run(dump_task, task_id, found.state.task.definition())


async def listed(connection: Connection, task_id: str) -> Listed:
    """One task, a retired one too. Raises `NotFound`."""
    found = (await connection.run_sync(store.listed, [task_id])).get(task_id)
    if found is None:
        raise no_task(task_id)
    return found


async def stored(connection: Connection, task_id: str) -> StoredTask:
    """All that is stored of a task, of one that the API deleted too. Raises `NotFound`."""
    found = (await store.load(connection, [task_id])).get(task_id)
    if found is None:
        raise no_task(task_id)
    return found
