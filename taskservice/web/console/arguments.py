"""The form of a run by hand: an input for each argument of the function, and what comes back."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from taskservice.domain.errors import Fault, Invalid
from taskservice.service import ParameterInfo
from taskservice.web.console.render import pretty

REST = "rest"

MOST_OTHERS = 200
"""Arguments beside those of a function's signature that have an input; others stay as they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """One argument, or with no name any others: its input's name, the value there, what it takes.

    Text is written as it is (`text.NAME`), anything else as JSON (`json.NAME`).
    """

    name: str
    key: str
    value: str
    hint: str
    required: bool
    long: bool


def inputs_of(parameters: Sequence[ParameterInfo], own: Mapping[str, Any]) -> list[Input]:
    """The inputs for a function's arguments, filled with the task's own."""
    named = {one.name: one for one in parameters if not one.rest}
    inputs = [_input(one, own) for one in named.values()]
    # What a function with **kwargs takes besides has no name in its signature.
    others = [name for name in own if name not in named][:MOST_OTHERS]
    inputs += [_input(ParameterInfo(name=name, kind="", required=True), own) for name in others]
    if any(one.rest for one in parameters):
        hint = 'JSON: {"name": value}'
        inputs.append(Input(name="", key=REST, value="", hint=hint, required=False, long=True))
    return inputs


def _input(parameter: ParameterInfo, own: Mapping[str, Any]) -> Input:
    name = parameter.name
    value = own.get(name)
    is_text = isinstance(value, str) or (value is None and parameter.kind == "str")
    # Null stands there as JSON, an argument that the task doesn't give as nothing.
    shown = "" if name not in own else pretty(value)
    default = "" if parameter.required else f" = {parameter.default}"[:60]
    kind = parameter.kind or ("text" if is_text else "JSON")
    return Input(
        name=name,
        key=f"{'text' if is_text else 'json'}.{name}",
        value=shown,
        hint=f"{kind}{default}" + ("" if is_text or not parameter.kind else ", as JSON"),
        required=parameter.required and name not in own,
        long=len(shown) > 60 or "\n" in shown,
    )


def given_by(form: Mapping[str, str], own: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a form that differ from the task's own. Raises `Invalid`."""
    found: dict[str, Any] = {}
    faults = []
    for key, text in form.items():
        kind, _, name = key.partition(".")
        if kind == "text" and name and (text or name in own):
            found[name] = text
        elif text.strip() and (key == REST or (kind == "json" and name)):
            try:
                value = msgspec.json.decode(text)
            except (msgspec.MsgspecError, RecursionError):
                faults.append(Fault(field=f"func_args.{name or REST}", reason="is no JSON"))
                continue
            if key != REST:
                found[name] = value
            elif isinstance(value, dict):
                found.update(value)
            else:
                faults.append(Fault(field="func_args", reason="must be a JSON object"))
    if faults:
        raise Invalid(faults)
    return {
        name: value
        for name, value in found.items()
        if name not in own or json.dumps(own[name]) != json.dumps(value)
    }
