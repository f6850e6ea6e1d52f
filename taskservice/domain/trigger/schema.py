"""`trigger_args` as JSON Schemas, made of what the parsing goes by."""

from collections.abc import Iterable

from taskservice.domain.check import JsonSchema
from taskservice.domain.trigger.crontab import MACROS
from taskservice.domain.trigger.parse import (
    CRON_FIELDS,
    CRON_KEYS,
    CRONTAB_KEYS,
    DATE_KEYS,
    INTERVAL_KEYS,
    MOST,
    MOST_JITTER,
)
from taskservice.domain.trigger.reader import LONGEST_TEXT


def _text(description: str) -> JsonSchema:
    return {"type": "string", "maxLength": LONGEST_TEXT, "description": description}


def _number(most: int, description: str) -> JsonSchema:
    return {"type": "number", "minimum": 0, "maximum": most, "description": description}


_TIME = "an ISO 8601 time such as 2030-01-31T09:00:00; one without an offset is of `timezone`"

_KEYS: dict[str, JsonSchema] = {
    "run_date": _text(f"When it fires: {_TIME}"),
    **{
        part: _number(most, f"So many {part} from one fire to the next")
        for part, most in MOST.items()
    },
    **{
        name: {
            "type": ["integer", "string"],
            "maxLength": LONGEST_TEXT,
            "description": f"{allowed}, or an expression of them as APScheduler has it",
        }
        for name, allowed in CRON_FIELDS.items()
    },
    "crontab": _text(
        "Five fields as crontab(5) has them: minute, hour, day of month, month, weekday "
        f"(0 and 7 are Sunday); or {', '.join(MACROS)}"
    ),
    "start_date": _text(f"No fire before it: {_TIME}"),
    "end_date": _text(f"No fire after it: {_TIME}"),
    "timezone": _text("An IANA time zone such as Europe/Berlin; without it TASKSERVICE_TIMEZONE"),
    "jitter": _number(MOST_JITTER, "A fire is late by up to as many seconds"),
}


def _arguments(keys: Iterable[str], one_of: Iterable[str]) -> JsonSchema:
    """A mapping of these keys, with at least one of some."""
    needed = [{"required": [key]} for key in one_of]
    return {
        "type": "object",
        "properties": {key: _KEYS[key] for key in keys},
        "additionalProperties": False,
        **(needed[0] if len(needed) == 1 else {"anyOf": needed}),
    }


TRIGGER_SCHEMAS: dict[str, tuple[JsonSchema, ...]] = {
    "date": (_arguments(DATE_KEYS, ["run_date"]),),
    "interval": (_arguments(INTERVAL_KEYS, MOST),),
    "cron": (_arguments(CRON_KEYS, CRON_FIELDS), _arguments(CRONTAB_KEYS, ["crontab"])),
}
"""By `trigger_type`, the forms that `trigger_args` may have."""
