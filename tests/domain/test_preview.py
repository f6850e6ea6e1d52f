"""What a plan says of one task: its fields, its fires, and the overrides that meet a change."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from taskservice.domain.overlay import DELETED, Declaration, Override, override_with
from taskservice.domain.plan import Held
from taskservice.domain.preview import (
    FieldChange,
    Preview,
    TaskPreview,
    Week,
    retirement_of,
    task_preview,
)
from taskservice.domain.state import TaskState, resolution, resolve, retire
from tests.domain.samples import NOW, minimal

DAILY = minimal(trigger_type="cron", trigger_args={"crontab": "0 7 * * *"})
HOUR = timedelta(hours=1)


def declare(fields: dict[str, Any]) -> Declaration:
    return Declaration(source="file", fields=fields, path="a.yaml", line=3)


def state_of(fields: dict[str, Any], *overrides: Override) -> TaskState:
    return resolve("a", declare(fields), overrides, None, now=NOW, zone=UTC)


def overridden(fields: dict[str, Any], **values: Any) -> tuple[Override, ...]:
    return override_with(
        declare(fields), (), values, now=NOW - HOUR, by="ann", reason="INC-42", until=NOW + HOUR
    )


def entry(
    old: dict[str, Any] | None,
    new: dict[str, Any],
    before: tuple[Override, ...] = (),
    after: tuple[Override, ...] = (),
    *,
    previous: TaskState | None = None,
) -> TaskPreview:
    if previous is None and old is not None:
        previous = state_of(old, *before)
    made = resolution("a", declare(new), after, previous, now=NOW, zone=UTC)
    return task_preview(made, declare(old) if old else None, before, now=NOW, zone=UTC)


def test_a_task_that_is_created() -> None:
    made = entry(None, {**DAILY, "func_args": {"x": 1}})
    assert (made.task_id, made.path, made.line) == ("a", "a.yaml", 3)
    assert made.changes == (
        FieldChange(field="name", old=None, new="Morning"),
        FieldChange(field="task_type", old=None, new="notification"),
        FieldChange(
            field="trigger",
            old=None,
            new={"trigger_type": "cron", "trigger_args": {"crontab": "0 7 * * *"}},
        ),
        FieldChange(field="func_path", old=None, new="package.module.function"),
        FieldChange(field="func_args.x", old=None, new=1),
    )
    assert made.fires_old == ()
    assert made.fires_new[0] == datetime(2026, 11, 25, 7, tzinfo=UTC)
    assert len(made.fires_new) == 5
    assert made.week == Week(old=0, new=7, gained=7, lost=0)


def test_a_default_that_is_written_out_or_left_out_is_no_change() -> None:
    assert entry(DAILY, {**DAILY, "max_instances": 1}).changes == ()
    assert entry({**DAILY, "coalesce": True, "timeout": None}, DAILY).changes == ()


def test_fields_that_change() -> None:
    made = entry({**DAILY, "func_args": {"x": 1}, "timeout": 5}, {**DAILY, "func_args": {"y": 2}})
    assert made.changes == (
        FieldChange(field="func_args.y", old=None, new=2),
        FieldChange(field="func_args.x", old=1, new=None),
        FieldChange(field="timeout", old=5, new=None),
    )
    assert made.fires_old == made.fires_new
    assert made.week == Week(old=7, new=7, gained=0, lost=0)


def test_a_schedule_that_changes_gains_and_loses_runs() -> None:
    eight = {**DAILY, "trigger_args": {"crontab": "0 8 * * 1-5"}}
    made = entry(DAILY, eight)
    assert made.fires_old[0].hour == 7
    assert made.fires_new[0].hour == 8
    assert made.week == Week(old=7, new=5, gained=5, lost=7)
    both = entry(DAILY, {**DAILY, "trigger_args": {"crontab": "0 7,19 * * *"}})
    assert both.week == Week(old=7, new=14, gained=7, lost=0)


def test_many_runs_are_compared_by_their_number() -> None:
    often = {**DAILY, "trigger_args": {"crontab": "* * * * *"}}
    assert entry(DAILY, often).week == Week(old=7, new=10080, gained=10073, lost=0)
    assert entry(often, DAILY).week == Week(old=10080, new=7, gained=0, lost=10073)


def test_a_pause_loses_all_runs() -> None:
    made = entry(DAILY, {**DAILY, "paused": True})
    assert made.fires_new == ()
    assert made.week == Week(old=7, new=0, gained=0, lost=7)


def test_a_change_that_an_override_hides() -> None:
    hiding = overridden(DAILY, timeout=60)
    made = entry(DAILY, {**DAILY, "timeout": 30, "description": "said"}, hiding, hiding)
    assert made.changes == (
        FieldChange(field="timeout", old=None, new=30, hidden=hiding[0]),
        FieldChange(field="description", old=None, new="said"),
    )
    assert made.ends == ()


def test_an_override_that_ends_because_the_file_says_the_same() -> None:
    promoted = overridden(DAILY, timeout=60)
    made = entry(DAILY, {**DAILY, "timeout": 60}, promoted, ())
    assert made.changes == (FieldChange(field="timeout", old=None, new=60),)
    assert made.ends == promoted
    assert made.fires_old == made.fires_new


def test_the_deletion_of_a_task_hides_every_change() -> None:
    deleted = overridden(DAILY, **{DELETED: True})
    new = {**DAILY, "name": "Evening"}
    made = resolution("a", declare(new), deleted, None, now=NOW, zone=UTC)
    told = task_preview(made, declare(DAILY), deleted, now=NOW, zone=UTC)
    assert told.changes == (
        FieldChange(field="name", old="Morning", new="Evening", hidden=deleted[0]),
    )
    assert told.fires_old == told.fires_new == ()
    assert told.clock_changes == ()


def test_a_task_that_comes_back() -> None:
    gone = retire(state_of(DAILY), NOW - HOUR)
    made = entry(DAILY, DAILY, previous=gone)
    assert made.changes == (FieldChange(field="retired_at", old=NOW - HOUR, new=None),)
    assert made.fires_old == ()
    assert made.week == Week(old=0, new=7, gained=7, lost=0)


def test_a_task_that_is_retired() -> None:
    kept = overridden(DAILY, timeout=60)
    made = retirement_of("a", declare(DAILY), state_of(DAILY), kept, now=NOW, zone=UTC)
    assert (made.path, made.line, made.changes, made.ends) == ("a.yaml", 3, (), ())
    assert made.fires_old[0].hour == 7
    assert made.fires_new == ()
    assert made.week == Week(old=7, new=0, gained=0, lost=7)


def test_a_deleted_task_whose_file_goes_too() -> None:
    deleted = overridden(DAILY, **{DELETED: True})
    made = retirement_of("a", declare(DAILY), None, deleted, now=NOW, zone=UTC)
    assert made.ends == deleted
    assert made.fires_old == ()


def test_clock_changes_are_told_of_the_task_as_it_will_be() -> None:
    night = {**DAILY, "trigger_args": {"crontab": "30 2 * * *", "timezone": "Europe/Berlin"}}
    assert [one.kind for one in entry(DAILY, night).clock_changes] == ["skipped", "repeated"]
    assert entry(night, DAILY).clock_changes == ()


def test_a_preview_is_empty_unless_something_would_happen() -> None:
    kept = overridden(DAILY, timeout=60)
    nothing = Preview(overrides={"a": kept})
    assert nothing.empty
    assert not replace(nothing, create=(entry(None, DAILY),)).empty
    assert not replace(nothing, held=Held(reason="all", task_ids=("a",))).empty
