"""What `notify` takes, and every fault of it at once."""

from typing import Any

import jsonschema
import pytest

from taskservice.domain.check import Refused
from taskservice.domain.overlay import same
from taskservice.domain.rules import (
    ANYBODY,
    MOST_RULES,
    NOTIFY,
    TOPICS,
    USUAL,
    Notify,
    Rule,
    channel_faults,
    meaning_of,
)
from tests.domain.samples import minimal, parsed


def parse(value: object) -> dict[str, Rule]:
    jsonschema.validate(value, NOTIFY.schema)
    found: Notify = NOTIFY.parse(value)
    assert found.as_json() == value
    return dict(found.rules)


def reasons(value: object) -> dict[str, str]:
    with pytest.raises(Refused) as refused:
        NOTIFY.parse(value)
    return dict(refused.value.parts)


def test_a_name_is_a_rule_with_what_is_usual() -> None:
    assert parse("ops") == {"ops": Rule(to="ops")}
    assert Rule(to="ops").on == USUAL == ("failure", "recovery", "missed")
    assert parse([]) == {}


def test_a_rule_may_say_all() -> None:
    given = {
        "to": "on_call", "on": list(TOPICS), "after": 3, "late": "5m", "long": "2h", "short": 0.5,
        "remind": "1d",
    }  # fmt: skip
    assert parse([given]) == {
        "on_call": Rule(
            to="on_call", on=TOPICS, after=3, late=300, long=7200, short=0.5, remind=86400
        )
    }


def test_a_limit_is_reason_enough_where_nothing_is_named() -> None:
    [rule] = parse([{"to": "ops", "long": "10m"}]).values()
    assert rule.on == (*USUAL, "long")
    [rule] = parse([{"to": "ops", "on": "skipped", "long": None}]).values()
    assert rule.on == ("skipped",)


def test_a_rule_is_named_by_its_channel_and_its_number() -> None:
    found = parse([{"to": "ops"}, {"to": "boss", "after": 5}, {"to": "ops", "on": ["skipped"]}])
    assert list(found) == ["ops", "boss", "ops:1"]


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (3, {"": "must be a channel's name or a list of rules, not a number"}),
        ("Ops!", {"": "must be a channel's name: 1 to 40 lower-case letters"}),
        (["ops"], {"0": "must be a mapping with the key to, not the text 'ops'"}),
        ([{}], {"0": "needs the key to: the name of a channel"}),
        ([{"to": 3}], {"0.to": "must be a channel's name, not a number"}),
        ([{"to": "x"}, {"to": "x", "afetr": 3}], {"1": "the text 'afetr' is not known; allowed"}),
        ([{"to": "x", 3: 3}], {"0": "a number is not known"}),
        ([{"to": "x", "on": []}], {"0.on": "must be a list of failure, recovery"}),
        ([{"to": "x", "on": ["failure", "failure"]}], {"0.on": "names one of them twice"}),
        ([{"to": "x", "on": ["failed"]}], {"0.on": "did you mean 'failure'?"}),
        ([{"to": "x", "on": [[]]}], {"0.on": "not a list"}),
        ([{"to": "x", "on": ["long"]}], {"0.on": "has long, whose limit is not given: long: 10m"}),
        (
            [{"to": "x", "on": ["failure"], "long": 3}],
            {"0.long": "is a limit that needs long among on"},
        ),
        ([{"to": "x", "remind": "soon"}], {"0.remind": "must be a span like 30s, 90m, 2h or 3d"}),
        ([{"to": "x", "remind": True}], {"0.remind": "not the boolean true"}),
        ([{"to": "x", "remind": 0}], {"0.remind": "must be a span of more than 0"}),
        ([{"to": "x", "remind": "999999999d"}], {"0.remind": "at most 3,162,240,000 seconds"}),
        ([{"to": "x", "after": 0}], {"0.after": "must be a whole number from 1 to 1000"}),
        ([{"to": "x"}] * (MOST_RULES + 1), {"": "has 21 rules; at most 20 are allowed"}),
    ],
)
def test_what_is_refused(value: Any, told: dict[str, str]) -> None:
    found = reasons(value)
    assert found.keys() == told.keys()
    for part, reason in told.items():
        assert reason in found[part]


def test_every_fault_is_told_at_once() -> None:
    assert reasons([{"on": "x", "after": "y"}, 3]).keys() == {"0", "0.on", "0.after", "1"}
    with pytest.raises(Refused) as refused:
        NOTIFY.parse([{"to": "x", **dict.fromkeys(range(50))}])
    assert len(refused.value.parts) == 20
    assert refused.value.more == 30


def test_a_task_has_it_as_it_was_written() -> None:
    for value in (None, "ops", [], [{"to": "ops", "long": "10m"}]):
        task = parsed(minimal(notify=value))
        assert task.definition()["notify"] == value
        assert parsed(task.definition()) == task


def test_what_means_the_same_is_no_override() -> None:
    assert same("notify", "ops", [{"to": "ops"}])
    assert same("notify", [{"to": "a", "long": "1m"}], [{"long": 60, "to": "a"}])
    assert not same("notify", None, [])
    assert not same("notify", "ops", "boss")
    assert meaning_of({"wrong": 1}) == {"wrong": 1}


def test_a_channel_that_there_is_none_of_is_a_fault() -> None:
    notify = NOTIFY.parse([{"to": "opps"}, {"to": "boss"}, {"to": "opps"}])
    [fault] = channel_faults(notify, {"ops", "boss"})
    assert fault.field == "notify"
    assert "no channel 'opps'; did you mean 'ops'?" in fault.reason
    assert "TASKSERVICE_CHANNEL_OPPS" in fault.reason
    assert channel_faults(notify, None) == channel_faults(None, set()) == []


def test_rules_that_are_not_known_may_tell_of_anything() -> None:
    assert {topic for rule in ANYBODY.rules.values() for topic in rule.on} == set(TOPICS)
