"""The fields of a task as its page shows them: value, origin, and what else was said."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from taskservice.domain import overlay
from taskservice.domain.overlay import DELETED
from taskservice.service import Provenance
from taskservice.web.console.language import Language
from taskservice.web.console.render import pretty
from taskservice.web.console.schedule import in_words


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldView:
    """One field; the texts are None where there is nothing to be shown.

    `overridden` says that the API set it over what is declared, `conflict` that the file has
    changed since; `words` tell a trigger.
    """

    found: Provenance
    value: str | None
    declared: str | None
    declared_when_set: str | None
    overridden: bool
    conflict: bool
    words: str | None = None


def fields_of(
    found: Sequence[Provenance], overridden: Collection[str], language: Language, zone: str
) -> list[FieldView]:
    """The fields of a task, those that are overridden first, then in the order of its file."""
    names = frozenset(overridden)
    views = [
        _view(one, one.field in names, language, zone) for one in found if one.field != DELETED
    ]
    return sorted(views, key=lambda view: not view.overridden)


def _view(found: Provenance, overridden: bool, language: Language, zone: str) -> FieldView:
    conflict = overridden and not overlay.same(found.field, found.declared_when_set, found.declared)
    words = None
    if found.field == "trigger":
        words = in_words(
            language, found.value["trigger_type"], found.value["trigger_args"] or {}, zone
        )
    return FieldView(
        found=found,
        value=None if found.absent else _text_of(found.field, found.value),
        declared=_text_of(found.field, found.declared),
        declared_when_set=_text_of(found.field, found.declared_when_set),
        overridden=overridden,
        conflict=conflict,
        words=words,
    )


def _text_of(field: str, value: Any) -> str | None:
    if value is None:
        return None
    if field == "trigger":
        arguments = value["trigger_args"] or {}
        told = ", ".join(f"{name}: {pretty(item)}" for name, item in arguments.items())
        return f"{value['trigger_type']}  {told}".strip()
    if field == "tags":
        return " ".join(value) or None
    return pretty(value)
