"""The schemas of the bodies that are sent, with examples, for whoever writes a client.

They are the domain's own, which say of its rules what JSON Schema can; the domain decides.
"""

from collections.abc import Mapping

from taskservice.domain.check import JsonSchema
from taskservice.domain.json_schema import NEEDED, field_schemas
from taskservice.domain.task_id import ID_SCHEMA
from taskservice.domain.trigger import TRIGGER_SCHEMAS


def _object(properties: Mapping[str, JsonSchema], required: tuple[str, ...] = ()) -> JsonSchema:
    schema: JsonSchema = {
        "type": "object",
        "properties": dict(properties),
        "additionalProperties": False,
    }
    return {**schema, "required": list(required)} if required else schema


_FIELDS = field_schemas()
_ID = {**ID_SCHEMA, "type": ["string", "null"], "description": "Made if it is not given."}

TASK: JsonSchema = {
    "oneOf": [
        _object(
            {"id": _ID, **_FIELDS, "trigger_type": {"const": kind}, "trigger_args": form}, NEEDED
        )
        for kind, forms in TRIGGER_SCHEMAS.items()
        for form in forms
    ]
}
"""A task to create."""

CHANGE = _object(_FIELDS)
"""The fields to change."""

TRIGGER = _object({"func_args": _FIELDS["func_args"]})
"""What to run a task with, this once."""

PLAN = _object(
    {
        "files": {
            "type": "object",
            "additionalProperties": {"type": "string"},
            "description": "the texts of all files of the folder to come, by their paths in it",
        }
    },
    ("files",),
)
"""A folder to plan for."""

PROMOTION = _object(
    {
        "task_ids": {"type": "array", "maxItems": 1000, "items": {"type": "string"}},
        "sources": {
            "type": "array",
            "items": {"enum": ["file", "api"]},
            "description": "further tasks: with `file` all that have a file and an override, "
            "with `api` all that only the API declared",
        },
        "fields": {
            "type": "array",
            "maxItems": 1000,
            "items": {"type": "string"},
            "description": "of `overridden`; without any, all but those that end by themselves",
        },
    }
)
"""What to promote."""

TASK_EXAMPLES: dict[str, object] = {
    "cron": {
        "name": "定时通知任务",
        "task_type": "notification",
        "trigger_type": "cron",
        "trigger_args": {"hour": "9", "minute": "0"},
        "func_path": "taskservice.examples.notification_task",
        "func_args": {"user_id": "user123", "message": "Good morning", "channel": "email"},
        "max_instances": 1,
        "description": "每天早上9点发送通知",
    },
    "crontab": {
        "name": "Weekly report",
        "task_type": "report",
        "trigger_type": "cron",
        "trigger_args": {"crontab": "0 7 * * 1-5", "timezone": "Europe/Berlin"},
        "func_path": "taskservice.examples.data_processing_task",
        "func_args": {"data_id": "w", "process_type": "weekly"},
        "tags": ["report"],
        "retries": {"max": 3, "delay": 10, "backoff": 2, "max_delay": 600},
        "timeout": 300,
    },
    "date": {
        "name": "Once",
        "task_type": "simple",
        "trigger_type": "date",
        "trigger_args": {"run_date": "2040-12-31T23:59:59"},
        "func_path": "taskservice.examples.simple_task",
        "func_args": {"message": "Happy New Year!"},
    },
    "interval": {
        "name": "周期性任务",
        "task_type": "processing",
        "trigger_type": "interval",
        "trigger_args": {"hours": 1},
        "func_path": "taskservice.examples.data_processing_task",
        "func_args": {"data_id": "data123", "process_type": "hourly_update"},
    },
}
CHANGE_EXAMPLES: dict[str, object] = {
    "description": {"description": "Held until the new supplier answers"},
    "trigger": {"trigger_type": "interval", "trigger_args": {"minutes": 90}},
}
TRIGGER_EXAMPLES: dict[str, object] = {
    "once": {"func_args": {"data_id": "data123", "process_type": "hourly_update"}},
    "as declared": {},
}
PLAN_EXAMPLES: dict[str, object] = {
    "one file": {
        "files": {
            "morning-notice.yaml": "name: Morning notice\ntask_type: notification\n"
            "trigger_type: cron\ntrigger_args: {hour: 9}\n"
            "func_path: taskservice.examples.simple_task\nfunc_args: {message: Good morning}\n"
        }
    },
    "an empty folder": {"files": {}},
}
PROMOTION_EXAMPLES: dict[str, object] = {
    "one field": {"task_ids": ["morning-notice"], "fields": ["trigger"]},
    "all that files declare": {"sources": ["file"]},
}
