"""The use cases that change tasks: each is one transaction, after which the engine is told."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta, tzinfo
from functools import partial
from types import MappingProxyType
from typing import Any

import structlog

from taskservice.domain import overlay, state
from taskservice.domain.errors import (
    Conflict,
    Fault,
    Invalid,
    NotFound,
    PreconditionFailed,
    Unavailable,
    is_pending,
)
from taskservice.domain.overlay import DELETED, Declaration, Override
from taskservice.domain.placeholders import borrowed_faults, placeholder_faults
from taskservice.domain.state import faults_of
from taskservice.domain.task import parse_task, unknown_fields
from taskservice.domain.task_faults import task_faults
from taskservice.domain.task_id import id_fault
from taskservice.engine.engine import Engine
from taskservice.engine.functions import Functions
from taskservice.engine.placeholders import is_light
from taskservice.service.forecasting import Trial, forecast_after
from taskservice.service.moments import parse_until
from taskservice.service.offload import Offload, is_small
from taskservice.service.preconditions import Precondition
from taskservice.service.reading import Reading, no_task, now_utc
from taskservice.service.watching import Watcher
from taskservice.storage import owners
from taskservice.storage.database import Collision, Database
from taskservice.storage.executions import Execution
from taskservice.storage.gate import Cause, Decision, Gate, Written
from taskservice.storage.overrides import expired
from taskservice.storage.owners import NoticeKind
from taskservice.storage.rows import new_id
from taskservice.storage.shown import Shown
from taskservice.storage.tasks import StoredTask

ALWAYS = Precondition()

ANSWER_SECONDS = 30.0
"""How long another process may take over what it is asked to do."""

ASK_AGAIN_SECONDS = 0.05

LONGEST_REASON = 1000
"""Characters of why something was changed."""

IMPORTS = 20
"""How often a change waits anew for the import of its function's module."""

EXPIRY = Cause(by="service", via="service", reason="the time of an override is over")

STUCK = timedelta(minutes=1)
"""How long an override stays that has ended, and without which its task would be none."""

log = structlog.get_logger()

_Rewrite = Callable[[StoredTask, datetime], tuple[Declaration, tuple[Override, ...]]]


class Changing(Reading):
    """What can be done to tasks. `by` is the name of who asks."""

    _functions: Functions
    _watcher: Watcher
    _default_executor: str
    _env_allow: Sequence[str]

    def __init__(self, database: Database, engine: Engine, zone: tzinfo) -> None:
        super().__init__(database, engine, zone)
        self._gate = Gate(database, engine, changed=self._follow_change)
        self._deciding = Offload("deciding", threads=1, waiting=0, busy="others change tasks")
        self._stuck: dict[str, datetime] = {}

    def check(
        self,
        task_id: str,
        fields: Mapping[str, object],
        *,
        patience: float = 0,
        before: Mapping[str, object] | None = None,
    ) -> list[Fault]:
        """What is wrong with a task's fields; blocks for `patience`, see `Functions.faults`.

        A call that is what it was `before` is not looked at: whatever became of its function,
        the task can be paused.
        """
        call_faults = partial(self._functions.faults, patience=patience)
        if before is not None and _call_of(before) == _call_of(fields):
            call_faults = partial(_no_faults)
        return task_faults(
            fields,
            zone=self._zone,
            call_faults=call_faults,
            env_allow=self._env_allow,
        )

    async def create(self, fields: Mapping[str, object], *, by: str) -> Shown:
        """Make a task of the API's own. Raises `Invalid` and `Conflict`."""
        given = {name: value for name, value in fields.items() if name != "id"}
        wanted = fields.get("id")
        task_id = wanted if isinstance(wanted, str) else new_id()
        faults = []
        if wanted is not None and wanted != task_id:
            faults.append(Fault(field="id", reason="must be text"))
        elif wrong := id_fault(task_id):
            faults.append(Fault(field="id", reason=wrong))
        faults += await self._faults(task_id, given)
        if faults:
            raise Invalid(faults)
        declaration = Declaration(source="api", fields=given)

        def decide(stored: StoredTask | None, now: datetime) -> Decision:
            if stored:
                raise Conflict(f"there is a task {task_id!r} already, or its file is deleted here")
            made = state.resolution(task_id, declaration, (), None, now=now, zone=self._zone)
            return Decision(resolutions=[made])

        try:
            written = await self._change(task_id, decide, Cause(by=by, via="api"), given=given)
        except Collision:
            raise Conflict(f"somebody made a task {task_id!r} at the same moment") from None
        return written.shown(task_id)

    async def change(
        self,
        task_id: str,
        changes: Mapping[str, object],
        *,
        by: str,
        reason: str | None = None,
        until: str | None = None,
        precondition: Precondition = ALWAYS,
    ) -> Shown:
        """Set the fields given, each to the value given; on a declared task they are overrides."""
        if unknown := unknown_fields(changes):
            raise Invalid(unknown)
        _check_reason(reason)
        end = self._until(until)

        def rewrite(stored: StoredTask, now: datetime) -> tuple[Declaration, tuple[Override, ...]]:
            declaration, overrides = stored.declaration, stored.overrides
            if declaration.source == "file":
                before = overlay.merge(declaration, overrides)
                values = overlay.changed_fields(before, self._comparable(before, changes))
                if (
                    values.get("executor") == self._default_executor
                    and overlay.declared_value(declaration, "executor") is None
                ):
                    values["executor"] = None  # a file that names none says the same
                return declaration, overlay.override_with(
                    declaration, overrides, values, now=now, by=by, reason=reason, until=end
                )
            _no_until(until)
            if "paused" in changes:
                overrides = tuple(o for o in overrides if o.field != "paused")
            return replace(declaration, fields={**declaration.fields, **changes}), overrides

        cause = Cause(by=by, via="api", reason=reason)
        return await self._rewrite(
            task_id, rewrite, cause, given=changes, precondition=precondition
        )

    async def try_out(self, task_id: str, changes: Mapping[str, object], count: int) -> Trial:
        """What a change would come to: all that is wrong, or the next `count` fires."""
        before = (await self.get(task_id)).state
        fields = {**before.task.definition(), **changes}
        if faults := await self._faults(task_id, fields):
            return Trial(faults=tuple(faults))
        forecast = await self._looking.run(
            forecast_after, before, fields, count, now=now_utc(), zone=self._zone
        )
        return Trial(forecast=forecast)

    def _comparable(
        self, before: Mapping[str, Any], changes: Mapping[str, object]
    ) -> dict[str, Any]:
        """The changes with their values as a sound task holds them, so that they compare."""
        known = parse_task({**before, **changes}, zone=self._zone).definition()
        return {name: known[name] for name in changes}

    async def set_paused(
        self,
        task_id: str,
        paused: bool,
        *,
        by: str,
        reason: str | None = None,
        until: str | None = None,
        precondition: Precondition = ALWAYS,
    ) -> Shown:
        """Pause a task or let it go on."""
        _check_reason(reason)
        end = self._until(until)

        def rewrite(stored: StoredTask, now: datetime) -> tuple[Declaration, tuple[Override, ...]]:
            declaration, overrides = stored.declaration, stored.overrides
            if declaration.source == "api" and (not paused or not (reason or until)):
                # Its own definition says so; only a pause that has a story is an override.
                if not paused:
                    _no_until(until)
                declaration = replace(declaration, fields={**declaration.fields, "paused": paused})
                return declaration, tuple(o for o in overrides if o.field != "paused")
            # Said again, it is said anew: without the reason and the end that it had.
            others = tuple(o for o in overrides if o.field != "paused")
            return declaration, overlay.override_with(
                declaration, others, {"paused": paused},
                now=now, by=by, reason=reason, until=end,
            )  # fmt: skip

        cause = Cause(by=by, via="api", reason=reason)
        return await self._rewrite(task_id, rewrite, cause, precondition=precondition)

    async def keep(self, task_id: str, field: str, *, by: str) -> Shown:
        """Let an override stand over what the file says by now; who set it, and why, stays."""

        def rewrite(stored: StoredTask, now: datetime) -> tuple[Declaration, tuple[Override, ...]]:
            values = {o.field: o.value for o in stored.overrides if o.field == field}
            if not values:
                raise _no_override(stored, field)
            declaration, overrides = stored.declaration, stored.overrides
            return declaration, overlay.override_with(
                declaration, overrides, values, now=now, by=by
            )

        return await self._rewrite(task_id, rewrite, Cause(by=by, via="api"))

    async def revert(self, task_id: str, field: str | None, *, by: str) -> Shown:
        """End all overrides of a task, or that of one field."""

        def rewrite(stored: StoredTask, now: datetime) -> tuple[Declaration, tuple[Override, ...]]:
            kept = tuple(o for o in stored.overrides if field is not None and o.field != field)
            if field is not None and len(kept) == len(stored.overrides):
                raise _no_override(stored, field)
            return stored.declaration, kept

        return await self._rewrite(task_id, rewrite, Cause(by=by, via="api"))

    async def delete(
        self,
        task_id: str,
        *,
        by: str,
        reason: str | None = None,
        until: str | None = None,
        precondition: Precondition = ALWAYS,
    ) -> None:
        """Delete a task with its log; a declared one stays away until it is restored.

        Its log is kept for a while, and is there again then.
        """
        _check_reason(reason)
        end = self._until(until)

        def decide(known: StoredTask | None, now: datetime) -> Decision:
            stored = _live(task_id, known, precondition, retired=True)
            if stored.declaration.source == "api":
                _no_until(until)
            if stored.declaration.source == "api" or (stored.state and stored.state.retired_at):
                return Decision(forgotten=[task_id])
            overrides = overlay.override_with(
                stored.declaration, stored.overrides, {DELETED: True},
                now=now, by=by, reason=reason, until=end,
            )  # fmt: skip
            return self._decision(task_id, stored, stored.declaration, overrides, now)

        await self._change(task_id, decide, Cause(by=by, via="api", reason=reason))

    async def restore(self, task_id: str, *, by: str) -> Shown:
        """Take back the API's deletion of a declared task."""

        def decide(stored: StoredTask | None, now: datetime) -> Decision:
            if stored is None:
                raise no_task(task_id)
            if stored.state is not None:
                raise Conflict("the task is not deleted")
            kept = tuple(o for o in stored.overrides if o.field != DELETED)
            return self._decision(task_id, stored, stored.declaration, kept, now)

        written = await self._change(task_id, decide, Cause(by=by, via="api"))
        return written.shown(task_id)

    async def trigger(
        self, task_id: str, func_args: Mapping[str, object] | None, *, by: str
    ) -> Execution:
        """Run a task now, paused or not; `func_args` go before its own for this run."""
        before = (await self.get(task_id)).state
        if wrong := faults_of(before, self._zone):
            raise Conflict(f"the task is at fault: {'; '.join(map(str, wrong))}")
        task = before.task
        if func_args:
            merged = {**task.definition(), "func_args": {**task.func_args, **func_args}}
            faults = []
            if not is_light(func_args):
                faults += await asyncio.to_thread(borrowed_faults, func_args, task.func_args)
            faults += await self._faults(task_id, merged)
            if faults:
                raise Invalid(faults)
        execution = await self._engine.trigger(task_id, func_args or None, by=by)
        self._watcher.poke()
        return execution

    async def cancel(self, task_id: str, log_id: str, *, by: str) -> Execution:
        """Stop a running execution; the execution as it ended. Raises `Conflict`."""
        execution = await self.log(task_id, log_id)
        if execution.status != "running":
            raise Conflict(f"the execution has ended: it is {execution.status}")
        if execution.owner in (None, self._engine.owner):
            await self._engine.cancel(log_id, by=by)
        else:
            await self._ask("cancel", log_id, by=by, recipient=execution.owner)
        self._watcher.poke()
        ended = await self.log(task_id, log_id)
        if ended.status == "running":
            raise Conflict("the execution does not run (any more) in its process")
        return ended

    async def _ask(
        self, kind: NoticeKind, subject: str | None, *, by: str, recipient: str | None
    ) -> None:
        """Have another process do something, and wait until it did. Raises `Unavailable`."""
        [notice] = await self._database.write(
            lambda connection: owners.tell(connection, kind, [subject], by=by, recipient=recipient)
        )
        end = asyncio.get_running_loop().time() + ANSWER_SECONDS
        while asyncio.get_running_loop().time() < end:
            async with self._database.read() as connection:
                if not await owners.is_asked(connection, notice):
                    return
            await asyncio.sleep(ASK_AGAIN_SECONDS)
        await self._database.write(lambda connection: owners.done(connection, [notice]))
        raise Unavailable("the process that was asked to does not answer")

    async def log(self, task_id: str, log_id: str) -> Execution:
        execution = await super().log(task_id, log_id)
        if execution.status == "running":
            # Of one that runs elsewhere its row has what it printed until a second ago.
            here = self._engine.output_of(log_id)
            execution = execution if here is None else replace(execution, output=here)
        return execution

    async def expire(self) -> None:
        """End the overrides whose time is over."""
        async with self._database.read() as connection:
            ids = await expired(connection, now_utc())
        for task_id in ids:
            if self._stuck.get(task_id, now_utc()) > now_utc():
                continue
            try:
                await self._change(task_id, partial(self._without_ended, task_id), EXPIRY)
            except Invalid as invalid:
                # What is left does not make a task: it stays as it is, until something changes.
                log.warning("override_stays", task=task_id, reason=str(invalid))
                self._stuck[task_id] = now_utc() + STUCK

    def _without_ended(self, task_id: str, stored: StoredTask | None, now: datetime) -> Decision:
        if stored is None or (stored.state and stored.state.retired_at):
            return Decision()
        kept = overlay.standing(stored.declaration, stored.overrides, now)
        return self._decision(task_id, stored, stored.declaration, kept, now)

    async def _rewrite(
        self,
        task_id: str,
        rewrite: _Rewrite,
        cause: Cause,
        *,
        given: Mapping[str, object] = MappingProxyType({}),
        precondition: Precondition = ALWAYS,
    ) -> Shown:
        def decide(stored: StoredTask | None, now: datetime) -> Decision:
            known = _live(task_id, stored, precondition)
            declaration, overrides = rewrite(known, now)
            if (declaration, overrides) != (known.declaration, known.overrides):
                merged = overlay.merge(declaration, overrides)
                # A variable that it has named before, and that is not allowed by now, keeps nobody
                # from pausing it: no run of it is begun with that.
                before = overlay.merge(known.declaration, known.overrides)
                named = before.get("func_args")
                faults = self.check(task_id, merged, before=before)
                if faults and isinstance(named, Mapping):
                    old = placeholder_faults(named, self._env_allow)
                    faults = [fault for fault in faults if fault not in old]
                if faults:
                    raise _Unchecked(merged["func_path"]) if is_pending(faults) else Invalid(faults)
            return self._decision(task_id, known, declaration, overrides, now)

        return (await self._change(task_id, decide, cause, given=given)).shown(task_id)

    def _decision(
        self,
        task_id: str,
        stored: StoredTask,
        declaration: Declaration,
        overrides: tuple[Override, ...],
        now: datetime,
    ) -> Decision:
        later = state.resolution(
            task_id, declaration, overrides, stored.state or stored.removed,
            now=now, zone=self._zone,
        )  # fmt: skip
        # Not by comparison: to Python 1 and true are the same.
        return Decision(resolutions=[later], declare=declaration is not stored.declaration)

    async def _change(
        self,
        task_id: str,
        decide: Callable[[StoredTask | None, datetime], Decision],
        cause: Cause,
        *,
        given: Mapping[str, object] = MappingProxyType({}),
    ) -> Written:
        """Have a task changed; it is decided off the loop where something is large."""

        async def decided(found: Mapping[str, StoredTask], now: datetime) -> Decision:
            stored = found.get(task_id)
            known: tuple[object, ...] = ()
            if stored:
                known = (stored.declaration.fields, [one.value for one in stored.overrides])
            if is_small(given, *known):
                return decide(stored, now)
            return await self._deciding.call(decide, stored, now)

        for _ in range(IMPORTS):
            try:
                return await self._gate.change([task_id], decided, cause=cause)
            except _Unchecked as unchecked:
                await self._functions.ready(unchecked.func_path)  # not in a transaction
        raise Unavailable("the module of the task's function can't be imported yet")

    async def _faults(self, task_id: str, fields: Mapping[str, object]) -> list[Fault]:
        """The same as `check`, once the function's module is imported; holds nobody up."""
        func_path = fields.get("func_path")
        while True:
            if isinstance(func_path, str):
                await self._functions.ready(func_path)
            if is_small(fields):
                faults = self.check(task_id, fields)
            else:
                faults = await asyncio.to_thread(self.check, task_id, fields)
            if not is_pending(faults):
                return faults

    def _follow_change(self, cause: Cause) -> None:
        """Have others look at a change of tasks that is committed."""
        self._watcher.poke()

    def _end_offloads(self) -> None:
        super()._end_offloads()
        self._deciding.close()

    def _until(self, until: str | None) -> datetime | None:
        return None if until is None else parse_until(until, self._zone, now_utc())


class _Unchecked(Exception):
    """A task can't be checked at once: its function's module has to be imported first."""

    def __init__(self, func_path: str) -> None:
        super().__init__("not checked yet")
        self.func_path = func_path


def _call_of(fields: Mapping[str, object]) -> tuple[object, object]:
    """The function that a task calls, and the names of the arguments that it gives."""
    func_args = fields.get("func_args") or {}
    return fields.get("func_path"), set(func_args) if isinstance(func_args, Mapping) else None


def _no_faults(_func_path: str, _func_args: Mapping[str, object]) -> list[Fault]:
    return []


def _live(
    task_id: str,
    stored: StoredTask | None,
    precondition: Precondition,
    *,
    retired: bool = False,
) -> StoredTask:
    """What is stored of a task that there is, and that may be changed."""
    if stored is None:
        raise no_task(task_id)
    if stored.state is None:
        raise NotFound(f"task {task_id!r} was deleted here; restore takes that back")
    if stored.state.retired_at and not retired:
        raise Conflict("the task is retired: its declaration is gone")
    if not precondition.matches(stored.state.etag):
        raise PreconditionFailed("the task has changed since it was read")
    if not precondition.holds(stored.state.etag):
        raise PreconditionFailed("there is such a task, and the request is for one that is not so")
    return stored


def _check_reason(reason: str | None) -> None:
    if reason is not None and len(reason) > LONGEST_REASON:
        fault = f"must have at most {LONGEST_REASON} characters, not {len(reason)}"
        raise Invalid([Fault(field="reason", reason=fault)])


def _no_override(stored: StoredTask, field: str) -> NotFound:
    names = ", ".join(override.field for override in stored.overrides) or "none"
    return NotFound(f"no override of {field[:100]!r}; there are: {names}")


def _no_until(until: str | None) -> None:
    if until is not None:
        reason = "no file declares this task, so there is nothing it could return to"
        raise Invalid([Fault(field="until", reason=reason)])
