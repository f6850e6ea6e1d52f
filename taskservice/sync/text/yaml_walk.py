"""The YAML of a task file as plain values, with the place of each and what is at fault.

Only a small part of YAML is taken: one document of mappings, lists and scalars.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml
from yaml.error import MarkedYAMLError
from yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    CollectionStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
    StreamEndEvent,
)

from taskservice.sync.text.scalars import kind_of, plain_kind, quoted, resolve_plain
from taskservice.sync.text.task_files import MAX_BYTES, too_large

MAX_DEPTH = 20

_HOPELESS_DEPTH = 500  # libyaml's time grows with the square of the depth
_HOPELESS_FAULTS = 10_000
_PLACED_ITEMS = 1000  # of one list

Position = tuple[int, int]
Path = tuple[str, ...]

Loader = Callable[[str], Any]
"""A parser of a text, as PyYAML has it."""

LOADER: type[yaml.CSafeLoader] | type[yaml.SafeLoader] = getattr(
    yaml, "CSafeLoader", yaml.SafeLoader
)
"""libyaml's, unless PyYAML was built without it."""
_STANDARD = "tag:yaml.org,2002:"
_FORBIDDEN = re.compile(
    "[^\t\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)
_SURROGATE = re.compile("[\ud800-\udfff]")
_TAG_DIRECTIVE = re.compile(r"((?:[ \t]*(?:#[^\r\n]*|%YAML[^\r\n]*)?[\r\n]+)*+)%TAG")

NOTHING = "the file declares nothing: to end its tasks, delete the file"
_ALIAS = (
    "aliases (*name) are not taken: write the value out; text that begins with '*' goes in quotes"
)
_ANCHOR = "anchors (&name) are not taken: what tasks share stands under 'defaults'"
_MERGE = "merge keys (<<) are not taken: what tasks share stands under 'defaults'"
_NO_COLON = "could not find expected ':'"
_PLAIN_WORDS = {
    "mapping values are not allowed in this context": "a ':' stands where no key can be; "
    "put a text that holds ': ' in quotes, and look at the indentation",
    "did not find expected key": "a key was expected here; look at the indentation, "
    "and at quotes before it",
    "found character that cannot start any token": "no value begins with this character; "
    "put the text in quotes, and indent with spaces, not with tabs",
    _NO_COLON: "a key without a ':' after it",
    "did not find expected node content": "a value was expected here",
    "block sequence entries are not allowed in this context": "a list's '- ' stands where "
    "no list can be; begin it in a new line",
    "mapping keys are not allowed in this context": "a '? ' stands where no key can be",
    "did not find expected alphabetic or numeric character": "a text that begins with '*' "
    "or '&' goes in quotes",
    "found invalid Unicode character escape code": "this escape stands for no character",
    "found undefined tag handle": "a tag stands here: tags are not taken",
    "did not find expected ',' or ']'": "a ',' or ']' is missing",
    "did not find expected ',' or '}'": "a ',' or '}' is missing",
    "did not find expected '-' indicator": "a '-' was expected here; look at the indentation",
    "found unexpected end of stream": "the file ends inside quotes",
}


class Stop(Exception):
    """Nothing more can be understood of the file."""

    def __init__(self, place: Position, reason: str) -> None:
        self.place = place
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Note:
    """A fault in the making; `path` are the keys, from the top, of what is at fault."""

    place: Position
    reason: str
    path: Path


class Walk:
    """Makes plain values of the parser's events, and notes places and faults on the way.

    `places` has the position of each path of keys; `spoiled` the parts of the file that have
    a fault: `("tasks", id)`, `("tasks",)`, or `()` for everything else.
    """

    def __init__(self, loader: Loader = LOADER) -> None:
        self._loader = loader
        self.places: dict[Path, Position] = {}
        self.notes: list[Note] = []
        self.spoiled: set[Path] = set()

    def note(self, path: Path, place: Position, reason: str, *, spoils: bool = True) -> None:
        """Add a fault of what stands at `path`; raises Stop when they are past counting."""
        self.notes.append(Note(place, reason, path))
        if len(self.notes) == _HOPELESS_FAULTS:
            raise Stop(place, "too many faults: the rest of the file was not read")
        if spoils:
            self.spoiled.add(path[:2] if path[:1] == ("tasks",) else ())

    def noted(self, path: Path) -> bool:
        """Whether a fault of the very thing at `path` is known."""
        return any(note.path == path for note in self.notes)

    def document(self, text: str) -> dict[str, object]:
        """The mapping that the only document of `text` is; raises Stop if there is none."""
        self._next = _events(self._loader, text).__next__
        self._next()
        if type(self._next()) is StreamEndEvent:
            raise Stop((1, 1), NOTHING)
        first = self._next()
        self.places[()] = _start(first)
        root = self._value(first, (), 0)
        self._next()
        if type(after := self._next()) is not StreamEndEvent:
            raise Stop(_start(after), "a second document begins: a task file has only one")
        if root in (None, {}) and not self.spoiled:
            raise Stop(self.places[()], NOTHING)
        if not isinstance(root, dict):
            raise Stop(self.places[()], f"a task file is a mapping of fields, not {kind_of(root)}")
        return root

    def _value(self, event: Event, path: Path, depth: int) -> object:
        if type(event) is ScalarEvent:
            return self._scalar(event, path)
        if not isinstance(event, CollectionStartEvent):
            self.note(path, _start(event), _ALIAS)
            return None
        if depth == MAX_DEPTH:
            self.note(path, _start(event), f"nested deeper than {MAX_DEPTH}")
            self._skip(event)
            return None
        if type(event) is MappingStartEvent:
            self._refuse_marks(event, event.tag, "map", path)
            return self._mapping(path, depth + 1)
        self._refuse_marks(event, event.tag, "seq", path)
        return self._sequence(path, depth + 1)

    def _scalar(self, event: ScalarEvent, path: Path) -> object:
        self._refuse_marks(event, event.tag, "str", path)
        text = event.value
        if not text.isascii() and _SURROGATE.search(text):
            self.note(path, _start(event), "half a character: a surrogate without its pair")
        if not event.implicit[0]:
            return text
        try:
            return resolve_plain(text)
        except ValueError as error:
            self.note(path, _start(event), str(error))
            return None

    def _sequence(self, path: Path, depth: int) -> list[object]:
        values: list[object] = []
        while type(event := self._next()) is not SequenceEndEvent:
            below = (*path, str(len(values)))
            if len(values) < _PLACED_ITEMS:
                self.places[below] = _start(event)
            values.append(self._value(event, below, depth))
        return values

    def _mapping(self, path: Path, depth: int) -> dict[str, object]:
        values: dict[str, object] = {}
        while type(event := self._next()) is not MappingEndEvent:
            key = self._key(event, path, values)
            if key is None:
                self._skip(self._next())
                continue
            below = (*path, key)
            self.places[below] = _start(event)
            values[key] = self._value(self._next(), below, depth)
        return values

    def _key(self, event: Event, path: Path, values: Mapping[str, object]) -> str | None:
        """The text of a sound key; None, and a note, for any other."""
        place = _start(event)
        if type(event) is not ScalarEvent:
            alias = type(event) is AliasEvent
            self.note(path, place, _ALIAS if alias else "a key is text, no list or mapping")
            self._skip(event)
            return None
        key = event.value
        below = (*path, key)
        plain = event.implicit[0]
        if plain and key == "<<":
            self.note(path, place, _MERGE)
        elif plain and (kind := plain_kind(key)):
            self.note(below, place, f"the key {quoted(key)} is {kind} in YAML: put it in quotes")
        elif key in values:
            line = self.places[below][0]
            reason = f"the key {quoted(key)} stands here twice, first in line {line}"
            self.note(below, place, reason, spoils=path != ("tasks",))
        else:
            self._refuse_marks(event, event.tag, "str", below)
            if not key.isascii() and _SURROGATE.search(key):
                self.note(path, place, "half a character: a surrogate without its pair")
            return key
        return None

    def _refuse_marks(self, event: NodeEvent, tag: str | None, allowed: str, path: Path) -> None:
        if event.anchor is not None:
            self.note(path, _start(event), _ANCHOR)
        if tag is not None and tag != _STANDARD + allowed:
            name = quoted(tag.replace(_STANDARD, "!!"))
            self.note(path, _start(event), f"the tag {name} is not taken: only plain values are")

    def _skip(self, event: Event) -> None:
        """Pass over the node that `event` begins."""
        depth = 0
        while True:
            if isinstance(event, CollectionStartEvent):
                depth += 1
            elif isinstance(event, CollectionEndEvent):
                depth -= 1
            if depth == 0:
                return
            if depth == _HOPELESS_DEPTH:
                raise Stop(_start(event), f"nested deeper than {MAX_DEPTH}, and no end to it")
            event = self._next()


def nodes_of(text: str) -> yaml.Node | None:
    """The same parser's nodes, with their places; raises YAMLError."""
    node: yaml.Node | None = yaml.compose(text, Loader=LOADER)
    return node


def text_of(data: bytes) -> str:
    """The characters of the file; raises Stop if they can't be a task file's."""
    if len(data) > MAX_BYTES:
        raise Stop((1, 1), too_large(len(data)))
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise Stop((1, 1), "the file is in UTF-16; save it in UTF-8")
    data = data.removeprefix(b"\xef\xbb\xbf")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        place = end_of(data[: error.start].decode())
        reason = f"the byte 0x{data[error.start]:02X} is not UTF-8; save the file in UTF-8"
        raise Stop(place, reason) from None
    if forbidden := _FORBIDDEN.search(text):
        code = f"U+{ord(forbidden[0]):04X}"
        reason = f"the character {code} is not taken as it is; in double quotes it can be escaped"
        raise Stop(end_of(text[: forbidden.start()]), reason)
    if directive := _TAG_DIRECTIVE.match(text):
        raise Stop(end_of(directive[1]), "the directive %TAG is not taken, as tags are not")
    return text


def _events(loader: Loader, text: str) -> Iterator[Event]:
    try:
        yield from iter(loader(text).get_event, None)
    except MarkedYAMLError as error:
        problem = str(error.problem or error.context)
        reason = f"not valid YAML: {_PLAIN_WORDS.get(problem, problem)}"
        mark, began = error.problem_mark, error.context_mark
        if mark is None or problem == _NO_COLON:
            mark = began  # the key itself: the problem is only noticed a line further on
        elif began is not None and began.line < mark.line:
            reason += f" (in what begins in line {began.line + 1})"
        raise Stop((mark.line + 1, mark.column + 1) if mark else (1, 1), reason) from None
    except Exception as error:  # PyYAML doesn't say what it raises on garbage
        raise Stop((1, 1), f"not valid YAML: {error}") from None


def _start(event: Event) -> Position:
    mark = event.start_mark
    assert mark is not None  # parsers set it; only events made by hand have none
    return mark.line + 1, mark.column + 1


def end_of(before: str) -> Position:
    """The position right after the characters `before`, the begin of a text."""
    lines = re.split("\r\n|\r|\n", before)
    return len(lines), len(lines[-1]) + 1
