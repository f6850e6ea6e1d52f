"""Every text of the console is there in Chinese, and no text there is of no use."""

import re
from pathlib import Path

from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

from taskservice.web import console
from taskservice.web.console.editing import CONTROLS
from taskservice.web.console.language import LANGUAGES, preferred

FOLDER = Path(console.__file__).parent
METHODS = [("**.py", "python"), ("**.html", "jinja2")]

Message = str | tuple[str, ...]


def used() -> dict[Message, str]:
    """The texts of code and templates, each with a place where it stands."""
    found: dict[Message, str] = {}
    for name, line, message, _, _ in extract_from_dir(str(FOLDER), method_map=METHODS):
        found[message if isinstance(message, str) else tuple(message)] = f"{name}:{line}"
    for name, control in CONTROLS.items():
        if control.field.section in ("run", "about"):  # the template has texts for the others
            found |= {text: name for text in (control.label, control.field.hint) if text}
    return found


def translated() -> dict[Message, tuple[str, ...]]:
    """The texts of the catalogue with their translations."""
    with (FOLDER / "translations" / "zh.po").open("rb") as file:
        catalog = read_po(file, locale="zh_CN")
    found: dict[Message, tuple[str, ...]] = {}
    for message in catalog:
        if message.id:
            key = message.id if isinstance(message.id, str) else tuple(message.id)
            text = message.string or ""
            found[key] = (text,) if isinstance(text, str) else tuple(text)
    return found


def test_every_text_is_translated() -> None:
    known = translated()
    lacking = {text: place for text, place in used().items() if not all(known.get(text, ("",)))}
    assert lacking == {}


def test_no_translation_is_left_over() -> None:
    assert translated().keys() - used().keys() == set()


def test_translations_name_the_same_values() -> None:
    for text, told in translated().items():
        wanted = [text] if isinstance(text, str) else [text[-1]]
        names = [sorted(re.findall(r"%\(\w+\)s", one)) for one in (*wanted, *told)]
        assert all(one == names[0] for one in names), text


def test_the_browser_says_which_language() -> None:
    for header, code in (
        ("", "en"), ("zh-CN,zh;q=0.9,en;q=0.8", "zh"), ("zh", "zh"), ("en-US,en;q=0.9", "en"),
        ("de,zh;q=0.5,en;q=0.4", "zh"), ("fr", "en"), ("zh;q=0,en", "en"), ("zh;q=x", "en"),
        ("en;q=0.1, ZH-tw ; q=0.2", "zh"), (";;,,=", "en"),
    ):  # fmt: skip
        assert preferred(header) is LANGUAGES[code], header
