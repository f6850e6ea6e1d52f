"""The form of a task's fields, and what it would come to before it is saved."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from litestar import Response, get, post
from litestar.params import FromPath

from taskservice.domain.errors import Fault, Invalid, TaskserviceError
from taskservice.service import Precondition, Service, Trial
from taskservice.web import session
from taskservice.web.api.parts import Caller, Door
from taskservice.web.console import flash
from taskservice.web.console.render import (
    CONSOLE,
    AnyRequest,
    caller_of,
    fragment,
    language_of,
    page,
    redirect,
)
from taskservice.web.console.task import FIRES
from taskservice.web.console.views import address_of

TEXTS = ("name", "task_type", "func_path", "description")
JSONS = ("trigger_args", "func_args", "retries")
NUMBERS = ("max_instances", "misfire_grace_time", "timeout")
BOXES = ("coalesce", "recover")
CHOICES = ("trigger_type", "executor")


@get("/tasks/{task_id:str}/edit", opt=CONSOLE)
async def show_edit(request: AnyRequest, service: Door, task_id: FromPath[str]) -> Response[Any]:
    """The form, filled with the effective task."""
    caller = caller_of(request)
    if caller is None or not caller.may("admin"):
        return redirect(request, address_of(task_id))
    state = (await service.get(task_id)).state
    form = {**form_of(state.task.definition()), "etag": state.etag}
    return await _page(request, service, task_id, form, Trial())


@post("/tasks/{task_id:str}/edit", opt=CONSOLE)
async def edit(
    request: AnyRequest, service: Door, caller: Caller, task_id: FromPath[str]
) -> Response[Any]:
    """Saves what was changed in the form; with `preview` it only tells what would come of it."""
    form = await session.form_of(request)
    if "preview" in form:
        trial = await _trial(service, task_id, form)
        return await _page(request, service, task_id, form, trial)
    try:
        changes = await _changes(service, task_id, form)
        await service.change(
            task_id,
            changes,
            by=caller,
            reason=form.get("reason", "").strip() or None,
            until=form.get("until", "").strip() or None,
            precondition=Precondition(match=[form["etag"]] if form.get("etag") else None),
        )
    except Invalid as invalid:
        trial = Trial(faults=invalid.faults)
        return await _page(request, service, task_id, form, trial, status=422)
    except TaskserviceError as error:
        trial = Trial(faults=(Fault(reason=str(error)),))
        return await _page(request, service, task_id, form, trial, status=409)
    said = language_of(request).gettext("Saved.")
    return redirect(request, address_of(task_id), cookies=[flash.cookie("done", said)])


@post("/tasks/{task_id:str}/preview", opt=CONSOLE)
async def preview(request: AnyRequest, service: Door, task_id: FromPath[str]) -> Response[str]:
    """What the form would come to, as a piece of its page."""
    trial = await _trial(service, task_id, await session.form_of(request))
    return fragment(request, "preview.html", trial=trial)


async def _trial(service: Service, task_id: str, form: Mapping[str, str]) -> Trial:
    try:
        return await service.try_out(task_id, await _changes(service, task_id, form), FIRES)
    except Invalid as invalid:
        return Trial(faults=invalid.faults)


async def _changes(service: Service, task_id: str, form: Mapping[str, str]) -> dict[str, Any]:
    """The fields that the form says otherwise than they are; raises Invalid."""
    before = (await service.get(task_id)).state.task.definition()
    given = fields_of(form)
    return {
        name: value
        for name, value in given.items()
        if json.dumps(before.get(name)) != json.dumps(value)
    }


async def _page(
    request: AnyRequest,
    service: Service,
    task_id: str,
    form: Mapping[str, str],
    trial: Trial,
    *,
    status: int = 200,
) -> Response[str]:
    return page(
        request, "edit.html", status=status, section="/", task_id=task_id,
        address=address_of(task_id), form=form, trial=trial, wrong=_by_field(trial.faults),
        functions=await service.functions(), settings=service.settings,
    )  # fmt: skip


def _by_field(faults: Sequence[Fault]) -> dict[str, str]:
    """What is wrong, by the control that it belongs to; `""` has the rest."""
    found: dict[str, list[str]] = {}
    for fault in faults:
        top, _, part = (fault.field or "").partition(".")
        known = top in (*TEXTS, *JSONS, *NUMBERS, *BOXES, *CHOICES, "tags", "until", "reason")
        said = f"{part}: {fault.reason}" if known and part else fault.reason
        found.setdefault(top if known else "", []).append(said)
    return {name: "; ".join(reasons) for name, reasons in found.items()}


def form_of(definition: Mapping[str, Any]) -> dict[str, str]:
    """A definition as the texts of the form's controls."""
    form = {name: definition[name] or "" for name in (*TEXTS, *CHOICES)}
    for name in JSONS:
        value = definition[name]
        form[name] = "" if value is None else json.dumps(value, ensure_ascii=False, indent=2)
    for name in NUMBERS:
        form[name] = "" if definition[name] is None else f"{definition[name]:g}"
    form |= {name: "on" for name in BOXES if definition[name]}
    return {**form, "tags": " ".join(definition["tags"])}


def fields_of(form: Mapping[str, str]) -> dict[str, Any]:
    """The fields that a form gives; raises Invalid where a text is no JSON or no number."""
    fields: dict[str, Any] = {name: form[name] for name in TEXTS if name in form}
    faults = []
    if "description" in fields:
        fields["description"] = fields["description"].replace("\r\n", "\n") or None
    for name in CHOICES:
        if name in form:
            fields[name] = form[name] or None
    if "tags" in form:
        fields["tags"] = form["tags"].split()
    for name in JSONS:
        if name in form:
            try:
                fields[name] = msgspec.json.decode(form[name]) if form[name].strip() else None
            except (msgspec.MsgspecError, RecursionError) as error:
                faults.append(Fault(field=name, reason=f"is no JSON: {error}"))
    for name in NUMBERS:
        text = form.get(name, "").strip()
        if name in form:
            try:
                number = float(text) if text else None
            except ValueError:
                faults.append(Fault(field=name, reason="must be a number"))
                continue
            whole = number is not None and number.is_integer()
            fields[name] = int(number) if whole and number is not None else number
    if "fields" in form:  # a box that is not ticked is not sent
        fields |= {name: name in form for name in BOXES}
    for name in ("trigger_args", "func_args"):
        if name in fields and fields[name] is None:
            fields[name] = {}
    if "max_instances" in fields and fields["max_instances"] is None:
        fields["max_instances"] = 1
    if faults:
        raise Invalid(faults)
    return fields


HANDLERS = (show_edit, edit, preview)
