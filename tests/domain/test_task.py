"""What makes a task, and every fault of what doesn't."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from taskservice.domain.errors import Fault, Invalid
from taskservice.domain.fault_limits import OF_TASK
from taskservice.domain.overlay import DEFAULTS, Declaration
from taskservice.domain.state import resolve
from taskservice.domain.task import FIELDS, UNSET, Retries, Task, describe, nearest, parse_task
from tests.domain.samples import (
    MINIMAL,
    NOW,
    declared_fields,
    json_values,
    lists_and_mappings,
    minimal,
    parsed,
)

HUGE = 10**5000
HOUR = timedelta(hours=1)


def faults(fields: dict[Any, Any]) -> tuple[Fault, ...]:
    with pytest.raises(Invalid) as caught:
        parse_task(fields, zone=UTC)
    return caught.value.faults


def told(fields: dict[Any, Any]) -> list[tuple[str | None, str]]:
    return [(fault.field, fault.reason) for fault in faults(fields)]


def nested(depth: int) -> list[Any]:
    """Lists in lists, `depth` of them, with a value in the innermost."""
    value: list[Any] = [1]
    for _ in range(depth - 1):
        value = [value]
    return value


def test_the_minimum_has_defaults_for_the_rest() -> None:
    task = parsed(MINIMAL)
    assert task == Task(
        name="Morning",
        task_type="notification",
        trigger_type="interval",
        trigger_args={"seconds": 60},
        func_path="package.module.function",
        func_args={},
        max_instances=1,
        description=None,
        tags=(),
        paused=False,
        misfire_grace_time=3600,
        coalesce=True,
        timeout=None,
        retries=None,
        recover=False,
        executor=None,
        queue=None,
    )
    definition = task.definition()
    assert {name: definition[name] for name in DEFAULTS} == DEFAULTS
    assert definition.keys() == DEFAULTS.keys() | MINIMAL.keys() | {"func_args"} == FIELDS.keys()


def test_every_field_is_taken() -> None:
    fields = minimal(
        name="定时　通知",
        func_args={"user_id": "${USER:-nobody}", "n": {"deep": [1, 2.5, None, True]}},
        max_instances=3,
        description="每天早上9点\n发送通知",
        tags=["早报", "daily"],
        paused=True,
        misfire_grace_time=None,
        coalesce=False,
        timeout=2.5,
        retries={"max": 3, "delay": 10, "backoff": 2, "max_delay": 600},
        recover=True,
        executor="process",
        queue="reports",
        notify=[{"to": "ops", "after": 3}],
    )
    assert parsed(fields).definition() == fields


@pytest.mark.parametrize(
    ("field", "default"),
    [
        ("description", None),
        ("tags", ()),
        ("func_args", {}),
        ("timeout", None),
        ("retries", None),
        ("executor", None),
        ("queue", None),
        ("misfire_grace_time", None),
    ],
)
def test_null_is_taken_where_it_means_something(field: str, default: object) -> None:
    assert getattr(parsed(minimal(**{field: None})), field) == default


@pytest.mark.parametrize("name", ["早报　晚报", "👩‍👩‍👧 family", "a\u00a0b", "x" * 100, "é" * 100])
def test_names_of_all_scripts_are_taken(name: str) -> None:
    assert parsed(minimal(name=name)).name == name


def test_numbers_that_are_whole_become_whole() -> None:
    task = parsed(minimal(timeout=5.0, retries={"max": 1, "delay": 2.0}))
    assert type(task.timeout) is int
    assert task.retries is not None and type(task.retries.delay) is int


LONG = "x" * 101
NOT_EXECUTORS = "must be one of local, process, celery, not"

# A field, a wrong value, where the fault is told, and the reason.
WRONG: list[tuple[str, object, str | None, str]] = [
    ("nmae", 1, "nmae", "is not a field of a task; did you mean 'name'?"),
    ("maxInstances", 1, "maxInstances", "is not a field of a task; did you mean 'max_instances'?"),
    ("id", "x", "id", "is not a field of a task"),
    ("timezone", "UTC", "timezone", "is not a field of a task: it belongs in trigger_args"),
    ("crontab", "@daily", "crontab", "is not a field of a task: it belongs in trigger_args"),
    ("", 1, None, "the text '' is not a field of a task"),
    ("a\nb", 1, None, "the text 'a\\nb' is not a field of a task"),
    ("\ud800", 1, None, "the text '\\ud800' is not a field of a task"),
    (LONG, 1, None, f"the text '{'x' * 40}' is not a field of a task"),
    ("name", None, "name", "must be text, not null"),
    ("name", 5, "name", "must be text, not a number"),
    (
        "name", True, "name",
        "must be text, not the boolean true (quote it if it is meant as text)",
    ),
    ("name", ["a"], "name", "must be text, not a list"),
    ("name", {}, "name", "must be text, not a mapping"),
    ("name", date(2026, 1, 1), "name", "must be text, not a date"),
    ("name", " \t", "name", "must not be empty"),
    ("name", LONG, "name", "is too long: 101 characters, at most 100 are allowed"),
    ("name", "a\nb", "name", "must not hold line breaks or control characters"),
    ("name", "a\u2028b", "name", "must not hold line breaks or control characters"),
    ("name", "a\x00", "name", "must not hold line breaks or control characters"),
    ("name", "\udfff", "name", "holds half of a surrogate pair, which is no character"),
    ("task_type", LONG, "task_type", "is too long: 101 characters, at most 50 are allowed"),
    (
        "func_path", "x" * 256, "func_path",
        "is too long: 256 characters, at most 255 are allowed",
    ),
    (
        "description", "早" * 21846, "description",
        "is too long: 65538 bytes, at most 65535 are allowed",
    ),
    ("description", 1, "description", "must be text, not a number"),
    (
        "max_instances", True, "max_instances",
        "must be a whole number, not the boolean true (quote it if it is meant as text)",
    ),
    ("max_instances", 1.0, "max_instances", "must be a whole number, not a number"),
    ("max_instances", "3", "max_instances", "must be a whole number, not the text '3'"),
    ("max_instances", None, "max_instances", "must be a whole number, not null"),
    ("max_instances", 0, "max_instances", "must be a whole number from 1 to 10000"),
    ("max_instances", HUGE, "max_instances", "must be a whole number from 1 to 10000"),
    ("timeout", 0, "timeout", "must be a number from 0.001 to 3162240000"),
    ("timeout", float("nan"), "timeout", "must be a number from 0.001 to 3162240000"),
    ("timeout", float("inf"), "timeout", "must be a number from 0.001 to 3162240000"),
    ("misfire_grace_time", "1h", "misfire_grace_time", "must be a number, not the text '1h'"),
    ("paused", "yes", "paused", "must be true or false, not the text 'yes'"),
    ("coalesce", None, "coalesce", "must be true or false, not null"),
    ("recover", 1, "recover", "must be true or false, not a number"),
    ("tags", "daily", "tags", "must be a list of words, not the text 'daily'"),
    ("tags", ["a", 5], "tags.1", "must be a word, not a number"),
    ("tags", ["a b"], "tags.0", "must be a word of 1 to 50 characters, without spaces"),
    ("tags", [""], "tags.0", "must be a word of 1 to 50 characters, without spaces"),
    ("tags", ["x" * 51], "tags.0", "must be a word of 1 to 50 characters, without spaces"),
    ("tags", ["a\x00"], "tags.0", "must be a word of 1 to 50 characters, without spaces"),
    ("tags", ["\ud800"], "tags.0", "holds half of a surrogate pair, which is no character"),
    ("retries", 3, "retries", "must be a mapping with the key max, not a number"),
    ("retries", {}, "retries", "needs the key max: how often to try again"),
    ("retries", {"max": 101}, "retries.max", "must be a whole number from 0 to 100"),
    ("retries", {"max": 1, "backoff": 0}, "retries.backoff", "must be a number from 1 to 100"),
    (
        "retries", {"max": 1, "dealy": 1}, "retries.dealy",
        "is not known; allowed are max, delay, backoff, max_delay; did you mean 'delay'?",
    ),
    ("retries", {"max": 1, 5: 1}, "retries", "a key must be text, not a number"),
    ("executor", "threads", "executor", f"{NOT_EXECUTORS} the text 'threads'"),
    ("executor", [], "executor", f"{NOT_EXECUTORS} a list"),
    ("func_args", [1], "func_args", "must be a mapping, not a list"),
    ("func_args", {1: 2}, "func_args", "a key must be text, not a number"),
    ("func_args", {HUGE: 2}, "func_args", "a key must be text, not a number"),
    ("func_args", {"a": HUGE}, "func_args.a",
     "is a number beyond 64 bits; quote it to pass it as text"),
    ("func_args", {"a": 2**63}, "func_args.a",
     "is a number beyond 64 bits; quote it to pass it as text"),
    ("func_args", {"a": float("nan")}, "func_args.a", "is not a finite number"),
    ("func_args", {"a": [{"b": float("inf")}]}, "func_args.a", "is not a finite number"),
    ("func_args", {"a": {1: 2}}, "func_args.a", "has a key that is not text but a number"),
    ("func_args", {"a": (1,)}, "func_args.a", "can't be stored as JSON: a tuple"),
    ("func_args", {"a": UNSET}, "func_args.a", "can't be stored as JSON: a _Unset"),
    ("func_args", {"a": b"x"}, "func_args.a", "can't be stored as JSON: a bytes"),
    ("func_args", {"a": ["\ud800"]}, "func_args.a",
     "holds half of a surrogate pair, which is no character"),
    ("func_args", {"a": {"\ud800": 1}}, "func_args.a",
     "holds half of a surrogate pair, which is no character"),
    ("func_args", {"\ud800": 1}, "func_args",
     "the key '\\ud800' holds half of a surrogate pair, which is no character"),
    ("func_args", {"a ": 1}, "func_args.a ", "must not end with a space"),
    ("func_args", {"x" * 201: 1}, "func_args",
     f"the key '{'x' * 40}' is too long: 201 characters, at most 200 are allowed"),
    ("func_args", {"": float("nan")}, "func_args", "the key '' is not a finite number"),
    ("func_args", {"a": nested(19)}, "func_args.a", "is nested deeper than 20"),
    ("func_args", {"a": {"b": nested(18)}}, "func_args.a", "is nested deeper than 20"),
    ("trigger_args", [1], "trigger_args", "is a list; a mapping is expected"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("field", "value", "place", "reason"), WRONG, ids=[f"{case[2]}: {case[3]}" for case in WRONG]
)
def test_a_mistake_has_its_reason(
    field: str, value: object, place: str | None, reason: str
) -> None:
    assert told(minimal(**{field: value})) == [(place, reason)]


@pytest.mark.parametrize("name", ["a", "reports", "A.b-c_9", "9" * 100])
def test_names_of_queues(name: str) -> None:
    assert parsed(minimal(queue=name)).queue == name


@pytest.mark.parametrize(
    "name", ["", " a", "a b", "a,b", "ä", "-a", "amq.x", "unacked_index", "_kombu.x", "a" * 101, 7]
)
def test_what_brokers_take_for_no_queue(name: object) -> None:
    [(field, reason)] = told(minimal(queue=name))
    assert (field, reason[:22]) == ("queue", "must be a queue's name")


def test_a_boolean_hour_is_explained() -> None:
    [(field, reason)] = told(minimal(trigger_type="cron", trigger_args={"hour": True}))
    assert field == "trigger_args.hour"
    assert "boolean" in reason and "quote" in reason


def test_missing_fields_are_told_with_what_they_should_be() -> None:
    assert told({}) == [
        ("name", "is required, text of at most 100 characters"),
        ("task_type", "is required, text of at most 50 characters"),
        ("trigger_type", "is required, one of date, interval, cron"),
        ("func_path", "is required, package.module.function or package.module:function"),
    ]
    assert told({**MINIMAL, "trigger_args": None})[0][0] == "trigger_args"


def test_a_part_of_a_value_does_not_hide_the_others() -> None:
    places = {
        place
        for place, _ in told(
            minimal(
                retries={"max": -1, "delay": "1", "x": 1},
                tags=["a b", "c", 7],
                func_args={"a": (), "b": 1, "c": UNSET},
                trigger_args={"seconds": "1", "minute": 1},
            )
        )
    }
    assert places == {
        *("retries.max", "retries.delay", "retries.x", "tags.0", "tags.2"),
        *("func_args.a", "func_args.c", "trigger_args.seconds", "trigger_args.minute"),
    }


@given(st.dictionaries(st.sampled_from(sorted(FIELDS)), st.just(UNSET), min_size=1), st.booleans())
def test_all_faults_are_told_at_once(broken: dict[str, Any], unknown: bool) -> None:
    fields = {**MINIMAL, **broken, **({"nmae": 1} if unknown else {})}
    assert {fault.field for fault in faults(fields)} == broken.keys() | ({"nmae"} & fields.keys())


def test_what_is_wrong_throughout_is_told_in_part() -> None:
    many = {f"key {number}": 1 for number in range(5000)}
    found = told({**MINIMAL, **many})
    assert len(found) == OF_TASK + 1
    assert found[-1] == (None, "and 4,980 more faults of this task")
    for wrong in (
        {"retries": {"max": 1, **many}},
        {"func_args": dict.fromkeys(many, ())},
    ):
        found = told(minimal(**wrong))
        assert len(found) == OF_TASK + 1
        assert found[-1] == (None, "and 4,980 more faults of this task")
    found = told(minimal(tags=[5] * 1000))
    assert found[-1] == (None, "and 980 more faults of this task")
    # Of all its fields together no more are told.
    found = told({"tags": [5] * 30, "retries": many, "x": 1})
    assert len(found) == OF_TASK + 1


def test_arguments_and_tags_are_counted() -> None:
    many = {f"key-{number}": number for number in range(5_001)}
    assert told(minimal(func_args=many, tags=["t"] * 1_001)) == [
        ("func_args", "has 5001 keys; at most 5000 are allowed"),
        ("tags", "has 1001 words; at most 1000 are allowed"),
    ]
    del many["key-0"]
    sound = parse_task(minimal(func_args=many, tags=["t"] * 1_000), zone=UTC)
    assert len(sound.tags) == 1_000


def test_nesting_counts_as_in_a_file_of_one_task() -> None:
    # The file and func_args are the first two, so 18 more are left.
    assert parsed(minimal(func_args={"a": nested(18)})).func_args == {"a": nested(18)}
    assert parsed(minimal(func_args={"a": [nested(17), []]}))
    assert parsed(minimal(func_args={"x" * 200: 1, "早" * 200: 1}))
    numbers = [2**63 - 1, -(2**63)]
    assert parsed(minimal(func_args={"a": numbers})).func_args == {"a": numbers}


def test_any_kind_of_mapping_is_taken() -> None:
    fields = MappingProxyType({**MINIMAL, "func_args": MappingProxyType({"a": 1})})
    task = parse_task(fields, zone=UTC)
    assert task.func_args == {"a": 1}


hashables = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([2**63, float("inf"), UNSET])
    | st.builds(pow, st.sampled_from([10, -10]), st.just(5001))
    | st.floats()
    | st.text(st.characters(), max_size=5)
    | st.sampled_from(["max", "delay", "seconds", "hour", "run_date", "crontab", "x" * 300])
    | st.binary(max_size=2)
    | st.dates()
    | st.tuples(st.integers())
)
anything = lists_and_mappings(
    hashables | st.builds(object) | st.builds(set) | st.builds(bytearray), hashables
)
kinds = st.sampled_from(["date", "interval", "cron"])


@given(
    st.dictionaries(st.sampled_from(sorted(FIELDS)) | hashables, anything, max_size=8),
    st.sets(st.sampled_from(sorted(MINIMAL))),
    st.none() | kinds,
)
@example({"executor": "threads", "tags": ["\x00"], 5: 5}, set(MINIMAL), "cron")
def test_garbage_is_refused_in_words(garbage: dict[Any, Any], kept: set[str], kind: Any) -> None:
    fields = {**garbage, **{name: MINIMAL[name] for name in kept}}
    if kind:
        fields["trigger_type"] = kind
    try:
        task = parse_task(fields, zone=UTC)
    except Invalid as invalid:
        assert invalid.faults
        for fault in invalid.faults:
            text = str(fault)
            assert text.encode() and len(text) < 1500
            assert len(text.splitlines()) == 1
            assert fault.reason
    else:
        assert json.dumps(task.definition(), allow_nan=False, ensure_ascii=False).encode()


@given(declared_fields)
def test_a_definition_makes_the_same_task_again(fields: dict[str, Any]) -> None:
    task = parsed(fields)
    definition = json.loads(json.dumps(task.definition(), allow_nan=False))
    assert parsed(definition) == task


@given(json_values)
def test_json_is_taken_as_it_is(value: Any) -> None:
    assert parsed(minimal(func_args={"a": value})).func_args == {"a": value}


@given(declared_fields, st.sampled_from([NOW - timedelta(days=9999), NOW + HOUR]))
def test_the_moment_of_parsing_does_not_matter(fields: dict[str, Any], now: datetime) -> None:
    declaration = Declaration(source="file", fields=fields)
    state = resolve("a", declaration, (), None, now=now, zone=UTC)
    assert state.task == parsed(fields)
    assert state.task.trigger(UTC) == parsed(fields).trigger(UTC)


def test_the_waits_between_attempts_grow() -> None:
    retries = Retries(max=4, delay=10, backoff=3, max_delay=100)
    assert [retries.wait(attempt) for attempt in range(1, 6)] == [10, 30, 90, 100, None]
    assert replace(retries, max_delay=None).wait(4) == 270
    assert Retries(max=0).wait(1) is None
    assert Retries(max=1).wait(1) == 0


@pytest.mark.parametrize("delay", [0, 0.5, 3162240000])
def test_the_longest_wait_has_a_limit(delay: float) -> None:
    wait = Retries(max=100, delay=delay, backoff=100.0).wait(100)
    assert wait is not None and 0 <= wait <= 100 * 366 * 86400


def test_near_words() -> None:
    assert nearest("descripton", FIELDS) == "; did you mean 'description'?"
    assert nearest("NAME", FIELDS) == "; did you mean 'name'?"
    assert nearest("zebra", FIELDS) == ""
    assert nearest("name" * 10**6, FIELDS) == ""


def test_values_are_described_as_their_author_knows_them() -> None:
    values: list[object] = [None, False, "x" * 50, 1, 1.5, [], {}, ()]
    assert [describe(value) for value in values] == [
        "null",
        "the boolean false (quote it if it is meant as text)",
        f"the text '{'x' * 40}'",
        "a number",
        "a number",
        "a list",
        "a mapping",
        "a tuple",
    ]
    assert repr(UNSET) == "UNSET"
