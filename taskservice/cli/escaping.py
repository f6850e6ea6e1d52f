"""Text from outside, made harmless for where it goes: one function for each target.

Names, values, output and answers may hold anything that somebody else wrote: escape sequences,
directions of writing, line breaks that begin a forged line, markup, mentions, and commands of the
systems that read a job's log. Whatever is printed goes through here, by `output`.
"""

import re
import unicodedata
from functools import partial

LONGEST_BEGUN = 200
"""Blanks before a command that are looked at."""

_JOINERS = "\u200c\u200d"  # of Persian words and of emoji
# What makes a line a command: GitHub's `::error::`, wherever blanks stand before it, and
# `##[error]` and Azure's `##vso[...]` anywhere.
_COMMAND = re.compile(r"^([^\S\n]*):(?=:)", re.MULTILINE)
_OLD_COMMAND = re.compile(r"#(?=#\[|#vso\[)")
_BEGUN = re.compile(r"(?:\r|^[^\S\n]*:|#[#vso]{0,4})\Z", re.MULTILINE)
_TICKS = re.compile("`+")
_PROPERTY = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A", ":": "%3A", ",": "%2C"})
_MESSAGE = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A"})


def for_terminal(text: str) -> str:
    r"""The text on one line: what controls a terminal is shown as `\n`, `\x1b`, `\u202e`."""
    if not text.isprintable():
        text = "".join(map(_escaped, text))
    return _without_commands(text)


def lines_for_terminal(text: str) -> str:
    """The same of several lines: line breaks and tabs stay."""
    lines = text.replace("\r\n", "\n")
    if not lines.isprintable():
        lines = "".join(map(partial(_escaped, stays="\n\t"), lines))
    return _without_commands(lines)


def begun(text: str) -> int:
    """How many of the last characters are to be shown only with what comes after them.

    A text that comes in pieces may hold a command, or a line break, where two of them meet.
    """
    last = text[max(0, text.rfind("\n")) :][-LONGEST_BEGUN:]
    found = _BEGUN.search(last)
    return len(last) - found.start() if found else 0


def for_json(text: str) -> str:
    """A JSON text with the same value, in which nothing controls a terminal."""
    if not text.isprintable():
        text = "".join(map(_in_json, text))
    # A `#` stands only inside of strings.
    return _OLD_COMMAND.sub(r"\\u0023", text)


def for_markdown(text: str) -> str:
    """The text as code on one line: no markup, HTML, link or mention; also in a table's cell."""
    text = for_terminal(text) or "-"
    # In a cell a bar needs a backslash, which one before it would undo.
    text = text.replace("\\|", "\\u007c").replace("|", "\\|")
    fence = "`" * (max(map(len, _TICKS.findall(text)), default=0) + 1)
    blank = " " if len(fence) > 1 or text != text.strip() else ""
    return f"{fence}{blank}{text}{blank}{fence}"


def for_github(text: str) -> str:
    """The message of a workflow command of GitHub's."""
    return for_terminal(text).translate(_MESSAGE)


def for_github_property(text: str) -> str:
    """A property of a workflow command, as the file of an annotation."""
    return for_terminal(text).translate(_PROPERTY)


def _escaped(character: str, stays: str = "") -> str:
    if character.isprintable() or character in stays or character in _JOINERS:
        return character
    if unicodedata.category(character) == "Zs":  # blanks, as the wide one of Chinese
        return character
    return character.encode("unicode_escape").decode()


def _in_json(character: str) -> str:
    if _escaped(character, "\n") == character:
        return character
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


def _without_commands(text: str) -> str:
    return _OLD_COMMAND.sub(r"\\x23", _COMMAND.sub(r"\1\\x3a", text))
