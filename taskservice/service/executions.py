"""The executions of tasks: what can be asked of them, begun and stopped."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import tzinfo

from taskservice.domain.errors import Conflict, Fault, Invalid, NotFound, no_task
from taskservice.domain.placeholders import borrowed_faults
from taskservice.domain.run import OPEN
from taskservice.domain.sight import ALL, Sight
from taskservice.domain.state import faults_of
from taskservice.domain.trail import Cause, Via
from taskservice.engine.engine import Engine
from taskservice.engine.placeholders import is_light
from taskservice.service.checks import Checks
from taskservice.service.moments import parse_moment
from taskservice.service.notices import ask
from taskservice.service.reasons import Reasons
from taskservice.service.tasks import listed
from taskservice.storage import executions as log
from taskservice.storage import history
from taskservice.storage.attempts import Attempt, attempts
from taskservice.storage.database import Database
from taskservice.storage.executions import ExecutionRow, LogPage
from taskservice.storage.history import Past
from taskservice.storage.paging import COUNTED


class Executions:
    """The log of all tasks; `changed` is called where one was begun or stopped.

    `zone` is that of times which name none; `reasons` says what needs one.
    """

    def __init__(
        self,
        database: Database,
        engine: Engine,
        checks: Checks,
        *,
        zone: tzinfo,
        changed: Callable[[], None],
        reasons: Reasons,
    ) -> None:
        self._reasons = reasons
        self._database = database
        self._engine = engine
        self._checks = checks
        self._zone = zone
        self._changed = changed

    async def latest(self, task_ids: Sequence[str], each: int) -> dict[str, list[Past]]:
        """The last executions of some tasks, at most `each` of a task, oldest first."""
        if not task_ids:
            return {}
        async with self._database.read() as connection:
            return await connection.run_sync(history.latest, task_ids, each)

    async def page(
        self,
        task_id: str,
        *,
        status: str | None,
        since: str | None,
        until: str | None,
        page: int = 1,
        before: str | None = None,
        size: int,
    ) -> LogPage:
        """A page (from 1) of a task's executions, newest first, or what comes after one of them.

        `before` is that one's id. Raises `Invalid` for a page beyond the executions that are
        counted, and where there is no such execution.
        """
        offset, after = (page - 1) * size, None
        begin = None if since is None else parse_moment(since, "since", self._zone)
        end = None if until is None else parse_moment(until, "until", self._zone)
        async with self._database.read() as connection:
            begins = (await listed(connection, task_id)).log_begins
            if begins is not None:
                begin = max(begins, begin or begins)
            if before is not None:
                after = await log.start_of(connection, task_id, before)
                if after is None:
                    reason = f"the task has no execution {before[:100]!r}, or not any more"
                    raise Invalid([Fault(field="before", reason=reason)])
            elif offset >= COUNTED:
                # Not gone through, unless the log ends before.
                size, offset = 1, COUNTED
            found = await log.page(
                connection, task_id, status=status, since=begin, until=end,
                offset=offset, limit=size, before=after, before_id=before or "",
            )  # fmt: skip
        if offset >= COUNTED and after is None:
            if found.more:
                reason = f"pages go to {COUNTED:,} executions; go on with before=ID"
                raise Invalid([Fault(field="page", reason=reason)])
            return LogPage([], found.total, False)
        return found

    async def get(self, task_id: str, log_id: str) -> ExecutionRow:
        """One execution with its output; a running one's output as far as it has come."""
        async with self._database.read() as connection:
            begins = (await listed(connection, task_id)).log_begins
            found = await log.one(connection, task_id, log_id)
        if found is None or (begins and found.start_time < begins):
            raise NotFound(f"task {task_id!r} has no execution {log_id!r}")
        if found.status == "running":
            # Of one that runs elsewhere its row has what it printed until a second ago.
            here = self._engine.output_of(log_id)
            found = found if here is None else replace(found, output=here)
        return found

    async def attempts(self, execution: ExecutionRow) -> list[Attempt]:
        """All attempts of the fire that an execution is of; none where somebody ran it by hand."""
        if execution.scheduled_time is None:
            return []
        async with self._database.read() as connection:
            return await connection.run_sync(attempts, execution.task_id, execution.scheduled_time)

    async def trigger(
        self,
        task_id: str,
        func_args: Mapping[str, object] | None,
        *,
        by: str,
        via: Via = "api",
        reason: str | None = None,
        sight: Sight = ALL,
    ) -> ExecutionRow:
        """Run a task now, paused or not; `func_args` go before its own for this run."""
        reason = self._reasons.check(reason, "trigger")
        async with self._database.read() as connection:
            before = (await listed(connection, task_id)).state
        if not sight.sees(before.task.tags):
            raise no_task(task_id)
        if wrong := faults_of(before, self._zone):
            raise Conflict(f"the task is at fault: {'; '.join(map(str, wrong))}")
        task = before.task
        if func_args:
            merged = {**task.definition(), "func_args": {**task.func_args, **func_args}}
            faults = []
            if not is_light(func_args):
                faults += await asyncio.to_thread(borrowed_faults, func_args, task.func_args)
            try:
                await self._checks.check_imported(merged)
            except Invalid as invalid:
                faults += invalid.faults
            if faults:
                raise Invalid(faults)
        execution = await self._engine.trigger(
            task_id, func_args or None, by=by, via=via, reason=reason
        )
        self._changed()
        return execution

    async def cancel(
        self,
        task_id: str,
        log_id: str,
        *,
        by: str,
        via: Via = "api",
        reason: str | None = None,
    ) -> ExecutionRow:
        """Stop a running or queued execution; the execution as it ended. Raises `Conflict`."""
        reason = self._reasons.check(reason, "cancel")
        for _ in OPEN:  # a worker may take it at this moment
            execution = await self.get(task_id, log_id)
            if not execution.is_open:
                raise Conflict(f"the execution has ended: it is {execution.status}")
            if execution.queue is not None:
                await self._engine.cancel_sent(execution, by=by, via=via, reason=reason)
            elif execution.owner in (None, self._engine.owner):
                await self._engine.cancel(log_id, by=by, via=via, reason=reason)
            else:
                cause = Cause(by=by, via=via, reason=reason)
                await ask(self._database, "cancel", log_id, cause, recipient=execution.owner)
            self._changed()
            ended = await self.get(task_id, log_id)
            if not ended.is_open:
                return ended
        raise Conflict("the execution does not run (any more) in its process")
