"""What a module of task functions may use: `task` to describe one, `current_execution` in one."""

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar, overload

__version__ = "0.1.0"
__all__ = ["Execution", "__version__", "current_execution", "task"]

_Function = TypeVar("_Function", bound=Callable[..., object])


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """The run that a function is called for.

    `scheduled_time` is the aware time of the fire, None when someone asked for the
    run; `attempt` counts from 1; `triggered_by` is `schedule`, or who asked.
    """

    id: str
    task_id: str
    scheduled_time: datetime | None
    attempt: int
    triggered_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskMark:
    """What `task` says about a function, kept as the function's attribute `task_mark`."""

    name: str | None = None
    description: str | None = None


# Set by the executors around each call; everyone else reads it by `current_execution`.
execution_context: ContextVar[Execution] = ContextVar("taskservice_execution")


@overload
def task(function: _Function, /) -> _Function: ...


@overload
def task(
    *, name: str | None = None, description: str | None = None
) -> Callable[[_Function], _Function]: ...


def task(
    function: _Function | None = None,
    /,
    *,
    name: str | None = None,
    description: str | None = None,
) -> _Function | Callable[[_Function], _Function]:
    """Mark a function as meant for tasks: `@task`, or `@task(name=..., description=...)`.

    The function itself is returned, unchanged but for the mark. `name` and
    `description` are what people see in the list of functions; without them it
    is the function's own name and the first line of its docstring. The mark
    allows nothing: which functions tasks may call is the service's setting.
    """

    def mark(marked: _Function) -> _Function:
        marked.task_mark = TaskMark(name=name, description=description)  # type: ignore[attr-defined]
        return marked

    return mark if function is None else mark(function)


def current_execution() -> Execution:
    """Return the execution that this code runs in, with the `local` and `process` executors.

    Raises LookupError outside of one, and in threads that the function itself started.
    """
    try:
        return execution_context.get()
    except LookupError:
        raise LookupError(
            "current_execution() has no answer here: this code was not called by taskservice"
        ) from None
