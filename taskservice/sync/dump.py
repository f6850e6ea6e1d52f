"""A task as the text of a task file: what the reader makes of it is the task again."""

import sys
from collections.abc import Mapping
from typing import Any

import yaml

from taskservice.domain.overlay import DEFAULTS
from taskservice.sync.listing import passed_over
from taskservice.sync.scalars import plain_kind

ORDER = (
    "name", "task_type", "trigger_type", "trigger_args", "func_path", "func_args",
    "max_instances", "description", "tags", "paused", "misfire_grace_time", "coalesce",
    "timeout", "retries", "recover", "executor",
)  # fmt: skip
"""The fields of a task in the order of the contract's section 4."""

_DEFAULTS: Mapping[str, Any] = {**DEFAULTS, "trigger_args": {}, "func_args": {}}

# To a YAML parser these end a line too; it would read them back as another, or as none.
_OTHER_BREAKS = frozenset("\r\x85\u2028\u2029")


def dump_task(task_id: str, definition: Mapping[str, object]) -> str:
    """The text of a file that declares the task; its name is the id, with `.yaml` after it.

    `definition` are the fields as plain JSON values; those at their default are left out. An
    id that no file can give by its name (`_x`) stands in the text, under `tasks`.
    """
    fields: dict[str, object] = {
        name: definition[name]
        for name in ORDER
        if name in definition and (name not in _DEFAULTS or definition[name] != _DEFAULTS[name])
    }
    return yaml.dump(
        {"tasks": {task_id: fields}} if passed_over(f"{task_id}.yaml") else fields,
        Dumper=_Dumper,
        allow_unicode=True,
        default_flow_style=False,
        sort_keys=False,
        width=sys.maxsize,
    )


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: object) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=_style(value))


def _style(value: str) -> str | None:
    """How to write a text; the emitter still falls back to double quotes where it must."""
    if not _OTHER_BREAKS.isdisjoint(value):
        return '"'
    if "\n" in value:
        return "|"
    # Other readers of YAML take more for numbers, dates and booleans than ours does.
    if plain_kind(value) or value[0] in "+-.0123456789" or value.lower() in ("y", "n"):
        return "'"
    return None


_Dumper.add_representer(str, _text)
