"""The change of one file as a unified diff, as `patch -p1` and `git apply` take it."""

import difflib
import re

_LINE = re.compile("[^\n]*\n|[^\n]+")
_NO_NEWLINE = "\n\\ No newline at end of file\n"
_SPECIAL = re.compile(r'[\x00-\x1f\x7f"\\]')
_ESCAPES = {"\t": "\\t", "\n": "\\n", "\r": "\\r", '"': '\\"', "\\": "\\\\"}


def unified_diff(path: str, before: str | None, after: str | None) -> str:
    """What makes `after` of `before`; None is no file, and the same text twice is no diff.

    `path` is relative to the folder in which the diff is to be applied.
    """
    if before == after:
        return ""
    hunks = difflib.unified_diff(
        _LINE.findall(before or ""), _LINE.findall(after or ""), n=3, lineterm="\n"
    )
    old = "/dev/null" if before is None else _name(f"a/{path}")
    new = "/dev/null" if after is None else _name(f"b/{path}")
    body = list(hunks)[2:]
    lines = [line if line.endswith("\n") else line + _NO_NEWLINE for line in body]
    return "".join([f"--- {old}\n", f"+++ {new}\n", *lines])


def _name(path: str) -> str:
    """A file's name as a diff has it: quoted if it must be, a tab behind one that has a space."""
    if _SPECIAL.search(path):
        return '"' + _SPECIAL.sub(lambda found: _escaped(found[0]), path) + '"'
    return f"{path}\t" if " " in path else path


def _escaped(character: str) -> str:
    return _ESCAPES.get(character) or f"\\{ord(character):03o}"
