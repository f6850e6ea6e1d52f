"""A field of a task, said once: what is derived of it is derived of this.

A record (`Task`) names its fields as any class does, each with its Python type and its default,
and with a `Field` in `Annotated` for all else. Of these come the parsing, the defaults, the order
in which fields are written, the JSON Schema, the columns and what is read of them, the API's
answer, the form of the console and the table in the docs.

Pydantic 2.14 in strict mode was tried for the parsing. It costs little: 10,000 tasks are parsed in
0.8 of the time; its import is 5 % of that of the service (a third of a command's) and 7 to 16 MiB.
A catalogue over its error types has our words for 51 of 73 faults. The others want functions of our
own all the same: ranges told whole, near words, keys, depth, what is no character, and counts in
place of 5,000 errors. So does the JSON Schema, and it takes no mapping but a dict. It would replace
some sixty lines of `field_types`, and nothing of what is derived here.
"""

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any, Literal, get_type_hints

from taskservice.domain.field_types import FieldType

Section = Literal["trigger", "function", "run", "about"]
"""The part of the console's form that a field stands in."""


@dataclass(frozen=True, slots=True)
class Field:
    """What is to be known of a field beside its name, its Python type and its default.

    `meaning` and `title` tell people what it is; `needed` what it should be, where there is no
    task without it. `own_override` says whether it is overridden as a whole and by itself.
    `section` is the part of the form that it stands in (None: in none), `label` what it is called
    there if not by its title, `hint` what is said below it.
    """

    type: FieldType
    meaning: str
    title: str = ""
    needed: str = ""
    own_override: bool = True
    section: Section | None = "about"
    label: str = ""
    hint: str = ""


def fields_of(record: type) -> dict[str, Field]:
    """The fields of a record in the order in which people write them."""
    hints = get_type_hints(record, include_extras=True)
    annotated = {name: getattr(hint, "__metadata__", ()) for name, hint in hints.items()}
    return {
        name: one
        for name, metadata in annotated.items()
        for one in metadata
        if isinstance(one, Field)
    }


def defaults_of(record: Any) -> Mapping[str, Any]:
    """The defaults of a record's fields, as JSON has them."""
    known = fields_of(record)
    defaults = {
        one.name: one.default if one.default_factory is MISSING else one.default_factory()
        for one in fields(record)
        if one.name in known
    }
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in defaults.items()
        if value is not MISSING
    }
