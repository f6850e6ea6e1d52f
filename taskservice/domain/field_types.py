"""What a field may hold: each type parses a value, or says what is wrong with it.

Each also says as a JSON Schema what it takes. A schema may take more than the parsing, where JSON
Schema has no words for a rule, but never less.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from taskservice.domain.check import (
    NO_SPACE,
    JsonSchema,
    Refused,
    check_parts,
    describe,
    has_controls,
    json_value,
    refuse_surrogates,
)

_MAX_KEY = 200  # with `func_args.` in front it is the name of an override's field
_MAX_WORD = 50
_MOST_ARGUMENTS = 5000
_MOST_WORDS = 1000


@dataclass(frozen=True, slots=True)
class FieldType:
    """What a field may hold: `parse` gives back the value as a task has it, or raises `Refused`."""

    parse: Callable[[object], Any]
    schema: JsonSchema

    @property
    def json_type(self) -> str:
        """JSON Schema's word for what it holds when it isn't null: `string`, `number` and so on."""
        kinds = self.schema["type"]
        return str(kinds if isinstance(kinds, str) else kinds[0])

    @property
    def holds_words(self) -> bool:
        """Whether it holds a list of texts."""
        return self.json_type == "array" and self.schema["items"]["type"] == "string"

    @property
    def nullable(self) -> bool:
        """Whether it takes null."""
        return "null" in self.schema["type"]

    @property
    def choices(self) -> tuple[str, ...] | None:
        """The words that it takes, where it takes but some."""
        known = self.schema.get("enum")
        return None if known is None else tuple(one for one in known if one is not None)


def text(limit: int, *, lines: bool = False) -> FieldType:
    """Text in one line; with `lines` any text, and the limit is one of bytes."""

    def parse(value: object) -> str:
        if not isinstance(value, str):
            raise Refused(f"must be text, not {describe(value)}")
        if not value.strip() and not lines:
            raise Refused("must not be empty")
        refuse_surrogates(value)
        # A MySQL text column is measured in bytes, a varchar in characters.
        length, unit = (len(value.encode()), "bytes") if lines else (len(value), "characters")
        if length > limit:
            raise Refused(f"is too long: {length} {unit}, at most {limit} are allowed")
        if not lines and has_controls(value):
            raise Refused("must not hold line breaks or control characters")
        return value

    some = {} if lines else {"minLength": 1, "pattern": NO_SPACE}
    return FieldType(parse, {"type": "string", "maxLength": limit, **some})


def number(least: float, most: float, *, whole: bool = False) -> FieldType:
    """A number within limits; a whole one becomes an int."""
    kind = "a whole number" if whole else "a number"

    def parse(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
            raise Refused(f"must be {kind}, not {describe(value)}")
        if not least <= value <= most:  # nor is it for nan
            raise Refused(f"must be {kind} from {least} to {most}")
        return int(value) if value == int(value) else value

    limits = {"minimum": least, "maximum": most}
    return FieldType(parse, {"type": "integer" if whole else "number", **limits})


def _boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise Refused(f"must be true or false, not {describe(value)}")
    return value


boolean = FieldType(_boolean, {"type": "boolean"})
"""True or false."""


def choice(words: Sequence[str]) -> FieldType:
    """One of some words."""
    known = ", ".join(words)

    def parse(value: object) -> str:
        if value not in words:
            raise Refused(f"must be one of {known}, not {describe(value)}")
        return str(value)

    return FieldType(parse, {"type": "string", "enum": list(words)})


def or_null(type_: FieldType, default: Any = None) -> FieldType:
    """The same, or null for `default`."""
    kinds = type_.schema["type"]
    kinds = [kinds] if isinstance(kinds, str) else kinds
    schema = {**type_.schema, "type": [*kinds, "null"]}
    if "enum" in schema:
        schema["enum"] = [*schema["enum"], None]
    return FieldType(lambda value: default if value is None else type_.parse(value), schema)


_QUEUE = re.compile("[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
# RabbitMQ keeps the first for itself, kombu the others on Redis.
_NOT_QUEUES = ("amq.", "_kombu", "unacked")


def _queue_name(value: object) -> str:
    if not isinstance(value, str):
        raise Refused(f"must be a queue's name, not {describe(value)}")
    if not _QUEUE.fullmatch(value) or value.startswith(_NOT_QUEUES):
        raise Refused(
            "must be a queue's name: 1 to 100 letters, digits, dots, dashes and underscores, "
            "beginning with a letter or digit, and not with amq. or unacked"
        )
    return value


queue_name = FieldType(
    _queue_name, {"type": "string", "maxLength": 100, "pattern": f"^{_QUEUE.pattern}$"}
)
"""The name of a queue."""


def _words(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise Refused(f"must be a list of words, not {describe(value)}")
    if len(value) > _MOST_WORDS:
        raise Refused(f"has {len(value)} words; at most {_MOST_WORDS} are allowed")
    numbered = ((str(index), word) for index, word in enumerate(value))
    return tuple(check_parts(_word, numbered).values())


def _word(_index: str, word: object) -> str:
    if not isinstance(word, str):
        raise Refused(f"must be a word, not {describe(word)}")
    refuse_surrogates(word)
    if not 0 < len(word) <= _MAX_WORD or has_controls(word) or any(one.isspace() for one in word):
        raise Refused(f"must be a word of 1 to {_MAX_WORD} characters, without spaces")
    return word


words = FieldType(
    _words,
    {
        "type": "array",
        "maxItems": _MOST_WORDS,
        "items": {
            "type": "string",
            "minLength": 1,
            "maxLength": _MAX_WORD,
            "pattern": f"^{NO_SPACE}+$",
        },
    },
)
"""A list of words."""


def _arguments(value: object) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise Refused(f"must be a mapping, not {describe(value)}")
    if len(value) > _MOST_ARGUMENTS:
        raise Refused(f"has {len(value)} keys; at most {_MOST_ARGUMENTS} are allowed")
    return check_parts(_argument, value.items())


def _argument(key: str, item: object) -> object:
    refuse_surrogates(key)
    if len(key) > _MAX_KEY:
        raise Refused(f"is too long: {len(key)} characters, at most {_MAX_KEY} are allowed")
    if key.endswith(" "):
        # Databases that pad what they compare would take it for the key without the space.
        raise Refused("must not end with a space")
    json_value(item, 2)
    return item


arguments = FieldType(
    _arguments,
    {
        "type": "object",
        "maxProperties": _MOST_ARGUMENTS,
        "propertyNames": {"maxLength": _MAX_KEY, "pattern": "(^|[^ ])$"},
    },
)
"""A mapping of JSON values, as keyword arguments must be to be stored and shown."""
