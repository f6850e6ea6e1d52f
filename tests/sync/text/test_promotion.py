"""Overrides brought into the file: what a person would have typed, and nothing else.

The cases stand in files, `promotion/NAME/{before,overrides,after}.yaml`, of the task `x` in the
file `x.yaml`. overrides.yaml has `set`, values by field, `absent`, the arguments that are taken
away, or `deleted: true`; without after.yaml the file goes.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from taskservice.domain.errors import Conflict
from taskservice.domain.overlay import (
    DELETED,
    Declaration,
    Override,
    merge,
    override_with,
    standing,
)
from taskservice.domain.task import UNSET
from taskservice.sync.text.edit import edit
from taskservice.sync.text.promotion import is_promoted, new_file, promoted
from taskservice.sync.text.reader import read_file
from taskservice.sync.text.spans import CannotEdit, Source, in_flow, start
from tests.sync.text import styles

NOW = datetime(2026, 11, 24, tzinfo=UTC)
CASES = Path(__file__).parent / "promotion"

HEAD = "name: N\ntask_type: t\ntrigger_type: interval\ntrigger_args: {hours: 1}\nfunc_path: a.b\n"


def declared(data: bytes, task_id: str = "x") -> Declaration:
    """What the file `x.yaml` says of a task."""
    content = read_file("x.yaml", data)
    [task] = [task for task in content.tasks if task.task_id == task_id]
    return Declaration(source="file", fields=task.fields)


def overrides(data: bytes, values: Mapping[str, Any], task_id: str = "x") -> tuple[Override, ...]:
    """The overrides that setting these values comes to."""
    return override_with(declared(data, task_id), (), values, now=NOW, by="ann")


def promote(text: str, task_id: str = "x", **values: Any) -> str | None:
    """The text after the promotion of these values; `__` in a name stands for a dot."""
    data = text.encode()
    named = {name.replace("__", "."): value for name, value in values.items()}
    after = promoted("x.yaml", data, {task_id: overrides(data, named, task_id)})
    return None if after is None else after.decode()


@pytest.mark.parametrize("case", sorted(path.name for path in CASES.iterdir()))
def test_it_is_what_a_person_would_have_typed(case: str) -> None:
    before = (CASES / case / "before.yaml").read_bytes()
    told = yaml.safe_load((CASES / case / "overrides.yaml").read_text("utf-8"))
    values = {**told.get("set", {}), **dict.fromkeys(told.get("absent", ()), UNSET)}
    values |= {DELETED: True} if told.get("deleted") else {}
    expected = CASES / case / "after.yaml"
    after = promoted("x.yaml", before, {"x": overrides(before, values)})
    assert after == (expected.read_bytes() if expected.exists() else None)


promotable = st.fixed_dictionaries(
    {},
    optional={
        "trigger": styles.triggers,
        "name": styles.words.filter(str.strip),
        "description": st.none() | styles.texts,
        "tags": styles.tags,
        "retries": styles.retries.map(lambda one: one and {"delay": 0, "backoff": 1, **one}),
        "paused": st.booleans(),
        "max_instances": st.integers(1, 3),
        "misfire_grace_time": st.none() | st.integers(1, 9),
        **{
            f"func_args.{key}": styles.values | st.just(UNSET)
            for key in ("message", "user id", "n", "a:b", "new")
        },
    },
)
in_many_styles = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


@in_many_styles
@given(styles.files(), promotable, st.data())
def test_then_the_file_says_it_and_nothing_else_is_touched(
    file: tuple[str, list[str]], values: dict[str, Any], data: st.DataObject
) -> None:
    text, ids = file
    before = text.encode()
    task_id = data.draw(st.sampled_from(ids))
    wanted = overrides(before, values, task_id)
    after = promoted("x.yaml", before, {task_id: wanted})
    assert after is not None
    assert standing(declared(after, task_id), wanted, NOW) == ()
    assert (after == before) == (not wanted)
    for other in set(ids) - {task_id}:
        assert declared(after, other) == declared(before, other)
    assert is_part_of(untouched(text, task_id, wanted), after.decode().split("\n"))


def untouched(text: str, task_id: str, wanted: tuple[Override, ...]) -> list[str]:
    """The lines of a text that have nothing to do with these overrides."""
    lines = text.split("\n")
    # A line that had no end gets one when another comes below it.
    touched = {len(lines) - 1} if lines[-1] else set()
    source = Source(text.removeprefix("\ufeff"))
    several = source.root.value[-1][0].value == "tasks"
    nodes = source.at(("tasks", task_id)) if several else source.root
    names = {override.field.partition(".")[0] for override in wanted}
    names |= {"trigger_type", "trigger_args"} if "trigger" in names else set()
    line = source.text.count
    if in_flow(nodes):
        touched |= set(range(nodes.start_mark.line, nodes.end_mark.line + 1))
    for key, value in nodes.value:
        if key.value in names:
            end = source.entry_end(key, value)
            touched |= set(range(line("\n", 0, start(key)), line("\n", 0, end) + 1))
    return [one for number, one in enumerate(lines) if number not in touched]


def is_part_of(few: list[str], many: list[str]) -> bool:
    """Whether the one is the other with some items left out."""
    rest = iter(many)
    return all(one in rest for one in few)


@in_many_styles
@given(styles.files(), st.data())
def test_a_deleted_task_leaves_the_others(file: tuple[str, list[str]], data: st.DataObject) -> None:
    text, ids = file
    task_id = data.draw(st.sampled_from(ids))
    before = text.encode()
    after = promoted("x.yaml", before, {task_id: overrides(before, {DELETED: True}, task_id)})
    if len(ids) == 1:
        assert after is None
    else:
        assert after is not None
        left = read_file("x.yaml", after)
        assert left.faults == ()
        assert {task.task_id: task.fields for task in left.tasks} == {
            one: declared(before, one).fields for one in ids if one != task_id
        }


@pytest.mark.parametrize(
    ("before", "values", "after"),
    [
        (HEAD + "? paused\n: false\n", {"paused": True}, HEAD + "? paused\n: true\n"),
        (HEAD + "description: !!str 5\n", {"description": "6"}, HEAD + "description: '6'\n"),
        (HEAD + "description: |+\n  a\n\n\n", {"paused": True},
         HEAD + "description: |+\n  a\n\n\npaused: true\n"),
        (HEAD + "description: |\n  a", {"paused": True},
         HEAD + "paused: true\ndescription: |\n  a"),
        (HEAD + "description: |\n  a", {"description": "b\nc\n"},
         HEAD + "description: |\n  b\n  c\n"),
        (HEAD + "description: a", {"description": "b\n", "paused": True},
         HEAD + "description: |\n  b\npaused: true\n"),
        (HEAD.rstrip(), {"description": "b\n"}, HEAD + "description: |\n  b\n"),
        (HEAD.rstrip(), {"func_args__a": {"b": "c\n"}},
         HEAD + "func_args: {a: {b: \"c\\n\"}}"),
        (HEAD + "description: a\n  b\n  c # d\n", {"description": "e"},
         HEAD + "description: e # d\n"),
        (HEAD + "description:\n  far\n", {"description": "e\nf"},
         HEAD + "description:\n  |-\n  e\n  f\n"),
        (HEAD + "description: >2-  # c\n   a\n", {"description": "e\nf"},
         HEAD + "description: |-  # c\n  e\n  f\n"),
        (HEAD + "func_args:\n  l:\n  - a: 1\n    b: 2\n  -\n  - c\n",
         {"func_args__l": [{"b": 3}, 7, "c"]},
         HEAD + "func_args:\n  l:\n  - b: 3\n  - 7\n  - c\n"),
        (HEAD + "func_args:\n  l:\n  - a: 1\n  - b\n", {"func_args__l": ["z", "b"]},
         HEAD + "func_args:\n  l:\n  - z\n  - b\n"),
        (HEAD + "func_args:\n  l:\n  - a\n  - b\n", {"func_args__l": ["z", "a", "b", ["c"]]},
         HEAD + "func_args:\n  l:\n  - z\n  - a\n  - b\n  - - c\n"),
        (HEAD + "func_args:\n  l:\n  - - a\n    - b\n", {"func_args__l": [["b"]]},
         HEAD + "func_args:\n  l:\n  - - b\n"),
        (HEAD + "func_args:\n  l:\n  -\n    a\n", {"func_args__l": ["a", "b"]},
         HEAD + "func_args:\n  l:\n  - a\n  - b\n"),
        (HEAD + "func_args:\n  l:\n  - a\n  - b\n", {"func_args__l": {"k": "v"}},
         HEAD + "func_args:\n  l: {k: v}\n"),
        (HEAD + "func_args: {a: 1, # one\n  b: 2, # two\n  c: 3}\n", {"func_args__a": UNSET},
         HEAD + "func_args: { # one\n  b: 2, # two\n  c: 3}\n"),
        (HEAD + "func_args: {a: 1, # one\n  b: 2, # two\n  c: 3}\n", {"func_args__c": UNSET},
         HEAD + "func_args: {a: 1, # one\n  b: 2 # two\n  }\n"),
        (HEAD + "func_args: {a: 1, # one\n  b: 2, # two\n  c: 3}\n", {"func_args__d": 4},
         HEAD + "func_args: {a: 1, # one\n  b: 2, # two\n  c: 3,\n  d: 4}\n"),
        (HEAD + "func_args: {\n  a: 1,\n  b: 2\n  }\n", {"func_args__b": UNSET},
         HEAD + "func_args: {\n  a: 1\n  }\n"),
        (HEAD + "func_args: {\n  a: 1,\n  b: 2, # two\n  }\n", {"func_args__c": 3},
         HEAD + "func_args: {\n  a: 1,\n  b: 2, # two\n  c: 3,\n  }\n"),
        (HEAD + "func_args: {a, b: , c: 1}\n", {"func_args__a": 1, "func_args__b": 2},
         HEAD + "func_args: {a: 1, b: 2 , c: 1}\n"),
        (HEAD + "tags: [a, b]\n", {"tags": ["z", "a", "b"]}, HEAD + "tags: [z, a, b]\n"),
        (HEAD + "tags: [a, b]\n", {"tags": []}, HEAD + "tags: []\n"),
        (HEAD + "tags:\n- a\n", {"tags": []}, HEAD + "tags: []\n"),
        (HEAD + "func_args:\n  l:\n  - a\n  - b\n", {"func_args__l": ["z", "a", "b"]},
         HEAD + "func_args:\n  l:\n  - z\n  - a\n  - b\n"),
        (HEAD + "func_args:\n  l:\n  - a\n  -\n  - b\n", {"func_args__l": ["a", "b"]},
         HEAD + "func_args:\n  l:\n  - a\n  - b\n"),
        (HEAD + "func_args:\n  a: |\n    x", {"paused": True},
         HEAD + "paused: true\nfunc_args:\n  a: |\n    x"),
        (HEAD + "func_args:\n  a: 1", {"func_args__a": UNSET, "func_args__b": "x\n"},
         HEAD + "func_args:\n  b: |\n    x\n"),
        (HEAD + "description: x # y\n\n", {"description": "a\n\n"},
         HEAD + 'description: "a\\n\\n" # y\n\n'),
        (HEAD + "func_args:\n  ? a\n  : 1\n  b: 2\n", {"func_args__a": UNSET},
         HEAD + "func_args:\n  b: 2\n"),
        (HEAD + "? func_args\n:\n  a: 1\n", {"func_args__a": 2, "func_args__b": 3},
         HEAD + "? func_args\n:\n  a: 2\n  b: 3\n"),
        (HEAD.replace("trigger_args: {hours: 1}\n", "").replace("interval", "cron"),
         {"trigger": {"trigger_type": "cron", "trigger_args": {"hour": "1"}}},
         HEAD.replace("trigger_args: {hours: 1}", "trigger_args:\n  hour: '1'")
         .replace("interval", "cron")),
    ],
)  # fmt: skip
def test_odd_ways_to_write(before: str, values: dict[str, Any], after: str) -> None:
    assert promote(before, **values) == after


def test_what_is_in_the_file_already_needs_no_change() -> None:
    wanted = overrides(HEAD.encode(), {"paused": True, "name": "M"})
    text = HEAD + "paused: true\n"
    assert promoted("x.yaml", text.encode(), {"x": wanted}) == text.replace(": N", ": M").encode()


def test_a_task_that_has_only_defaults_gets_its_own() -> None:
    text = "defaults: {name: D, tags: [a]}\ntasks:\n  x: {}\n  y: { }\n"
    assert promote(text, tags=["b"]) == text.replace("x: {}", "x: {tags: [b]}")
    assert promote(text, "y", name="E") == text.replace("y: { }", "y: {name: E}")


def test_a_faulty_neighbour_stays_as_it_is() -> None:
    text = "tasks:\n  x: {name: a}\n  y: {name: a, nam: b}\n  z: {name: &b c}\n"
    assert promote(text, name="b") == text.replace("x: {name: a}", "x: {name: b}")
    assert promote(text, deleted=True) == text.replace("  x: {name: a}\n", "")


def test_a_blank_line_goes_with_the_task_that_it_set_off() -> None:
    x, y, z = "  x: {name: a}\n", "  y: {name: b}\n", "  z: {name: c}\n"
    text = f"tasks:\n{x}\n{y}\n{z}"
    assert promote(text, "x", deleted=True) == f"tasks:\n{y}\n{z}"
    assert promote(text, "y", deleted=True) == f"tasks:\n{x}\n{z}"
    assert promote(text, "z", deleted=True) == f"tasks:\n{x}\n{y}"


@pytest.mark.parametrize(
    ("wrong", "deleted"),
    [
        ("tasks:\n  x: {name: b}\n  y: {name: c}\n", False),  # a neighbour has changed
        ("tasks:\n  x: {name: b}\n  y: {nam: b}\n", False),  # or become faulty
        ("tasks:\n  x: {name: b, paused: true}\n  y: {name: b}\n", False),  # or one more field
        ("tasks:\n  x: {name: c}\n  y: {name: b}\n", False),  # or the value is another
        ("tasks:\n  x: {name: b}\n", False),
        ("tasks: {\n", False),
        ("tasks:\n  y: {name: c}\n", True),
        ("tasks:\n  x: {name: a}\n  y: {name: b}\n", True),
    ],
)
def test_a_wrong_edit_is_known(wrong: str, deleted: bool) -> None:
    text = b"tasks:\n  x: {name: a}\n  y: {name: b}\n"
    before = read_file("x.yaml", text)
    changes = overrides(text, {DELETED: True} if deleted else {"name": "b"})
    assert not is_promoted(before, read_file("x.yaml", wrong.encode()), {"x": changes})
    right = "  y: {name: b}\n" if deleted else "  x: {name: b}\n  y: {name: b}\n"
    assert is_promoted(before, read_file("x.yaml", b"tasks:\n" + right.encode()), {"x": changes})


def test_what_cannot_be_edited_is_said_so() -> None:
    text = "tasks:\n  x: {name: a}\n  y: {name: *nowhere}\n"
    assert promote(text, name="b") == text.replace("x: {name: a}", "x: {name: b}")
    with pytest.raises(Conflict, match=r"x\.yaml is written in a way"):
        promote(text, deleted=True)
    # The second of the two would be the task then.
    text = "tasks:\n  x: {name: a}\n  x: {name: b}\n  y: {name: c}\n"
    with pytest.raises(Conflict, match="by hand"):
        promote(text, deleted=True)


def test_a_text_that_is_no_mapping_cannot_be_edited() -> None:
    for text in ("", "- a", "a"):
        with pytest.raises(CannotEdit):
            edit(text, (), {})
    with pytest.raises(CannotEdit):
        edit("a: 1", ("a",), {})
    for path in (("b",), ("a", "b")):
        with pytest.raises(CannotEdit):
            edit("a: 1", path, {})


FIELDS = {"name": "N", "task_type": "t", "trigger_type": "interval",
          "trigger_args": {"hours": 1}, "func_path": "a.b", "tags": None}  # fmt: skip


@pytest.mark.parametrize(
    ("task_id", "there", "path"),
    [
        ("a", [], "a.yaml"),
        ("a", ["a.yaml"], "task-a.yaml"),
        ("a", ["a.yml", "task-a.yaml"], "task-a-2.yaml"),
        ("_a", [], "task-_a.yaml"),
        ("日报", [], "日报.yaml"),
    ],
)
def test_a_task_of_the_apis_gets_a_file(task_id: str, there: list[str], path: str) -> None:
    paused = overrides(HEAD.encode(), {"paused": True})
    name, data = new_file(task_id, FIELDS, paused, lambda one: one in there)
    assert name == path
    [task] = read_file(name, data).tasks
    assert task.task_id == task_id
    expected = merge(Declaration(source="api", fields=FIELDS), paused)
    assert {"tags": None, "func_args": {}, **task.fields} == expected


def test_a_name_that_is_free_may_not_be_found() -> None:
    with pytest.raises(Conflict, match="no name is free"):
        new_file("a", FIELDS, (), lambda one: True)
