"""A regular expression over what comes from outside takes time in proportion to it."""

import ast
import importlib
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import pytest

import taskservice

TOP = Path(taskservice.__file__).parent
LENGTH = 50_000
SECONDS = 2.0
"""One that goes through a text again from each of its characters takes longer than this."""

UNITS = (
    *(
        " ",
        "\t",
        "\n",
        "\r",
        "a",
        "A",
        "0",
        "1.",
        "-",
        "_",
        ".",
        ",",
        "=",
        "#",
        "'",
        '"',
        "`",
        "\\",
    ),
    *(
        "|",
        ":",
        ": ",
        "- ",
        "/",
        "://",
        "@",
        "$",
        "{",
        "${",
        "${A",
        "${A:-",
        "a,",
        "a:",
        "[",
        "%",
        "*",
    ),
)
BEGINS = ("", "A=x", "- |", "1 2 3 4 5 ")

METHODS = {"match", "search", "fullmatch", "findall", "finditer", "split", "sub"}


class Use(NamedTuple):
    """An expression and a method that it is used by, and where."""

    place: str
    pattern: re.Pattern[Any]
    method: str

    @property
    def is_binary(self) -> bool:
        """Whether it is one over bytes."""
        return isinstance(self.pattern.pattern, bytes)


def uses() -> Iterator[Use]:
    """Every use of an expression in the package, found in its code."""
    for path in sorted(TOP.rglob("*.py")):
        tree = ast.parse(path.read_text("utf-8"))
        name = ".".join(path.relative_to(TOP.parent).with_suffix("").parts)
        for call in ast.walk(tree):
            if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute)):
                continue
            base, method = call.func.value, call.func.attr
            if not isinstance(base, ast.Name):
                continue
            place = f"{path.relative_to(TOP)}:{call.lineno}"
            if base.id == "re" and method in METHODS:
                yield Use(place, re.compile(ast.literal_eval(call.args[0]), _flags(call)), method)
            elif base.id.isupper() and method in METHODS:
                found = getattr(importlib.import_module(name), base.id, None)
                if isinstance(found, re.Pattern):
                    yield Use(place, found, method)


def _flags(call: ast.Call) -> re.RegexFlag:
    flags = re.NOFLAG
    for one in call.keywords:
        if one.arg == "flags" and isinstance(one.value, ast.Attribute):
            flags |= re.RegexFlag[one.value.attr]
    return flags


ALL = list({(use.pattern.pattern, use.method): use for use in uses()}.values())


def test_they_are_found() -> None:
    assert len(ALL) > 40
    assert any(use.place.startswith("domain/placeholders.py") for use in ALL)


def run(use: Use, text: str) -> None:
    """Use an expression on a text; what takes too long is broken off."""

    def late(_number: int, _frame: FrameType | None) -> None:
        raise TimeoutError(f"{use.place}: {use.pattern.pattern!r} is not linear")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        given = text.encode("latin-1", "replace") if use.is_binary else text
        arguments = (given[:0], given) if use.method == "sub" else (given,)
        found = getattr(use.pattern, use.method)(*arguments)
        if use.method == "finditer":
            for _ in found:
                pass
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("use", ALL, ids=lambda use: use.place)
def test_an_expression_is_linear(use: Use) -> None:
    try_out(use)


@pytest.mark.parametrize(
    ("expression", "method"),
    [
        (r"\$\{([A-Za-z_]\w*)(?::-([^}]*))?\}", "sub"),
        (r"\s*(\w+)\s*=\s*(.*?)\s*", "fullmatch"),
        (r"\s+$", "search"),
    ],
)
def test_one_that_is_not_is_found(expression: str, method: str) -> None:
    with pytest.raises(TimeoutError):
        try_out(Use("here", re.compile(expression), method))


def try_out(use: Use) -> None:
    """Use an expression on long texts, whose end is not what it might wait for."""
    for unit in UNITS:
        for before in BEGINS:
            run(use, before + unit * (LENGTH // len(unit)) + "\0")
