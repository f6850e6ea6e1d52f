"""Declaration and override make the effective task; neither ever overwrites the other.

An override is a set of fields. The fields of a task for this purpose ("flat" below) are its
top-level ones, but for `trigger` (type and arguments together) and `func_args.KEY` (one each).
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from taskservice.domain.field import defaults_of
from taskservice.domain.rules import meaning_of
from taskservice.domain.task import FIELDS, OPTIONAL, UNSET, Retries
from taskservice.domain.trigger import canonical_trigger

Drift = Literal["in_sync", "overridden", "conflict"]

DELETED = "deleted"
"""The override that takes a declared task away altogether."""

DEFAULTS: Mapping[str, Any] = {
    name: default for name, default in OPTIONAL.items() if FIELDS[name].own_override
}
"""The fields that are overridden as a whole and have a default, with it as JSON has it."""

_NULL_IS_A_VALUE = frozenset(
    name
    for name in DEFAULTS
    if FIELDS[name].type.nullable and FIELDS[name].type.parse(None) is None
)
_RETRIES = defaults_of(Retries)


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """One field that the API set, and how it came about.

    `value` and `declared_when_set` are UNSET where the field (a key of `func_args`) is absent.
    """

    field: str
    value: Any
    declared_when_set: Any
    set_at: datetime
    set_by: str
    reason: str | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """What a file, or the API's own creation of a task, says: the fields as they were written.

    `fingerprint` names the whole file, its bytes and all that it declares; None where not all is
    sound.
    """

    source: Literal["file", "api"]
    fields: Mapping[str, Any]
    path: str | None = None
    line: int | None = None
    revision: str | None = None
    fingerprint: str | None = None


def digest(value: object) -> str:
    """A name for a JSON value that does not depend on the order of its keys."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def flatten(fields: Mapping[str, Any]) -> dict[str, Any]:
    """A task's mapping as overridable fields: `trigger` and each `func_args.KEY` are one.

    What is no mapping in the place of `func_args` stays as it is, for the parser to refuse.
    """
    flat: dict[str, Any] = {}
    for name, value in fields.items():
        if name in ("trigger_type", "trigger_args"):
            flat["trigger"] = {
                "trigger_type": fields.get("trigger_type"),
                "trigger_args": fields.get("trigger_args") or {},
            }
        elif name == "func_args" and isinstance(value, Mapping | None):
            flat.update({f"func_args.{key}": item for key, item in (value or {}).items()})
        else:
            flat[name] = value
    return flat


def unflatten(flat: Mapping[str, Any]) -> dict[str, Any]:
    """The reverse of `flatten`."""
    fields: dict[str, Any] = {}
    func_args: dict[str, Any] = {}
    for name, value in flat.items():
        if name == "trigger":
            fields.update(value)
        elif name.startswith("func_args."):
            func_args[name.removeprefix("func_args.")] = value
        else:
            fields[name] = value
    return fields if "func_args" in fields else {**fields, "func_args": func_args}


def same(field: str, one: Any, other: Any) -> bool:
    """Whether two values of a field mean the same, however they are written."""
    return _meaning(field, one) == _meaning(field, other)


def _meaning(field: str, value: Any) -> object:
    """What values that mean the same have in common."""
    if value is UNSET:
        return UNSET
    if field == "trigger":
        return canonical_trigger(value["trigger_type"], value["trigger_args"])
    if field not in DEFAULTS:
        return digest(value)
    value = _or_default(field, value)
    if field == "notify":
        return meaning_of(value)
    return {**_RETRIES, **value} if field == "retries" and value else value


def _or_default(field: str, value: Any) -> Any:
    """Null stands for the default, except where null is a value of its own."""
    return DEFAULTS.get(field) if value is None and field not in _NULL_IS_A_VALUE else value


def declared_value(declaration: Declaration | None, field: str) -> Any:
    """What the declaration says of a field, defaults included; UNSET where it has none."""
    return declared_values(declaration)(field)


def declared_values(declaration: Declaration | None) -> Callable[[str], Any]:
    """The same for many fields of one declaration: what it says of the field asked for."""
    flat = flatten(declaration.fields) if declaration else {}
    return lambda field: _or_default(field, flat.get(field, DEFAULTS.get(field, UNSET)))


def merge(declaration: Declaration | None, overrides: Iterable[Override]) -> dict[str, Any]:
    """The effective task's mapping: override over declaration (defaults are the parser's)."""
    flat = flatten(declaration.fields) if declaration else {}
    for override in overrides:
        if override.field == DELETED:
            continue
        if override.value is UNSET:
            flat.pop(override.field, None)
        else:
            flat[override.field] = override.value
    return unflatten(flat)


def changed_fields(before: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """What a change of some fields comes to, flat.

    `before` is the effective mapping. `func_args` is taken as the whole mapping, so keys that
    it lacks come out as UNSET; a trigger's missing half is that of `before`.
    """
    half = {name: before[name] for name in ("trigger_type", "trigger_args") if name in before}
    if "trigger_type" in changes or "trigger_args" in changes:
        changes = {**half, **changes}
    flat = flatten(changes)
    if "func_args" in changes:
        gone = flatten({"func_args": before.get("func_args")}).keys() - flat.keys()
        flat.update(dict.fromkeys(sorted(gone), UNSET))
    return flat


def override_with(
    declaration: Declaration | None,
    overrides: Iterable[Override],
    values: Mapping[str, Any],
    *,
    now: datetime,
    by: str,
    reason: str | None = None,
    until: datetime | None = None,
) -> tuple[Override, ...]:
    """The overrides after the API set `values` (flat).

    A value that the declaration has as well is no override: it ends the one there was. A field
    that keeps its overriding value keeps its history too, unless a reason or an end comes new;
    but who sets it again has seen what the file says by now.
    """
    kept = {override.field: override for override in overrides}
    declares = declared_values(declaration)
    for name, value in values.items():
        declared = declares(name)
        old = kept.pop(name, None)
        if same(name, value, declared):
            continue
        if old and same(name, old.value, value) and reason is None and until is None:
            kept[name] = replace(old, declared_when_set=declared)
            continue
        kept[name] = Override(
            field=name, value=value, declared_when_set=declared,
            set_at=now, set_by=by, reason=reason, until=until,
        )  # fmt: skip
    return tuple(kept[name] for name in sorted(kept))


def standing(
    declaration: Declaration, overrides: Iterable[Override], now: datetime
) -> tuple[Override, ...]:
    """The overrides that hold over a declaration at `now`: not run out, and still different."""
    declares = declared_values(declaration)
    return tuple(
        override
        for override in overrides
        if (override.until is None or override.until > now)
        and not same(override.field, override.value, declares(override.field))
    )


def adopt(
    declaration: Declaration,
    authored: Mapping[str, Any],
    overrides: Iterable[Override],
    *,
    by: str,
    at: datetime,
) -> tuple[Override, ...]:
    """The overrides of a task of the API's whose id a file came to declare.

    `authored` is what the API gave, at `at`, by `by`; what differs from the file stays.
    """
    given = override_with(declaration, (), flatten(authored), now=at, by=by)
    merged = {override.field: override for override in (*given, *overrides)}
    declares = declared_values(declaration)
    compared = (
        replace(override, declared_when_set=declares(name))
        for name, override in sorted(merged.items())
    )
    return tuple(o for o in compared if not same(o.field, o.value, o.declared_when_set))


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where the effective value of a field comes from.

    `default`: nobody gave it; `file`; or `api`: by `override`, or by the API's own declaration
    where that is None. Values are UNSET where the field (a key of `func_args`) is absent.
    """

    field: str
    value: Any
    source: Literal["default", "file", "api"]
    declared: Any
    override: Override | None = None


def origins(declaration: Declaration, overrides: Iterable[Override]) -> list[Origin]:
    """The origin of every field of a task: of those declared, overridden, or left to a default."""
    flat = flatten(declaration.fields)
    over = {override.field: override for override in overrides}
    declares = declared_values(declaration)
    found = []
    for field in dict.fromkeys((*flat, *over, *DEFAULTS)):
        declared = declares(field)
        override = over.get(field)
        source: Literal["default", "file", "api"] = "default"
        if override:
            source = "api"
        elif field in flat:
            source = declaration.source
        found.append(
            Origin(
                field=field,
                value=override.value if override else declared,
                source=source,
                declared=declared,
                override=override,
            )
        )
    return found


def drift_of(declaration: Declaration | None, overrides: Iterable[Override]) -> Drift:
    """`conflict` where the file has changed a field since it was overridden."""
    overrides = tuple(overrides)
    if declaration is None or not overrides:
        return "overridden" if overrides else "in_sync"
    return "conflict" if any(conflicts(declaration, overrides)) else "overridden"


def conflicts(declaration: Declaration, overrides: Iterable[Override]) -> Iterator[str]:
    """The fields whose declared value is another one than when they were overridden."""
    declares = declared_values(declaration)
    for override in overrides:
        if not same(override.field, override.declared_when_set, declares(override.field)):
            yield override.field
