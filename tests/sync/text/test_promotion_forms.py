"""Promotion where keys are explicit, quoted or tagged: the value changes, and nothing beside it."""

import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from taskservice.domain.task import UNSET
from taskservice.sync.text.promotion import promoted
from taskservice.sync.text.reader import read_file
from tests.sync.text.test_promotion import declared, overrides, promote

HEAD = (
    "# What it is for.\nname: N\ntask_type: t\ntrigger_type: interval\n"
    "trigger_args: {hours: 1}\nfunc_path: a.b\n"
)


@pytest.mark.parametrize(
    ("before", "values", "after"),
    [
        # Tagged collections.
        ("tags: !!seq [a, b] # c\n", {"tags": ["a", "c"]}, "tags: !!seq [a, c] # c\n"),
        ("tags: !!seq\n- a # x\n- b\n", {"tags": ["a", "c"]}, "tags: !!seq\n- a # x\n- c\n"),
        ("tags: !!seq # h\n  - a\n", {"tags": ["a", "c"]}, "tags: !!seq # h\n  - a\n  - c\n"),
        ("tags: !!seq\n  - a\n  - b\n", {"tags": ["b"]}, "tags: !!seq\n  - b\n"),
        ("tags: !!seq\n  - a\n", {"tags": ["x"]}, "tags: !!seq\n  - x\n"),
        (
            "func_args: !!map\n  x: 1 # e\n", {"func_args__x": 2, "func_args__k": 3},
            "func_args: !!map\n  x: 2 # e\n  k: 3\n",
        ),
        # A flow list beside a quoted key.
        (
            'func_args: {"x":[1,2],"y": z} # c\n', {"func_args__x": [1, 3]},
            'func_args: {"x":[1,3],"y": z} # c\n',
        ),
        ('"tags": [a, b] # c\n', {"tags": ["a"]}, '"tags": [a] # c\n'),
        # Explicit keys.
        ("? tags\n: [a, b] # c\n", {"tags": ["a", "c"]}, "? tags\n: [a, c] # c\n"),
        ("? timeout # k\n# kk\n: 5 # c\n", {"timeout": 7}, "? timeout # k\n# kk\n: 7 # c\n"),
        ("? timeout # k\n", {"timeout": 7}, "? timeout # k\n: 7\n"),
        ("? timeout", {"timeout": 7}, "? timeout\n: 7"),
        ("? func_args # k\n", {"func_args__x": 1}, "? func_args # k\n: {x: 1}\n"),
        (
            "func_args: {? x, ? y : 2}\n", {"func_args__x": 1}, "func_args: {? x : 1, ? y : 2}\n"
        ),
        (
            "func_args:\n  ? x # k\n  : 1\n  ? y\n  : 2\n", {"func_args__x": UNSET},
            "func_args:\n  ? y\n  : 2\n",
        ),
        (
            "func_args:\n  ? x\n  : 1\n", {"func_args__k": 2},
            "func_args:\n  ? x\n  : 1\n  k: 2\n",
        ),
        ("func_args: {? x : 1, y: 2}\n", {"func_args__x": UNSET}, "func_args: {y: 2}\n"),
    ],
)  # fmt: skip
def test_the_value_alone_changes(before: str, values: dict[str, Any], after: str) -> None:
    assert promote(HEAD + before, **values) == HEAD + after


def test_an_explicit_key_at_the_begin_of_a_task() -> None:
    text = "? name # k\n: N\n" + HEAD.partition("name: N\n")[2]
    assert promote(text, timeout=5) == text + "timeout: 5\n"
    assert promote(text, name="M") == text.replace(": N", ": M")


class Author:
    """Writes values as YAML, each in another form; `random` decides."""

    def __init__(self, random: random.Random) -> None:
        self.random = random

    def of(self, *forms: str) -> str:
        return self.random.choice(forms)

    def value(self, depth: int = 0) -> Any:
        kind = self.random.randrange(6 if depth < 3 else 3)
        if kind < 3:
            return self.random.choice([1, 2, "a", "b", "c d"])
        if kind < 5:
            return [self.value(depth + 1) for _ in range(self.random.randint(1, 3))]
        return {key: self.value(depth + 1) for key in ("p", "r s")[: self.random.randint(1, 2)]}

    def key(self, key: str) -> str:
        return self.of(key, f'"{key}"', f"'{key}'", f"? {key} ", f'? "{key}" ', f'!!str "{key}"')

    def flow(self, value: Any) -> str:
        space, comma = self.of("", " "), self.of(", ", ",", ",\n      ", ", # c\n      ")
        if isinstance(value, list):
            items = comma.join(map(self.flow, value))
            return f"{self.of('', '!!seq ')}[{space}{items}{space}]"
        if isinstance(value, dict):
            items = comma.join(self.pair(key, one) for key, one in value.items())
            return f"{self.of('', '!!map ')}{{{space}{items}{space}}}"
        if isinstance(value, int):
            return str(value)
        return self.of(value, f'"{value}"', f"'{value}'", f"!!str {value}")

    def pair(self, key: str, value: Any) -> str:
        written, told = self.key(key), self.flow(value)
        near = written[-1] in "\"'" and told[0] in "\"'[{"
        return f"{written}{self.of(':', ': ') if near else ': '}{told}"

    def below(self, value: Any, indent: int) -> str:
        """What stands behind a colon."""
        margin = " " * indent
        if isinstance(value, list) and self.random.random() < 0.5:
            items = "".join(f"{margin}- {self.flow(one)}{self.of('', ' # i')}\n" for one in value)
            return f"{self.of('', ' !!seq')}{self.of('', ' # h')}\n{items}"
        if isinstance(value, dict) and self.random.random() < 0.6:
            entries = "".join(self.entry(key, one, indent) for key, one in value.items())
            return f"{self.of('', ' !!map')}{self.of('', ' # h')}\n{entries}"
        return f" {self.flow(value)}{self.of('', ' # z')}\n"

    def entry(self, key: str, value: Any, indent: int = 0) -> str:
        margin, written = " " * indent, self.key(key).rstrip()
        if written.startswith("?"):
            written += self.of("", " # k", f"\n{margin}# kk") + f"\n{margin}"
        return f"{margin}{written}:{self.below(value, indent + 2)}"


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.randoms(use_true_random=False))
def test_in_whatever_form_nothing_else_changes(random: random.Random) -> None:
    author = Author(random)
    arguments = {key: author.value() for key in ("x", "y", "z w")[: random.randint(1, 3)]}
    fields = {
        "name": "n", "task_type": "t", "trigger_type": "interval", "trigger_args": {"hours": 1},
        "func_path": "a.b", "func_args": arguments, "tags": ["a", "b"][: random.randint(1, 2)],
    }  # fmt: skip
    entries = {name: f"# {name}\n{author.entry(name, value)}" for name, value in fields.items()}
    text = "".join(entries.values())
    before = text.encode()
    assert read_file("x.yaml", before).faults == ()
    key = random.choice(["tags", "new", *arguments])
    field = "tags" if key == "tags" else f"func_args.{key}"
    value: Any = ["b", "c"] if key == "tags" else author.value()
    if key in arguments and random.random() < 0.2:
        value = UNSET
    wanted = overrides(before, {field: value})
    after = promoted("x.yaml", before, {"x": wanted})
    assert after is not None
    if wanted:
        assert declared(after).fields != declared(before).fields
    for name, entry in entries.items():
        if name != field.partition(".")[0]:
            assert entry in after.decode()
