"""The audit trail: which actions a change comes to, field by field, and by whom."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, timedelta
from typing import Any

import pytest

from taskservice.domain import overlay
from taskservice.domain.overlay import DELETED, Declaration, Override
from taskservice.domain.state import Resolution, resolution, retire
from taskservice.domain.trail import (
    EXPIRY,
    FILE,
    Author,
    Cause,
    Change,
    Event,
    end_of,
    event_of,
    events_of,
    retirement,
)
from tests.domain.samples import NOW, minimal

ANN = Cause(by="ann", via="api", reason="INC-42")
HOUR = timedelta(hours=1)

Stand = tuple[Declaration, tuple[Override, ...]]
Told = list[tuple[str, list[tuple[str, Any, Any]]]]


def by_file(**fields: Any) -> Declaration:
    return Declaration(source="file", fields=minimal(**fields), path="a.yaml", line=3)


def by_api(**fields: Any) -> Declaration:
    return Declaration(source="api", fields=minimal(**fields))


def put(stand: Stand, values: Mapping[str, Any], **more: Any) -> Stand:
    declaration, overrides = stand
    given = {"now": NOW, "by": "ann", **more}
    return declaration, overlay.override_with(declaration, overrides, values, **given)


def made(
    before: Stand | None, after: Stand, cause: Cause = ANN, *, retired: bool = False, **more: Any
) -> list[Event]:
    """The events of a task that is declared and overridden otherwise than before, an hour later."""
    previous = resolved(before).state if before else None
    if retired and previous:
        previous = retire(previous, NOW)
    declaration, overrides = before or (None, ())
    now = replace(resolved(after), previous=previous)
    return events_of(now, declaration, overrides, cause, now=NOW + HOUR, **more)


def resolved(stand: Stand) -> Resolution:
    return resolution("t", stand[0], stand[1], None, now=NOW, zone=UTC)


def told(events: Iterable[Event]) -> Told:
    return [(one.action, [tuple(change) for change in one.changes]) for one in events]


def test_what_was_not_is_created_with_all_its_fields() -> None:
    [event] = made(None, (by_api(func_args={"n": 1}), ()))
    assert (event.action, event.task_id, event.by, event.via) == ("created", "t", "ann", "api")
    assert (event.reason, event.path, event.revision) == ("INC-42", None, None)
    assert event.changes == (
        Change("name", None, "Morning"),
        Change("task_type", None, "notification"),
        Change("trigger", None, {"trigger_type": "interval", "trigger_args": {"seconds": 60}}),
        Change("func_path", None, "package.module.function"),
        Change("func_args.n", None, 1),
    )


def test_a_file_tells_where_and_by_whose_commit() -> None:
    committed = replace(by_file(), revision="head")
    [event] = made(None, (committed, ()), FILE)
    assert (event.by, event.via, event.path, event.line) == ("file", "file", "a.yaml", 3)
    assert (event.revision, event.author) == ("head", None)
    [event] = made(None, (committed, ()), FILE, author=Author("abc", "Ann Other"))
    assert (event.revision, event.author) == ("abc", "Ann Other")


def test_nothing_is_told_of_what_means_the_same() -> None:
    stand = by_file(), ()
    same = by_file(trigger_args={"seconds": 60.0}, paused=False, tags=None)
    assert made(stand, (same, ()), FILE) == []
    assert made(stand, (replace(same, line=9, revision="new"), ()), FILE) == []
    over = put(stand, {"description": "x"})
    assert made(over, over) == []
    # Whoever sets a value that is set has seen what the file says by now: it is the same.
    assert made(over, put(over, {"description": "x"}, by="bob", now=NOW + HOUR)) == []


def test_a_file_changes_fields() -> None:
    [event] = made((by_file(description="a"), ()), (by_file(func_args={"n": 1}), ()), FILE)
    assert told([event]) == [("changed", [("description", "a", None), ("func_args.n", None, 1)])]
    [event] = made((by_file(), ()), (by_file(paused=True), ()), FILE)
    assert told([event]) == [("changed", [("paused", False, True)])]


def test_a_file_moves() -> None:
    moved = replace(by_file(), path="b.yaml")
    events = made((by_file(), ()), (moved, ()), FILE)
    assert told(events) == [("changed", [("declared_in", "a.yaml", "b.yaml")])]


def test_what_a_file_says_may_be_hidden() -> None:
    over = put((by_file(), ()), {"description": "x"})
    later = by_file(description="file's", timeout=5)
    events = made(over, (later, over[1]), FILE)
    assert told(events) == [
        ("declared", [("description", None, "file's")]),
        ("changed", [("timeout", None, 5)]),
    ]
    gone = put((by_file(), ()), {DELETED: True})
    assert told(made(gone, (by_file(timeout=5), gone[1]), FILE)) == [
        ("declared", [("timeout", None, 5)])
    ]


def test_a_file_adopts_what_it_says_as_well() -> None:
    over = put((by_file(), ()), {"description": "x"}, until=NOW + 2 * HOUR)
    end = (NOW + 2 * HOUR).isoformat()
    assert told(made(over, (by_file(description="x"), ()), FILE)) == [
        ("adopted", [("description", None, "x"), ("until.description", end, None)])
    ]
    # One that was in the way of nothing.
    assert told(made(over, (by_file(), ()), FILE)) == [
        ("adopted", [("description", None, None), ("until.description", end, None)])
    ]


def test_a_file_adopts_a_task_of_the_api_s() -> None:
    before: Stand = by_api(description="api's", timeout=5), ()
    file = by_file(description="file's", timeout=5, max_instances=2)
    kept = overlay.adopt(file, before[0].fields, (), by="ann", at=NOW)
    assert told(made(before, (file, kept), FILE)) == [
        ("adopted", [("declared_in", None, "a.yaml"), ("max_instances", 1, 2)]),
        ("declared", [("description", "api's", "file's")]),
    ]


def test_the_api_changes_its_own_task() -> None:
    before: Stand = by_api(description="a"), ()
    after = by_api(description="b", paused=True)
    assert told(made(before, (after, ()))) == [
        ("changed", [("description", "a", "b")]),
        ("paused", [("paused", False, True)]),
    ]
    assert told(made((after, ()), before))[1] == ("resumed", [("paused", True, False)])


def test_the_api_overrides_and_reverts() -> None:
    before = put((by_file(description="a"), ()), {"timeout": 5})
    after = put(before, {"timeout": None, "description": "b", "paused": True})
    assert told(made(before, after)) == [
        ("overridden", [("description", "a", "b")]),
        ("reverted", [("timeout", 5, None)]),
        ("paused", [("paused", False, True)]),
    ]
    events = made(after, (after[0], ()), replace(ANN, reverting=True))
    assert told(events) == [
        ("reverted", [("description", "b", "a"), ("paused", True, False)]),
    ]
    assert told(made(after, put(after, {"paused": False}))) == [
        ("resumed", [("paused", True, False)])
    ]


def test_the_end_of_an_override_is_told() -> None:
    stand: Stand = by_file(), ()
    soon, late = NOW + 2 * HOUR, NOW + 3 * HOUR
    paused = put(stand, {"paused": True}, until=soon)
    assert told(made(stand, paused)) == [
        ("paused", [("paused", False, True), ("until.paused", None, soon.isoformat())])
    ]
    longer = put(paused, {"paused": True}, until=late)
    assert told(made(paused, longer)) == [
        (
            "paused",
            [("paused", True, True), ("until.paused", soon.isoformat(), late.isoformat())],
        )
    ]
    why = put(stand, {"timeout": 5}, reason="new")
    assert told(made(put(stand, {"timeout": 5}), why)) == [("overridden", [("timeout", 5, 5)])]


def test_an_override_that_is_kept_over_the_file_is_told() -> None:
    old = put((by_file(), ()), {"timeout": 5})
    now: Stand = by_file(timeout=3), old[1]
    assert told(made(now, put(now, {"timeout": 5}))) == [("overridden", [("timeout", 5, 5)])]
    # Read once more from where it is stored, it is as it was.
    assert made(now, (now[0], tuple(replace(one) for one in now[1]))) == []


@pytest.mark.parametrize("cause", [EXPIRY, FILE])
def test_what_runs_out_is_told_as_the_service_s(cause: Cause) -> None:
    over = put((by_file(), ()), {"timeout": 5, "paused": True}, until=NOW + HOUR / 2)
    over = put(over, {"description": "stays"})
    later = by_file(timeout=7) if cause is FILE else by_file()
    expired, *others = made(over, (later, overlay.standing(later, over[1], NOW + HOUR)), cause)
    end = (NOW + HOUR / 2).isoformat()
    assert (expired.by, expired.via, expired.reason) == ("service", "service", EXPIRY.reason)
    assert told([expired]) == [
        (
            "expired",
            [
                ("paused", True, False), ("until.paused", end, None),
                ("timeout", 5, None), ("until.timeout", end, None),
            ],
        )
    ]  # fmt: skip
    assert told(others) == ([("changed", [("timeout", None, 7)])] if cause is FILE else [])
    # Somebody who reverts it after its time, and before it was ended.
    [event] = made(over, put(over, {"timeout": None}))
    assert event.action == "reverted"


def test_a_declared_task_is_deleted_and_restored() -> None:
    stand = put((by_file(), ()), {"timeout": 5})
    end = NOW + HOUR / 2
    gone = put(stand, {DELETED: True}, until=end)
    deleted = ("deleted", [("deleted", None, True), ("until.deleted", None, end.isoformat())])
    restored = [("deleted", True, None), ("until.deleted", end.isoformat(), None)]
    assert told(made(stand, gone)) == [deleted]
    assert told(made(gone, stand)) == [("restored", restored)]
    # What is left of it stands as retired.
    previous = retire(resolved(stand).state or pytest.fail(), NOW)
    back = replace(resolved(stand), previous=previous)
    assert told(events_of(back, *gone, ANN, now=NOW)) == [("restored", restored)]
    assert told(made(gone, stand, EXPIRY)) == [("expired", restored)]


def test_a_declaration_goes_and_comes_back() -> None:
    committed = replace(by_file(), revision="old")
    event = retirement("t", committed, NOW, FILE)
    assert told([event]) == [("retired", [("retired_at", None, NOW.isoformat())])]
    assert (event.path, event.line, event.revision, event.author) == ("a.yaml", 3, None, None)
    event = retirement("t", committed, NOW, FILE, Author("abc", "Ann"))
    assert (event.revision, event.author) == ("abc", "Ann")
    events = made((committed, ()), (by_file(timeout=5), ()), FILE, retired=True)
    assert told(events) == [
        ("returned", [("retired_at", NOW.isoformat(), None)]),
        ("changed", [("timeout", None, 5)]),
    ]


def test_the_end_of_a_task_says_all_that_it_was() -> None:
    declaration, overrides = put(
        (by_file(description="a"), ()), {"description": "b", DELETED: True}
    )
    event = end_of("t", declaration, overrides, ANN)
    assert (event.action, event.by) == ("deleted", "ann")
    assert event.changes[-1] == Change("description", "b", None)
    assert len(event.changes) == 5
    assert end_of("t", declaration, overrides, FILE).action == "pruned"
    assert end_of("t", None, (), EXPIRY) == event_of("pruned", EXPIRY, task_id="t")
