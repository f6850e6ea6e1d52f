"""JSON schemas in words: what a value may be, and which fields an object has."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup, escape

Schema = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Field:
    """A field of an object, or a parameter."""

    name: str
    required: bool
    type: Markup
    description: Markup
    forms: list[list["Field"]]
    """The fields of each form of the object that this field holds."""


def named(document: Schema) -> dict[str, list[Field]]:
    """The fields of every type that the document gives a name."""
    schemas: Mapping[str, Schema] = document["components"]["schemas"]
    return {name: fields(schema) for name, schema in sorted(schemas.items())}


def fields(schema: Schema) -> list[Field]:
    """The fields of an object; of one with several forms, those of all of them together."""
    forms = list(_objects(schema))
    names = dict.fromkeys(name for form in forms for name in form["properties"])
    return [
        field(
            name,
            _either([form["properties"][name] for form in forms if name in form["properties"]]),
            required=all(name in form.get("required", ()) for form in forms),
        )
        for name in names
    ]


def field(name: str, schema: Schema, *, required: bool) -> Field:
    """What is told of one field."""
    return Field(
        name=name,
        required=required,
        type=in_words(schema),
        description=prose(schema.get("description", "")),
        forms=[fields(form) for form in _objects(schema)],
    )


def parameter(told: Schema) -> Field:
    """What is told of one parameter; that it may be left out does not mean that it may be null."""
    schema = {key: _without_null(value) for key, value in told["schema"].items()}
    return field(told["name"], schema, required=told["required"])


def in_words(schema: Schema) -> Markup:
    """What a value of this schema may be, with links to types that have a name."""
    words = dict.fromkeys(_kinds(schema)) or [Markup("any value")]
    last = [word for word in words if word == "null"]
    return Markup(" or ").join([word for word in words if word != "null"] + last) + _limits(schema)


def prose(text: str) -> Markup:
    """A text with `code` in it."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def _kinds(schema: Schema) -> Iterator[Markup]:
    if "$ref" in schema:
        name = str(schema["$ref"]).rpartition("/")[2]
        yield Markup('<a href="#type-{0}">{0}</a>').format(name)
    elif "const" in schema:
        yield _literal(schema["const"])
    elif "enum" in schema:
        yield from map(_literal, schema["enum"])
    elif alternatives := _alternatives(schema):
        for alternative in alternatives:
            yield from _kinds(alternative)
    else:
        kinds = schema.get("type", [])
        for kind in [kinds] if isinstance(kinds, str) else kinds:
            yield _kind(kind, schema)


def _kind(kind: str, schema: Schema) -> Markup:
    if kind == "array":
        return Markup("list of ") + in_words(schema.get("items", {}))
    if kind == "object" and "properties" not in schema:
        values = schema.get("additionalProperties")
        of = Markup(" of ") + in_words(values) if isinstance(values, Mapping) else Markup("")
        return Markup("mapping") + of
    if kind == "string" and "format" in schema:
        return escape(schema["format"])
    return escape("whole number" if kind == "integer" else kind)


def _limits(schema: Schema) -> Markup:
    told = []
    if "minimum" in schema and "maximum" in schema:
        told.append(f"{schema['minimum']:.15g} to {schema['maximum']:.15g}")
    if "maxLength" in schema:
        told.append(f"at most {schema['maxLength']} characters")
    limits = escape("".join(f", {text}" for text in told))
    if "default" in schema:
        limits += Markup(", else ") + _literal(schema["default"])
    return limits


def _literal(value: object) -> Markup:
    if value is None:
        return Markup("null")
    return Markup("<code>{}</code>").format(json.dumps(value, ensure_ascii=False))


def _alternatives(schema: Schema) -> list[Schema]:
    """What the value may be instead; a condition on the same object is none."""
    alternatives = [*schema.get("oneOf", ()), *schema.get("anyOf", ())]
    return [schema for schema in alternatives if schema.keys() != {"required"}]


def _without_null(value: Any) -> Any:
    if not isinstance(value, list):
        return value
    return [item for item in value if item not in (None, "null", {"type": "null"})]


def _either(schemas: list[Schema]) -> Schema:
    different = [schema for at, schema in enumerate(schemas) if schema not in schemas[:at]]
    return different[0] if len(different) == 1 else {"oneOf": different}


def _objects(schema: Schema) -> Iterator[Schema]:
    if "properties" in schema:
        yield schema
        return
    for alternative in _alternatives(schema):
        yield from _objects(alternative)
