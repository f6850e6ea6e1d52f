"""The page of one execution: what it was, what it printed so far, and what can be done about it."""

import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from litestar import Response, get, post
from litestar.params import FromPath

from taskservice.domain.output import first_mark
from taskservice.service import Service
from taskservice.storage.attempts import Attempt
from taskservice.storage.executions import ExecutionRow
from taskservice.storage.shown import Shown
from taskservice.web import session
from taskservice.web.api.parameters import Caller, ServiceDep
from taskservice.web.console.changes import changed
from taskservice.web.console.render import (
    CONSOLE,
    SECURITY,
    AnyRequest,
    fragment,
    language_of,
    page,
    redirect,
)
from taskservice.web.console.views import address_of

ADDRESS = "/tasks/{task_id:str}/executions/{log_id:str}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionView:
    """An execution as its page shows it; `late` is in seconds."""

    execution: ExecutionRow
    task: Shown
    address: str
    task_address: str
    attempts: Sequence[Attempt]
    late: float | None
    result: str | None

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self.execution.is_open

    @property
    def ran(self) -> bool:
        """Whether the function was called at all."""
        return self.execution.ran


def execution_address(task_id: str, log_id: str) -> str:
    """The address of an execution's page."""
    return f"{address_of(task_id)}/executions/{quote(log_id, safe='')}"


def indented(result: str | None) -> str | None:
    """A result, which is JSON text, with a line for each of its parts."""
    if result is None:
        return None
    try:
        return json.dumps(json.loads(result), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return result


@get(ADDRESS, opt=CONSOLE)
async def show_execution(
    request: AnyRequest, service: ServiceDep, task_id: FromPath[str], log_id: FromPath[str]
) -> Response[str]:
    """The whole page."""
    return page(request, "execution.html", view=await _view(service, task_id, log_id))


@get(f"{ADDRESS}/facts", opt=CONSOLE)
async def show_facts(
    request: AnyRequest, service: ServiceDep, task_id: FromPath[str], log_id: FromPath[str]
) -> Response[str]:
    """The part of it that changes when the execution begins, and when it ends."""
    return fragment(request, "execution-facts.html", view=await _view(service, task_id, log_id))


@get(f"{ADDRESS}/output", opt=CONSOLE)
async def show_output(
    request: AnyRequest, service: ServiceDep, task_id: FromPath[str], log_id: FromPath[str]
) -> Response[dict[str, Any]]:
    """What was printed after the first `from` characters, for a script that has those already.

    `from` in the answer is where its text begins: 0 where the output is shorter than was said, or
    is not what it was, since its middle is left out: then `state` is another than was said.
    """
    execution = await service.executions.get(task_id, log_id)
    output, asked = execution.output or "", request.query_params.get("from", "0")
    known = int(asked) if asked.isascii() and asked.isdecimal() and len(asked) < 10 else 0
    is_whole = first_mark(output) is None
    state = "" if is_whole else f"{zlib.crc32(output.encode()):08x}"
    same = is_whole or state == request.query_params.get("state")
    begin = known if known <= len(output) and same else 0
    answer = {
        "from": begin,
        "to": len(output),
        "text": output[begin:],
        "state": state,
        "running": execution.is_open,
    }
    return Response(answer, media_type="application/json", headers=SECURITY)


@post(f"{ADDRESS}/cancel", opt=CONSOLE)
async def cancel_execution(
    request: AnyRequest,
    service: ServiceDep,
    caller: Caller,
    task_id: FromPath[str],
    log_id: FromPath[str],
) -> Response[None]:
    """Stops it."""
    said = language_of(request).gettext("The execution was cancelled.")
    reason = (await session.form_of(request)).get("reason")
    work = service.executions.cancel(task_id, log_id, by=caller, via="console", reason=reason)
    return await changed(request, work, said, execution_address(task_id, log_id))


@post(f"{ADDRESS}/again", opt=CONSOLE)
async def run_again(
    request: AnyRequest,
    service: ServiceDep,
    caller: Caller,
    task_id: FromPath[str],
    log_id: FromPath[str],
) -> Response[None]:
    """Runs the task with the arguments of this execution, and leads to the new one."""
    made: list[ExecutionRow] = []
    reason = (await session.form_of(request)).get("reason")

    async def work() -> None:
        execution = await service.executions.get(task_id, log_id)
        made.append(
            await service.executions.trigger(
                task_id, execution.func_args, by=caller, via="console", reason=reason
            )
        )

    said = language_of(request).gettext("The task runs again: this is its new execution.")
    answer = await changed(request, work(), said, execution_address(task_id, log_id))
    if not made:
        return answer
    leads = redirect(request, execution_address(task_id, made[0].id))
    leads.cookies = answer.cookies
    return leads


async def _view(service: Service, task_id: str, log_id: str) -> ExecutionView:
    execution = await service.executions.get(task_id, log_id)
    scheduled = execution.scheduled_time
    return ExecutionView(
        execution=execution,
        task=await service.tasks.show(task_id),
        address=execution_address(task_id, log_id),
        task_address=address_of(task_id),
        attempts=await service.executions.attempts(execution),
        late=(execution.start_time - scheduled).total_seconds() if scheduled else None,
        result=indented(execution.result),
    )


HANDLERS = (show_execution, show_facts, show_output, cancel_execution, run_again)
