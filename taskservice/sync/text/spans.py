"""Where in the text of a task file each key and value stands, so that one of them can be changed.

Positions are indexes into the text. What PyYAML calls the end of a block includes the comments
and blank lines after it; here a value ends with its last own character.
"""

import re
from dataclasses import dataclass

import yaml

from taskservice.sync.text.dump import Quote
from taskservice.sync.text.scalars import resolve_plain
from taskservice.sync.text.yaml_walk import Path, nodes_of

_BREAK = re.compile("\r\n|\r|\n")
_TO_BREAK = re.compile("[^\r\n]*")
_BLANK = re.compile("(?:[ \t\r\n]|(?<![^ \t\r\n])#[^\r\n]*)*")
_QUOTED = re.compile(r"""(?:[\[{,]|[:-]\s)\s*(["'])""")
_TAG = re.compile(r"![^\s,\[\]{}]*")
_HEADER = re.compile(r"(?:!\S*[ \t]+)?[|>][-+0-9]*")


class CannotEdit(Exception):
    """The text is written in a way that leaves no place for the change."""


@dataclass(frozen=True, slots=True)
class Replacement:
    """A piece of the text, and what is to stand in its place."""

    start: int
    end: int
    text: str


class Source:
    """A text with its nodes. Raises `CannotEdit` if it holds no mapping.

    `quote` are the quotes that its author uses, where the text is only a part.
    """

    def __init__(self, text: str, quote: Quote | None = None) -> None:
        self.text = text
        self.newline = newline_of(text)
        try:
            root = nodes_of(text)
        except yaml.YAMLError as error:
            raise CannotEdit("not valid YAML as a whole") from error
        if not isinstance(root, yaml.MappingNode):
            raise CannotEdit("not a mapping")
        self.root = root
        self.quote = quote or quote_of(text)

    def changed(self, *changes: Replacement) -> str:
        """The text with the changes, which don't overlap; those at one place in their order."""
        text = self.text
        for change in reversed(sorted(changes, key=lambda one: one.start)):
            text = text[: change.start] + change.text + text[change.end :]
        return text

    def at(self, path: Path) -> yaml.Node:
        """The value at these keys from the top; raises `CannotEdit`."""
        node: yaml.Node = self.root
        for name in path:
            if not isinstance(node, yaml.MappingNode):
                raise CannotEdit("no mapping")
            found = [value for key, value in node.value if key.value == name]
            if not found:
                raise CannotEdit(f"no key {name!r}")
            node = found[0]
        return node

    def value(self, node: yaml.Node) -> object:
        """What the reader makes of a node."""
        if isinstance(node, yaml.MappingNode):
            if not all(isinstance(key, yaml.ScalarNode) for key, _ in node.value):
                raise CannotEdit("a key that is no text")
            return {key.value: self.value(item) for key, item in node.value}
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item) for item in node.value]
        tagged = self.text.startswith("!", start(node))
        return node.value if quotes(node) or tagged else resolve_plain(node.value)

    def end(self, node: yaml.Node) -> int:
        """Behind the last character of a node."""
        end = node.end_mark.index
        if is_block(node):
            last = node.value[-1]
            return self.entry_end(*last) if isinstance(last, tuple) else self.end(last)
        if is_block_text(node):
            text = self.text[start(node) : end]
            keeps = "+" in self.header(node)[0]
            return start(node) + len(_without_break(text) if keeps else text.rstrip(" \t\r\n"))
        return end

    def begin(self, node: yaml.Node) -> int:
        """Where a node's own text begins, behind its tag if it has one."""
        tag = _TAG.match(self.text, start(node))
        return self.skip(tag.end()) if tag else start(node)

    def column(self, place: int) -> int:
        """In which column, from 0, a place is."""
        return place - self.line_start(place)

    def entry_start(self, key: yaml.Node) -> int:
        """Where an entry begins: with its key, or with the `?` in front of that."""
        before = self.text[self.line_start(start(key)) : start(key)].rstrip(" \t")
        return self.line_start(start(key)) + len(before) - 1 if before[-1:] == "?" else start(key)

    def entry_end(self, key: yaml.Node, value: yaml.Node) -> int:
        """Behind the last character of an entry; one without a value ends with its colon."""
        if not is_empty(value):
            return self.end(value)
        colon = self.colon(key)
        return key.end_mark.index if colon is None else colon + 1

    def colon(self, key: yaml.Node) -> int | None:
        """Where a key's colon stands, if it has one."""
        place = self.skip(key.end_mark.index)
        return place if self.text.startswith(":", place) else None

    def header(self, node: yaml.Node) -> re.Match[str]:
        """The `|` or `>` of a block text, with what belongs to it."""
        found = _HEADER.match(self.text, start(node))
        if found is None:
            raise CannotEdit("a block text without a header")
        return found

    def line_start(self, place: int) -> int:
        """The first character of the line."""
        return max(self.text.rfind("\n", 0, place), self.text.rfind("\r", 0, place)) + 1

    def line_end(self, place: int) -> int:
        """Behind the line's last character; its break stands there, or nothing more."""
        found = _TO_BREAK.match(self.text, place)
        return found.end() if found else place

    def next_line(self, place: int) -> int:
        """The first character of the next line, or the end of the text."""
        end = self.line_end(place)
        found = _BREAK.match(self.text, end)
        return found.end() if found else end

    def skip(self, place: int) -> int:
        """The first character from here on that is no space, line break or comment."""
        found = _BLANK.match(self.text, place)
        return found.end() if found else place

    def is_first(self, place: int) -> bool:
        """Whether nothing but spaces stands before it in its line."""
        return not self.text[self.line_start(place) : place].strip(" \t")

    def is_last(self, place: int) -> bool:
        """Whether nothing but a comment stands from here to the end of the line."""
        return self.skip(place) >= self.line_end(place)

    def is_blank_line(self, place: int) -> bool:
        """Whether there is a line at this place, and nothing in it."""
        blank = not self.text[self.line_start(place) : self.line_end(place)].strip(" \t")
        return blank and place < len(self.text)


def start(node: yaml.Node) -> int:
    """Where a node begins."""
    place: int = node.start_mark.index
    return place


def is_empty(node: yaml.Node) -> bool:
    """Whether it is the null that stands where nothing is written."""
    return start(node) == node.end_mark.index


def is_block(node: yaml.Node) -> bool:
    """Whether it is a collection in block style."""
    return isinstance(node, yaml.CollectionNode) and not in_flow(node)


def in_flow(node: yaml.Node) -> bool:
    """Whether it is a collection in flow style."""
    return isinstance(node, yaml.CollectionNode) and bool(node.flow_style)


def quotes(node: yaml.Node) -> str | None:
    """What a scalar stands in: `'`, `"`, `|` or `>`; None for nothing, and what is no scalar."""
    return (node.style or None) if isinstance(node, yaml.ScalarNode) else None


def is_block_text(node: yaml.Node) -> bool:
    """Whether it is a text in block style."""
    return quotes(node) in ("|", ">")


def _without_break(text: str) -> str:
    for ending in ("\r\n", "\n", "\r"):
        if text.endswith(ending):
            return text[: -len(ending)]
    return text


def newline_of(text: str) -> str:
    """How a text's lines end."""
    found = _BREAK.search(text)
    return found[0] if found else "\n"


def quote_of(text: str) -> Quote:
    """The quotes that a text's author uses more."""
    used = _QUOTED.findall(text)
    return '"' if 2 * used.count('"') > len(used) else "'"
