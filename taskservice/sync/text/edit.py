"""A value changed in the text of a task file: only the lines that must change do.

A library that reads and writes YAML would write the whole file anew, and with it spaces, line
ends and flow style that nobody meant to change. So the text itself is edited, at the places
where the values stand.
"""

import json
from dataclasses import dataclass
from typing import Any

import yaml

from taskservice.sync.text.dump import Quote, block_lines, inline
from taskservice.sync.text.entries import added_item, added_key, dash_of, removed, whole
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
from taskservice.sync.text.yaml_walk import Path

_MOST_STEPS = 1000


def edit(text: str, path: Path, wanted: dict[str, Any], quote: Quote | None = None) -> str:
    """The text, with the mapping at `path` saying `wanted`. Raises `CannotEdit`.

    `quote` are the quotes that its author uses, where the text is only a part.
    """
    for _ in range(_MOST_STEPS):
        source = Source(text, quote)
        node = source.at(path)
        changes = _mapping(source, node, source.value(node), wanted)
        if not changes:
            return text
        text = source.changed(*changes)
    raise CannotEdit("the text does not come to say what it should")


def remove(text: str, path: Path) -> str:
    """The text without the entry at `path`. Raises `CannotEdit`."""
    source = Source(text)
    node = source.at(path[:-1])
    source.at(path)
    place = [key.value for key, _ in node.value].index(path[-1])
    return source.changed(*removed(source, node, place))


def _same(one: object, other: object) -> bool:
    """Equal, and of the same types."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def _mapping(source: Source, node: yaml.Node, have: Any, want: Any) -> list[Replacement]:
    """One step, of several changes at most, from what a mapping says to what it should."""
    if not isinstance(node, yaml.MappingNode):
        raise CannotEdit("not a mapping")
    for place, (key, value) in enumerate(node.value):
        name = key.value
        if name in want and not _same(have[name], want[name]):
            indent = source.column(source.entry_start(node.value[0][0]))
            after, lead = _place_for_value(source, node, key, indent)
            slot = _Slot(source, value, after, lead, indent, in_flow(node))
            return slot.change(have[name], want[name])
        if name not in want:
            return removed(source, node, place)
    for name in want:
        if name not in have:
            return added_key(source, node, name, want[name])
    return []


def _place_for_value(
    source: Source, node: yaml.Node, key: yaml.Node, indent: int
) -> tuple[int, str]:
    """Where a value goes if none is there, and what in front of it."""
    colon, end = source.colon(key), key.end_mark.index
    if colon is not None:
        return colon + 1, " "
    if source.entry_start(key) == start(key):
        return end, ": "
    if in_flow(node):
        return end, " : "
    return source.line_end(end), f"{source.newline}{' ' * indent}: "


def _list(source: Source, node: yaml.Node, have: list[Any], want: list[Any]) -> list[Replacement]:
    """The same for a list."""
    head = tail = 0
    shorter = min(len(have), len(want))
    while head < shorter and _same(have[head], want[head]):
        head += 1
    while tail < shorter - head and _same(have[-1 - tail], want[-1 - tail]):
        tail += 1
    if head + tail == len(want):
        return removed(source, node, head)
    if head + tail == len(have):
        return added_item(source, node, head, want[head])
    item = node.value[head]
    after = start(item) if in_flow(node) else dash_of(source, node, item) + 1
    slot = _Slot(source, item, after, " ", source.column(source.begin(node)), in_flow(node))
    return slot.change(have[head], want[head])


@dataclass(frozen=True, slots=True)
class _Slot:
    """A place for a value: `after` is where its key's colon, or its dash, ends.

    `lead` goes in front of a value where none stood; `indent` is the column of the collection.
    """

    source: Source
    node: yaml.Node
    after: int
    lead: str
    indent: int
    in_flow: bool

    def change(self, have: Any, want: Any) -> list[Replacement]:
        """The changes after which, or some steps later, the value is what it should be."""
        source, node = self.source, self.node
        try:
            if isinstance(have, dict) and isinstance(want, dict) and have.keys() & want.keys():
                return _mapping(source, node, have, want)
            if isinstance(have, list) and isinstance(want, list) and have and want:
                return _list(source, node, have, want)
        except CannotEdit:
            pass  # then as a whole
        if is_block(node) and want and isinstance(want, dict | list) and type(want) is type(have):
            return [whole(source, node, want)]
        head, body = self._written(want)
        return self._put(head, body)

    def _written(self, want: Any) -> tuple[str, list[str]]:
        """What stands behind the colon, and the lines below it: of a text of several lines."""
        source, node = self.source, self.node
        style = None if is_block_text(node) else quotes(node)
        if isinstance(want, str) and "\n" in want and not self.in_flow and style != '"':
            head, *body = block_lines({"k": want}, quote=source.quote)
            if body:
                return head.removeprefix("k: "), self._indented(head, body)
        return inline(want, in_flow=self.in_flow, quote=source.quote, style=style), []

    def _indented(self, head: str, lines: list[str]) -> list[str]:
        """The lines of a block text, as deep as those that stood there, else by two."""
        source, node = self.source, self.node
        margin = " " * (self.indent + 2)
        if is_block_text(node) and not any(one.isdigit() for one in head):
            found = source.header(node)
            old = source.text[source.next_line(found.end()) : source.end(node)].lstrip("\r\n")
            deep = len(old) - len(old.lstrip(" "))
            if deep > self.indent and not any(one.isdigit() for one in found[0]):
                margin = " " * deep
        return [f"{margin}{line[2:]}" if line else "" for line in lines]

    def _put(self, head: str, body: list[str]) -> list[Replacement]:
        """Write what stands in the line of the colon, and below it; what stood there goes."""
        source, node = self.source, self.node
        # What is not written is said to stand where the next thing does.
        end = self.after if is_empty(node) else source.end(node)
        span = start(node), end
        if is_block_text(node):
            span = source.header(node).span()
        elif is_empty(node) or self._is_below():
            span, head = (self.after, self.after), self.lead + head
        line_end = source.line_end(span[1])
        below = "".join(f"{source.newline}{line}" for line in body)
        rest = Replacement(line_end, max(end, line_end), below)
        if body and head.endswith("|") and rest.end == len(source.text):
            # Without a line break of its own it would have none at the end of the file.
            rest = Replacement(rest.start, rest.end, below + source.newline)
        return [Replacement(*span, head), rest]

    def _is_below(self) -> bool:
        """Whether it is a block that begins in another line than that of the colon."""
        line_start = self.source.line_start
        return is_block(self.node) and line_start(start(self.node)) != line_start(self.after)
