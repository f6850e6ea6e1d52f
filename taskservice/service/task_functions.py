"""The functions that tasks may call."""

import asyncio

from taskservice.engine.engine import Engine
from taskservice.engine.functions import FunctionInfo, Functions, ParameterInfo


class TaskFunctions:
    """What is asked of functions."""

    def __init__(self, functions: Functions, engine: Engine) -> None:
        self._functions = functions
        self._engine = engine

    async def catalogue(self) -> list[FunctionInfo]:
        """The functions that tasks may call."""
        return await self._functions.catalogue()

    async def parameters(self, func_path: str) -> list[ParameterInfo]:
        """The arguments that a function takes by name. Raises `Invalid` where there is none."""
        return await self._functions.parameters(func_path)

    async def runs_old_code(self, func_path: str, executor: str | None) -> bool:
        """Whether executions in this process run another code than what is on disk."""
        if self._engine.finds_functions(executor) or self._functions.path_faults(func_path):
            return False
        if self._functions.look_is_due(func_path):
            await asyncio.to_thread(self._functions.look, func_path)
        return self._functions.has_changed(func_path)
