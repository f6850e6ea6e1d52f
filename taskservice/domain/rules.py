"""Who is told of what a task's executions come to: what `notify` holds."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args

from taskservice.domain.check import Refused, describe, nearest
from taskservice.domain.errors import Fault
from taskservice.domain.fault_limits import OF_TASK
from taskservice.domain.field import Field, fields_of
from taskservice.domain.field_types import FieldType, number, or_null
from taskservice.domain.retries import MAX_SECONDS

Topic = Literal["failure", "recovery", "missed", "skipped", "late", "long", "short"]
TOPICS: tuple[Topic, ...] = get_args(Topic)
"""What a rule may tell of."""

LIMITED: tuple[Topic, ...] = ("late", "long", "short")
"""Those that need a limit, which stands under the same name."""

USUAL: tuple[Topic, ...] = ("failure", "recovery", "missed")
"""Those that a rule tells of that names none."""

MOST_RULES = 20
MOST_IN_A_ROW = 1000

CHANNEL = re.compile("[a-z0-9][a-z0-9_]{0,39}")
"""The name of a channel: that of its variable after `TASKSERVICE_CHANNEL_`, in lower case."""

_SPAN = re.compile(r"([0-9]{1,9})([smhd])")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def _channel(value: object) -> str:
    if not isinstance(value, str):
        raise Refused(f"must be a channel's name, not {describe(value)}")
    if not CHANNEL.fullmatch(value):
        raise Refused(
            "must be a channel's name: 1 to 40 lower-case letters, digits and underscores, "
            "beginning with a letter or digit"
        )
    return value


def _topics(value: object) -> tuple[Topic, ...]:
    given = [value] if isinstance(value, str) else value
    if not isinstance(given, list) or not given:
        raise Refused(f"must be a list of {', '.join(TOPICS)}, not {describe(value)}")
    given = given[: len(TOPICS) + 1]  # of so many one comes twice
    for one in given:
        if not isinstance(one, str) or one not in TOPICS:
            told = nearest(one, TOPICS) if isinstance(one, str) else ""
            raise Refused(f"may have {', '.join(TOPICS)}, not {describe(one)}{told}")
    if len(given) > len(set(given)):
        raise Refused("names one of them twice")
    return tuple(given)


def _span(value: object) -> float:
    """Seconds, given as such or as a span."""
    match = _SPAN.fullmatch(value) if isinstance(value, str) else None
    if isinstance(value, str) and match is None:
        raise Refused(f"must be a span like 30s, 90m, 2h or 3d, or seconds, not {describe(value)}")
    seconds = int(match[1]) * _UNITS[match[2]] if match else value
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise Refused(f"must be a span like 30s, 90m, 2h or 3d, or seconds, not {describe(value)}")
    if not 0 < seconds <= MAX_SECONDS:  # nor is it for nan
        raise Refused(f"must be a span of more than 0 and at most {MAX_SECONDS:,} seconds")
    return float(seconds)


_CHANNEL_TYPE = FieldType(
    _channel, {"type": "string", "maxLength": 40, "pattern": f"^{CHANNEL.pattern}$"}
)
_TOPICS_TYPE = FieldType(
    _topics,
    {
        "type": ["array", "string"],
        "items": {"type": "string", "enum": list(TOPICS)},
        "minItems": 1,
        "maxItems": len(TOPICS),
        "uniqueItems": True,
    },
)
_SPAN_TYPE = or_null(
    FieldType(
        _span,
        {
            "type": ["string", "number"],
            "pattern": f"^{_SPAN.pattern}$",
            "exclusiveMinimum": 0,
            "maximum": MAX_SECONDS,
        },
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Whom to tell, and of what; `late`, `long`, `short` and `remind` are seconds."""

    # fmt: off
    to: Annotated[str, Field(_CHANNEL_TYPE, "The name of a channel.")]
    on: Annotated[tuple[Topic, ...], Field(
        _TOPICS_TYPE,
        "Of what: failure, recovery, missed, skipped, late, long, short; the first three, and "
        "those with a limit, if not given.",
    )] = USUAL
    after: Annotated[int, Field(
        number(1, MOST_IN_A_ROW, whole=True), "So many failures in a row before the first is told."
    )] = 1
    late: Annotated[float | None, Field(
        _SPAN_TYPE, "A fire that begins later than this is told."
    )] = None
    long: Annotated[float | None, Field(
        _SPAN_TYPE, "An execution that takes longer is told, while it still runs."
    )] = None
    short: Annotated[float | None, Field(
        _SPAN_TYPE, "An execution that completes sooner is told."
    )] = None
    remind: Annotated[float | None, Field(
        _SPAN_TYPE, "A failure is told again after this, for as long as the task fails."
    )] = None
    # fmt: on


_RULE = fields_of(Rule)


@dataclass(frozen=True, slots=True, kw_only=True)
class Notify:
    """The rules of a task by what names each: its channel, and its number among those of that one.

    So a rule that is changed goes on with what it has told. `said` is what somebody wrote.
    """

    said: Any
    rules: Mapping[str, Rule]

    def as_json(self) -> object:
        """The value that a task file would say it with."""
        return self.said


def _notify(value: object) -> Notify:
    if isinstance(value, str):
        return Notify(said=value, rules=_named([Rule(to=_channel(value))]))
    if not isinstance(value, list):
        raise Refused(f"must be a channel's name or a list of rules, not {describe(value)}")
    if len(value) > MOST_RULES:
        raise Refused(f"has {len(value)} rules; at most {MOST_RULES} are allowed")
    rules: list[Rule] = []
    refused: list[tuple[str, str]] = []
    for index, given in enumerate(value):
        try:
            rules.append(_rule(given))
        except Refused as refusal:
            refused += [
                (f"{index}.{part}" if part else str(index), reason)
                for part, reason in refusal.parts
            ]
    if refused:
        raise Refused(parts=refused[:OF_TASK], more=len(refused[OF_TASK:]))
    return Notify(said=value, rules=_named(rules))


def _rule(given: object) -> Rule:
    if not isinstance(given, Mapping):
        raise Refused(f"must be a mapping with the key to, not {describe(given)}")
    refused = [] if "to" in given else [("", "needs the key to: the name of a channel")]
    taken: dict[str, Any] = {}
    for key, value in given.items():
        if key not in _RULE:
            refused.append(("", _unknown(key)))
            continue
        try:
            taken[key] = _RULE[key].type.parse(value)
        except Refused as refusal:
            refused += [(key, reason) for _, reason in refusal.parts]
    limits = [one for one in LIMITED if given.get(one) is not None]
    if "on" in taken:
        lacking = [one for one in LIMITED if one in taken["on"] and one not in limits]
        refused += [("on", f"has {one}, whose limit is not given: {one}: 10m") for one in lacking]
        unused = [one for one in limits if one not in taken["on"]]
        refused += [(one, f"is a limit that needs {one} among on") for one in unused]
    elif "on" not in given:
        taken["on"] = (*USUAL, *limits)
    if refused:
        raise Refused(parts=refused)
    return Rule(**taken)


def _unknown(key: object) -> str:
    known = ", ".join(_RULE)
    near = nearest(key, _RULE) if isinstance(key, str) else ""
    return f"{describe(key)} is not known; allowed are {known}{near}"


def _named(rules: list[Rule]) -> dict[str, Rule]:
    named: dict[str, Rule] = {}
    for rule in rules:
        count = sum(one.to == rule.to for one in named.values())
        named[f"{rule.to}:{count}" if count else rule.to] = rule
    return named


NOTIFY = FieldType(
    _notify,
    {
        "type": ["array", "string"],
        "maxLength": 40,
        "pattern": f"^{CHANNEL.pattern}$",
        "maxItems": MOST_RULES,
        "items": {
            "type": "object",
            "properties": {
                name: {"description": one.meaning, **one.type.schema} for name, one in _RULE.items()
            },
            "additionalProperties": False,
            "required": ["to"],
        },
    },
)
"""A channel's name, or a list of rules."""

NOBODY = Notify(said=[], rules={})
"""The rules of a task of which nobody is told."""

ANYBODY = Notify(said=None, rules={"": Rule(to="", on=TOPICS, late=MAX_SECONDS, long=MAX_SECONDS)})
"""What stands for rules that are not known: whatever was seen may matter to them."""


def meaning_of(value: object) -> object:
    """What values of `notify` that mean the same have in common."""
    try:
        return None if value is None else _notify(value).rules
    except Refused:
        return value


def channel_faults(notify: Notify | None, channels: Collection[str] | None) -> list[Fault]:
    """A fault for each channel that there is none of; `channels` None: they are not known."""
    if notify is None or channels is None:
        return []
    unknown = {rule.to: None for rule in notify.rules.values() if rule.to not in channels}
    return [
        Fault(
            field="notify",
            reason=f"there is no channel {name!r}{nearest(name, channels)}; a channel is "
            f"made by its variable, TASKSERVICE_CHANNEL_{name.upper()}",
        )
        for name in unknown
    ]
