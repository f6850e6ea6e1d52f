"""The schemas of the bodies that are sent, with examples, for whoever writes a client.

They repeat the domain's rules as far as JSON Schema can say them; the domain decides.
"""

from collections.abc import Mapping
from typing import Any

from taskservice.domain.task import EXECUTORS

JsonSchema = dict[str, Any]

_CENTURY = 100 * 366 * 86400


def _object(
    properties: Mapping[str, JsonSchema], required: tuple[str, ...] = (), **more: object
) -> JsonSchema:
    schema: JsonSchema = {
        "type": "object",
        "properties": dict(properties),
        "additionalProperties": False,
    }
    return {**schema, **({"required": list(required)} if required else {}), **more}


def _text(limit: int, description: str) -> JsonSchema:
    return {
        "type": "string",
        "minLength": 1,
        "maxLength": limit,
        "pattern": r"\S",
        "description": description,
    }


def _number(least: float, most: float, description: str, kind: str = "number") -> JsonSchema:
    return {"type": kind, "minimum": least, "maximum": most, "description": description}


def _or_null(schema: JsonSchema) -> JsonSchema:
    return {**schema, "type": [schema["type"], "null"]}


_MOMENT = {"type": "string", "maxLength": 500, "description": "an ISO 8601 time"}
_ZONE = {"type": "string", "maxLength": 500, "description": "an IANA time zone"}
_JITTER = _number(0, 36525 * 86400, "a fire is late by up to as many seconds")
_WINDOW = {"start_date": _MOMENT, "end_date": _MOMENT, "timezone": _ZONE, "jitter": _JITTER}
_UNITS = {"weeks": 604800, "days": 86400, "hours": 3600, "minutes": 60, "seconds": 1}
_PARTS = {unit: _number(0, 36525 * 86400 // each, unit) for unit, each in _UNITS.items()}
_CRON_FIELD = {"type": ["integer", "string"], "maxLength": 500, "description": "as APScheduler"}
_CRON_FIELDS = {
    name: _CRON_FIELD
    for name in ("year", "month", "day", "week", "day_of_week", "hour", "minute", "second")
}
_CRONTAB = {"type": "string", "maxLength": 500, "description": "five fields, or @daily and such"}

_TRIGGERS: list[tuple[str, JsonSchema]] = [
    ("date", _object({"run_date": _MOMENT, "timezone": _ZONE}, ("run_date",))),
    (
        "interval",
        _object({**_PARTS, **_WINDOW}, anyOf=[{"required": [unit]} for unit in _UNITS]),
    ),
    (
        "cron",
        _object({**_CRON_FIELDS, **_WINDOW}, anyOf=[{"required": [name]} for name in _CRON_FIELDS]),
    ),
    ("cron", _object({"crontab": _CRONTAB, "timezone": _ZONE, "jitter": _JITTER}, ("crontab",))),
]

_RETRIES = _object(
    {
        "max": _number(0, 100, "how often to try again", "integer"),
        "delay": _number(0, _CENTURY, "seconds before the first try"),
        "backoff": _number(1, 100, "by how much each delay is longer than the one before"),
        "max_delay": _or_null(_number(0, _CENTURY, "the longest delay, in seconds")),
    },
    ("max",),
)

_FIELDS: dict[str, JsonSchema] = {
    "name": _text(100, "what people call it"),
    "task_type": _text(50, "a word to sort tasks by"),
    "func_path": _text(255, "package.module.function, allowed by TASKSERVICE_FUNCTIONS"),
    "func_args": {
        "type": ["object", "null"],
        "description": "keyword arguments; ${NAME} is replaced from the environment at each run",
    },
    "max_instances": _number(1, 10000, "executions of the task at a time", "integer"),
    "description": {"type": ["string", "null"], "maxLength": 65535},
    "tags": {
        "type": ["array", "null"],
        "items": {"type": "string", "minLength": 1, "maxLength": 50, "pattern": r"^\S+$"},
    },
    "paused": {"type": "boolean"},
    "misfire_grace_time": _or_null(
        _number(0.001, _CENTURY, "seconds a fire may be late; null: however late")
    ),
    "coalesce": {"type": "boolean", "description": "several late fires at once run once"},
    "timeout": _or_null(_number(0.001, _CENTURY, "seconds an execution may take")),
    "retries": _or_null(_RETRIES),
    "recover": {"type": "boolean", "description": "run again what died with its process"},
    "executor": {"enum": [*EXECUTORS, None]},
}

_ID = {
    **_or_null(_text(36, "made if it is not given")),
    "pattern": r"^[^\s./\\?#%][^\s/\\?#%]*$",
}

TASK: JsonSchema = {
    "oneOf": [
        _object(
            {"id": _ID, **_FIELDS, "trigger_type": {"const": kind}, "trigger_args": arguments},
            ("name", "task_type", "trigger_type", "trigger_args", "func_path"),
        )
        for kind, arguments in _TRIGGERS
    ]
}
"""A task to create."""

CHANGE = _object(
    {
        **_FIELDS,
        "trigger_type": {"enum": ["date", "interval", "cron"]},
        "trigger_args": {"oneOf": [arguments for _, arguments in _TRIGGERS]},
    }
)
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
