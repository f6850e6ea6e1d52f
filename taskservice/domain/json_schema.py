"""The JSON Schema of a task and of a task file, made of the checks that the parsing goes by.

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

_TOLD = {
    "name": ("Name", "What people call the task."),
    "task_type": ("Type", "A word of your own to sort tasks by."),
    "trigger_type": (
        "Trigger",
        "`date`: once. `interval`: again and again after so much time. `cron`: by the calendar.",
    ),
    "trigger_args": ("Times", "When the trigger fires; the keys depend on `trigger_type`."),
    "func_path": (
        "Function",
        "`package.module.function`, one of those that TASKSERVICE_FUNCTIONS allows.",
    ),
    "func_args": (
        "Arguments",
        "Keyword arguments of the function. `${NAME}` and `${NAME:-default}` inside a text are "
        "replaced from the environment at each run.",
    ),
    "max_instances": ("Most at a time", "Executions of the task that may run at the same time."),
    "description": ("Description", "Any text, for people."),
    "tags": ("Tags", "Words to find the task by."),
    "paused": ("Paused", "Whether the task waits until somebody lets it go on."),
    "misfire_grace_time": (
        "Grace",
        "Seconds by which a fire may be late and still run; null: however late.",
    ),
    "coalesce": ("Coalesce", "Whether several fires that are late at once run once."),
    "timeout": (
        "Timeout",
        "Seconds after which an execution is stopped and has failed; null: never.",
    ),
    "retries": ("Retries", "How a failed execution is tried again; null: it is not."),
    "recover": (
        "Recover",
        "Whether an execution that died with its process is run again.",
    ),
    "executor": (
        "Executor",
        "`local`: in the service. `process`: in a process of its own, which a timeout or a "
        "cancel kills. null: as TASKSERVICE_EXECUTOR says.",
    ),
}
_TOLD_OF_RETRIES = {
    "max": "How often to try again.",
    "delay": "Seconds before the first try.",
    "backoff": "By how much each delay is longer than the one before.",
    "max_delay": "The longest delay, in seconds; null: there is none.",
}


def field_schemas() -> dict[str, JsonSchema]:
    """What each field of a task may be, with a title and a description for people."""
    schemas = {}
    for name, check in FIELDS.items():
        title, description = _TOLD[name]
        schemas[name] = {"title": title, "description": description, **check.schema}
    retries = schemas["retries"]["properties"]
    schemas["retries"]["properties"] = {
        name: {"description": _TOLD_OF_RETRIES[name], **schema} for name, schema in retries.items()
    }
    return schemas


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
