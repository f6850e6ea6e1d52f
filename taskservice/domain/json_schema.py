"""The JSON Schema of a task and of a task file, made of the table of fields.

A file's schema takes whatever the parser takes. It also takes some of what the parser refuses,
where JSON Schema has no words for it: a cron that never fires, a function that isn't there.
"""

from collections.abc import Iterable, Mapping

from taskservice.domain.check import JsonSchema
from taskservice.domain.overlay import DEFAULTS
from taskservice.domain.task import FIELDS, REQUIRED
from taskservice.domain.task_id import ID_SCHEMA
from taskservice.domain.trigger import TRIGGER_SCHEMAS

NEEDED = (*REQUIRED, "trigger_args")
"""The fields that every task has; no trigger does without arguments."""


def field_schemas() -> dict[str, JsonSchema]:
    """What each field of a task may be, with a title and a description for people."""
    return {
        name: {"title": field.title, "description": field.meaning, **field.type.schema}
        for name, field in FIELDS.items()
    }


def task_file_schema() -> JsonSchema:
    """The schema of a task file: of one task, or of `defaults` and `tasks`."""
    fields = field_schemas()
    definitions = {name: {**schema, **_default_of(name)} for name, schema in fields.items()}
    definitions["trigger_args"]["anyOf"] = [
        form for kind in TRIGGER_SCHEMAS for form in _forms(kind)
    ]
    for kind, forms in TRIGGER_SCHEMAS.items():
        definitions |= {f"{kind}_{number}": form for number, form in enumerate(forms)}
    # The file's forms are told apart by one key, so that an editor names the very mistake.
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "task-file.schema.json",
        "title": "Task file",
        "description": "One task, whose id is the file's name; or several, under `tasks`.",
        "type": "object",
        "properties": {
            "defaults": {"description": _DEFAULTS_TOLD},
            "tasks": {"description": _TASKS_TOLD},
        },
        "if": {"required": ["tasks"]},
        "then": {"$ref": "#/$defs/several"},
        "else": {"$ref": "#/$defs/one"},
        "$defs": {
            "one": {**_task(), "required": list(NEEDED)},
            "task": _task(),
            "several": _several(fields),
            **definitions,
        },
    }


_DEFAULTS_TOLD = "What each task of the file has of the fields that it does not name itself."
_TASKS_TOLD = "The tasks by their ids."


def _default_of(name: str) -> JsonSchema:
    return {"default": DEFAULTS[name]} if name in DEFAULTS else {}


def _forms(kind: str) -> list[JsonSchema]:
    return [{"$ref": f"#/$defs/{kind}_{number}"} for number in range(len(TRIGGER_SCHEMAS[kind]))]


def _task() -> JsonSchema:
    """A task's fields; none is required. Of a trigger with both its parts, these must fit."""
    return {
        "type": "object",
        "properties": _references(FIELDS),
        "additionalProperties": False,
        "allOf": [
            {
                "if": {
                    "properties": {"trigger_type": {"const": kind}},
                    "required": ["trigger_type", "trigger_args"],
                },
                "then": {"properties": {"trigger_args": _one_of(_forms(kind))}},
            }
            for kind in TRIGGER_SCHEMAS
        ],
    }


def _one_of(forms: list[JsonSchema]) -> JsonSchema:
    return forms[0] if len(forms) == 1 else {"anyOf": forms}


def _references(names: Iterable[str]) -> JsonSchema:
    return {name: {"$ref": f"#/$defs/{name}"} for name in names}


def _several(fields: Mapping[str, JsonSchema]) -> JsonSchema:
    """Defaults and tasks. A default must be sound, unless every task has its own value."""
    told = {
        name: {"title": schema["title"], "description": schema["description"]}
        for name, schema in fields.items()
    }
    return {
        "type": "object",
        "properties": {
            "defaults": {
                "description": _DEFAULTS_TOLD,
                "type": "object",
                "properties": told,
                "additionalProperties": False,
            },
            "tasks": {
                "description": _TASKS_TOLD,
                "type": "object",
                "minProperties": 1,
                "propertyNames": ID_SCHEMA,
                "additionalProperties": {"$ref": "#/$defs/task"},
            },
        },
        "additionalProperties": False,
        "required": ["tasks"],
        "allOf": [
            *(
                {
                    "if": {
                        "properties": {"defaults": {"type": "object", "required": [name]}},
                        "required": ["defaults"],
                    },
                    "else": _each_task_has(name),
                }
                for name in NEEDED
            ),
            *(
                {
                    "if": _each_task_has(name),
                    "else": {"properties": {"defaults": {"properties": _references([name])}}},
                }
                for name in fields
            ),
        ],
    }


def _each_task_has(name: str) -> JsonSchema:
    return {"properties": {"tasks": {"additionalProperties": {"required": [name]}}}}
