"""What `taskservice schema` prints, and whether it agrees with the parser."""

import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from taskservice.domain.errors import Fault, Invalid
from taskservice.domain.json_schema import field_schemas, task_file_schema
from taskservice.domain.task import FIELDS, Task, parse_task
from taskservice.sync.folder.declaring import declared_by
from taskservice.sync.text.yaml_walk import Stop, Walk, text_of
from tests.domain.samples import MINIMAL, declared_fields, minimal
from tests.domain.test_task import WRONG
from tests.domain.test_trigger_faults import CASES
from tests.sync.text.test_reader import MORNING
from tests.sync.text.test_reader_refusals import NOT_READABLE, ONE
from tests.test_cli import result

TOP = Path(__file__).parents[2]
SCHEMA = TOP / "docs" / "task-file.schema.json"
VALIDATOR = Draft202012Validator(task_file_schema())
EXAMPLES = sorted((TOP / "tasks.d").glob("*.yaml"))

GOOD = [
    MORNING.replace("    - a: 1\n", "    - a: 1.5\n"),
    "{name: a, task_type: t, trigger_type: interval, trigger_args: {hours: 1}, func_path: a.b}",
    # All that is required comes from the defaults.
    """
defaults:
  name: a
  task_type: t
  trigger_type: interval
  trigger_args: {seconds: 5.5, jitter: 1}
  func_path: a:b
tasks: {a: {}, b: {name: B, trigger_args: {weeks: 1, start_date: "2030-01-01"}}}
""",
    # A trigger in two halves.
    """
defaults: {task_type: t, trigger_type: cron, func_path: a.b}
tasks:
  a: {name: a, trigger_args: {crontab: "@daily"}}
  b: {name: b, trigger_args: {hour: 9, day: last, end_date: "2040-01-01", timezone: UTC}}
""",
    """
defaults: {task_type: t, trigger_args: {timezone: UTC, hour: "9"}, func_path: a.b}
tasks: {a: {name: a, trigger_type: cron}}
""",
    # A default that would be refused, which no task takes.
    """
defaults: {name: 5, trigger_type: nonsense, trigger_args: null, retries: 3, tags: x, paused: null}
tasks:
  a: &1
    name: a
    task_type: t
    trigger_type: date
    trigger_args: {run_date: 20300101T0900, timezone: Asia/Shanghai}
    func_path: a.b
    retries: {max: 0, delay: 0.5, backoff: 1, max_delay: null}
    tags: [a, 早报]
    paused: true
""".replace(" &1", ""),
    # Null where it means something, and the ends of what is allowed.
    f"""
name: "{"é" * 100}"
task_type: "\\uFEFF"
trigger_type: interval
trigger_args: {{days: 36525, timezone: " UTC "}}
func_path: a.b
func_args: null
description: null
tags: null
misfire_grace_time: null
timeout: 0.001
retries: null
executor: null
max_instances: 10000
""",
    'name: a\ntask_type: t\ntrigger_type: cron\ntrigger_args: {crontab: "0 7 * * 1-5", jitter: 5}\n'
    'func_path: a.b\nfunc_args: {"": 1, "a\\n": 2, "a.b c": [null, {x: y}]}\nexecutor: process\n'
    'tags: ["\\uFEFF"]\ndescription: "\\n"\n',
]  # fmt: skip

BAD = [
    "name: a\n",
    "nmae: a\n" + GOOD[0],
    "id: a\n" + GOOD[0],
    "defaults: {}\ntasks: {}\n",
    "defaults: null\ntasks: {a: {}}\n",
    "defaults: [a]\ntasks: {a: {}}\n",
    "tasks: [a]\n",
    "tasks: {a: null}\n",
    "tasks: {.a: {}}\n",
    "tasks: {a,b: {}}\n",
    "default: {}\ntasks: {a: {}}\n",
    GOOD[2].replace("name: a", "nmae: a"),
    GOOD[2].replace("name: a", "name: 5"),
    GOOD[2].replace("name: a", "x: 1\n  name: a"),
    GOOD[2].replace("{a: {},", f"{{{'a' * 37}: {{}},"),
    GOOD[2].replace("{a: {},", "{a: {paused: maybe},"),
    GOOD[2].replace("seconds: 5.5", "second: 5, hours: 1"),
    GOOD[3].replace("trigger_type: cron, ", ""),
    GOOD[3].replace('crontab: "@daily"', "{}"),
    GOOD[3].replace('crontab: "@daily"', 'crontab: "@daily", hour: 5'),
    GOOD[5].replace("    name: a\n", ""),
    GOOD[5].replace("name: a\n", "nam: a\n"),
    GOOD[5].replace("    tags: [a, 早报]\n", ""),
    GOOD[5].replace("run_date:", "seconds: 5, run_date:"),
    GOOD[5].replace("max: 0, ", ""),
    GOOD[5].replace("早报", "早 报"),
    GOOD[6].replace("é", "éé"),
    GOOD[6].replace("\\uFEFF", " "),
    GOOD[6].replace("10000", "10001"),
    GOOD[6].replace("36525", "36526"),
    GOOD[7].replace("process", "thread"),
    GOOD[7].replace("executor: process", "queue: a b"),
    GOOD[7].replace('"a.b c"', '"a.b "'),
    GOOD[7].replace('"a.b c"', '"' + "x" * 201 + '"'),
]

HALVES = [
    # A trigger's type from one place and its arguments from another: each alone may be right.
    GOOD[2].replace("{a: {},", "{a: {trigger_type: date},"),
    GOOD[2].replace("seconds: 5.5", "hour: 1"),
    GOOD[3].replace('crontab: "@daily"', "hours: 5"),
]

LEFT_OPEN = {
    # What JSON Schema can't say, by the parser's words for it. (Of a file it sees the values only:
    # keys that stand twice, aliases and all else of YAML's form are not listed here.)
    "a number's spelling: 1.0 is an integer": r"must be a whole number, not a number",
    "a sum of several fields": r"^the interval is ",
    "an order of two fields": r"lies before start_date",
    "a calendar": r"^never fires",
    "a cron expression": r" can't be taken: .*as APScheduler has them$",
    "a crontab line": r"can't be read; allowed|is not allowed; allowed|runs backwards|step of 0",
    "how many words there are": r" fields; five are expected",
    "@reboot, or no such name": r"^@reboot is no time|^'@.* is not known",
    "a time": r"is no ISO 8601 time|is not in the years",
    "a zone's name": r"is no IANA time zone",
    "bytes": r" bytes, at most",
    "control characters": r"must not hold line breaks|without spaces",
    "depth": r"nested deeper",
    "64 bits": r"beyond 64 bits",
}


def json_able(value: object) -> bool:
    """Whether a file could say it at all."""
    try:
        return bool(
            json.loads(json.dumps(value, allow_nan=False, ensure_ascii=False).encode()) == value
        )
    except (TypeError, ValueError):
        return False


def cases() -> Iterator[Mapping[str, Any]]:
    """Single tasks from the domain's tests."""
    yield MINIMAL
    yield from (minimal(**{field: value}) for field, value, _, _ in WRONG)
    yield from (minimal(trigger_type=kind, trigger_args=args) for kind, args, _, _ in CASES)
    for file in sorted((TOP / "tests" / "domain" / "cases").glob("*/declared.yaml")):
        declared = yaml.safe_load(file.read_text("utf-8")) or {}
        yield from (task["fields"] for task in (declared.get("tasks") or {}).values())


def check(_task_id: str, fields: Mapping[str, object]) -> Task:
    return parse_task(fields, zone=UTC)


def faults_of(fields: Mapping[str, object]) -> list[Fault]:
    try:
        parse_task(fields, zone=UTC)
    except Invalid as invalid:
        return list(invalid.faults)
    return []


def left_open(faults: list[str]) -> set[str]:
    """Why JSON Schema may have missed each of these."""
    found = set()
    for fault in faults:
        reasons = {why for why, words in LEFT_OPEN.items() if re.search(words, fault)}
        assert reasons, f"the schema takes it, the parser does not: {fault}"
        found |= reasons
    return found


def test_the_file_in_docs_is_what_the_command_prints(tmp_path: Path) -> None:
    status, output, errors = result(tmp_path, "schema")
    assert (status, errors) == (0, "")
    assert output == SCHEMA.read_text("utf-8"), "taskservice schema > docs/task-file.schema.json"
    assert json.loads(output) == task_file_schema()
    Draft202012Validator.check_schema(json.loads(output))


def test_each_field_has_words_for_people() -> None:
    for schema in field_schemas().values():
        assert schema["title"] and schema["description"]
    assert field_schemas().keys() == FIELDS.keys()


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_the_examples_name_the_schema_and_keep_to_it(path: Path) -> None:
    first, _, _ = path.read_text("utf-8").partition("\n")
    name = first.removeprefix("# yaml-language-server: $schema=")
    assert (path.parent / name).resolve() == SCHEMA
    assert not list(VALIDATOR.iter_errors(yaml.safe_load(path.read_text("utf-8"))))


@pytest.mark.parametrize("text", GOOD)
def test_what_the_parser_takes_the_schema_takes(text: str) -> None:
    assert declared_by({"one.yaml": text.encode()}, {}, check).faults == ()
    root = Walk().document(text)
    assert [error.message for error in VALIDATOR.iter_errors(root)] == []


@pytest.mark.parametrize("text", BAD)
def test_what_the_schema_refuses_the_parser_refuses(text: str) -> None:
    assert declared_by({"one.yaml": text.encode()}, {}, check).faults
    assert not VALIDATOR.is_valid(Walk().document(text))


@pytest.mark.parametrize("text", HALVES)
def test_a_trigger_in_two_halves_is_the_parsers_to_put_together(text: str) -> None:
    assert declared_by({"one.yaml": text.encode()}, {}, check).faults
    assert VALIDATOR.is_valid(Walk().document(text))


@pytest.mark.parametrize("text", [case[0] for case in (*ONE, *NOT_READABLE)])
def test_what_can_be_read_of_refused_files_holds_no_sound_task(text: str | bytes) -> None:
    try:
        root = Walk().document(text_of(text if isinstance(text, bytes) else text.encode()))
    except Stop:
        return
    assert not VALIDATOR.is_valid(root)


def test_where_the_parser_refuses_and_the_schema_does_not_the_reason_is_known() -> None:
    met: set[str] = set()
    both = 0
    for fields in filter(json_able, cases()):
        faults = [fault.reason for fault in faults_of(fields)]
        taken = VALIDATOR.is_valid(fields)
        assert taken or faults, f"the parser takes it, the schema does not: {fields}"
        if taken:
            met |= left_open(faults)
        both += taken == (not faults)
    assert both > 80
    assert met == LEFT_OPEN.keys()


@given(declared_fields, st.data())
def test_the_schema_takes_sound_tasks_however_a_file_says_them(
    fields: dict[str, Any], data: st.DataObject
) -> None:
    assert faults_of(fields) == []
    assert VALIDATOR.is_valid(fields)
    shared = data.draw(st.sets(st.sampled_from(sorted(fields))))
    own = data.draw(st.sets(st.sampled_from(sorted(fields)))) | (fields.keys() - shared)
    file = {
        "defaults": {name: fields[name] for name in shared},
        "tasks": {"one": {name: fields[name] for name in own}},
    }
    assert VALIDATOR.is_valid(file)
