"""The two forms of a task file, what is taken from them, and where it stands."""

import pytest
import yaml

from taskservice.domain.errors import Fault
from taskservice.sync.text.reader import AuthoredTask, FileContent, read_file

MORNING = """\
# every day
name: 定时通知任务
task_type: notification
trigger_type: cron
trigger_args: {hour: "9", minute: "0"}
func_path: taskservice.examples.notification_task
func_args:
  user_id: user123
  message: |
    Good
    morning
  parts:
    - a: 1
      b: [x, y]
    - 05
tags: [mail, "on"]
max_instances: 1
"""

REPORTS = """\
defaults:
  task_type: report
  func_args: {data_id: shared, depth: 3}
  retries: {max: 2}
tasks:
  daily-report:
    name: Daily
    func_args: {data_id: d}
  weekly-report: {name: Weekly, retries: null}
"""


def read(text: str, path: str = "one.yaml") -> FileContent:
    """What libyaml makes of it, and the fallback in Python just so."""
    contents = [
        read_file(path, text.encode(), loader=loader)
        for loader in (yaml.CSafeLoader, yaml.SafeLoader)
    ]
    assert contents[0] == contents[1]
    places = [[task.places for task in content.tasks] for content in contents]
    assert places[0] == places[1]
    return contents[0]


def sound(text: str, path: str = "one.yaml") -> tuple[AuthoredTask, ...]:
    content = read(text, path)
    assert content.faults == ()
    assert content.readable
    assert content.faulty == frozenset()
    return content.tasks


def test_one_task_has_the_stem_of_its_file_as_id() -> None:
    (task,) = sound(MORNING, "mail/morning-notice.yaml")
    assert task.task_id == "morning-notice"
    assert (task.line, task.column) == (2, 1)
    assert task.fields == {
        "name": "定时通知任务",
        "task_type": "notification",
        "trigger_type": "cron",
        "trigger_args": {"hour": "9", "minute": "0"},
        "func_path": "taskservice.examples.notification_task",
        "func_args": {
            "user_id": "user123",
            "message": "Good\nmorning\n",
            "parts": [{"a": 1, "b": ["x", "y"]}, "05"],
        },
        "tags": ["mail", "on"],
        "max_instances": 1,
    }


def test_only_the_last_suffix_is_not_the_id() -> None:
    (task,) = sound("name: x", "a/b.c.yml")
    assert task.task_id == "b.c"


def test_fields_are_placed_at_their_keys_and_items_at_themselves() -> None:
    (task,) = sound(MORNING)
    assert task.place("name") == (2, 1)
    assert task.place("trigger_args") == (5, 1)
    assert task.place("trigger_args.hour") == (5, 16)
    assert task.place("trigger_args.minute") == (5, 27)
    assert task.place("func_args.message") == (9, 3)
    assert task.place("func_args.parts.0") == (13, 7)
    assert task.place("func_args.parts.0.b") == (14, 7)
    assert task.place("func_args.parts.0.b.1") == (14, 14)
    assert task.place("func_args.parts.1") == (15, 7)
    assert task.place("tags.1") == (16, 14)


def test_a_field_that_is_not_there_is_placed_at_its_nearest_ancestor() -> None:
    (task,) = sound(MORNING)
    assert task.place("trigger_args.timezone") == (5, 1)
    assert task.place("func_args.parts.0.c.d") == (13, 7)
    assert task.place("func_args.parts.9") == (12, 3)
    assert task.place("timeout") == (2, 1)
    assert task.place(None) == (2, 1)
    assert task.place("") == (2, 1)


def test_several_tasks_have_their_keys_as_ids_and_share_defaults() -> None:
    daily, weekly = sound(REPORTS, "reports.yaml")
    assert (daily.task_id, daily.line, daily.column) == ("daily-report", 6, 3)
    assert (weekly.task_id, weekly.line, weekly.column) == ("weekly-report", 9, 3)
    assert daily.fields == {
        "task_type": "report",
        "func_args": {"data_id": "d"},
        "retries": {"max": 2},
        "name": "Daily",
    }
    assert weekly.fields == {
        "task_type": "report",
        "func_args": {"data_id": "shared", "depth": 3},
        "retries": None,
        "name": "Weekly",
    }


def test_what_defaults_gave_is_placed_there() -> None:
    daily, weekly = sound(REPORTS)
    assert daily.place("task_type") == (2, 3)
    assert daily.place("retries.max") == (4, 13)
    assert daily.place("func_args.data_id") == (8, 17)
    assert daily.place("func_args.depth") == (8, 5)
    assert weekly.place("func_args.depth") == (3, 32)
    assert weekly.place("retries.max") == (9, 33)
    assert weekly.place("timeout") == (9, 3)


def test_the_order_of_tasks_and_defaults_does_not_matter() -> None:
    (task,) = sound("tasks: {a: {x: 1}}\ndefaults: {y: 2}\n")
    assert task.fields == {"x": 1, "y": 2}
    assert task.place("y") == (2, 12)


def test_a_task_may_live_on_defaults_alone() -> None:
    (task,) = sound("defaults: {x: 1}\ntasks: {a: {}}")
    assert task.fields == {"x": 1}


def test_defaults_may_be_empty() -> None:
    (task,) = sound("defaults: {}\ntasks: {a: {x: 1}}")
    assert task.fields == {"x": 1}


def test_a_file_of_several_does_not_care_for_its_name() -> None:
    (task,) = sound("tasks: {a: {x: 1}}", "no id at all?.yaml")
    assert task.task_id == "a"


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffname: x",
        "name: x\r\n",
        "---\nname: x\n...\n",
        "%YAML 1.1\n---\nname: x",
        '{"name": "x"}',
        "'name': !!str x",
        "!!map {name: x}",
        '"tasks\\u0021": 1\nname: x',
    ],
)
def test_other_ways_to_write_a_task(text: str) -> None:
    (task,) = sound(text)
    assert task.fields["name"] == "x"


def test_columns_count_characters() -> None:
    (task,) = sound("\ufeff{早😀: é, b: 1}")
    assert task.place("b") == (1, 9)


def test_lines_end_in_any_way() -> None:
    (task,) = sound("a: 1\r\nb: 2\rc: 3\nd: 4")
    assert [task.place(name) for name in "abcd"] == [(1, 1), (2, 1), (3, 1), (4, 1)]


def test_quoted_and_block_scalars_are_text() -> None:
    (task,) = sound("a: \"1\"\nb: 'on'\nc: |\n  2\nd: >-\n  null\ne: !!str 5\nf: !!seq [1]\n")
    assert task.fields == {"a": "1", "b": "on", "c": "2\n", "d": "null", "e": "5", "f": [1]}


def test_values_are_told_apart_as_yaml_does_but_for_dates_and_octals() -> None:
    (task,) = sound("{a: yes, b: ~, c: 12:30, d: 2026-11-24, e: 05, f: 1.5, g: 0x1F, h: 7, i: }")
    expected = [True, None, "12:30", "2026-11-24", "05", 1.5, "0x1F", 7, None]
    assert list(task.fields.values()) == expected


def test_a_mapping_may_be_twenty_deep_but_not_deeper() -> None:
    (task,) = sound("a: " + "[" * 19 + "]" * 19)
    assert task.place("a" + ".0" * 18) == (1, 22)
    content = read("a: " + "[" * 20 + "]" * 20)
    assert [(fault.line, fault.column) for fault in content.faults] == [(1, 23)]
    assert content.faults[0].reason == "nested deeper than 20"
    assert content.faulty == {"one"}


def test_a_file_may_have_a_mebibyte_but_not_more() -> None:
    full = b"name: " + b"x" * (1024 * 1024 - 6)
    assert len(read_file("one.yaml", full).tasks) == 1
    content = read_file("one.yaml", full + b"x")
    assert not content.readable
    assert content.faults == (
        Fault(
            reason="the file has 1048577 bytes; at most 1 MiB (1048576) is taken",
            path="one.yaml",
            line=1,
            column=1,
        ),
    )


def test_a_long_list_is_placed_at_its_first_thousand_items() -> None:
    (task,) = sound("a: [" + "1," * 1001 + "]")
    assert task.place("a.999") == (1, 5 + 2 * 999)
    assert task.place("a.1000") == (1, 1)


def test_two_reads_of_a_file_are_equal() -> None:
    assert read(REPORTS) == read(REPORTS)
