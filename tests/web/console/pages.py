"""Pages as tests read them: parsed, and searched by tag and attributes."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}

_VOID = {"meta", "link", "input", "br", "hr", "img"}


@dataclass
class Element:
    """One element with what is in it."""

    tag: str
    attributes: dict[str, str]
    children: list["Element | str"] = field(default_factory=list)

    @property
    def text(self) -> str:
        """All text within, its blanks run together."""
        parts = (one if isinstance(one, str) else one.text for one in self.children)
        return " ".join(" ".join(parts).split())

    def all(self, tag: str | None = None, **attributes: str) -> Iterator["Element"]:
        """The elements within that have these attributes; `class_` is one class of several."""
        for child in self.children:
            if isinstance(child, str):
                continue
            if tag in (None, child.tag) and all(
                _has(child, name, value) for name, value in attributes.items()
            ):
                yield child
            yield from child.all(tag, **attributes)

    def one(self, tag: str | None = None, **attributes: str) -> "Element":
        """The only such element."""
        [found] = self.all(tag, **attributes)
        return found


def _has(element: Element, name: str, value: str) -> bool:
    if name == "class_":
        return value in element.attributes.get("class", "").split()
    return element.attributes.get(name.replace("_", "-")) == value


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Element("", {})
        self.open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.open[-1].children.append(element)
        if tag not in _VOID:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open[-1].children.append(Element(tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        if tag in _VOID:
            return
        # A page that is not well-formed would be mended by browsers in ways of their own.
        assert self.open[-1].tag == tag, f"</{tag}> ends <{self.open[-1].tag}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.open[-1].children.append(data)


def parse(html: str) -> Element:
    """A page, or a fragment of one; it must be well-formed."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    assert reader.open == [reader.root], f"<{reader.open[-1].tag}> is never ended"
    return reader.root


def is_strict(root: Element) -> None:
    """Fails where the content security policy would: an inline style or script."""
    for element in root.all():
        assert element.tag != "style", "a style element"
        assert "style" not in element.attributes, f"a style attribute of <{element.tag}>"
        handlers = [name for name in element.attributes if name.startswith("on")]
        assert handlers == [], f"{handlers} of <{element.tag}>"
        if element.tag == "script":
            assert element.attributes.get("src", "").startswith("/static/"), "an inline script"
            assert element.text == ""
        for name in ("src", "href", "action"):
            address = element.attributes.get(name, "")
            assert not address.startswith(("javascript:", "http:", "https:", "//")), address
