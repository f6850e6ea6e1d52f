"""Entries and items that come and go in the text of a task file, in block and in flow style."""

import re
from collections.abc import Sequence
from typing import Any

import yaml

from taskservice.sync.text.dump import block_lines, inline
from taskservice.sync.text.spans import (
    CannotEdit,
    Replacement,
    Source,
    in_flow,
    is_block,
    is_block_text,
    is_empty,
    quotes,
    start,
)

_BLOCK_HEAD = re.compile(r"(:|-) \|[-2]*$")

Pair = tuple[yaml.Node, yaml.Node]


def whole(source: Source, node: yaml.Node, want: Any) -> Replacement:
    """A collection written anew."""
    if not is_block(node):
        text = inline(want, in_flow=False, quote=source.quote)
        return Replacement(start(node), source.end(node), text)
    lines = block_lines(want, quote=source.quote)
    begin = source.begin(node)
    text = source.newline.join(_indented(lines, source.column(begin))).lstrip(" ")
    end = source.end(node)
    if _ends_in_block_text(lines):
        end = source.line_end(end)  # a comment would become a part of the text
        if end == len(source.text):
            text += source.newline
    return Replacement(begin, end, text)


def _ends_in_block_text(lines: Sequence[str]) -> bool:
    """Whether the last of these lines belongs to a text in block style."""
    heads = [place for place, line in enumerate(lines) if _BLOCK_HEAD.search(line)]
    if not heads or heads[-1] + 1 == len(lines):
        return False
    head = lines[heads[-1]]
    deeper = " " * (len(head) - len(head.lstrip(" ")) + 1)
    return all(not line or line.startswith(deeper) for line in lines[heads[-1] + 1 :])


def _indented(lines: Sequence[str], indent: int) -> list[str]:
    return [f"{' ' * indent}{line}" if line else "" for line in lines]


def added_key(source: Source, node: yaml.Node, name: str, value: Any) -> list[Replacement]:
    """A key that a mapping has not yet, below its others; `trigger_args` below `trigger_type`."""
    pairs: list[Pair] = node.value
    if in_flow(node):
        text = f"{_key(source, pairs, name)}: {inline(value, in_flow=True, quote=source.quote)}"
        return _added_in_flow(source, node, len(pairs), text)
    names = [key.value for key, _ in pairs]
    near = names.index("trigger_type") if name == "trigger_args" and "trigger_type" in names else -1
    key, last = pairs[near]
    in_line = any(in_flow(one) for _, one in pairs)
    if in_line and isinstance(value, dict | list):
        lines = [f"{_key(source, pairs, name)}: {inline(value, in_flow=False, quote=source.quote)}"]
    else:
        lines = block_lines({name: value}, quote=source.quote)
    begin = source.entry_start(key)
    before = begin if near == -1 and source.is_first(begin) else None
    indent = source.column(source.entry_start(pairs[0][0]))
    return _added_lines(source, lines, indent, source.entry_end(key, last), before, last)


def added_item(source: Source, node: yaml.Node, place: int, value: Any) -> list[Replacement]:
    """An item that is to stand at this place of a list, which is not empty."""
    if in_flow(node):
        return _added_in_flow(source, node, place, inline(value, in_flow=True, quote=source.quote))
    lines = block_lines([value], quote=source.quote)
    if place == 0:
        above = source.line_start(dash_of(source, node, node.value[0]))
        indented = _indented(lines, source.column(source.begin(node)))
        text = "".join(f"{line}{source.newline}" for line in indented)
        return [Replacement(above, above, text)]
    before = node.value[place - 1]
    dash = dash_of(source, node, before)
    end = dash + 1 if is_empty(before) else source.end(before)
    indent = source.column(source.begin(node))
    return _added_lines(source, lines, indent, end, dash, before)


def _added_lines(
    source: Source, lines: list[str], indent: int, end: int, before: int | None, last: yaml.Node
) -> list[Replacement]:
    """Lines below the line in which an entry ends.

    Where that would put a line break into a text that has none at its end, they go above the
    entry's first line, at `before`.
    """
    indented = _indented(lines, indent)
    place = source.line_end(end)
    if place == len(source.text) and _is_clipped_text(source, last) and before is not None:
        text = "".join(f"{line}{source.newline}" for line in indented)
        return [Replacement(source.line_start(before), source.line_start(before), text)]
    text = "".join(f"{source.newline}{line}" for line in indented)
    if place == len(source.text) and _ends_in_block_text(lines):
        text += source.newline
    return [Replacement(place, place, text)]


def _is_clipped_text(source: Source, node: yaml.Node) -> bool:
    while is_block(node):
        last = node.value[-1]
        node = last[1] if isinstance(last, tuple) else last
    return is_block_text(node) and "-" not in source.header(node)[0]


def _key(source: Source, pairs: Sequence[Pair], name: str) -> str:
    """A key, quoted as the last one is."""
    style = quotes(pairs[-1][0]) if pairs else None
    return inline(name, in_flow=True, quote=source.quote, style=style)


def _spans(source: Source, node: yaml.Node) -> list[tuple[int, int]]:
    """Where each entry, or item, of a collection begins and ends."""
    if isinstance(node, yaml.MappingNode):
        return [
            (source.entry_start(key), source.entry_end(key, value)) for key, value in node.value
        ]
    return [(start(item), source.end(item)) for item in node.value]


def _added_in_flow(source: Source, node: yaml.Node, place: int, text: str) -> list[Replacement]:
    spans = _spans(source, node)
    if not spans:  # a task that has all of the file's defaults
        return [Replacement(start(node) + 1, node.end_mark.index - 1, text)]
    if place == 0:
        return [Replacement(spans[0][0], spans[0][0], f"{text}, ")]
    begin, end = spans[place - 1]
    lined_up = source.is_first(begin) and source.line_start(begin) > start(node)
    if not lined_up or place < len(spans):
        return [Replacement(end, end, f", {text}")]
    margin = source.newline + source.text[source.line_start(begin) : begin]
    comma = source.skip(end)
    if not source.text.startswith(",", comma):
        if not source.is_last(end):
            return [Replacement(end, end, f",{margin}{text}")]
        return [Replacement(end, end, ","), _behind(source, end, margin + text)]
    return [_behind(source, comma, f"{margin}{text},")]


def _behind(source: Source, place: int, text: str) -> Replacement:
    end = source.line_end(place)
    return Replacement(end, end, text)


def removed(source: Source, node: yaml.Node, place: int) -> list[Replacement]:
    """An entry, or item, taken out; not the only one."""
    if in_flow(node):
        return _removed_in_flow(source, _spans(source, node), place)
    item = node.value[place]
    if isinstance(item, tuple):
        begin, end = source.entry_start(item[0]), source.entry_end(*item)
    else:
        begin = dash_of(source, node, item)
        end = begin + 1 if is_empty(item) else source.end(item)
    if not source.is_first(begin):
        # It stands behind the dash of an item, and the next one takes its place.
        before = source.text[source.line_start(begin) : begin]
        if before.strip(" -") or place + 1 == len(node.value):
            raise CannotEdit("an entry that shares its line")
        return [Replacement(begin, source.entry_start(node.value[place + 1][0]), "")]
    first, after = source.line_start(begin), source.next_line(end)
    if source.is_blank_line(after) and place == 0:
        after = source.next_line(after)
    elif source.is_blank_line(after) or after == len(source.text):
        # The blank line that set it off from what is above goes with it.
        above = source.line_start(max(first - len(source.newline), 0))
        first = above if first and source.is_blank_line(above) else first
    return [Replacement(first, after, "")]


def _removed_in_flow(
    source: Source, spans: Sequence[tuple[int, int]], place: int
) -> list[Replacement]:
    begin, end = spans[place]
    comma = source.skip(end)
    has_comma = source.text.startswith(",", comma)
    behind = comma + 1 if has_comma else end
    changes: list[Replacement] = []
    is_last = place + 1 == len(spans)
    if is_last and not has_comma:
        previous = source.skip(spans[place - 1][1])
        changes = [Replacement(previous, previous + 1, "")]
    if source.is_first(begin) and source.is_last(behind):
        return [*changes, Replacement(source.line_start(begin), source.next_line(behind), "")]
    if is_last:
        before = spans[place - 1][1]
        if "#" in source.text[before:begin]:
            return [*changes, Replacement(begin, end, "")]
        return [Replacement(before, end, "")]
    until = spans[place + 1][0]
    if "#" in source.text[behind:until] or "\n" in source.text[behind:until]:
        until = behind
    return [Replacement(begin, until, "")]


def dash_of(source: Source, node: yaml.Node, item: yaml.Node) -> int:
    """Where the dash of a block list's item stands."""
    place = source.line_start(start(item)) + source.column(source.begin(node))
    if not source.text.startswith("-", place) or not source.is_first(place):
        raise CannotEdit("a dash in another line than its item")
    return place
