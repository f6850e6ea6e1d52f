"""How a failed execution is tried again: what `retries` holds."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from taskservice.domain.check import Refused, check_parts, describe, nearest
from taskservice.domain.field import Field, fields_of
from taskservice.domain.field_types import FieldType, number, or_null

MAX_SECONDS = 100 * 366 * 86400
"""The longest time that a field may say, a hundred years."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retries:
    """How often, and after how many seconds, a failed execution is tried again."""

    max: Annotated[int, Field(number(0, 100, whole=True), "How often to try again.")]
    delay: Annotated[float, Field(number(0, MAX_SECONDS), "Seconds before the first try.")] = 0
    backoff: Annotated[
        float, Field(number(1, 100), "By how much each delay is longer than the one before.")
    ] = 1
    max_delay: Annotated[
        float | None,
        Field(
            or_null(number(0, MAX_SECONDS)),
            "The longest delay, in seconds; null: there is none.",
        ),
    ] = None

    def wait(self, attempt: int) -> float | None:
        """Seconds from the failure of attempt number `attempt` (from 1) to the next; None: over."""
        if attempt > self.max:
            return None
        limit = MAX_SECONDS if self.max_delay is None else self.max_delay
        return min(self.delay * self.backoff ** (attempt - 1), limit)

    def as_json(self) -> dict[str, object]:
        """The mapping that a task file would say it with."""
        shown: dict[str, object] = {"max": self.max, "delay": self.delay, "backoff": self.backoff}
        return shown if self.max_delay is None else {**shown, "max_delay": self.max_delay}


_RETRIES = fields_of(Retries)


def _retries(value: object) -> Retries:
    if not isinstance(value, Mapping):
        raise Refused(f"must be a mapping with the key max, not {describe(value)}")
    if "max" not in value:
        raise Refused("needs the key max: how often to try again")
    return Retries(**check_parts(_retry, value.items()))


def _retry(key: str, item: object) -> object:
    if key not in _RETRIES:
        known = ", ".join(_RETRIES)
        raise Refused(f"is not known; allowed are {known}{nearest(key, _RETRIES)}")
    return _RETRIES[key].type.parse(item)


RETRIES = FieldType(
    _retries,
    {
        "type": "object",
        "properties": {
            name: {"description": one.meaning, **one.type.schema} for name, one in _RETRIES.items()
        },
        "additionalProperties": False,
        "required": ["max"],
    },
)
