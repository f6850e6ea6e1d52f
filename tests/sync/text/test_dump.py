"""A task as text, and back."""

import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from taskservice.domain.overlay import DEFAULTS
from taskservice.sync.text.dump import dump_task
from taskservice.sync.text.reader import read_file

NOTICE = {
    "name": "定时通知任务",
    "task_type": "notification",
    "trigger_type": "cron",
    "trigger_args": {"hour": "9", "minute": "0"},
    "func_path": "taskservice.examples.notification_task",
    "func_args": {"user_id": "user123", "message": "Good morning", "channel": "email"},
    "max_instances": 1,
    "description": "每天早上9点发送通知",
}

NASTY = [
    "", " ", "a ", " a", "\n", "a\n", "a\n\n", "\na", " a\nb", "a\n b\n", "a \nb", "\ta\n\tb",
    "a\r\nb", "a\rb", "a\x85b", "a\u2028b", "a\u2029\nb", "\ufeffa", "a\x00b", "\x7f", "\x9f",
    "😀", "😀: 1\n😀", "😀\x01", "null", "~", "yes", "No", "on", "y", "N", "0", "05", "0x1F",
    "0o17", "1_000", "1e3", "-.5", ".5", "5.", "+1", "12:30", "2026-01-01", ".inf", ".NaN", "=",
    "<<", "-", "- a", "a: b", "a:", ": a", "a #b", "#a", "*a", "&a", "!a", "!!str", "%a", "@a",
    "`a", "'a'", '"a"', "{a}", "[a]", "a, b", "|", ">", "---", "...", "--- a", "?", "? a",
    "0 7 * * 1-5", "*/5", "${NAME:-x}", "\\n", "a" * 5000, "word " * 500, "a: b\n" * 50, "---\na",
]  # fmt: skip

texts = st.one_of(
    st.sampled_from(NASTY),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    st.text("a \n\t:#-'\"\\\r\x85\u2028😀é", max_size=12),
    st.lists(st.sampled_from(NASTY), max_size=3).map("".join),
)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    texts,
)
values = st.recursive(
    scalars,
    lambda below: st.lists(below, max_size=3) | st.dictionaries(texts, below, max_size=3),
    max_leaves=6,
)
definitions = st.fixed_dictionaries(
    {
        "name": texts,
        "task_type": texts,
        "trigger_type": st.sampled_from(["date", "interval", "cron"]),
        "trigger_args": st.dictionaries(texts, values, max_size=2),
        "func_path": texts,
        "func_args": st.dictionaries(texts, values, max_size=3),
        "description": st.none() | texts,
        "tags": st.lists(texts, max_size=3),
        "paused": st.booleans(),
        "misfire_grace_time": st.none() | st.integers(1, 9999) | st.floats(0.1, 10),
        "coalesce": st.booleans(),
        "retries": st.none() | st.fixed_dictionaries({"max": st.integers(0, 9)}),
        "executor": st.none() | st.sampled_from(["local", "process"]),
    }
)


def read_back(text: str, task_id: str = "a") -> dict[str, Any]:
    """The fields that the text declares, defaults included."""
    content = read_file(f"{task_id}.yaml", text.encode())
    assert content.faults == ()
    (task,) = content.tasks
    assert task.task_id == task_id
    return {**DEFAULTS, "trigger_args": {}, "func_args": {}, **task.fields}


def same(one: object, other: object) -> bool:
    """Equal, and of the same types: 1 is neither 1.0 nor true."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


@given(definitions)
def test_the_reader_makes_the_same_of_it(definition: dict[str, Any]) -> None:
    complete = {**DEFAULTS, **definition}
    assert same(read_back(dump_task("a", complete)), complete)


@given(definitions)
def test_other_readers_of_yaml_too(definition: dict[str, Any]) -> None:
    complete = {**DEFAULTS, **definition}
    loaded = yaml.safe_load(dump_task("a", complete))
    assert same({**DEFAULTS, "trigger_args": {}, "func_args": {}, **loaded}, complete)


@pytest.mark.parametrize("text", NASTY)
def test_nasty_texts_everywhere(text: str) -> None:
    definition = {
        **NOTICE,
        "name": text,
        "func_args": {text: text, "list": [text, [text]], "deep": {"er": {text: [text]}}},
    }
    assert same(read_back(dump_task("a", definition)), {**DEFAULTS, **definition})


def test_a_task_reads_as_people_write_it() -> None:
    assert dump_task("morning-notice", {**DEFAULTS, **NOTICE}) == (
        "name: 定时通知任务\n"
        "task_type: notification\n"
        "trigger_type: cron\n"
        "trigger_args:\n"
        "  hour: '9'\n"
        "  minute: '0'\n"
        "func_path: taskservice.examples.notification_task\n"
        "func_args:\n"
        "  user_id: user123\n"
        "  message: Good morning\n"
        "  channel: email\n"
        "description: 每天早上9点发送通知\n"
    )


def test_what_differs_from_its_default_is_written_in_order() -> None:
    unusual = {
        "executor": "process", "recover": True, "retries": {"max": 3, "delay": 10},
        "timeout": 5, "coalesce": False, "misfire_grace_time": None, "paused": True,
        "tags": ["a", "b"], "max_instances": 2, "func_args": {}, "trigger_args": {},
    }  # fmt: skip
    assert dump_task("a", {**unusual, "name": "A"}) == (
        "name: A\n"
        "max_instances: 2\n"
        "tags:\n"
        "  - a\n"
        "  - b\n"
        "paused: true\n"
        "misfire_grace_time: null\n"
        "coalesce: false\n"
        "timeout: 5\n"
        "retries:\n"
        "  max: 3\n"
        "  delay: 10\n"
        "recover: true\n"
        "executor: process\n"
    )


def test_long_text_is_a_block() -> None:
    text = dump_task("a", {"name": "A", "description": "First line: yes.\n\nAnd 第二 😀.\n"})
    assert text == "name: A\ndescription: |\n  First line: yes.\n\n  And 第二 😀.\n"


def test_a_long_line_is_not_broken() -> None:
    assert dump_task("a", {"name": "word " * 100 + "end"}).count("\n") == 1


def test_the_same_value_twice_is_written_twice() -> None:
    shared = {"x": [1]}
    text = dump_task("a", {**NOTICE, "func_args": {"one": shared, "two": shared}})
    assert same(read_back(text)["func_args"], {"one": {"x": [1]}, "two": {"x": [1]}})


def test_an_id_that_no_file_can_give_stands_in_the_text() -> None:
    text = dump_task("_x", {"name": "A", "task_type": "t"})
    assert text == "tasks:\n  _x:\n    name: A\n    task_type: t\n"
    (task,) = read_file("any.yaml", text.encode()).tasks
    assert task.task_id == "_x"
