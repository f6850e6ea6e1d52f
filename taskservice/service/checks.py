"""What is wrong with the definition of a task, the function that it calls included."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from datetime import tzinfo
from functools import partial

from taskservice.domain.checked_task import CallFaults, checked_task
from taskservice.domain.errors import Fault, Invalid, is_pending
from taskservice.domain.placeholders import placeholder_faults
from taskservice.domain.placement import ANYWHERE, Placement
from taskservice.domain.task import Task
from taskservice.engine.functions import Functions
from taskservice.service.offload import is_small


class NotImported(Exception):
    """A definition can't be checked at once: its function's module has to be imported first."""

    def __init__(self, func_path: str) -> None:
        super().__init__(f"the module of {func_path} is not imported yet")
        self.func_path = func_path


class Checks:
    """Checks definitions; `zone` is that of times which name none.

    `env_allow` are the patterns of the variables that placeholders may stand for, `placement` is
    where tasks run, `channels` are those that there are.
    """

    def __init__(
        self,
        functions: Functions,
        *,
        zone: tzinfo,
        env_allow: Sequence[str],
        placement: Placement,
        channels: Collection[str],
    ) -> None:
        self._functions = functions
        self._zone = zone
        self._env_allow = env_allow
        self._placement = placement
        self._channels = channels

    def check(self, _task_id: str, fields: Mapping[str, object], *, patience: float = 0) -> Task:
        """The task of these fields; blocks for `patience`, see `Functions.faults`.

        Raises `Invalid`.
        """
        return self._checked(fields, self._call_faults(patience), self._placement, self._channels)

    async def check_imported(self, fields: Mapping[str, object]) -> Task:
        """The task of these fields, once its function's module is imported; holds nobody up.

        Raises `Invalid`.
        """
        func_path, call_faults = fields.get("func_path"), self._call_faults(0)
        while True:
            if isinstance(func_path, str):
                await self.imported(func_path)
            try:
                given = (fields, call_faults, self._placement, self._channels)
                if is_small(fields):
                    return self._checked(*given)
                return await asyncio.to_thread(self._checked, *given)
            except Invalid as invalid:
                if not is_pending(invalid.faults):
                    raise

    async def imported(self, func_path: str) -> None:
        """Wait until a function's module is imported, or can't be."""
        await self._functions.ready(func_path)

    def check_change(
        self, before: Mapping[str, object], after: Mapping[str, object]
    ) -> Task | None:
        """The task after a change. Raises `Invalid` where that makes it wrong, and `NotImported`.

        A call that stays as it was is not looked at, nor is a variable that it named before, nor
        where it runs and who is told: whatever became of them, the task can be paused. No run of it
        is begun with that; None stands for such a task.
        """
        same = _call_of(before) == _call_of(after)
        call_faults = _no_faults if same else self._call_faults(0)
        stays = all(before.get(name) == after.get(name) for name in ("executor", "timeout"))
        try:
            placement = ANYWHERE if stays else self._placement
            channels = None if before.get("notify") == after.get("notify") else self._channels
            return self._checked(after, call_faults, placement, channels)
        except Invalid as invalid:
            faults = list(invalid.faults)
        named = before.get("func_args")
        if isinstance(named, Mapping):
            known = placeholder_faults(named, self._env_allow)
            faults = [fault for fault in faults if fault not in known]
        if is_pending(faults):
            raise NotImported(str(after["func_path"]))
        if faults:
            raise Invalid(faults)
        return None

    def _call_faults(self, patience: float) -> CallFaults:
        return partial(self._functions.faults, patience=patience)

    def _checked(
        self,
        fields: Mapping[str, object],
        call_faults: CallFaults,
        placement: Placement,
        channels: Collection[str] | None,
    ) -> Task:
        return checked_task(
            fields,
            zone=self._zone,
            call_faults=call_faults,
            env_allow=self._env_allow,
            placement=placement,
            channels=channels,
        )


def _call_of(fields: Mapping[str, object]) -> tuple[object, object]:
    """The function that a task calls, and the names of the arguments that it gives."""
    func_args = fields.get("func_args") or {}
    return fields.get("func_path"), set(func_args) if isinstance(func_args, Mapping) else None


def _no_faults(_func_path: str, _func_args: Mapping[str, object]) -> list[Fault]:
    return []
