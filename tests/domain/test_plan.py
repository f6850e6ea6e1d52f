"""What a sync would do: properties that hold for every folder and every table."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from taskservice.domain.overlay import Declaration, digest
from taskservice.domain.plan import (
    GUARDED_FROM,
    SETTLE,
    DeclaredTask,
    FolderDeclarations,
    Held,
    Plan,
    StoredDeclaration,
    make_plan,
    next_settlement,
)
from tests.domain.samples import NOW, minimal

SECOND = timedelta(seconds=1)
IDS = [f"task-{letter}" for letter in "abcdefgh"]

ids = st.sampled_from(IDS)
paths = st.sampled_from(["a.yaml", "b.yaml", "c.yaml"])
names = st.sampled_from(["one", "other"])


def candidate(name: str = "one", path: str = "a.yaml", line: int = 1) -> DeclaredTask:
    fields = minimal(name=name)
    declaration = Declaration(source="file", fields=fields, path=path, line=line)
    return DeclaredTask(declaration=declaration, digest=digest(fields))


def row(
    name: str = "one", path: str | None = "a.yaml", line: int = 1, **more: Any
) -> StoredDeclaration:
    given_: dict[str, Any] = {"source": "file", "path": path, "line": line, **more}
    return StoredDeclaration(digest=digest(minimal(name=name)), **given_)


owned_rows = st.builds(
    row,
    names,
    paths,
    retired_at=st.none() | st.just(NOW - timedelta(days=1)),
) | st.builds(row, names, paths, deleted=st.booleans())
rows = owned_rows | owned_rows | st.builds(row, names, st.none(), source=st.just("api"))
tables = st.dictionaries(ids, rows)
folders = st.builds(
    FolderDeclarations,
    tasks=st.dictionaries(ids, st.builds(candidate, names, paths), max_size=5),
    faulty=st.frozensets(ids, max_size=2),
    unreadable=st.frozensets(paths, max_size=1),
    readable=st.sampled_from([True, True, True, False]),
)
since = st.dictionaries(ids, st.sampled_from([NOW, NOW - SECOND, NOW - SETTLE, NOW + SETTLE]))
confirmations = st.just(frozenset[str]()) | st.frozensets(ids)


def applied(
    plan: Plan, declared: FolderDeclarations, stored: Mapping[str, StoredDeclaration]
) -> dict[str, StoredDeclaration]:
    """The rows after the plan: a model of what storage does."""
    after = dict(stored)
    for task_id in plan.write:
        found = declared.tasks[task_id]
        after[task_id] = StoredDeclaration(
            source=found.declaration.source,
            digest=found.digest,
            path=found.declaration.path,
            line=found.declaration.line,
            deleted=task_id in stored and stored[task_id].deleted,
        )
    for task_id in plan.retire:
        after[task_id] = replace(after[task_id], retired_at=NOW)
    for task_id in plan.forget:
        del after[task_id]
    return after


@given(folders, tables, since, confirmations)
def test_planning_again_after_applying_is_empty(
    declared: FolderDeclarations,
    stored: dict[str, StoredDeclaration],
    missing: dict[str, datetime],
    confirmed: frozenset[str],
) -> None:
    plan = make_plan(declared, stored, missing=missing, now=NOW, confirmed=confirmed)
    after = applied(plan, declared, stored)
    again = make_plan(declared, after, missing=plan.missing, now=NOW)
    assert again.write == again.forget == ()
    if plan.empty:
        assert again == make_plan(declared, stored, missing=plan.missing, now=NOW)
    if plan.held is None:
        assert again.empty
    else:
        # The guard counts the tasks that there are now: fewer, or more, than before.
        assert set(again.retire) <= set(plan.held.task_ids)


@given(folders, tables, since, confirmations, st.randoms(use_true_random=False))
def test_the_order_of_files_and_rows_does_not_matter(
    declared: FolderDeclarations,
    stored: dict[str, StoredDeclaration],
    missing: dict[str, datetime],
    confirmed: frozenset[str],
    chance: Any,
) -> None:
    def shuffled(mapping: Mapping[str, Any]) -> dict[str, Any]:
        keys = list(mapping)
        chance.shuffle(keys)
        return {key: mapping[key] for key in keys}

    other = replace(declared, tasks=shuffled(declared.tasks))
    one = make_plan(declared, stored, missing=missing, now=NOW, confirmed=confirmed)
    two = make_plan(
        other, shuffled(stored), missing=shuffled(missing), now=NOW, confirmed=confirmed
    )
    assert one == two
    assert list(one.missing) == list(two.missing) == sorted(one.missing)


@given(folders, tables, since, confirmations)
def test_only_what_a_file_declared_is_ever_taken_away(
    declared: FolderDeclarations,
    stored: dict[str, StoredDeclaration],
    missing: dict[str, datetime],
    confirmed: frozenset[str],
) -> None:
    plan = make_plan(declared, stored, missing=missing, now=NOW, confirmed=confirmed)
    after = applied(plan, declared, stored)
    for task_id, before in stored.items():
        if before.source != "file" and task_id not in declared.tasks:
            assert after[task_id] == before
    gone = {*plan.retire, *plan.forget}
    assert len(gone) == len(plan.retire) + len(plan.forget)
    assert not gone & set(plan.write)
    for task_id in gone:
        assert stored[task_id].source == "file" and stored[task_id].retired_at is None
        assert task_id not in declared.tasks
        assert task_id not in declared.faulty
        assert stored[task_id].path not in declared.unreadable
        if declared.readable:
            assert missing[task_id] <= NOW - SETTLE
        else:
            assert task_id in confirmed
    assert set(plan.write) <= set(declared.tasks)


@given(folders, tables, since, confirmations)
def test_nobody_loses_more_than_half_unasked(
    declared: FolderDeclarations,
    stored: dict[str, StoredDeclaration],
    missing: dict[str, datetime],
    confirmed: frozenset[str],
) -> None:
    plan = make_plan(declared, stored, missing=missing, now=NOW, confirmed=confirmed)
    owned = [
        task_id
        for task_id, one in stored.items()
        if one.source == "file" and not one.retired_at and not one.deleted
    ]
    unasked = set(plan.retire) - confirmed
    if plan.held:
        assert not unasked
        assert set(plan.held.task_ids) <= set(owned) - confirmed
        assert not set(plan.held.task_ids) & set(plan.retire)
    elif len(owned) >= GUARDED_FROM:
        assert 2 * len(unasked) <= len(owned)


@given(folders, tables)
def test_a_task_that_is_stored_as_it_is_declared_is_left_alone(
    declared: FolderDeclarations, stored: dict[str, StoredDeclaration]
) -> None:
    write = make_plan(declared, stored, missing={}, now=NOW).write
    for task_id, found in declared.tasks.items():
        place = (found.declaration.path, found.declaration.line, found.digest)
        one = stored.get(task_id)
        known = (
            one is not None
            and one.source == "file"
            and one.retired_at is None
            and place == (one.path, one.line, one.digest)
        )
        assert (task_id in write) == (not known)


def test_a_reappearance_starts_the_wait_anew() -> None:
    stored = {"task-a": row()}
    gone, there = FolderDeclarations(tasks={}), FolderDeclarations(tasks={"task-a": candidate()})
    first = make_plan(gone, stored, missing={}, now=NOW)
    assert first.empty and first.missing == {"task-a": NOW}
    assert next_settlement(first, NOW) == NOW + SETTLE
    back = make_plan(there, stored, missing=first.missing, now=NOW + SECOND)
    assert back == Plan(missing={})
    assert next_settlement(back, NOW + SECOND) is None
    again = make_plan(gone, stored, missing=back.missing, now=NOW + SETTLE)
    assert again.empty
    assert make_plan(gone, stored, missing=again.missing, now=NOW + 2 * SETTLE).retire == (
        "task-a",
    )


def test_the_next_settlement_is_the_first_that_is_still_to_come() -> None:
    missing = {"a": NOW - SETTLE, "b": NOW - 2 * SECOND, "c": NOW - SECOND}
    assert next_settlement(Plan(missing=missing), NOW) == NOW + 3 * SECOND
    assert next_settlement(Plan(missing={"a": NOW - SETTLE}), NOW) is None


def test_a_clock_that_is_put_back_does_not_put_a_retirement_off() -> None:
    stored = {"task-a": row()}
    ahead = make_plan(FolderDeclarations(tasks={}), stored, missing={}, now=NOW + timedelta(days=1))
    back = make_plan(FolderDeclarations(tasks={}), stored, missing=ahead.missing, now=NOW)
    assert back.missing == {"task-a": NOW}


def test_a_confirmation_lets_go_what_it_names_and_no_more() -> None:
    stored = {task_id: row() for task_id in IDS}
    missing = dict.fromkeys(IDS, NOW - SETTLE)
    plan = make_plan(
        FolderDeclarations(tasks={}), stored, missing=missing, now=NOW, confirmed=frozenset(IDS[:2])
    )
    assert plan.retire == tuple(IDS[:2])
    reason = "6 of 8 declared tasks would be retired"
    assert plan.held == Held(reason=reason, task_ids=tuple(IDS[2:]))


def test_only_what_changes_something_is_not_empty() -> None:
    assert Plan(missing={"a": NOW}, held=Held(reason="x", task_ids=("a",))).empty
    assert not Plan(missing={}, write=("a",)).empty
    assert not Plan(missing={}, retire=("a",)).empty
    assert not Plan(missing={}, forget=("a",)).empty


def test_what_was_held_stays_so_though_its_absence_counts_anew() -> None:
    """As after a restart, when less is missing by now than the guard would hold."""
    stored = {task_id: row(path=f"{task_id}.yaml") for task_id in IDS}
    here = FolderDeclarations(tasks={one: candidate(path=f"{one}.yaml") for one in IDS[:6]})
    held = Held(reason="5 of 8 declared tasks would be retired", task_ids=tuple(IDS[3:]))
    first = make_plan(here, stored, missing={}, now=NOW, held=held)
    assert first.held and first.held.task_ids == tuple(IDS[6:])
    later = make_plan(here, stored, missing=first.missing, now=NOW + SETTLE, held=first.held)
    assert (later.retire, later.held) == ((), first.held)
    confirmed = make_plan(
        here, stored, missing=first.missing, now=NOW + SETTLE, held=first.held,
        confirmed=frozenset(IDS[6:]),
    )  # fmt: skip
    assert (confirmed.retire, confirmed.held) == (tuple(IDS[6:]), None)
