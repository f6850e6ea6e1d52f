"""A task as the text of a task file: what the reader makes of it is the task again."""

import sys
from collections.abc import Mapping
from typing import Any, Literal

import yaml

from taskservice.domain.task import FIELDS, OPTIONAL
from taskservice.sync.text.scalars import plain_kind
from taskservice.sync.text.task_files import passed_over

Quote = Literal["'", '"']
"""The quotes that a file's author is used to."""

# To a YAML parser these end a line too; it would read them back as another, or as none.
_OTHER_BREAKS = frozenset("\r\x85\u2028\u2029")


def dump_task(task_id: str, definition: Mapping[str, object], *, named: bool = True) -> str:
    """The text of a file that declares the task; its name is the id, with `.yaml` after it.

    `definition` are the fields as plain JSON values; those at their default are left out. An
    id that no file can give by its name (`_x`), or that the file is not `named` after, stands
    in the text, under `tasks`.
    """
    fields: dict[str, object] = {
        name: definition[name]
        for name in FIELDS
        if name in definition and (name not in OPTIONAL or definition[name] != OPTIONAL[name])
    }
    several = not named or passed_over(f"{task_id}.yaml")
    return _dump({"tasks": {task_id: fields}} if several else fields, _Dumper, flow=False)


def block_lines(value: object, *, quote: Quote = "'") -> list[str]:
    """The lines, without their ends, of a mapping or list in block style, from column 0.

    They may stand in the midst of a file: what follows does not become part of a text.
    """
    text = _dump(value, _PART_DUMPERS[quote], flow=False)
    return text.removesuffix("...\n").split("\n")[:-1]


def inline(value: object, *, in_flow: bool, quote: Quote = "'", style: str | None = None) -> str:
    """A value in one line, collections in flow style; `in_flow` says that it stands in one.

    `style` are the quotes (or none) in which a text should stand if it can.
    """
    dumper = _LINE_DUMPERS[quote]
    if isinstance(value, str) and style:
        broken = "\n" in value or not _OTHER_BREAKS.isdisjoint(value)
        node = yaml.ScalarNode("tag:yaml.org,2002:str", value, style='"' if broken else style)
        around = yaml.SequenceNode("tag:yaml.org,2002:seq", [node], flow_style=True)
        text = yaml.serialize(around, Dumper=dumper, allow_unicode=True, width=sys.maxsize)
        return str(text)[1:-2]
    if isinstance(value, dict | list) or in_flow:
        return _dump([value], dumper, flow=True)[1:-2]
    return _dump({"k": value}, dumper, flow=False)[3:-1]


def _dump(value: object, dumper: type[yaml.SafeDumper], *, flow: bool) -> str:
    text: str = yaml.dump(
        value, Dumper=dumper, allow_unicode=True, default_flow_style=flow,
        sort_keys=False, width=sys.maxsize,
    )  # fmt: skip
    return text


class _Dumper(yaml.SafeDumper):
    quote: Quote = "'"

    def ignore_aliases(self, data: object) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)

    def style_of(self, value: str) -> str | None:
        """How to write a text; the emitter still falls back to double quotes where it must."""
        if not _OTHER_BREAKS.isdisjoint(value):
            return '"'
        if "\n" in value:
            return "|"
        # Other readers of YAML take more for numbers, dates and booleans than ours does.
        if plain_kind(value) or value[0] in "+-.0123456789" or value.lower() in ("y", "n"):
            return self.quote
        return None


class _PartDumper(_Dumper):
    """Writes what stands in the midst of a file, with its author's quotes."""

    def style_of(self, value: str) -> str | None:
        style = super().style_of(value)
        if style is None and self.quote == '"':
            found: Any = self.analyze_scalar(value)
            return None if found.allow_block_plain and found.allow_flow_plain else '"'
        # Only `|+` keeps several breaks at the end, and would keep blank lines after it too.
        return '"' if style == "|" and (value.endswith("\n\n") or value == "\n") else style


class _PartDumperDouble(_PartDumper):
    quote = '"'


class _LineDumper(_PartDumper):
    """Writes everything in one line."""

    def style_of(self, value: str) -> str | None:
        style = super().style_of(value)
        return '"' if style == "|" else style


class _LineDumperDouble(_LineDumper):
    quote = '"'


_PART_DUMPERS: Mapping[Quote, type[_Dumper]] = {"'": _PartDumper, '"': _PartDumperDouble}
_LINE_DUMPERS: Mapping[Quote, type[_Dumper]] = {"'": _LineDumper, '"': _LineDumperDouble}


def _text(dumper: _Dumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=dumper.style_of(value))


_Dumper.add_representer(str, _text)
