"""The use cases that change tasks: each is one call of the gate, which decides over locked rows."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, tzinfo
from types import MappingProxyType

import structlog

from taskservice.domain import overlay, state
from taskservice.domain.errors import (
    Conflict,
    Fault,
    Invalid,
    Unavailable,
    no_task,
    out_of_sight,
)
from taskservice.domain.overlay import DELETED, Declaration
from taskservice.domain.sight import ALL, Sight
from taskservice.domain.task import unknown_fields
from taskservice.domain.task_id import id_fault
from taskservice.domain.trail import EXPIRY, Cause, Via
from taskservice.service import definitions
from taskservice.service.checks import Checks, NotImported
from taskservice.service.definitions import Definition, decision_for, live
from taskservice.service.moments import now_utc, parse_until
from taskservice.service.offload import Offload
from taskservice.service.preconditions import Precondition
from taskservice.service.reasons import Reasons
from taskservice.storage.database import Collision, Database
from taskservice.storage.decisions import Decision
from taskservice.storage.gate import Gate, Written
from taskservice.storage.overrides import expired
from taskservice.storage.rows import new_id
from taskservice.storage.shown import Shown
from taskservice.storage.tasks import StoredTask

ALWAYS = Precondition()
NONE_NEEDED = Reasons()

IMPORTS = 20
"""How often a change waits anew for the import of its function's module."""

STUCK = timedelta(minutes=1)
"""How long an override stays that has ended, and without which its task would be none."""

log = structlog.get_logger()

Decide = Callable[[StoredTask | None, datetime], Decision]


class Changes:
    """What can be done to tasks. `by` is the name of who asks, `via` the way that is come by.

    A task out of `sight` is none to them, and none can be made one: that is `Forbidden`.

    `zone` is that of times which name none, `default_executor` for tasks that name none; what is
    large is decided by `deciding`. `reasons` says what needs one.
    """

    def __init__(
        self,
        database: Database,
        gate: Gate,
        checks: Checks,
        deciding: Offload,
        *,
        zone: tzinfo,
        default_executor: str,
        reasons: Reasons = NONE_NEEDED,
    ) -> None:
        self._reasons = reasons
        self._database = database
        self._gate = gate
        self._checks = checks
        self._deciding = deciding
        self._zone = zone
        self._default_executor = default_executor
        self._stuck: dict[str, datetime] = {}

    async def create(
        self, fields: Mapping[str, object], *, by: str, via: Via = "api", sight: Sight = ALL
    ) -> Shown:
        """Make a task of the API's own. Raises `Invalid`, `Conflict` and `Forbidden`."""
        given = {name: value for name, value in fields.items() if name != "id"}
        wanted = fields.get("id")
        task_id = wanted if isinstance(wanted, str) else new_id()
        faults = []
        if wanted is not None and wanted != task_id:
            faults.append(Fault(field="id", reason="must be text"))
        elif wrong := id_fault(task_id):
            faults.append(Fault(field="id", reason=wrong))
        task = None
        try:
            task = await self._checks.check_imported(given)
        except Invalid as invalid:
            faults += invalid.faults
        if faults:
            raise Invalid(faults)
        if task and not sight.sees(task.tags):
            raise out_of_sight(sight.tags or ())
        declaration = Declaration(source="api", fields=given)

        def decide(stored: StoredTask | None, now: datetime) -> Decision:
            if stored:
                raise Conflict(f"there is a task {task_id!r} already, or its file is deleted here")
            made = state.resolution(
                task_id, declaration, (), None, now=now, zone=self._zone, task=task
            )
            return Decision(resolutions=[made])

        try:
            written = await self._change(task_id, decide, Cause(by=by, via=via), given=given)
        except Collision:
            raise Conflict(f"somebody made a task {task_id!r} at the same moment") from None
        return written.shown(task_id)

    async def change(
        self,
        task_id: str,
        changes: Mapping[str, object],
        *,
        by: str,
        via: Via = "api",
        sight: Sight = ALL,
        reason: str | None = None,
        until: str | None = None,
        precondition: Precondition = ALWAYS,
    ) -> Shown:
        """Set the fields given, each to the value given; on a declared task they are overrides."""
        if unknown := unknown_fields(changes):
            raise Invalid(unknown)
        # Whoever pauses by a change of the field does so for a reason as well.
        actions = ["change"]
        if isinstance(pausing := changes.get("paused"), bool):
            actions.append("pause" if pausing else "resume")
        reason = self._reasons.check(reason, *actions)
        cause, end = self._cause(by, via, sight, reason, until)

        def redefine(stored: StoredTask, now: datetime) -> Definition:
            return definitions.with_fields(
                stored, changes, cause, end,
                now=now, zone=self._zone, default_executor=self._default_executor,
            )  # fmt: skip

        return await self._redefine(
            task_id, redefine, cause, given=changes, precondition=precondition
        )

    async def set_paused(
        self,
        task_id: str,
        paused: bool,
        *,
        by: str,
        via: Via = "api",
        sight: Sight = ALL,
        reason: str | None = None,
        until: str | None = None,
        precondition: Precondition = ALWAYS,
    ) -> Shown:
        """Pause a task or let it go on."""
        reason = self._reasons.check(reason, "pause" if paused else "resume")
        cause, end = self._cause(by, via, sight, reason, until)

        def redefine(stored: StoredTask, now: datetime) -> Definition:
            return definitions.with_pause(stored, paused, cause, end, now=now)

        return await self._redefine(task_id, redefine, cause, precondition=precondition)

    async def keep(
        self, task_id: str, field: str, *, by: str, via: Via = "api", sight: Sight = ALL
    ) -> Shown:
        """Let an override stand over what the file says by now; who set it, and why, stays."""
        cause = Cause(by=by, via=via, sight=sight)

        def redefine(stored: StoredTask, now: datetime) -> Definition:
            return definitions.with_override_kept(stored, field, cause, now=now)

        return await self._redefine(task_id, redefine, cause)

    async def revert(
        self,
        task_id: str,
        field: str | None,
        *,
        by: str,
        via: Via = "api",
        sight: Sight = ALL,
        reason: str | None = None,
    ) -> Shown:
        """End all overrides of a task, or that of one field."""
        reason = self._reasons.check(reason, "revert")

        def redefine(stored: StoredTask, _now: datetime) -> Definition:
            return definitions.without_overrides(stored, field)

        cause = Cause(by=by, via=via, reason=reason, reverting=True, sight=sight)
        return await self._redefine(task_id, redefine, cause)

    async def delete(
        self,
        task_id: str,
        *,
        by: str,
        via: Via = "api",
        sight: Sight = ALL,
        reason: str | None = None,
        until: str | None = None,
        precondition: Precondition = ALWAYS,
    ) -> None:
        """Delete a task with its log; a declared one stays away until it is restored.

        Its log is kept for a while, and is there again then.
        """
        reason = self._reasons.check(reason, "delete")
        cause, end = self._cause(by, via, sight, reason, until)

        def decide(found: StoredTask | None, now: datetime) -> Decision:
            stored = live(task_id, found, precondition, retired=True)
            if stored.declaration.source == "api":
                definitions.no_until(end)
            if stored.declaration.source == "api" or (stored.state and stored.state.retired_at):
                return Decision(forgotten=[task_id])
            overrides = overlay.override_with(
                stored.declaration, stored.overrides, {DELETED: True},
                now=now, by=by, reason=reason, until=end,
            )  # fmt: skip
            later = stored.declaration, overrides
            return decision_for(task_id, stored, later, now=now, zone=self._zone)

        await self._change(task_id, decide, cause)

    async def restore(
        self, task_id: str, *, by: str, via: Via = "api", sight: Sight = ALL
    ) -> Shown:
        """Take back the API's deletion of a declared task."""

        def decide(stored: StoredTask | None, now: datetime) -> Decision:
            if stored is None:
                raise no_task(task_id)
            if stored.state is not None:
                raise Conflict("the task is not deleted")
            later = stored.declaration, definitions.without(stored.overrides, DELETED)
            return decision_for(task_id, stored, later, now=now, zone=self._zone)

        cause = Cause(by=by, via=via, sight=sight)
        return (await self._change(task_id, decide, cause)).shown(task_id)

    async def expire(self) -> None:
        """End the overrides whose time is over."""
        async with self._database.read() as connection:
            ids = await expired(connection, now_utc())
        for task_id in ids:
            if self._stuck.get(task_id, now_utc()) <= now_utc():
                await self._expire(task_id)

    async def _expire(self, task_id: str) -> None:
        def decide(stored: StoredTask | None, now: datetime) -> Decision:
            if stored is None or (stored.state and stored.state.retired_at):
                return Decision()
            kept = overlay.standing(stored.declaration, stored.overrides, now)
            later = stored.declaration, kept
            return decision_for(task_id, stored, later, now=now, zone=self._zone)

        try:
            await self._change(task_id, decide, EXPIRY)
        except Invalid as invalid:
            # What is left does not make a task: it stays as it is, until something changes.
            log.warning("override_stays", task=task_id, reason=str(invalid))
            self._stuck[task_id] = now_utc() + STUCK

    async def _redefine(
        self,
        task_id: str,
        redefine: Callable[[StoredTask, datetime], Definition],
        cause: Cause,
        *,
        given: Mapping[str, object] = MappingProxyType({}),
        precondition: Precondition = ALWAYS,
    ) -> Shown:
        """Give a task that is there another definition, which is checked."""

        def decide(found: StoredTask | None, now: datetime) -> Decision:
            stored = live(task_id, found, precondition)
            later = redefine(stored, now)
            task = None
            if later != (stored.declaration, stored.overrides):
                before = overlay.merge(stored.declaration, stored.overrides)
                task = self._checks.check_change(before, overlay.merge(*later))
            return decision_for(task_id, stored, later, now=now, zone=self._zone, task=task)

        return (await self._change(task_id, decide, cause, given=given)).shown(task_id)

    async def _change(
        self,
        task_id: str,
        decide: Decide,
        cause: Cause,
        *,
        given: Mapping[str, object] = MappingProxyType({}),
    ) -> Written:
        """Have one task changed; it is decided off the loop where something of it is large."""

        async def decided(found: Mapping[str, StoredTask], now: datetime) -> Decision:
            stored = found.get(task_id)
            values: list[object] = [given]
            if stored:
                values += [stored.declaration.fields, [one.value for one in stored.overrides]]
            return await self._deciding.call_if_large(values, decide, stored, now)

        for _ in range(IMPORTS):
            try:
                return await self._gate.change([task_id], decided, cause=cause)
            except NotImported as pending:
                await self._checks.imported(pending.func_path)  # not in a transaction
        raise Unavailable("the module of the task's function can't be imported yet")

    def _cause(
        self, by: str, via: Via, sight: Sight, reason: str | None, until: str | None
    ) -> tuple[Cause, datetime | None]:
        """The cause of a change, and when it ends by itself, if it does. Raises `Invalid`."""
        end = None if until is None else parse_until(until, self._zone, now_utc())
        return Cause(by=by, via=via, reason=reason, sight=sight), end
