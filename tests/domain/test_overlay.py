"""Declaration and override: what the effective task is, and where its fields come from."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from taskservice.domain.overlay import (
    DEFAULTS,
    DELETED,
    Declaration,
    Override,
    adopt,
    changed_fields,
    declared_value,
    digest,
    drift_of,
    flatten,
    merge,
    origins,
    override_with,
    same,
    standing,
    unflatten,
)
from taskservice.domain.task import UNSET
from tests.domain.samples import NOW, declared_fields, json_values, minimal, parsed

HOUR = timedelta(hours=1)
LATER = NOW + HOUR


def declare(fields: dict[str, Any]) -> Declaration:
    return Declaration(source="file", fields=fields, path="a.yaml", line=1)


def declared(**more: Any) -> Declaration:
    return declare(minimal(**more))


def put(
    declaration: Declaration,
    overrides: tuple[Override, ...],
    changes: dict[str, Any],
    **more: Any,
) -> tuple[Override, ...]:
    """The overrides after a PUT of some fields."""
    values = changed_fields(merge(declaration, overrides), changes)
    return override_with(declaration, overrides, values, **{"now": NOW, "by": "ann", **more})


def definition(declaration: Declaration, overrides: tuple[Override, ...]) -> dict[str, Any]:
    """The effective task, as plain values."""
    return parsed(merge(declaration, overrides)).definition()


def names(overrides: tuple[Override, ...]) -> list[str]:
    return [override.field for override in overrides]


def stored(override: Override) -> Override:
    """What a database gives back: the same values, their keys in another order."""

    def turned(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: turned(value[key]) for key in reversed(value)}
        return value if value is UNSET else json.loads(json.dumps(value))

    return replace(
        override,
        value=turned(override.value),
        declared_when_set=turned(override.declared_when_set),
    )


# A declaration, and some of another task's fields as a PUT's body.
changes = st.tuples(declared_fields, st.sets(st.sampled_from([*sorted(DEFAULTS), "name"]))).map(
    lambda drawn: {
        name: value
        for name, value in drawn[0].items()
        if name in drawn[1] or name in ("trigger_type", "trigger_args", "func_args")
    }
)


def test_the_flat_fields_of_a_task() -> None:
    flat = flatten(minimal(func_args={"user_id": 1, "a.b": None}, tags=["x"]))
    assert flat == {
        "name": "Morning",
        "task_type": "notification",
        "trigger": {"trigger_type": "interval", "trigger_args": {"seconds": 60}},
        "func_path": "package.module.function",
        "func_args.user_id": 1,
        "func_args.a.b": None,
        "tags": ["x"],
    }
    assert flatten({"trigger_type": "cron"}) == {
        "trigger": {"trigger_type": "cron", "trigger_args": {}}
    }
    assert flatten({"func_args": None}) == {}


@given(declared_fields)
def test_unflatten_is_the_reverse_of_flatten(fields: dict[str, Any]) -> None:
    assert unflatten(flatten(fields)) == {**fields, "func_args": fields.get("func_args") or {}}


def test_arguments_that_are_no_mapping_stay_for_the_parser_to_refuse() -> None:
    for value in (True, 5, "text", [1]):
        assert unflatten(flatten({"name": "n", "func_args": value})) == {
            "name": "n", "func_args": value
        }  # fmt: skip


@given(declared_fields)
def test_without_overrides_the_declaration_is_the_task(fields: dict[str, Any]) -> None:
    declaration = declare(fields)
    assert parsed(merge(declaration, ())) == parsed(fields)
    assert override_with(declaration, (), {}, now=NOW, by="ann") == ()
    assert standing(declaration, (), NOW) == ()
    assert drift_of(declaration, ()) == "in_sync"


@given(declared_fields, changes, changes)
def test_a_put_sets_each_field_given_to_the_value_given(
    fields: dict[str, Any], first: dict[str, Any], second: dict[str, Any]
) -> None:
    declaration = declare(fields)
    overrides: tuple[Override, ...] = ()
    expected = parsed(fields).definition()
    for body in (first, second):
        # What parsing makes of the body is what the service compares.
        known = parsed({**expected, **body}).definition()
        overrides = put(declaration, overrides, {name: known[name] for name in body})
        expected = known
    effective = parsed(merge(declaration, overrides))
    wanted = parsed(expected)
    # A trigger written in another way is the same one.
    assert same("trigger", flatten(effective.definition())["trigger"], flatten(expected)["trigger"])
    assert replace(
        effective, trigger_type=wanted.trigger_type, trigger_args=wanted.trigger_args
    ) == replace(wanted, func_args=effective.func_args)
    assert digest(effective.func_args) == digest(wanted.func_args)


@given(declared_fields, changes)
def test_setting_back_what_the_file_declares_ends_the_override(
    fields: dict[str, Any], body: dict[str, Any]
) -> None:
    declaration = declare(fields)
    overrides = put(declaration, (), body)
    assert put(declaration, overrides, parsed(fields).definition()) == ()
    assert put(declaration, overrides, fields | {"func_args": fields.get("func_args")}) == tuple(
        override for override in overrides if override.field in DEFAULTS.keys() - fields.keys()
    )


@given(declared_fields, changes)
def test_committing_the_override_to_the_file_ends_it(
    fields: dict[str, Any], body: dict[str, Any]
) -> None:
    declaration = declare(fields)
    overrides = put(declaration, (), body)
    committed = declare(definition(declaration, overrides))
    assert standing(committed, overrides, NOW) == ()


@given(declared_fields, changes, declared_fields)
def test_drift_is_a_conflict_exactly_when_the_file_changed_an_overridden_field(
    fields: dict[str, Any], body: dict[str, Any], later: dict[str, Any]
) -> None:
    before, after = declare(fields), declare(later)
    overrides = put(before, (), body)
    assert drift_of(before, overrides) == ("overridden" if overrides else "in_sync")

    left = standing(after, tuple(map(stored, overrides)), NOW)
    assert {override.field for override in overrides} - {override.field for override in left} == {
        override.field
        for override in overrides
        if same(override.field, override.value, declared_value(after, override.field))
    }
    changed = [
        override.field
        for override in left
        if not same(
            override.field,
            declared_value(before, override.field),
            declared_value(after, override.field),
        )
    ]
    wanted = "conflict" if changed else "overridden" if left else "in_sync"
    assert drift_of(after, left) == wanted


@given(declared_fields, changes, st.randoms(use_true_random=False))
def test_the_order_of_overrides_and_fields_does_not_matter(
    fields: dict[str, Any], body: dict[str, Any], chance: Any
) -> None:
    overrides = put(declare(fields), (), body)
    assert list(overrides) == sorted(overrides, key=lambda override: override.field)
    shuffled = list(overrides)
    chance.shuffle(shuffled)
    keys = list(fields)
    chance.shuffle(keys)
    other = declare({key: fields[key] for key in keys})
    assert digest(other.fields) == digest(fields)
    assert parsed(merge(other, shuffled)) == parsed(merge(declare(fields), overrides))
    assert drift_of(other, shuffled) == drift_of(declare(fields), overrides)
    assert put(other, tuple(shuffled), body) == put(declare(fields), overrides, body)


def test_a_put_of_func_args_is_the_whole_mapping() -> None:
    declaration = declared(func_args={"user_id": 1, "channel": "email", "gone": 0})
    overrides = put(declaration, (), {"func_args": {"user_id": 1, "channel": "sms", "new": None}})
    assert [(o.field, o.value, o.declared_when_set) for o in overrides] == [
        ("func_args.channel", "sms", "email"),
        ("func_args.gone", UNSET, 0),
        ("func_args.new", None, UNSET),
    ]
    assert merge(declaration, overrides)["func_args"] == {
        "user_id": 1,
        "channel": "sms",
        "new": None,
    }
    # A key that the file comes to have later follows the file.
    later = declared(func_args={"user_id": 2, "more": 1})
    assert merge(later, standing(later, overrides, NOW))["func_args"] == {
        "user_id": 2,
        "more": 1,
        "channel": "sms",
        "new": None,
    }
    assert names(standing(later, overrides, NOW)) == ["func_args.channel", "func_args.new"]

    emptied = put(declaration, overrides, {"func_args": None})
    assert merge(declaration, emptied)["func_args"] == {}
    assert names(emptied) == ["func_args.channel", "func_args.gone", "func_args.user_id"]
    assert put(declaration, emptied, {"func_args": declaration.fields["func_args"]}) == ()


def test_half_of_a_trigger_takes_the_other_half_from_the_task() -> None:
    declaration = declared()
    [override] = put(declaration, (), {"trigger_args": {"hours": 1}})
    assert override.field == "trigger"
    assert override.value == {"trigger_type": "interval", "trigger_args": {"hours": 1}}
    assert override.declared_when_set == {
        "trigger_type": "interval",
        "trigger_args": {"seconds": 60},
    }
    assert changed_fields({}, {"trigger_args": {"hours": 1}}) == {
        "trigger": {"trigger_type": None, "trigger_args": {"hours": 1}}
    }


@pytest.mark.parametrize(
    ("field", "one", "other"),
    [
        ("timeout", 60, 60.0),
        ("retries", {"max": 3}, {"backoff": 1, "max": 3, "delay": 0.0, "max_delay": None}),
        ("tags", None, []),
        ("executor", None, None),
        ("func_args.a", {"x": 1, "y": 2}, {"y": 2, "x": 1}),
        (
            "trigger",
            {"trigger_type": "cron", "trigger_args": {"hour": 9}},
            {"trigger_args": {"hour": "9"}, "trigger_type": "cron"},
        ),
        ("func_args.a", UNSET, UNSET),
    ],
)
def test_values_that_mean_the_same(field: str, one: Any, other: Any) -> None:
    assert same(field, one, other) and same(field, other, one)


@pytest.mark.parametrize(
    ("field", "one", "other"),
    [
        ("timeout", None, 60),
        ("misfire_grace_time", None, 3600),
        ("retries", {"max": 3}, {"max": 3, "delay": 1}),
        ("retries", {"max": 3}, None),
        ("tags", ["a", "b"], ["b", "a"]),
        # To a function they are different.
        ("func_args.a", 1, 1.0),
        ("func_args.a", 1, True),
        ("func_args.a", None, UNSET),
        ("func_args.a", "UNSET", UNSET),
        (DELETED, True, UNSET),
        (
            "trigger",
            {"trigger_type": "date", "trigger_args": {}},
            {"trigger_type": "cron", "trigger_args": {}},
        ),
    ],
)
def test_values_that_do_not_mean_the_same(field: str, one: Any, other: Any) -> None:
    assert not same(field, one, other) and not same(field, other, one)


@given(json_values, json_values)
def test_values_have_the_same_digest_only_if_they_are_the_same(one: Any, other: Any) -> None:
    alike = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (digest(one) == digest(other)) == alike


def test_what_is_declared_of_a_field() -> None:
    declaration = declared(description=None, misfire_grace_time=None, func_args={"a": None})
    assert declared_value(declaration, "description") is None
    assert declared_value(declaration, "misfire_grace_time") is None
    assert declared_value(declaration, "tags") == []
    assert declared_value(declared(tags=None), "tags") == []
    assert declared_value(declared(), "misfire_grace_time") == 3600
    assert declared_value(declaration, "func_args.a") is None
    assert declared_value(declaration, "func_args.b") is UNSET
    assert declared_value(declaration, DELETED) is UNSET
    assert declared_value(None, "name") is UNSET
    assert declared_value(None, "paused") is False


def test_an_override_keeps_its_history_until_it_changes() -> None:
    declaration = declared(description="file")
    first = put(declaration, (), {"description": "api"}, reason="INC-42", until=LATER)
    assert first == (
        Override(
            field="description", value="api", declared_when_set="file",
            set_at=NOW, set_by="ann", reason="INC-42", until=LATER,
        ),
    )  # fmt: skip
    changed = declared(description="file, later")
    # Who says the same again has seen what the file says by now.
    [seen] = put(changed, first, {"description": "api"}, now=LATER, by="bob")
    assert seen == replace(first[0], declared_when_set="file, later")
    [again] = put(changed, first, {"description": "api"}, now=LATER, by="bob", reason="INC-43")
    assert (again.set_at, again.set_by, again.reason, again.until) == (LATER, "bob", "INC-43", None)
    assert again.declared_when_set == "file, later"
    [longer] = put(changed, first, {"description": "api"}, until=LATER + HOUR)
    assert (longer.reason, longer.until) == (None, LATER + HOUR)
    [other] = put(changed, first, {"description": "other"}, now=LATER, by="bob")
    assert (other.set_by, other.reason, other.until) == ("bob", None, None)
    assert drift_of(changed, first) == "conflict"
    assert drift_of(changed, (other,)) == "overridden"


def test_a_change_leaves_the_overrides_of_other_fields_alone() -> None:
    declaration = declared()
    first = put(declaration, (), {"description": "api", "timeout": 5}, reason="why")
    second = put(declaration, first, {"paused": True, "timeout": 6}, by="bob", now=LATER)
    assert names(second) == ["description", "paused", "timeout"]
    assert second[0] == first[0]
    assert (second[2].value, second[2].declared_when_set) == (6, None)


def test_what_stands_ends_by_time_and_by_the_file_and_keeps_all_others() -> None:
    declaration = declared()
    kept = put(declaration, (), {"description": "api"})
    timed = put(declaration, kept, {"timeout": 5}, until=LATER)
    both = put(declaration, timed, {"coalesce": False})
    assert standing(declaration, both, LATER - timedelta(microseconds=1)) == both
    assert standing(declaration, both, LATER) == tuple(o for o in both if o.field != "timeout")
    assert standing(declared(coalesce=False), both, NOW) == timed
    deleted = override_with(declaration, both, {DELETED: True}, now=NOW, by="ann")
    assert standing(declared(name="other"), deleted, NOW) == deleted
    assert drift_of(declared(name="other"), deleted) == "overridden"


def test_a_deleted_task_still_has_its_fields() -> None:
    declaration = declared(func_args={"a": 1})
    overrides = override_with(declaration, (), {DELETED: True}, now=NOW, by="ann")
    assert names(overrides) == [DELETED]
    assert merge(declaration, overrides) == unflatten(flatten(declaration.fields))


@given(declared_fields, declared_fields)
def test_a_file_that_declares_a_task_of_the_apis(
    authored: dict[str, Any], fields: dict[str, Any]
) -> None:
    declaration = declare(fields)
    overrides = adopt(declaration, authored, (), by="ann", at=NOW)
    effective, given_ = flatten(definition(declaration, overrides)), flatten(authored)
    for name, value in effective.items():
        source = given_ if name in given_ else flatten(parsed(fields).definition())
        assert same(name, value, source[name])
    assert {o.field for o in overrides} == {
        name for name in given_ if not same(name, given_[name], declared_value(declaration, name))
    }
    assert all(o.set_by == "ann" and o.set_at == NOW for o in overrides)
    assert drift_of(declaration, overrides) != "conflict"
    assert standing(declaration, overrides, NOW) == overrides


def test_an_override_of_a_task_of_the_apis_goes_on_over_its_file() -> None:
    pause = Override(
        field="paused", value=True, declared_when_set=False,
        set_at=NOW, set_by="bob", reason="INC-42", until=LATER,
    )  # fmt: skip
    authored = minimal(description="api")
    file = declared(description="file")
    assert adopt(file, authored, (pause,), by="ann", at=NOW) == (
        Override(
            field="description", value="api", declared_when_set="file", set_at=NOW, set_by="ann"
        ),
        pause,
    )
    # The file says the same: nothing is left to override.
    assert adopt(declared(paused=True), minimal(), (pause,), by="ann", at=NOW) == ()
    assert adopt(declared(paused=True), minimal(paused=False), (pause,), by="ann", at=NOW) == ()


def test_without_a_declaration_there_are_only_overrides() -> None:
    overrides = override_with(None, (), flatten(minimal()), now=NOW, by="ann")
    assert parsed(merge(None, overrides)) == parsed(minimal())
    assert drift_of(None, overrides) == "overridden"
    assert drift_of(None, ()) == "in_sync"


def test_the_defaults_can_be_overridden_and_come_back() -> None:
    declaration = declared()
    overrides = put(declaration, (), {"paused": True, "misfire_grace_time": None})
    assert names(overrides) == ["misfire_grace_time", "paused"]
    assert put(declaration, overrides, {"paused": False, "misfire_grace_time": 3600.0}) == ()


@given(declared_fields)
def test_a_sync_of_the_same_file_ends_no_override(fields: dict[str, Any]) -> None:
    assume(fields.get("description") != "by hand")
    declaration = declare(fields)
    overrides = put(declaration, (), {"description": "by hand"})
    assert standing(declaration, tuple(map(stored, overrides)), NOW) == overrides


def test_every_field_has_an_origin() -> None:
    declaration = declared(func_args={"a": 1, "b": 2}, timeout=None)
    overrides = override_with(
        declaration, (), {"max_instances": 2, "func_args.a": UNSET}, now=NOW, by="ann"
    )
    found = {origin.field: origin for origin in origins(declaration, overrides)}
    assert found["name"].source == "file"
    assert found["func_args.b"].value == 2
    assert (found["timeout"].source, found["timeout"].value) == ("file", None)
    assert (found["coalesce"].source, found["coalesce"].value) == ("default", True)
    assert (found["max_instances"].source, found["max_instances"].value) == ("api", 2)
    assert (found["max_instances"].declared, found["max_instances"].override) == (1, overrides[1])
    assert (found["func_args.a"].source, found["func_args.a"].value) == ("api", UNSET)
    assert found["func_args.a"].declared == 1
