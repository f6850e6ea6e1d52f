"""The form of a task's fields, and what it would come to before it is saved."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from litestar import Response, get, post
from litestar.params import FromPath

from taskservice.domain.errors import Fault, Invalid, TaskserviceError
from taskservice.domain.field import Field
from taskservice.domain.field_types import FieldType
from taskservice.domain.task import FIELDS, OPTIONAL
from taskservice.service import Precondition, Service, Trial
from taskservice.web import session
from taskservice.web.api.parameters import Caller, ServiceDep, SightDep
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

KINDS = ("text", "area", "choice", "words", "json", "number", "box")
"""The controls that there are."""

LONGEST_LINE = 500
"""Texts that may be longer have several lines."""


@dataclass(frozen=True, slots=True)
class Control:
    """What a field is shown and changed by; `kind` is one of `KINDS`."""

    name: str
    field: Field
    kind: str

    @property
    def label(self) -> str:
        """What it is called, in English."""
        return self.field.label or self.field.title

    @property
    def attributes(self) -> dict[str, str]:
        """The attributes of its `input`."""
        if self.kind == "number":
            whole = self.field.type.json_type == "integer"
            return {"inputmode": "numeric" if whole else "decimal"}
        if self.kind == "text":
            needed = {"required": "required"} if self.field.needed else {}
            return {"maxlength": str(self.field.type.schema["maxLength"]), **needed}
        return {}

    def text_of(self, value: Any) -> str | None:
        """A value as the control has it; None where it is a box that is not ticked."""
        match self.kind:
            case "box":
                return "on" if value else None
            case "words":
                return " ".join(value)
            case "json" if value is not None:
                return json.dumps(value, ensure_ascii=False, indent=2)
            case "number" if value is not None:
                return f"{value:g}"
        return value or ""

    def value_of(self, text: str) -> Any:
        """The value that a text means; raises `ValueError` with the reason why it means none."""
        match self.kind:
            case "words":
                return text.split()
            case "json":
                try:
                    return msgspec.json.decode(text) if text.strip() else OPTIONAL[self.name]
                except (msgspec.MsgspecError, RecursionError) as error:
                    raise ValueError(f"is no JSON: {error}") from None
            case "number":
                return self._number(text.strip())
            case "area":
                text = text.replace("\r\n", "\n")
        return text or None if self.kind == "choice" or self.field.type.nullable else text

    def _number(self, text: str) -> float | None:
        if not text:
            return None if self.field.type.nullable else OPTIONAL[self.name]
        try:
            number = float(text)
        except ValueError:
            raise ValueError("must be a number") from None
        return int(number) if number.is_integer() else number


def _kind_of(type_: FieldType) -> str:
    if type_.choices:
        return "choice"
    if type_.json_type == "string":
        return "text" if type_.schema["maxLength"] <= LONGEST_LINE else "area"
    if type_.holds_words:
        return "words"
    kinds = {"boolean": "box", "array": "json", "object": "json"}
    return kinds.get(type_.json_type, "number")


_CONTROLS = [
    Control(name, field, _kind_of(field.type)) for name, field in FIELDS.items() if field.section
]
CONTROLS = {one.name: one for one in sorted(_CONTROLS, key=lambda one: KINDS.index(one.kind))}
"""The controls of the form, by the names of their fields."""


@get("/tasks/{task_id:str}/edit", opt=CONSOLE)
async def show_edit(
    request: AnyRequest, service: ServiceDep, task_id: FromPath[str]
) -> Response[Any]:
    """The form, filled with the effective task."""
    caller = caller_of(request)
    if caller is None or not caller.may("admin"):
        return redirect(request, address_of(task_id))
    state = (await service.tasks.get(task_id)).state
    form = {**form_of(state.task.definition()), "etag": state.etag}
    return await _page(request, service, task_id, form, Trial())


@post("/tasks/{task_id:str}/edit", opt=CONSOLE)
async def edit(
    request: AnyRequest,
    service: ServiceDep,
    caller: Caller,
    sight: SightDep,
    task_id: FromPath[str],
) -> Response[Any]:
    """Saves what was changed in the form; with `preview` it only tells what would come of it."""
    form = await session.form_of(request)
    if "preview" in form:
        trial = await _trial(service, task_id, form)
        return await _page(request, service, task_id, form, trial)
    try:
        changes = await _changes(service, task_id, form)
        await service.changes.change(
            task_id,
            changes,
            by=caller,
            sight=sight,
            via="console",
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
async def preview(
    request: AnyRequest, service: ServiceDep, task_id: FromPath[str]
) -> Response[str]:
    """What the form would come to, as a piece of its page."""
    trial = await _trial(service, task_id, await session.form_of(request))
    return fragment(request, "preview.html", trial=trial)


async def _trial(service: Service, task_id: str, form: Mapping[str, str]) -> Trial:
    try:
        return await service.tasks.try_out(task_id, await _changes(service, task_id, form), FIRES)
    except Invalid as invalid:
        return Trial(faults=invalid.faults)


async def _changes(service: Service, task_id: str, form: Mapping[str, str]) -> dict[str, Any]:
    """The fields that the form says otherwise than they are; raises Invalid."""
    before = (await service.tasks.get(task_id)).state.task.definition()
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
        functions=await service.functions.catalogue(), settings=service.settings, controls=CONTROLS,
    )  # fmt: skip


def _by_field(faults: Sequence[Fault]) -> dict[str, str]:
    """What is wrong, by the control that it belongs to; `""` has the rest."""
    found: dict[str, list[str]] = {}
    for fault in faults:
        top, _, part = (fault.field or "").partition(".")
        known = top in CONTROLS or top in ("until", "reason")
        said = f"{part}: {fault.reason}" if known and part else fault.reason
        found.setdefault(top if known else "", []).append(said)
    return {name: "; ".join(reasons) for name, reasons in found.items()}


def form_of(definition: Mapping[str, Any]) -> dict[str, str]:
    """A definition as the texts of the form's controls."""
    texts = {name: one.text_of(definition[name]) for name, one in CONTROLS.items()}
    return {name: text for name, text in texts.items() if text is not None}


def fields_of(form: Mapping[str, str]) -> dict[str, Any]:
    """The fields that a form gives; raises Invalid where a text is no JSON or no number."""
    fields: dict[str, Any] = {}
    faults = []
    for name, control in CONTROLS.items():
        if control.kind == "box":
            if "fields" in form:  # a box that is not ticked is not sent
                fields[name] = name in form
        elif name in form:
            try:
                fields[name] = control.value_of(form[name])
            except ValueError as error:
                faults.append(Fault(field=name, reason=str(error)))
    if faults:
        raise Invalid(faults)
    return fields


HANDLERS = (show_edit, edit, preview)
