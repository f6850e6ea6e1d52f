"""What the pages do to tasks: to one from its page, to several from the list."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypedDict

from litestar import Response, post
from litestar.params import FromPath

from taskservice.domain.errors import TaskserviceError
from taskservice.web import session
from taskservice.web.api.parameters import Caller, ServiceDep, SightDep
from taskservice.web.console import arguments, flash
from taskservice.web.console.changes import changed, message_of
from taskservice.web.console.render import (
    CONSOLE,
    AnyRequest,
    language_of,
    local,
    redirect,
)
from taskservice.web.console.views import address_of, decoded

MOST = 200
"""Tasks that are changed together: a page of the list."""


class _Terms(TypedDict):
    """Why an override is set, and until when it holds."""

    reason: str | None
    until: str | None


def _terms_of(form: Mapping[str, str]) -> _Terms:
    """The reason and the end that a form gives to a change."""
    return _Terms(
        reason=form.get("reason", "").strip() or None,
        until=form.get("until", "").strip() or None,
    )


@post("/tasks/{task_id:str}/pause", opt=CONSOLE)
async def pause(
    request: AnyRequest,
    service: ServiceDep,
    caller: Caller,
    sight: SightDep,
    task_id: FromPath[str],
) -> Response[None]:
    """Lets a task fire no more."""
    terms = _terms_of(await session.form_of(request))
    work = service.changes.set_paused(task_id, True, by=caller, sight=sight, via="console", **terms)
    said = language_of(request).gettext("It is paused.")
    return await changed(request, work, said, address_of(task_id))


@post("/tasks/{task_id:str}/resume", opt=CONSOLE)
async def resume(
    request: AnyRequest,
    service: ServiceDep,
    caller: Caller,
    sight: SightDep,
    task_id: FromPath[str],
) -> Response[None]:
    """Lets it fire again."""
    terms = _terms_of(await session.form_of(request))
    work = service.changes.set_paused(
        task_id, False, by=caller, sight=sight, via="console", **terms
    )
    said = language_of(request).gettext("It fires again.")
    return await changed(request, work, said, address_of(task_id))


@post("/tasks/{task_id:str}/silence", opt=CONSOLE)
async def silence(
    request: AnyRequest,
    service: ServiceDep,
    caller: Caller,
    sight: SightDep,
    task_id: FromPath[str],
) -> Response[None]:
    """Tells nobody of it for a while."""
    terms = _terms_of(await session.form_of(request))
    work = service.notifications.silences.silence(
        task_id, by=caller, sight=sight, via="console", **terms
    )
    said = language_of(request).gettext("It is silenced.")
    return await changed(request, work, said, address_of(task_id))


@post("/tasks/{task_id:str}/unsilence", opt=CONSOLE)
async def unsilence(
    request: AnyRequest,
    service: ServiceDep,
    caller: Caller,
    sight: SightDep,
    task_id: FromPath[str],
) -> Response[None]:
    """Lets people be told of it again."""
    work = service.notifications.silences.unsilence(task_id, by=caller, sight=sight, via="console")
    said = language_of(request).gettext("It is not silenced any more.")
    return await changed(request, work, said, address_of(task_id))


@post("/tasks/{task_id:str}/trigger", opt=CONSOLE)
async def trigger(
    request: AnyRequest,
    service: ServiceDep,
    caller: Caller,
    sight: SightDep,
    task_id: FromPath[str],
) -> Response[None]:
    """Runs it now, with the arguments of the form."""
    form = await session.form_of(request)

    async def run() -> None:
        own = decoded((await service.tasks.show(task_id)).func_args, {})
        await service.executions.trigger(
            task_id, arguments.given_by(form, own),
            by=caller, via="console", sight=sight, reason=form.get("reason"),
        )  # fmt: skip

    said = language_of(request).gettext("It runs now.")
    return await changed(request, run(), said, address_of(task_id))


@post("/tasks/{task_id:str}/revert", opt=CONSOLE)
async def revert(
    request: AnyRequest,
    service: ServiceDep,
    caller: Caller,
    sight: SightDep,
    task_id: FromPath[str],
) -> Response[None]:
    """Lets a field, or all of them, follow the file again."""
    form = await session.form_of(request)
    said = language_of(request).gettext("It follows its declaration again.")
    work = service.changes.revert(
        task_id, form.get("field") or None,
        by=caller, sight=sight, via="console", reason=form.get("reason"),
    )  # fmt: skip
    return await changed(request, work, said, address_of(task_id))


@post("/tasks/{task_id:str}/keep", opt=CONSOLE)
async def keep(
    request: AnyRequest,
    service: ServiceDep,
    caller: Caller,
    sight: SightDep,
    task_id: FromPath[str],
) -> Response[None]:
    """Settles the conflict of a field: it stays as it is overridden."""
    field = (await session.form_of(request)).get("field", "")
    said = language_of(request).gettext("The override stays, over what the file says now.")
    work = service.changes.keep(task_id, field, by=caller, sight=sight, via="console")
    return await changed(request, work, said, address_of(task_id))


@post("/tasks/{task_id:str}/delete", opt=CONSOLE)
async def delete(
    request: AnyRequest,
    service: ServiceDep,
    caller: Caller,
    sight: SightDep,
    task_id: FromPath[str],
) -> Response[None]:
    """Deletes a task with its log."""
    terms = _terms_of(await session.form_of(request))
    _ = language_of(request).gettext
    said = _("%(task)s is deleted.") % {"task": task_id}
    work = service.changes.delete(task_id, by=caller, sight=sight, via="console", **terms)
    return await changed(request, work, said, "/")


@post("/tasks/{task_id:str}/restore", opt=CONSOLE)
async def restore(
    request: AnyRequest,
    service: ServiceDep,
    caller: Caller,
    sight: SightDep,
    task_id: FromPath[str],
) -> Response[None]:
    """Takes back the deletion of a declared task."""
    said = language_of(request).gettext("It is back.")
    work = service.changes.restore(task_id, by=caller, sight=sight, via="console")
    return await changed(request, work, said, address_of(task_id))


@post("/bulk/pause", opt=CONSOLE)
async def pause_all(
    request: AnyRequest, service: ServiceDep, caller: Caller, sight: SightDep
) -> Response[None]:
    """Pauses the tasks that were ticked."""
    terms = _terms_of(await session.form_of(request))
    return await _bulk(
        request,
        lambda task_id: service.changes.set_paused(
            task_id, True, by=caller, sight=sight, via="console", **terms
        ),
    )


@post("/bulk/resume", opt=CONSOLE)
async def resume_all(
    request: AnyRequest, service: ServiceDep, caller: Caller, sight: SightDep
) -> Response[None]:
    """Lets those tasks fire again."""
    reason = _terms_of(await session.form_of(request))["reason"]
    return await _bulk(
        request,
        lambda task_id: service.changes.set_paused(
            task_id, False, by=caller, sight=sight, via="console", reason=reason
        ),
    )


@post("/bulk/trigger", opt=CONSOLE)
async def trigger_all(
    request: AnyRequest, service: ServiceDep, caller: Caller, sight: SightDep
) -> Response[None]:
    """Runs them now."""
    reason = _terms_of(await session.form_of(request))["reason"]
    return await _bulk(
        request,
        lambda task_id: service.executions.trigger(
            task_id, None, by=caller, via="console", sight=sight, reason=reason
        ),
    )


async def _bulk(request: AnyRequest, work: Callable[[str], Awaitable[Any]]) -> Response[None]:
    """Do something to each of the tasks of a form, and lead back to the list."""
    given = await session.fields_of(request)
    ids = list(dict.fromkeys(value for name, value in given if name == "id"))[:MOST]
    back = local(dict(given).get("back"))
    language = language_of(request)
    _ = language.gettext
    if not ids:
        return redirect(request, back, cookies=[flash.cookie("failed", _("No task is chosen."))])
    done = await asyncio.gather(*map(work, ids), return_exceptions=True)
    wrong = []
    for task_id, outcome in zip(ids, done, strict=True):
        if isinstance(outcome, TaskserviceError):
            wrong.append(f"{task_id}: {message_of(outcome)}")
        elif isinstance(outcome, BaseException):
            raise outcome
    count = len(ids) - len(wrong)
    said = language.ngettext("Done, for %(num)s task.", "Done, for %(num)s tasks.", count)
    lines = [said % {"num": language.number(count)}, *wrong] if count or not wrong else wrong
    return redirect(
        request, back, cookies=[flash.cookie("failed" if wrong else "done", "\n".join(lines))]
    )


HANDLERS = (
    pause, resume, silence, unsilence, trigger, revert, keep, delete, restore, pause_all,
    resume_all, trigger_all,
)  # fmt: skip
